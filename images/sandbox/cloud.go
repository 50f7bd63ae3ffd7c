package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/imgops/imgops/images/sandbox/machines"
	"github.com/imgops/imgops/images/sandbox/state"
)

// Disks keeps the bytes of snapshots. Package disk implements it; NoDisks does for machines that do not run.
type Disks interface {
	// Capture stores what diskPath holds as snapshotID. parentID is the snapshot that the disk was made from, or "":
	// an implementation may store only the difference, and Delete is never called for a parent before its children.
	Capture(ctx context.Context, diskPath, snapshotID, parentID string) error
	// Restore makes a new disk of sizeBytes from the snapshot.
	Restore(ctx context.Context, snapshotID, diskPath string, sizeBytes int64) error
	// Grow has the file system at the start of a disk that nothing uses fill it, where there is one that can.
	Grow(ctx context.Context, diskPath string) error
	// Import stores a raw disk image as snapshotID.
	Import(ctx context.Context, rawPath, snapshotID string) error
	// Delete removes a snapshot that Has knows.
	Delete(snapshotID string) error
	// IDs lists the snapshots that are stored.
	IDs() []string
	// Check is an error when the snapshot's data is not there as it was stored, as far as can be seen without reading it.
	Check(snapshotID string) error
	// Has reports whether a snapshot is stored whole.
	Has(snapshotID string) bool
	// Size is the size of the disk and the bytes that the snapshot takes, both in bytes.
	Size(snapshotID string) (virtual, stored int64, err error)
}

// Options is what a Cloud is made of.
type Options struct {
	Dir    string          // state.db and volumes/ are kept here; made when it is not there
	Driver machines.Driver // runs the instances; nil: machines.None with its default network
	Disks  Disks           // nil: NoDisks, which only the none driver can do with
	Log    *slog.Logger    // nil: no log
	Clock  func() time.Time
	// Resume are ids of instances that ran when the sandbox was taken down: those that do not run are started. Others that
	// should run and do not have ended by themselves, and are reported stopped.
	Resume []string

	Organizations Organizations // who is in which organization; the zero value: nobody is in one

	Conditions Conditions
	Sleep      func(context.Context, time.Duration) error // for Conditions; nil: by the real clock
}

// Cloud is an embedded EC2-compatible cloud. Its methods may be called from several goroutines.
type Cloud struct {
	*tables
	store  *state.Store
	dir    string
	driver machines.Driver
	disks  Disks
	log    *slog.Logger
	clock  func() time.Time

	organizations Organizations

	simulation *simulation // nil: no conditions
	id         string
	network    netip.Prefix
	jobs       lanes
	ctx        context.Context
	stop       context.CancelFunc
	watcher    sync.WaitGroup
}

// New opens the cloud whose state is in opts.Dir, or makes it, and takes up the work that an earlier process left: disks
// that were being captured, instances that were starting or stopping. ctx ends the background work, as Close does.
func New(ctx context.Context, opts Options) (*Cloud, error) {
	c := &Cloud{dir: opts.Dir, driver: opts.Driver, disks: opts.Disks, log: opts.Log, clock: opts.Clock, organizations: opts.Organizations}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.clock == nil {
		c.clock = time.Now
	}
	c.simulation = newSimulation(opts.Conditions, c.clock, opts.Sleep)
	if c.driver == nil {
		c.driver = machines.NewNone(netip.Prefix{})
	}
	if c.disks == nil {
		if c.driver.Name() != "none" {
			return nil, fmt.Errorf("make the sandbox: %s machines need disks; give Options.Disks", c.driver.Name())
		}
		c.disks = NoDisks{}
	}
	c.network = c.driver.Prefix()
	if err := os.MkdirAll(c.volumeDir(), 0o700); err != nil {
		return nil, fmt.Errorf("make the sandbox's directory: %w", err)
	}
	var err error
	if c.id, err = sandboxID(opts.Dir); err != nil {
		return nil, err
	}
	if c.store, c.tables, err = openTables(opts.Dir); err != nil {
		return nil, err
	}
	c.ctx, c.stop = context.WithCancel(ctx)
	if err := c.recover(c.ctx, opts.Resume); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.watcher.Go(c.watchExits)
	return c, nil
}

// Close ends the background work and closes the state. Machines go on running; the driver stays the caller's to close.
func (c *Cloud) Close() error {
	c.stop()
	c.jobs.close()
	c.watcher.Wait()
	return c.store.Close()
}

// ID is the name of this sandbox: it stays the same as long as its directory.
func (c *Cloud) ID() string { return c.id }

func (c *Cloud) volumeDir() string { return filepath.Join(c.dir, "volumes") }

func (c *Cloud) diskPath(volume string) string { return filepath.Join(c.volumeDir(), volume+".raw") }

// sandboxID reads the directory's id or gives it one.
func sandboxID(dir string) (string, error) {
	path := filepath.Join(dir, "id")
	b, err := os.ReadFile(path)
	if err == nil && len(b) > 0 {
		return string(b), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the sandbox's id: %w", err)
	}
	id := newID("sandbox-")
	if err := os.WriteFile(path, []byte(id), 0o600); err != nil {
		return "", fmt.Errorf("write the sandbox's id: %w", err)
	}
	return id, nil
}

// update changes the state outside of a request, for jobs. Its error is logged: a job has nobody to tell.
func (c *Cloud) update(what string, fn func(tx *state.Tx) error) bool {
	if err := c.store.Update(fn); err != nil {
		c.log.Error("the sandbox could not store a change", "change", what, "error", err)
		return false
	}
	return true
}

// view reads one row outside of a request.
func view[T any](c *Cloud, t *state.Table[T], key string) (row T, ok bool) {
	_ = c.store.View(func(tx *state.Tx) error {
		row, ok = t.Get(tx, key)
		return nil
	})
	return row, ok
}
