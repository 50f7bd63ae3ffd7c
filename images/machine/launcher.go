package machine

import (
	"context"
	"net"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/imgops/imgops/images"
)

// EC2API is what launching and ending a machine needs of EC2.
type EC2API interface {
	keyPairAPI
	securityGroupAPI
	instanceAPI
}

type instanceAPI interface {
	ec2.DescribeInstancesAPIClient
	RunInstances(context.Context, *ec2.RunInstancesInput, ...func(*ec2.Options)) (*ec2.RunInstancesOutput, error)
	StopInstances(context.Context, *ec2.StopInstancesInput, ...func(*ec2.Options)) (*ec2.StopInstancesOutput, error)
	TerminateInstances(context.Context, *ec2.TerminateInstancesInput, ...func(*ec2.Options)) (*ec2.TerminateInstancesOutput, error)
}

// Dialer opens the TCP connections to machines; *net.Dialer is one.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Launcher launches temporary machines in one account and Region.
type Launcher struct {
	api  EC2API
	dial Dialer
	now  func() time.Time
}

// NewLauncher makes a launcher over the client of one location.
func NewLauncher(api EC2API) *Launcher {
	return &Launcher{api: api, dial: &net.Dialer{Timeout: 5 * time.Second}, now: time.Now}
}

// Via returns a launcher that reaches its machines through d: a bastion's client, or a test's server.
func (l *Launcher) Via(d Dialer) *Launcher {
	c := *l
	c.dial = d
	return &c
}

// Launch makes a machine ready for use over SSH. The caller ends it with Machine.Close. On an error, or when ctx ends
// before the machine is ready, everything that was made is removed again; what could not be removed is named in a
// *LeftoverError inside the error.
func (l *Launcher) Launch(ctx context.Context, spec Spec, progress images.Progress) (*Machine, error) {
	m := l.Machine(spec)
	m.keep = true
	if err := RunSteps(ctx, NewState(progress, m.spec.Run), l.Steps(m)...); err != nil {
		return nil, err
	}
	return m, nil
}

// Machine names a machine that does not exist yet, for the steps that make it.
func (l *Launcher) Machine(spec Spec) *Machine {
	return &Machine{
		User: spec.SSHUser, spec: spec, name: resourceName(spec), api: l.api, dial: l.dial,
		expires: l.now().Add(spec.Lifetime).UTC().Truncate(time.Second), lost: lostTime,
	}
}

// Steps lists the steps that make m, in order: KeyPair, SecurityGroup, Start and Connect. Each removes at the end what
// it made, also after a success: a machine that shall outlive the steps is launched with Launch.
func (l *Launcher) Steps(m *Machine) []multistep.Step {
	return []multistep.Step{KeyPair(m), SecurityGroup(m), Start(m), Connect(m)}
}

// KeyPair makes the machine's working directory and its SSH keys, and imports the public one as a key pair.
func KeyPair(m *Machine) multistep.Step { return &step{m.makeKeyPair, m.deleteKeyPair, m} }

// SecurityGroup makes the group that lets the caller, and nobody else, reach the machine's port 22.
func SecurityGroup(m *Machine) multistep.Step { return &step{m.makeGroup, m.deleteGroup, m} }

// Start launches the instance and waits until it runs and has an address.
func Start(m *Machine) multistep.Step { return &step{m.start, m.terminate, m} }

// Connect waits until the machine answers over SSH with the host key that was given to it, and keeps the connection.
func Connect(m *Machine) multistep.Step { return &step{m.connect, m.disconnect, m} }
