package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

// A build lease lasts for leaseTime and is renewed every leaseRenewal: a killed run holds others up for no longer.
const (
	leaseTime    = 3 * time.Minute
	leaseRenewal = time.Minute
)

// once lets one run at a time build a digest. The run that comes second waits and gets the image of the first.
func (w *worker) once(ctx context.Context, r *roles.Role, build func(context.Context) (images.Image, error)) (img images.Image, err error) {
	leases, err := images.OpenLeases(ctx, w.clouds, w.home, time.Now)
	if err != nil {
		return img, err
	}
	name := fmt.Sprintf("/imgops/%s/%s/building/%s", w.fleet.Config.Fleet, r.Name, short(r.Digest))
	say, waited := w.log.of(r.Name), false
	lease, err := leases.Take(ctx, name, w.run(), w.fleet.Revision.Commit, leaseTime, func(other images.Lease) {
		waited = true
		say("wait", "run "+other.Run+", which builds the same digest")
	})
	if err != nil {
		return img, err
	}
	renewed := w.renew(ctx, leases, lease, name)
	defer func() {
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, leases.Return(back, renewed()))
	}()
	if waited {
		if img, err := w.built(ctx, r); err != nil || img.ID != "" {
			return img, err
		}
	}
	return build(ctx)
}

// renew keeps a lease until the function that it returns is called, which gives the lease as it is then. A renewal that
// does not succeed is let go: the worst that follows is a second image of the digest.
func (w *worker) renew(ctx context.Context, leases *images.Leases, lease images.Lease, name string) func() images.Lease {
	ctx, cancel := context.WithCancel(ctx)
	last := make(chan images.Lease, 1)
	go func() {
		defer func() { last <- lease }()
		tick := time.NewTicker(leaseRenewal)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if l, err := leases.Take(ctx, name, w.run(), w.fleet.Revision.Commit, leaseTime, nil); err == nil {
				lease = l
			}
		}
	}()
	return func() images.Lease {
		cancel()
		return <-last
	}
}

// built looks for the image that another run has made meanwhile.
func (w *worker) built(ctx context.Context, r *roles.Role) (images.Image, error) {
	list, err := w.cat.ByDigest(ctx, w.fleet.Config.Fleet, r.Name, r.Digest)
	if err != nil {
		return images.Image{}, err
	}
	d := images.Next(w.wanted(r), list, nil)
	if d.Rejected != "" {
		return images.Image{}, refuseRejected(r.Name, d)
	}
	if d.Action == images.ActionBuild {
		return images.Image{}, nil
	}
	return w.cat.Wait(ctx, d.Image, nil)
}
