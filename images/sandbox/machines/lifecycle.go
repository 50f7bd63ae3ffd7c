package machines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"sync"
	"time"
)

var validID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9-]{1,32}$`) })

// Start boots the machine and returns when its init runs. A failed start leaves nothing behind.
func (k *keeper) Start(ctx context.Context, m Machine) error {
	switch {
	case !validID().MatchString(m.ID):
		return fmt.Errorf("starting machine %q: an id has up to 32 letters, digits and hyphens", m.ID)
	case !k.how.Prefix().Contains(m.Address) || m.Address == gateway(k.how.Prefix()):
		return fmt.Errorf("starting machine %s: its address %s is not one of the sandbox's network %s; if it was made with another kind of machines, start the sandbox with that one (--machines)", m.ID, m.Address, k.how.Prefix())
	}
	for _, v := range append([]Volume{{Disk: m.Disk}}, m.Volumes...) {
		if _, err := os.Stat(v.Disk); err != nil {
			return fmt.Errorf("starting machine %s: %w", m.ID, err)
		}
	}
	return k.start(ctx, m, k.Forget)
}

// start boots the machine after it has called before, when nobody else has started it.
func (k *keeper) start(ctx context.Context, m Machine, before func(id string) error) error {
	if err := k.how.up(ctx); err != nil {
		return err
	}
	mach := newMachine(record{Machine: m})
	mach.claim()
	k.mu.Lock()
	if _, taken := k.machines[m.ID]; taken {
		k.mu.Unlock()
		return fmt.Errorf("starting machine %s: it is running", m.ID)
	}
	k.machines[m.ID] = mach
	k.mu.Unlock()
	if err := before(m.ID); err != nil {
		close(mach.started)
		return errors.Join(err, k.drop(mach))
	}
	return k.launch(ctx, mach)
}

// launch boots a machine that the caller has claimed and registered. When that goes wrong it leaves nothing behind.
func (k *keeper) launch(ctx context.Context, m *machine) error {
	defer close(m.started)
	err := k.how.boot(ctx, m)
	if err == nil {
		m.release()
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	return errors.Join(fmt.Errorf("starting machine %s: %w", m.Machine.ID, err), m.kill(ctx), k.how.clean(ctx, m))
}

// relaunch boots a machine again whose process has ended and which the caller has claimed. All the while it counts as started.
func (k *keeper) relaunch(ctx context.Context, m *machine) error {
	again := newMachine(record{Machine: m.Machine})
	again.claim()
	k.mu.Lock()
	k.machines[m.Machine.ID] = again
	k.mu.Unlock()
	return k.launch(ctx, again)
}

// Stop shuts the machine down, by force at once or when it takes longer than the grace period, and returns when its disk is closed.
func (k *keeper) Stop(ctx context.Context, id string, force bool) error {
	m := k.find(id)
	if m == nil {
		return nil
	}
	select {
	case <-m.started:
	case <-ctx.Done():
		return fmt.Errorf("stopping machine %s: %w", id, ctx.Err())
	}
	if k.find(id) != m { // its start went wrong
		return nil
	}
	mine := m.claim()
	if !force {
		if err := k.poweroff(ctx, m); err != nil {
			return fmt.Errorf("stopping machine %s: %w", id, err)
		}
	}
	if err := m.kill(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("stopping machine %s: %w", id, err)
	}
	if !mine { // whoever has claimed it cleans up, or boots it again
		if err := k.awaitCleaned(ctx, id, m); err != nil {
			return err
		}
		return k.Stop(ctx, id, force)
	}
	<-m.gone
	return k.how.clean(context.WithoutCancel(ctx), m)
}

// poweroff asks the machine to shut down, again and again, until it has ended or the grace period is over.
func (k *keeper) poweroff(ctx context.Context, m *machine) error {
	grace := time.NewTimer(k.grace)
	defer grace.Stop()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		k.how.askPoweroff(ctx, m)
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
func (k *keeper) awaitCleaned(ctx context.Context, id string, m *machine) error {
	return poll(ctx, "another stop of machine "+id, func() (bool, error) {
		return k.find(id) != m, nil
	})
}

// find returns the machine while it runs or is being cleaned up, else nil.
func (k *keeper) find(id string) *machine {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.machines[id]
}

// Reboot shuts the machine down and boots it again, without the volumes that Detach found in use; the console goes on in the same log.
func (k *keeper) Reboot(ctx context.Context, id string) error {
	m := k.find(id)
	if m == nil {
		return fmt.Errorf("rebooting machine %s: it is not running", id)
	}
	if err := k.Stop(ctx, id, false); err != nil {
		return err
	}
	next := m.Machine
	next.Volumes = k.staying(m)
	return k.start(ctx, next, func(string) error { return nil })
}

// stopAll stops the machines in order, side by side.
func (k *keeper) stopAll(ctx context.Context) error {
	ids, err := k.records()
	if err != nil {
		return err
	}
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { errs[i] = k.Stop(ctx, id, false) })
	}
	wg.Wait()
	return errors.Join(errs...)
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
