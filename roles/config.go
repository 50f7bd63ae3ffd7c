package roles

import (
	"fmt"
	"time"
)

// Duration is a time.Duration that is written as Go writes one ("90s", "720h") in YAML.
type Duration time.Duration

// String writes the duration as Go does.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration as Go does, for JSON and YAML output.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("reading duration %q: %w", text, err)
	}
	*d = Duration(v)
	return nil
}

// Config is imgops.yaml: the accounts, Regions and targets of a fleet.
type Config struct {
	Version   int // 1
	Fleet     string
	Main      string // the branch that is the source of truth; default main
	Build     BuildLocation
	Targets   []Target
	Retention Retention
	Ledger    Ledger
	// MaxBaseAge is how old an external base may be before plan warns of it; 0 is any age. In YAML: max_base_age.
	MaxBaseAge Duration
}

// BuildLocation is the account and Region in which images are built and verified.
type BuildLocation struct {
	Account string // 12 digits
	Region  string
	RoleARN string // assumed when set
	// SSHCIDR is who may reach a build machine's port 22: a CIDR; empty is the VPC's own range where the API endpoint is private, as a sandbox's is, and has to be given on AWS. In YAML: ssh_cidr.
	SSHCIDR string
	// SubnetID for build machines; empty for the default VPC. In YAML: subnet_id.
	SubnetID string
}

// Target is a set of accounts and Regions that get the role defaults.
type Target struct {
	Name     string
	Accounts []string
	Regions  []string
	RoleARN  string            // {account} is replaced by the account's id
	Mode     string            // share (default) or copy
	KMSKey   map[string]string // by Region: key id, ARN or alias
}

// Retention says what gc keeps.
type Retention struct {
	Keep   int      // images per role; default 5
	MinAge Duration // default 720h
	// DeprecateFor is how long an image is deprecated before it is removed; 0, the default: it is removed at once. In YAML: deprecate_for.
	DeprecateFor Duration
}

// Ledger says where the record of builds and promotions is kept. In YAML a word is enough: off, branch, required, or a place
// in S3 (s3://bucket/prefix); both together are written {store: s3://bucket/prefix, required: true}.
type Ledger struct {
	Store    string // LedgerBranch (default), LedgerOff, or s3://BUCKET[/PREFIX]
	Region   string // of the bucket; default: the build Region
	Required bool   // a run that cannot record what it did fails, and nothing is promoted when that is known before
}

// Defaults of imgops.yaml.
const (
	DefaultMain   = "main"
	DefaultKeep   = 5
	DefaultMinAge = Duration(720 * time.Hour)
	ModeShare     = "share"
	LedgerBranch  = "branch" // imgops-ledger, in the fleet's repository
	LedgerOff     = "off"
	ModeCopy      = "copy"
)
