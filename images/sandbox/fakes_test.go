package sandbox_test

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/imgops/imgops/images/sandbox/machines"
)

// fakeClock is a clock that tests turn.
type fakeClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *fakeClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// fakeMachines is the none driver with machines that outlive the sandbox, that can refuse to start and that count.
type fakeMachines struct {
	*machines.None
	mu      sync.Mutex
	refuse  error
	hang    bool // Start does not return before its context ends
	started map[string]int
	stopped map[string]int
}

func newFakeMachines() *fakeMachines {
	return &fakeMachines{None: machines.NewNone(netip.Prefix{}), started: map[string]int{}, stopped: map[string]int{}}
}

func (f *fakeMachines) set(refuse error, hang bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse, f.hang = refuse, hang
}

func (f *fakeMachines) Start(ctx context.Context, m machines.Machine) error {
	f.mu.Lock()
	refuse, hang := f.refuse, f.hang
	f.started[m.ID]++
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if refuse != nil {
		return refuse
	}
	return f.None.Start(ctx, m)
}

func (f *fakeMachines) Stop(ctx context.Context, id string, force bool) error {
	f.mu.Lock()
	f.stopped[id]++
	f.mu.Unlock()
	return f.None.Stop(ctx, id, force)
}

func (f *fakeMachines) starts(id string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.started[id]
}

func (f *fakeMachines) stops(id string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stopped[id]
}

// fakeDisks notes which blobs there are and whose difference they are.
type fakeDisks struct {
	mu     sync.Mutex
	blobs  map[string]string // id -> parent
	refuse error
	hang   bool
}

func newFakeDisks() *fakeDisks { return &fakeDisks{blobs: map[string]string{}} }

func (d *fakeDisks) set(refuse error, hang bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse, d.hang = refuse, hang
}

func (d *fakeDisks) Capture(ctx context.Context, _, id, parent string) error {
	d.mu.Lock()
	refuse, hang := d.refuse, d.hang
	d.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.blobs[parent]; !ok && parent != "" {
		return errors.New("parent " + parent + " is gone")
	}
	if refuse == nil {
		d.blobs[id] = parent
	}
	return refuse
}

func (d *fakeDisks) Grow(context.Context, string) error { return nil }

func (d *fakeDisks) Restore(_ context.Context, id, _ string, _ int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.blobs[id]; !ok {
		return errors.New("there is no blob " + id)
	}
	return nil
}

func (d *fakeDisks) Import(_ context.Context, _, id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.blobs[id] = ""
	return nil
}

func (d *fakeDisks) Delete(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for child, parent := range d.blobs {
		if parent == id {
			return errors.New(child + " still needs " + id)
		}
	}
	delete(d.blobs, id)
	return nil
}

func (d *fakeDisks) IDs() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.blobs))
}

func (d *fakeDisks) Check(id string) error {
	if !d.Has(id) {
		return errors.New("there is no blob " + id)
	}
	return nil
}

func (d *fakeDisks) Has(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.blobs[id]
	return ok
}

func (d *fakeDisks) Size(string) (virtual, stored int64, err error) { return 2 << 30, 1 << 20, nil }

func (d *fakeDisks) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.blobs)
}
