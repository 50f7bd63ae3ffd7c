package machines

import (
	"context"
	"errors"
	"net/netip"
)

// Driver runs the disks of a sandbox's instances as machines on this computer. Implementations: nspawn, qemu, none.
// A driver keeps what it needs to find its machines again in its own directory, so that a server that was killed
// finds them after a restart.
type Driver interface {
	// Name is the word of --machines: nspawn, qemu or none.
	Name() string
	// Prefix is the network from which the sandbox gives its instances addresses; the first usable one is the gateway's.
	Prefix() netip.Prefix
	// Start boots the machine from its disk and returns when its init has been started; SSH comes later, as on EC2.
	Start(ctx context.Context, m Machine) error
	// Stop shuts the machine down in order (by force after a grace period, or at once with force) and returns when the
	// disk is closed, unmounted and synced. Stopping a machine that does not run is no error.
	Stop(ctx context.Context, id string, force bool) error
	// Reboot shuts down and boots again.
	Reboot(ctx context.Context, id string) error
	// Running lists the ids of the machines that run now, including those that an earlier process of this sandbox started.
	Running(ctx context.Context) ([]string, error)
	// Exited delivers the ids of machines that ended by themselves (shutdown from inside, or a crash).
	Exited() <-chan string
	// Console returns what the machine has written to its console so far (at most the last 64 KiB, as EC2 does).
	Console(id string) ([]byte, error)
	// Forget removes what the driver keeps of a terminated machine (its console and records), not the disk.
	Forget(id string) error
	// Down stops every machine of the sandbox and removes its network, mounts and processes.
	Down(ctx context.Context) error
	// Close lets go of the driver and leaves the machines running.
	Close() error
}

// Plugger is a Driver whose machines take volumes while they run, and give them back.
type Plugger interface {
	// Attach gives the machine a volume; nothing happens when it has it.
	Attach(ctx context.Context, id string, v Volume) error
	// Detach takes the volume away; nothing happens when the machine does not have it. ErrBusy: the machine uses it; it keeps it until
	// Detach is called when it does not, but not beyond its next boot.
	Detach(ctx context.Context, id, volume string) error
}

// ErrBusy is what Detach returns when the machine has the volume mounted, or open.
var ErrBusy = errors.New("the machine uses the volume")

// Volume is a disk that a machine has besides its root.
type Volume struct {
	ID     string // vol-...
	Device string // as EC2's clients name it: /dev/sdf
	Disk   string // path of the raw disk, writable

	// Leaving is the driver's own note: Detach found the volume in use, and the machine's next boot is without it.
	Leaving bool `json:",omitempty"`
}

// Machine is what a driver needs to boot an instance.
type Machine struct {
	ID      string     // i-...
	Disk    string     // path of the raw root disk (an ext4 file system without a partition table), writable
	Address netip.Addr // inside Prefix
	Name    string     // host name, such as ip-10-213-0-5
	Volumes []Volume   // besides the root
}
