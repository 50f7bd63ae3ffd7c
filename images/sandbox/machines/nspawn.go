package machines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

// nspawnGrace is how long a machine may take to shut down in order; a test image needs a second.
const nspawnGrace = 30 * time.Second

// Options of NewNspawn and NewQEMU.
type Options struct {
	Dir      string       // the driver's own directory: records, consoles, mount points
	Name     string       // of the sandbox, for people who look at the machines
	Metadata http.Handler // answers http://169.254.169.254/ for the machines; nil: nothing listens there
	Log      *slog.Logger // nil: silent
}

// Nspawn is the Driver that boots disks as systemd-nspawn containers.
type Nspawn struct {
	*keeper
	net    *network
	meta   http.Handler
	host   cgroups
	server *http.Server // metadata; nil while the network is down
}

var _ Driver = (*Nspawn)(nil)

// NewNspawn opens the driver of the sandbox whose directory is given: it sets up the network, or finds that of an earlier process,
// and takes over the machines that still run. Machines that ended meanwhile are cleaned up and delivered by Exited.
// Only one process at a time may have it open.
func NewNspawn(ctx context.Context, o Options) (*Nspawn, error) {
	if err := Probe(); err != nil {
		return nil, err
	}
	d := &Nspawn{meta: o.Metadata}
	var err error
	if d.keeper, err = openKeeper(ctx, o, d, nspawnGrace); err != nil {
		return nil, err
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
	ended, err := d.adopt()
	if err != nil {
		return err
	}
	for _, m := range ended {
		if err := d.clean(ctx, m); err != nil {
			return err
		}
	}
	if err := d.up(ctx); err != nil {
		return err
	}
	for _, m := range ended {
		go d.tellExited(m.Machine.ID)
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

// Close lets go: the machines and the network stay, the metadata service does not answer until the driver is opened again.
func (d *Nspawn) Close() error {
	if !d.letGo() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
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
	errs := []error{d.stopAll(ctx)}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server != nil {
		errs = append(errs, d.server.Close())
		d.server = nil
	}
	return errors.Join(append(errs, d.net.down(ctx), d.host.removeAll())...)
}
