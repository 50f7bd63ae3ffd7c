package machines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sigPoweroff is SIGRTMIN+4, at which systemd as init powers off (systemd(1)). glibc's SIGRTMIN is 34.
const sigPoweroff = unix.Signal(34 + 4)

// Stop shuts the machine down, by force at once or when it takes longer than the grace period, and returns when its disk is closed.
func (d *Nspawn) Stop(ctx context.Context, id string, force bool) error {
	m := d.find(id)
	if m == nil {
		return nil
	}
	select {
	case <-m.started:
	case <-ctx.Done():
		return fmt.Errorf("stopping machine %s: %w", id, ctx.Err())
	}
	if d.find(id) != m { // its start went wrong
		return nil
	}
	mine := m.claim()
	if !force {
		if err := m.poweroff(ctx); err != nil {
			return fmt.Errorf("stopping machine %s: %w", id, err)
		}
	}
	if err := m.kill(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("stopping machine %s: %w", id, err)
	}
	if !mine { // whoever has claimed it cleans up
		return d.awaitCleaned(ctx, id, m)
	}
	<-m.gone
	return d.clean(context.WithoutCancel(ctx), m)
}

// poweroff asks init to shut down until the machine has ended or the grace period is over. Asked too early, before init has installed its handlers,
// the kernel drops the signal; so it is repeated.
func (m *machine) poweroff(ctx context.Context) error {
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		if init, _ := leader(m.Pid); init > 0 {
			_ = unix.Kill(init, sigPoweroff)
		}
		select {
		case <-m.gone:
			return nil
		case <-grace.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}

// awaitCleaned waits until another goroutine has cleaned up after the machine.
func (d *Nspawn) awaitCleaned(ctx context.Context, id string, m *machine) error {
	return poll(ctx, "another stop of machine "+id, func() (bool, error) {
		return d.find(id) != m, nil
	})
}

// find returns the machine while it runs or is being cleaned up, else nil.
func (d *Nspawn) find(id string) *machine {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.machines[id]
}

// Reboot shuts the machine down and boots it again; the console goes on in the same log.
func (d *Nspawn) Reboot(ctx context.Context, id string) error {
	m := d.find(id)
	if m == nil {
		return fmt.Errorf("rebooting machine %s: it is not running", id)
	}
	if err := d.Stop(ctx, id, false); err != nil {
		return err
	}
	return d.start(ctx, m.Machine)
}

// clean removes what the machine had on this computer once its process has ended, and its record last. What is not there is no error.
func (d *Nspawn) clean(ctx context.Context, m *machine) error {
	id := m.Machine.ID
	errs := []error{awaitDetached(ctx, m.Machine.Disk)}
	if ns := d.namespace(id); exists(netnsPath(ns)) {
		errs = append(errs, run(ctx, "", "ip", "netns", "delete", ns))
	}
	errs = append(errs, d.unplug(ctx, m.Machine), d.removeCgroups(ctx, id))
	for _, suffix := range []string{".root", ".uuid"} {
		if err := os.Remove(d.file(id, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cleaning up after machine %s: %w", id, err)
	}
	if err := os.Remove(d.file(id, ".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.machines[id] == m {
		delete(d.machines, id)
	}
	return nil
}

// awaitDetached waits until no loop device uses the disk: the kernel unmounts it and closes the file after the last process of the mount
// namespace has ended.
func awaitDetached(ctx context.Context, disk string) error {
	disk, err := filepath.EvalSymlinks(disk)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return poll(ctx, "the disk "+disk+" to be unmounted", func() (bool, error) {
		files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
		for _, f := range files {
			if data, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(data)) == disk {
				return false, nil
			}
		}
		return true, err
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

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// patience is how long the kernel may take to clean up after processes that have ended.
const patience = 20 * time.Second

// poll calls f every few milliseconds until it says true.
func poll(ctx context.Context, what string, f func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := f(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
}
