package promoter

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/imgops/imgops/images"
)

// Action is a kind of Step.
type Action string

// The actions.
const (
	ActionCopy           Action = "copy"            // CopyImage into Location
	ActionWait           Action = "wait"            // for a copy that an earlier run began
	ActionTag            Action = "tag"             // bring the tags of a copy up to date
	ActionShareSnapshots Action = "share-snapshots" // let Accounts copy: createVolumePermission
	ActionShare          Action = "share"           // let Accounts launch: launchPermission
	ActionLook           Action = "look"            // the account must see the image; part of ActionPointer, too
	ActionPointer        Action = "pointer"         // move the role's pointer From To
	ActionDefault        Action = "default"         // tag as default and promoted
	ActionUndefault      Action = "undefault"       // take the default tag from Image, a former default
	ActionConfirm        Action = "confirm"         // note on Image, the default already, that a newer main commit wants it
	ActionUndeprecate    Action = "undeprecate"     // take the deprecation of an old image back, which is the default again
	ActionUnshare        Action = "unshare"         // withdraw both permissions from Accounts
)

// stage is a part of the work that is over before the next begins; own is about a target account's own copy.
type stage struct {
	action Action
	own    bool
}

// stages is the order of the work. An own copy is made of a shared image, so it comes after the sharing; the pointers
// come after everything that an instance needs, and what only tells people and later runs comes last.
var stages = []stage{
	{ActionCopy, false}, {ActionWait, false}, {ActionTag, false}, {ActionShareSnapshots, false}, {ActionShare, false},
	{ActionCopy, true}, {ActionWait, true}, {ActionTag, true},
	{ActionLook, false}, {ActionPointer, false}, {ActionDefault, false}, {ActionUndefault, false}, {ActionConfirm, false},
	{ActionUndeprecate, false}, {ActionUnshare, false},
}

// Plan is what is missing until the images are the defaults of their roles. It is to be applied by the process that
// made it, soon: it holds what was seen of each image.
type Plan struct {
	Roles []RolePlan `json:"roles"` // sorted by role
}

// RolePlan is the part of a Plan for one role.
type RolePlan struct {
	Role      string            `json:"role"`
	Digest    string            `json:"digest"`
	Commit    string            `json:"commit"` // of main
	Image     string            `json:"image"`  // in the build location
	Locations []images.Location `json:"locations"`
	Steps     []Step            `json:"steps"` // in the order in which they are done; empty: nothing to do
	// Held is why nothing is done: a person holds the role. Left out otherwise.
	Held *images.Hold `json:"held,omitempty"`

	req    Request
	places []place
	before []images.Promoted                // what the role was promoted at before
	known  map[images.Location]images.Image // the images for this digest that exist, by where they are
}

// Step is one change, or one wait.
type Step struct {
	Action   Action          `json:"action"`
	Role     string          `json:"role"`
	Location images.Location `json:"location"`
	// Image is what is changed, or the new image of copy and pointer. "" in a Plan when a copy has to be made first; a Result has it always.
	Image    string            `json:"image"`
	From     string            `json:"from,omitempty"`     // copy: the source image, pointer: what it names before
	Region   string            `json:"region,omitempty"`   // copy: the Region of From
	KMSKey   string            `json:"kms_key,omitempty"`  // copy into a target account: its key
	Accounts []string          `json:"accounts,omitempty"` // share, share-snapshots and unshare
	Tags     map[string]string `json:"tags,omitempty"`     // copy, tag and default

	was   string       // pointer: the recipe digest of From, as far as it is known
	own   bool         // the location's own copy (ModeCopy), not the image of the build account
	image images.Image // what was seen of Image
	dead  []string     // copy: earlier copies that are of no use, which a client token must not lead back to
}

// Empty says that there is nothing to do.
func (p Plan) Empty() bool {
	for _, r := range p.Roles {
		if len(r.Steps) > 0 {
			return false
		}
	}
	return true
}

// Promoted lists the commits of main that the roles which have something to do were promoted at before, each once.
func (p Plan) Promoted() []string {
	var commits []string
	for _, r := range p.Roles {
		for _, record := range r.before {
			if len(r.Steps) > 0 && !slices.Contains(commits, record.Commit) {
				commits = append(commits, record.Commit)
			}
		}
	}
	return commits
}

// Lines prints the plan for a person: a heading per role, and a line per step or "nothing to do".
func (p Plan) Lines() []string {
	var lines []string
	for _, r := range p.Roles {
		lines = append(lines, fmt.Sprintf("%s: image %s, digest %s, %d locations", r.Role, r.Image, short(r.Digest), len(r.Locations)))
		for _, s := range r.Steps {
			lines = append(lines, "  "+s.String())
		}
		switch {
		case r.Held != nil:
			lines = append(lines, "  "+r.Held.String()+"; let it go with: imgops release "+r.Role)
		case len(r.Steps) == 0:
			lines = append(lines, "  nothing to do")
		}
	}
	return lines
}

// String says in a line what the step does.
func (s Step) String() string {
	img := cmp.Or(s.Image, "the copy")
	var what string
	switch s.Action {
	case ActionCopy:
		what = "copy " + cmp.Or(s.From, "the shared image") + " from " + s.Region
		if s.own {
			what += ", encrypted with " + cmp.Or(s.KMSKey, "the account's default key")
		}
	case ActionWait:
		what = "wait for " + img
	case ActionTag:
		what = "tag " + img + " " + strings.Join(pairs(s.Tags), " ")
	case ActionShareSnapshots:
		what = "share the snapshots of " + img + " with " + strings.Join(s.Accounts, " ")
	case ActionShare:
		what = "share " + img + " with " + strings.Join(s.Accounts, " ")
	case ActionLook:
		what = "look at " + img + " from the account"
	case ActionPointer:
		if s.From == s.Image && s.From != "" {
			what = "write the pointer to " + s.Image + " again" // its data type is wrong
			break
		}
		what = "move the pointer from " + cmp.Or(s.From, "nothing") + " to " + img
	case ActionDefault:
		what = "tag " + img + " as the default"
	case ActionUndefault:
		what = "take the default tag from " + img
	case ActionConfirm:
		what = "note on " + img + " that main commit " + short(s.Tags[images.TagConfirmed]) + " wants it"
	case ActionUndeprecate:
		what = "take back the deprecation of " + img
	case ActionUnshare:
		what = "no longer share " + img + " with " + strings.Join(s.Accounts, " ")
	default:
		what = string(s.Action) + " " + img
	}
	return s.Location.String() + ": " + what
}

// sort puts the steps in the order in which Apply does them, and within a stage by location.
func (r *RolePlan) sort() {
	slices.SortStableFunc(r.Steps, func(a, b Step) int {
		return cmp.Or(cmp.Compare(a.stage(), b.stage()), a.Location.Compare(b.Location), cmp.Compare(a.Image, b.Image))
	})
}

// stage is the part of the work that the step belongs to.
func (s Step) stage() int {
	making := s.Action == ActionCopy || s.Action == ActionWait || s.Action == ActionTag
	return slices.Index(stages, stage{s.Action, s.own && making})
}

func pairs(m map[string]string) []string {
	var list []string
	for k, v := range m {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list
}

// short is a digest or commit as people read it.
func short(s string) string {
	s = strings.TrimPrefix(s, "sha256:")
	return s[:min(len(s), 8)]
}
