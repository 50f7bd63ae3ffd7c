package machines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// qemuGrace is how long a machine may take to shut down in order: emulated, it takes some ten times as long as on the bare processor.
const qemuGrace = 2 * time.Minute

// QEMUOptions of NewQEMU.
type QEMUOptions struct {
	Options
	// Pipe is a program and arguments, to which two are added: it has to call Pipe with them and its standard input and output. QEMU runs
	// it for every connection of a machine to the metadata service, also when this process has long been followed by another.
	Pipe []string
	// Trial is the path of a disk whose kernel shows whether KVM works here, such as the base image; it is only read.
	// Empty: what was found out earlier holds, or KVM is not used.
	Trial string
	// Memory is the file in which it is kept whether KVM works here; sandboxes may share it. Empty: kvm.json in Dir.
	Memory string
}

// QEMU is the Driver that boots disks as virtual machines under qemu-system-x86_64, with user-mode networking and without root.
type QEMU struct {
	*keeper
	prefix netip.Prefix
	accel  accel
	pipe   []string
	meta   http.Handler
	server *http.Server // metadata; nil while it does not listen
}

var _ Driver = (*QEMU)(nil)

// NewQEMU opens the driver of the sandbox whose directory is given and takes over the machines that still run. Those that have ended
// meanwhile are cleaned up and delivered by Exited; those that were rebooting are booted. The first time in a boot of the host, it may take some
// seconds to try KVM. Only one process at a time may have the directory open.
func NewQEMU(ctx context.Context, o QEMUOptions) (*QEMU, error) {
	if err := ProbeQEMU(); err != nil {
		return nil, err
	}
	d := &QEMU{meta: o.Metadata, pipe: o.Pipe}
	var err error
	if d.keeper, err = openKeeper(ctx, o.Options, d, qemuGrace); err != nil {
		return nil, err
	}
	if err := d.open(ctx, o); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *QEMU) open(ctx context.Context, o QEMUOptions) error {
	if err := removeTrials(d.dir); err != nil {
		return err
	}
	c := chooser{device: "/dev/kvm", memory: cmp.Or(o.Memory, filepath.Join(d.dir, "kvm.json")), dir: d.dir, bound: kvmBound, log: d.log}
	var err error
	if d.accel, err = c.choose(ctx, o.Trial); err != nil {
		return err
	}
	if err := d.openNetwork(ctx, filepath.Join(d.dir, "loopback.json")); err != nil {
		return err
	}
	ended, err := d.adopt()
	if err != nil {
		return err
	}
	for _, m := range ended {
		m.claim()
		if d.rebooted(m) {
			d.ended(m)
			continue
		}
		if err := d.clean(ctx, m); err != nil {
			return err
		}
		go d.tellExited(m.Machine.ID)
	}
	return nil
}

// up makes sure that the metadata service listens.
func (d *QEMU) up(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server != nil || d.meta == nil {
		return nil
	}
	server, err := d.serveMetadata()
	if errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("another sandbox has taken the addresses %s: take that one down, or reset this one to get others: %w", d.prefix, err)
	}
	if err != nil {
		return fmt.Errorf("listening for the machines' metadata requests: %w", err)
	}
	d.server = server
	return nil
}

// Name is "qemu".
func (d *QEMU) Name() string { return "qemu" }

// Detail says how the machines' processors work, and why: "kvm" or "tcg (...)".
func (d *QEMU) Detail() string { return d.accel.String() }

// Prefix is the sandbox's own /24 of loopback addresses; on its first usable one the metadata service listens.
func (d *QEMU) Prefix() netip.Prefix { return d.prefix }

// Close lets go: the machines stay, the metadata service does not answer until the driver is opened again.
func (d *QEMU) Close() error {
	if !d.letGo() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(d.closeServer(), d.lock.Close())
}

func (d *QEMU) closeServer() error {
	if d.server == nil {
		return nil
	}
	err := d.server.Close()
	d.server = nil
	return err
}

// Down stops all machines in order. The driver can be used again.
func (d *QEMU) Down(ctx context.Context) error {
	err := d.stopAll(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(err, d.closeServer())
}

// marker: the path of the kernel is an argument of its own.
func (d *QEMU) marker(id string) string { return d.file(id, ".kernel") }

// clean removes the machine's files but the console.
func (d *QEMU) clean(_ context.Context, m *machine) error {
	var errs []error
	for _, suffix := range []string{".kernel", ".initrd", ".qmp"} {
		if err := os.Remove(d.file(m.Machine.ID, suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cleaning up after machine %s: %w", m.Machine.ID, err)
	}
	return d.drop(m)
}
