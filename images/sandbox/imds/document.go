package imds

import "time"

// Document is all that the instance metadata service tells an instance about itself. The API side fills it at each
// lookup, so that what changes while the instance runs (tags, the token requirement) is seen at once, as on EC2.
type Document struct {
	InstanceID       string // i-...
	ImageID          string // ami-...
	AccountID        string // 12 digits
	Region           string
	AvailabilityZone string
	InstanceType     string
	Architecture     string // x86_64 or arm64
	PrivateIP        string
	MAC              string // lower case with colons; machines.MAC gives the one that the machine really has
	LocalHostname    string // as ip-10-213-0-5.ec2.internal
	PublicKeys       []PublicKey
	UserData         []byte            // decoded; nil or empty: none
	Tags             map[string]string // nil unless the instance allows tags in metadata
	// HTTPTokensRequired refuses IMDSv1, that is requests without a token.
	HTTPTokensRequired bool
	// HopLimit is the IP TTL of the answers to PUT (token) requests, 1 to 64; 0 means 1.
	HopLimit       int
	LaunchTime     time.Time // of the present run
	PendingTime    time.Time // when the instance entered pending; zero: LaunchTime
	SecurityGroups []string  // names
	ReservationID  string    // r-...
	AmiLaunchIndex int
	RootDevice     string   // as /dev/xvda; empty: that
	EBSDevices     []string // those of the other EBS volumes at launch or the last start, as /dev/sdf
	Spot           bool     // a Spot Instance

	// Optional parts of the network interface's directory; empty ones are left out.
	InterfaceID      string // eni-...
	SubnetID         string // subnet-...
	SubnetCIDR       string // as 10.213.0.0/24
	VPCID            string // vpc-...
	VPCCIDR          string
	SecurityGroupIDs []string // sg-...
}

// PublicKey is the key pair that the instance was launched with.
type PublicKey struct {
	Name    string // of the key pair
	OpenSSH string // one authorized_keys line
}
