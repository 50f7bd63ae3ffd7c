package ledger

import (
	"encoding/json"
	"time"
)

// Schema is the version of the format that this package writes, and the newest that it reads.
const Schema = 1

// The kinds of entries, as they say it themselves.
const (
	KindImage        = "image"
	KindInventory    = "inventory"
	KindVerification = "verification"
	KindEvent        = "event"
)

// The actions of an Event.
const (
	ActionPromote  = "promote"
	ActionRollback = "rollback"
	ActionHold     = "hold"
	ActionRelease  = "release"
	ActionReject   = "reject"
	ActionRetire   = "retire"
)

// Author is who did something, and where.
type Author struct {
	Who   string `json:"who,omitempty"`   // the AWS identity: an ARN
	Actor string `json:"actor,omitempty"` // who started the CI job; without one, the person as Git knows it: "Ann Example <ann@example.com>"
	Host  string `json:"host,omitempty"`
	CI    string `json:"ci,omitempty"`  // the CI system
	URL   string `json:"url,omitempty"` // of the CI run
	Run   string `json:"run,omitempty"` // the run of imgops
}

// String is the author in one line.
func (a Author) String() string {
	if a.Actor != "" && a.Who != "" {
		return a.Who + " for " + a.Actor
	}
	return a.Who + a.Actor
}

// About says which image an entry is about.
type About struct {
	Schema  int    `json:"schema"`
	Kind    string `json:"kind"`
	Fleet   string `json:"fleet"`
	Role    string `json:"role"`
	Digest  string `json:"digest"` // sha256: and 64 hex digits
	Image   string `json:"image"`  // ami-..., in the account and Region
	Account string `json:"account"`
	Region  string `json:"region"`
}

// Component is one thing that decides a digest.
type Component struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Image is where an image comes from.
type Image struct {
	About
	Name       string            `json:"name"`
	Commit     string            `json:"commit"` // ends in -dirty for a tree with uncommitted changes
	Branch     string            `json:"branch,omitempty"`
	Base       string            `json:"base"`                  // image id
	BaseRole   string            `json:"base_role,omitempty"`   // when the base is an image of this fleet
	BaseDigest string            `json:"base_digest,omitempty"` // of that image
	BuiltAt    time.Time         `json:"built_at"`
	By         Author            `json:"by"`
	Tools      map[string]string `json:"tools,omitempty"` // name to version: imgops, ansible-core, ...
	Components []Component       `json:"components"`
	// Recovered is who made this record afterwards, of the image's tags, since that of the build was lost.
	Recovered *Author `json:"recovered,omitempty"`
}

// Inventory is what the machine held when it was captured.
type Inventory struct {
	About
	Packages []Package `json:"packages"`
	Services []Service `json:"services"`
	Etc      []File    `json:"etc"`
}

// Package is an installed package.
type Package struct {
	Manager string `json:"manager"` // dpkg or rpm
	Name    string `json:"name"`
	Arch    string `json:"arch,omitempty"`
	Version string `json:"version"`
}

// Service is a unit file of systemd.
type Service struct {
	Unit  string `json:"unit"`
	State string `json:"state"` // enabled, disabled, masked, ... (systemctl list-unit-files)
}

// File is a file, directory or link below /etc.
type File struct {
	Path  string `json:"path"`
	Type  string `json:"type"` // file, dir, link or other
	Mode  string `json:"mode"` // octal, such as 0644
	Owner string `json:"owner"`
	Group string `json:"group"`
	Size  int64  `json:"size,omitempty"` // of files
	// Sum is the SHA-256 of the content; for a file that others may not read, what Conceal makes of it.
	Sum  string `json:"sum,omitempty"`
	Link string `json:"link,omitempty"` // where a link points to
}

// Verification is one verification of an image.
type Verification struct {
	About
	TestsDigest string          `json:"tests_digest"`
	Passed      bool            `json:"passed"`
	At          time.Time       `json:"at"`
	By          Author          `json:"by"`
	Report      json.RawMessage `json:"report"` // as `imgops verify -o json` prints it
	Recovered   *Author         `json:"recovered,omitempty"`
}

// Pointer is what a role's pointer named in one location, before and after an event. "" is none.
type Pointer struct {
	Account string `json:"account"`
	Region  string `json:"region"`
	Before  string `json:"before"`
	After   string `json:"after"`
}

// Event is something that was done about a role's default.
type Event struct {
	Schema  int       `json:"schema"`
	Kind    string    `json:"kind"`
	Fleet   string    `json:"fleet"`
	Role    string    `json:"role"`
	Action  string    `json:"action"` // promote, rollback, hold, release, reject or retire
	At      time.Time `json:"at"`     // UTC, milliseconds
	By      Author    `json:"by"`
	Reason  string    `json:"reason,omitempty"`
	Commit  string    `json:"commit,omitempty"`
	Digest  string    `json:"digest,omitempty"`
	Image   string    `json:"image,omitempty"` // in the build location
	Partial bool      `json:"partial,omitempty"`
	// Recovered is who made this record afterwards, of what AWS keeps of it, since the one of By was lost.
	Recovered *Author `json:"recovered,omitempty"`
	// Pointers are those that the event is about: moved ones, or for hold, release and reject those that stay.
	Pointers []Pointer `json:"pointers"`
}
