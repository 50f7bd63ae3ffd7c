package images

import (
	"cmp"
	"time"
)

// Location is one account in one Region.
type Location struct {
	Account string `json:"account"` // 12 digits
	Region  string `json:"region"`
}

func (l Location) String() string { return l.Account + "/" + l.Region }

// Compare orders locations by account, then by Region.
func (l Location) Compare(o Location) int {
	return cmp.Or(cmp.Compare(l.Account, o.Account), cmp.Compare(l.Region, o.Region))
}

// Image is a machine image as one account sees it, with the imgops tags decoded. Tags are invisible to other accounts
// than the one that set them (ec2-api, CreateTags), so what a consumer sees has empty tag fields.
type Image struct {
	ID           string
	Name         string
	Location     Location // where it was looked up
	Owner        string   // account id
	State        string   // pending, available, failed, ...
	StateReason  string
	Architecture string
	Created      time.Time
	Snapshots    []string // ids of the backing snapshots; empty while pending
	RootDevice   string
	DiskGiB      int32
	Volumes      []Volume // besides the root
	SourceID     string   // of a copy
	SourceRegion string
	Deprecated   time.Time // from when on; zero: it is not, and is not going to be
	LastLaunched time.Time // seen by the owner only, and up to a day late; zero: never, or not lately known (ec2-api, Image)

	// From tags; see tags.go.
	Fleet, Role, Digest  string
	Commit, Branch, Base string
	Run                  string
	BuiltAt              time.Time
	Verified             string // the tests digest that it passed
	VerifiedAt           time.Time
	Rejected             string    // reason
	RejectedAt           time.Time // as the parameter of the rejection has it; zero where there is none
	Default              bool
	Promoted             Promoted
	Confirmed            Promoted // a later commit of main that wanted the image which was the default already

	Tags map[string]string // all of them
}

// Volume is an EBS volume that a launch of an image makes besides the root.
type Volume struct {
	Device              string // as /dev/sdf
	DeleteOnTermination bool   // false: it stays when the instance goes
}

// Promoted is the promotion that made an image the default of its role.
type Promoted struct {
	Commit string // of main
	At     time.Time
}

// LastWanted is the newest record of main wanting the image: its promotion, or a later commit that found it in place.
func (i Image) LastWanted() Promoted {
	if i.Confirmed.At.After(i.Promoted.At) {
		return i.Confirmed
	}
	return i.Promoted
}
