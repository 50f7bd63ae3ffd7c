package machines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// sigPoweroff is SIGRTMIN+4, at which systemd as init powers off (systemd(1)). glibc's SIGRTMIN is 34.
const sigPoweroff = unix.Signal(34 + 4)

// askPoweroff signals init. Before init has installed its handlers, the kernel drops the signal.
func (d *Nspawn) askPoweroff(_ context.Context, m *machine) {
	if init, _ := leader(m.Pid); init > 0 {
		_ = unix.Kill(init, sigPoweroff)
	}
}

// ended: a reboot from inside is the script's business, so the end is the end.
func (d *Nspawn) ended(m *machine) { d.finish(m) }

// clean removes what the machine had on this computer once its process has ended, and its record last. What is not there is no error.
func (d *Nspawn) clean(ctx context.Context, m *machine) error {
	id := m.Machine.ID
	errs := []error{d.cleanVolumes(ctx, m)}
	if ns := d.namespace(id); exists(netnsPath(ns)) {
		errs = append(errs, run(ctx, "", "ip", "netns", "delete", ns))
	}
	errs = append(errs, d.unplug(ctx, m.Machine), d.removeCgroups(ctx, id))
	for _, suffix := range append([]string{".root", ".nodes", ".uuid"}, volumeFiles...) {
		if err := os.Remove(d.file(id, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cleaning up after machine %s: %w", id, err)
	}
	return d.drop(m)
}

// awaitDetached waits until no loop device uses the disk: the kernel unmounts it and closes the file after the last process of the mount
// namespace has ended.
func awaitDetached(ctx context.Context, disk string) error {
	return poll(ctx, "the disk "+disk+" to be unmounted", func() (bool, error) {
		loops, err := loopsOf(disk)
		return len(loops) == 0, err
	})
}

// removeCgroups waits until the kernel lets go of the groups of processes that have just ended.
func (d *Nspawn) removeCgroups(ctx context.Context, id string) error {
	return poll(ctx, "the machine's cgroups to empty", func() (bool, error) {
		err := d.host.remove(id)
		if errors.Is(err, unix.EBUSY) {
			return false, nil
		}
		return err == nil, err
	})
}

// unplug removes the router's port of the machine, which the end of the other namespace does too, but later.
func (d *Nspawn) unplug(ctx context.Context, m Machine) error {
	if !exists(netnsPath(d.net.Namespace)) {
		return nil
	}
	err := run(ctx, "", "ip", "-n", d.net.Namespace, "link", "delete", portName(m))
	if err != nil && (strings.Contains(err.Error(), "Cannot find device") || strings.Contains(err.Error(), "No such device")) {
		return nil // it went by itself
	}
	return err
}
