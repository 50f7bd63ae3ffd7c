package sandbox

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgops/imgops/images/sandbox/state"
)

// place is one account in one Region, where nearly every resource lives.
type place struct{ Account, Region string }

func (p place) key(parts ...string) string {
	switch len(parts) {
	case 0:
		return p.Account + "/" + p.Region
	case 1: // one allocation: a search for a tag does this for every image
		return p.Account + "/" + p.Region + "/" + parts[0]
	}
	return p.Account + "/" + p.Region + "/" + strings.Join(parts, "/")
}

// reason is a StateReason.
type reason struct{ Code, Message string }

type locationRow struct {
	place
	Since time.Time
}

// sessionRow is a set of temporary credentials, by access key id.
type sessionRow struct {
	Secret, Token        string
	Account, ARN, UserID string
	Expires              time.Time
	Role                 bool // from AssumeRole: chained sessions last at most an hour
}

// tagRow is the tags that one account has put on one resource; key: place/resource.
type tagRow struct {
	place
	Resource string
	Tags     map[string]string
	Before   map[string]string // the last change
	Changed  time.Time
}

// tokenRow is what a ClientToken has led to; key: place/action/token.
type tokenRow struct {
	Hash  string // of the other parameters
	ID    string
	Since time.Time
}

type keyRow struct {
	place
	ID, Name, Type, Fingerprint, Public string
	Created                             time.Time
}

type groupRow struct {
	place
	ID, Name, Description, VpcID string
	Rules                        []groupRule
	Created                      time.Time // zero: the default group
}

type groupRule struct {
	ID                       string
	Egress                   bool
	Protocol                 string // tcp, udp, icmp, icmpv6, a number, or -1 for all
	From, To                 int32  // -1 when Protocol is -1
	CIDR, CIDR6, PrefixList  string
	PeerGroup, PeerGroupUser string
	Description              string
}

type device struct {
	Name, SnapshotID    string
	SizeGiB             int32
	Type                string
	IOPS, Throughput    int32
	DeleteOnTermination bool
	Encrypted           bool
	KMSKey              string // ARN; empty: not encrypted
	Virtual             string // the name of an instance store volume, which has nothing but it and Name
	fault               string // of a device to be made: why its key cannot be used
}

type imageRow struct {
	place
	ID, Name, Description   string
	Architecture            string
	State                   string
	Reason                  *reason
	Created                 time.Time
	Public                  bool
	Users, Orgs, OUs        []string // launch permissions
	RootDevice              string
	Devices                 []device
	BootMode, IMDSSupport   string
	TPMSupport, Sriov       string
	UEFIData                string // base64
	ENA                     bool
	DeprecateAt             time.Time
	Protection              string // "", enabled-without-cooldown, enabled-with-cooldown
	ProtectedUntil          time.Time
	SourceInstance          string
	SourceImage, SourceFrom string // image and Region of a copy
	LastLaunched            time.Time
	Deregistered            time.Time
	Settled                 time.Time // it ceased to be pending
	Job                     *imageJob
}

// imageJob is what a pending image still needs.
type imageJob struct {
	InstanceID string // CreateImage: the disk of this instance
	Reboot     bool   // it was running, and is stopped for the capture and started again
	Captured   bool   // the bytes are there, what is left is to wait as long as on AWS
}

type snapshotRow struct {
	place
	ID, VolumeID, Description string
	State, Message            string // pending, completed, error
	Started, Completed        time.Time
	SizeGiB                   int32
	StoredBytes               int64
	Encrypted                 bool
	KMSKey                    string
	Fault                     string // why its key cannot be used: a copy that will fail
	Blob                      string // "" until captured
	Public                    bool
	Users                     []string // create volume permissions
	CopyMinutes               int32    // asked for the copy
	Captured                  bool     // as in imageJob
	Fate                      *reason  // a fault rule has it fail
}

// blobRow is the stored bytes behind one or more snapshots; parent is the blob whose difference it may be.
type blobRow struct {
	ID, Parent string
	Dead       bool // its bytes are being deleted
}

type volumeRow struct {
	place
	ID, Zone, SnapshotID string
	Blob                 string
	SizeGiB              int32
	Type                 string
	IOPS, Throughput     int32
	Encrypted            bool
	KMSKey               string
	Fault                string // why its key cannot be used: a volume that cannot be made
	State                string // creating, available, in-use, deleting, error
	Created, Attached    time.Time
	InstanceID, Device   string
	DeleteOnTermination  bool
	Restored             bool   // the disk is whole
	Plug                 string // attaching, detaching, busy: on its way into a running machine, or out of it; else ""
}

type metadataOptions struct {
	Tokens, Endpoint, Tags, IPv6 string
	HopLimit                     int32
}

