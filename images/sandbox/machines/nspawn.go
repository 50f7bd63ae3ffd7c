package machines

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// stopGrace is how long a machine may take to shut down in order. EC2 waits some minutes; a test image needs a second.
const stopGrace = 30 * time.Second

// Options of NewNspawn.
type Options struct {
	Dir      string       // the driver's own directory: records, consoles, mount points
	Name     string       // of the sandbox, for people who look at the machines
	Metadata http.Handler // answers http://169.254.169.254/ for the machines; nil: nothing listens there
	Log      *slog.Logger // nil: silent
}

// Nspawn is the Driver that boots disks as systemd-nspawn containers.
type Nspawn struct {
	dir  string
	id   string // 8 hex digits, in every name on this computer
	log  *slog.Logger
	net  *network
	meta http.Handler
	lock *os.File
	host cgroups

	exited chan string
	closed chan struct{}

	mu       sync.Mutex
	machines map[string]*machine // that have been started and not yet cleaned up
	server   *http.Server        // metadata; nil while the network is down
}

var _ Driver = (*Nspawn)(nil)

// NewNspawn opens the driver of the sandbox whose directory is given: it sets up the network, or finds that of an earlier process,
// and takes over the machines that still run. Machines that ended meanwhile are cleaned up and delivered by Exited.
// Only one process at a time may have it open.
func NewNspawn(ctx context.Context, o Options) (*Nspawn, error) {
	if err := Probe(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "machines"), 0o700); err != nil {
		return nil, fmt.Errorf("making the machine driver's directory: %w", err)
	}
	lock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(dir))
	d := &Nspawn{
		dir: dir, id: hex.EncodeToString(sum[:4]), log: o.Log, meta: o.Metadata, lock: lock,
		exited: make(chan string), closed: make(chan struct{}), machines: map[string]*machine{},
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if err := d.open(ctx, o.Name); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Nspawn) open(ctx context.Context, name string) error {
	var err error
	if d.host, err = findCgroups("imgops-" + d.id); err != nil {
		return err
	}
	if d.net, err = openNetwork(ctx, d.dir, d.id, name); err != nil {
		return err
	}
	ended, err := d.adopt(ctx)
	if err != nil {
		return err
	}
	if err := d.up(ctx); err != nil {
		return err
	}
	for _, id := range ended {
		go d.tellExited(id)
	}
	return nil
}

// up makes sure that the network is there and the metadata service listens in it.
func (d *Nspawn) up(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.net.up(ctx, len(d.machines) > 0); err != nil {
		return err
	}
	if d.server != nil || d.meta == nil {
		return nil
	}
	server, err := serveMetadata(d.net, d.meta, d.log)
	if err != nil {
		return fmt.Errorf("listening on the metadata address in namespace %s: %w", d.net.Namespace, err)
	}
	d.server = server
	return nil
}

// Name is "nspawn".
func (d *Nspawn) Name() string { return "nspawn" }

// Prefix is the sandbox's own /24; its first usable address is the gateway's.
func (d *Nspawn) Prefix() netip.Prefix { return d.net.Prefix }

// Exited delivers the ids of machines that ended by themselves, after their disk has been closed.
func (d *Nspawn) Exited() <-chan string { return d.exited }

func (d *Nspawn) tellExited(id string) {
	select {
	case d.exited <- id:
	case <-d.closed:
	}
}

// Running lists the machines whose process is alive.
func (d *Nspawn) Running(context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []string
	for id, m := range d.machines {
		if m.alive() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Close lets go: the machines and the network stay, the metadata service does not answer until the driver is opened again.
func (d *Nspawn) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.closed:
		return nil
	default:
		close(d.closed)
	}
	for _, m := range d.machines {
		m.unwatch()
	}
	var err error
	if d.server != nil {
		err = d.server.Close()
		d.server = nil
	}
	return errors.Join(err, d.lock.Close())
}

// Down stops all machines in order and removes everything that the sandbox has on this computer but the files in Dir. The driver can be
// used again: the next Start makes the network anew.
func (d *Nspawn) Down(ctx context.Context) error {
	ids, err := d.records()
	if err != nil {
		return err
	}
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { errs[i] = d.Stop(ctx, id, false) })
	}
	wg.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server != nil {
		errs = append(errs, d.server.Close())
		d.server = nil
	}
	return errors.Join(append(errs, d.net.down(ctx), d.host.removeAll())...)
}

// lockPatience is how long a child that a killed server was just forking may hold on to the lock.
const lockPatience = 2 * time.Second

// lockFile keeps a second server off the directory. The kernel drops the lock when the process dies.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	err = poll(ctx, "the lock", func() (bool, error) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return false, nil
		}
		return err == nil, err
	})
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("the machines in %s are in use by another process: stop that sandbox server first", filepath.Dir(path))
	default:
		err = fmt.Errorf("locking %s: %w", path, err)
	}
	f.Close()
	return nil, err
}
