package machine

import (
	"context"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/imgops/imgops/images"
)

// Spec says which temporary machine is wanted.
type Spec struct {
	Location      images.Location
	Image         images.Image
	Purpose       string // build or verify; part of names and tags
	Fleet         string
	Role          string
	Run           string        // id of this run of imgops; with Purpose, Role and Suffix it names what is made
	Suffix        string        // tells machines of one run and role apart (the suite's name)
	InstanceTypes []string      // tried in order when EC2 has no capacity
	DiskGiB       int32         // root volume; 0 keeps the image's
	SSHUser       string        // admin on Debian
	SSHCIDR       string        // who may reach port 22; may be empty only where the API is at a private address: then the VPC
	SubnetID      string        // empty: the default VPC
	Lifetime      time.Duration // after this the machine is expired: it ends itself and gc may remove what is left
	WorkDir       string        // where the run's private key, known_hosts and ssh_config are written (0700)
	UserData      string        // further cloud-config, merged with imgops' own; usually empty
}

// Machine is one temporary machine, or one in the making. Its methods are safe for concurrent use once it is launched.
type Machine struct {
	ID         string // i-...
	Address    string // public when it has one, else private
	User       string // who logs in
	KeyFile    string // private key in Spec.WorkDir
	KnownHosts string // the machine's host key, pinned
	SSHConfig  string // `ssh -F SSHConfig machine` reaches it; so does the address in place of "machine"

	spec    Spec
	name    string // of everything that is made for it
	expires time.Time
	api     EC2API
	dial    Dialer
	keep    bool // when it is ready, the caller ends it and not the steps

	signer     ssh.Signer    // the user's
	hostKey    ssh.PublicKey // what the machine must prove to be
	hostKeyPEM []byte        // its private half, for the user data

	keyAsked   bool // ImportKeyPair was sent and may have taken effect
	groupAsked bool
	groupID    string
	vpcID      string
	startAsked bool
	startLost  bool          // no answer came
	gone       bool          // the instance is terminated
	launched   time.Time     // when RunInstances answered
	lost       time.Duration // how long a machine is looked for whose launch had no answer

	mu         sync.Mutex
	client     *ssh.Client
	controlDir string // directory of the ControlMaster socket
}

// Name is the name of everything that is made for the machine: imgops-<run>-<purpose>-<role>[-<suffix>].
func (m *Machine) Name() string { return m.name }

// Expires is when the machine ends itself.
func (m *Machine) Expires() time.Time { return m.expires }

// Close ends the machine: it terminates the instance, waits for its end and deletes the security group and the key
// pair. It does not stop when ctx ends, but after 2 minutes. The error is a *LeftoverError that names what is left.
// Closing twice does nothing.
func (m *Machine) Close(ctx context.Context) error {
	ctx, cancel := undoContext(ctx)
	defer cancel()
	var left []error
	for _, undo := range []func(context.Context) error{m.disconnect, m.terminate, m.deleteGroup, m.deleteKeyPair} {
		if err := undo(ctx); err != nil {
			left = append(left, err)
		}
	}
	if len(left) > 0 {
		return &LeftoverError{Run: m.spec.Run, Errs: left}
	}
	return nil
}
