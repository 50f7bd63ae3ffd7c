package images

import (
	"context"
	"sync"
	"time"
)

// KeptLease is a lease that is renewed until it is given back. A run that is killed renews nothing, so that a lease may be
// short: others wait for no longer.
type KeptLease struct {
	leases *Leases
	lasts  time.Duration
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	lease Lease
	lost  bool // it was another's in between, or may have been
}

// Keep renews a lease that was taken for the given time whenever a third of that has gone by. It ends with ctx, or with
// Return.
func (l *Leases) Keep(ctx context.Context, lease Lease, lasts time.Duration) *KeptLease {
	ctx, cancel := context.WithCancel(ctx)
	k := &KeptLease{leases: l, lasts: lasts, cancel: cancel, done: make(chan struct{}), lease: lease}
	go k.run(ctx)
	return k
}

func (k *KeptLease) run(ctx context.Context) {
	defer close(k.done)
	tick := time.NewTicker(k.lasts / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		k.mu.Lock()
		lease := k.lease
		k.mu.Unlock()
		renewed, ok, err := k.leases.renew(ctx, lease, k.lasts)
		k.mu.Lock()
		if err == nil && ok {
			k.lease = renewed
		}
		// What an error leaves open the next renewal, or the end of the lease, decides.
		k.lost = k.lost || err == nil && !ok
		over := k.lost
		k.mu.Unlock()
		if over {
			return
		}
	}
}

// Has says that the lease has been this run's since it was taken. One that is lost does not come back: others may have
// changed what was seen under it.
func (k *KeptLease) Has() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.lost && k.leases.Has(k.lease)
}

// Return ends the renewal and gives the lease back, unless it is lost.
func (k *KeptLease) Return(ctx context.Context) error {
	k.cancel()
	<-k.done
	if !k.Has() {
		return nil
	}
	return k.leases.Return(ctx, k.lease)
}

// renew puts off the end of a lease. It is false when the lease is this run's no more; one that has expired counts as lost,
// though nobody may have taken it.
func (l *Leases) renew(ctx context.Context, lease Lease, lasts time.Duration) (Lease, bool, error) {
	if !l.Has(lease) {
		return lease, false, nil
	}
	now, ok, err := l.get(ctx, lease.name)
	if err == nil && ok && now.Run == lease.Run && now.version < lease.version {
		return lease, true, nil // a read from before the lease was taken: the next one will tell
	}
	if err != nil || !ok || now.Run != lease.Run {
		return lease, false, err
	}
	longer := lease
	longer.Until = l.clock().Add(lasts).UTC()
	if longer.version, err = l.put(ctx, longer, true); err != nil {
		return lease, true, err
	}
	return longer, longer.version == now.version+1, nil
}