type instanceRow struct {
	place
	ID, ReservationID        string
	LaunchIndex              int
	Zone, SubnetID, VpcID    string
	ImageID, Type            string
	Architecture             string
	State                    string
	Reason                   *reason
	Transition               string // StateTransitionReason
	KeyName, PublicKey       string
	Groups                   []string
	Address, ENI             string
	UserData                 []byte
	Metadata                 metadataOptions
	ShutdownBehavior         string
	ClientToken              string
	Created, Launched, Ended time.Time
	VolumeID, RootDevice     string
	ENA, EBSOptimized        bool
	Monitoring               bool
	SourceDestCheck          bool
	NoTermination, NoStop    bool
	CPUCredits               string
	Profile                  string // ARN of the instance profile
	ProfileAssociation       string // its id; "" when the profile came with the launch
	ProfileSince             time.Time
	BootMode                 string
	Sriov                    string
	CapacityPreference       string
	SpotRequest, SpotPrice   string    // of a Spot Instance: its request, and the most it may cost
	SpotCanceled             time.Time // when its request was
	Virtual                  []device  // of the instance store: only CreateImage asks for them
	Force                    bool      // the pending stop is by force
	Rebooting                bool      // a reboot was asked for and is not done
	Started                  bool      // it has run
	Before                   string    // the state before the present one, when a job has changed it
	Changed                  time.Time // when it did
	Fate                     *reason   // a fault rule ends it before it runs
}

type parameterRow struct {
	place
	Name     string
	Versions []parameterVersion // in order; the last one is the current one
	Pending  []parameterVersion // aws:ec2:image values whose check has not ended
}

type parameterVersion struct {
	Version                            int64
	Value, Type, Tier, DataType, KeyID string
	Description, Pattern               string
	User                               string
	At                                 time.Time
	Labels                             []string
}

type tables struct {
	locations  *state.Table[locationRow]
	sessions   *state.Table[sessionRow]
	tags       *state.Table[tagRow]
	tokens     *state.Table[tokenRow]
	keys       *state.Table[keyRow]
	groups     *state.Table[groupRow]
	images     *state.Table[imageRow]
	snapshots  *state.Table[snapshotRow]
	blobs      *state.Table[blobRow]
	volumes    *state.Table[volumeRow]
	instances  *state.Table[instanceRow]
	parameters *state.Table[parameterRow]
	kmsKeys    *state.Table[kmsKeyRow]
	kmsAliases *state.Table[kmsAliasRow]
	settings   *state.Table[settingsRow]
	templates  *state.Table[templateRow]
	reports    *state.Table[reportRow]
	buckets    *state.Table[bucketRow]
	objects    *state.Table[objectRow]
}

func openTables(dir string) (*state.Store, *tables, error) {
	s, err := state.Open(filepath.Join(dir, "state.db"))
	if err != nil {
		return nil, nil, err
	}
	t := &tables{}
	if err := t.load(s); err != nil {
		_ = s.Close()
		return nil, nil, fmt.Errorf("open the sandbox in %s: %w", dir, err)
	}
	return s, t, nil
}

func (t *tables) load(s *state.Store) error {
	return firstError(
		load(s, &t.locations, "locations", nil),
		load(s, &t.sessions, "sessions", nil),
		load(s, &t.tags, "tags", tagIndex),
		load(s, &t.tokens, "tokens", nil),
		load(s, &t.keys, "keys", func(r keyRow) []string { return []string{r.key()} }),
		load(s, &t.groups, "groups", func(r groupRow) []string { return []string{r.key()} }),
		load(s, &t.images, "images", imageIndex),
		load(s, &t.snapshots, "snapshots", snapshotIndex),
		load(s, &t.buckets, "buckets", nil),
		load(s, &t.objects, "objects", func(r objectRow) []string { return []string{r.Bucket} }),
		load(s, &t.blobs, "blobs", func(r blobRow) []string { return []string{r.Parent} }),
		load(s, &t.volumes, "volumes", volumeIndex),
		load(s, &t.instances, "instances", instanceIndex),
		load(s, &t.parameters, "parameters", func(r parameterRow) []string { return []string{r.key()} }),
		load(s, &t.kmsKeys, "kms_keys", func(r kmsKeyRow) []string { return []string{r.key()} }),
		load(s, &t.kmsAliases, "kms_aliases", func(r kmsAliasRow) []string { return []string{r.key()} }),
		load(s, &t.settings, "settings", nil),
		load(s, &t.templates, "launch_templates", templateIndex),
		load(s, &t.reports, "usage_reports", func(r reportRow) []string { return []string{r.key()} }),
	)
}

func load[T any](s *state.Store, t **state.Table[T], name string, index func(T) []string) error {
	var err error
	*t, err = state.NewTable(s, name, index)
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
