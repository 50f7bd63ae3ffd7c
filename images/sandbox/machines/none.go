package machines

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
)

// None is the driver for API-only use: nothing runs, and the sandbox's instances only change state.
type None struct {
	prefix netip.Prefix
	mu     sync.Mutex
	ids    map[string]bool
	exited chan string
}

// NewNone makes a None whose instances have addresses of prefix; the zero prefix means 10.213.0.0/16.
func NewNone(prefix netip.Prefix) *None {
	if !prefix.IsValid() {
		prefix = netip.MustParsePrefix("10.213.0.0/16")
	}
	return &None{prefix: prefix, ids: map[string]bool{}, exited: make(chan string)}
}

var _ Driver = (*None)(nil)

// Name is none.
func (n *None) Name() string { return "none" }

// Prefix is the network that instances are given addresses of, although nothing has them.
func (n *None) Prefix() netip.Prefix { return n.prefix }

// Start notes that the machine runs.
func (n *None) Start(_ context.Context, m Machine) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ids[m.ID] = true
	return nil
}

// Adopt notes that a machine runs which an earlier process has started: nothing can have ended it.
func (n *None) Adopt(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ids[id] = true
}

// Stop notes that it does not.
func (n *None) Stop(_ context.Context, id string, _ bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ids, id)
	return nil
}

// Reboot changes nothing.
func (n *None) Reboot(_ context.Context, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.ids[id] {
		return fmt.Errorf("reboot machine %s: it does not run", id)
	}
	return nil
}

// Running lists what has been started or adopted by this process.
func (n *None) Running(context.Context) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ids []string
	for id := range n.ids {
		ids = append(ids, id)
	}
	return ids, nil
}

// Exited delivers what Exit is told.
func (n *None) Exited() <-chan string { return n.exited }

// Exit plays a machine that ends by itself, for tests. It returns when the sandbox has heard of it.
func (n *None) Exit(ctx context.Context, id string) error {
	if err := n.Stop(ctx, id, true); err != nil {
		return err
	}
	select {
	case n.exited <- id:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("tell that machine %s ended: %w", id, ctx.Err())
	}
}

// Attach changes nothing.
func (n *None) Attach(context.Context, string, Volume) error { return nil }

// Detach changes nothing.
func (n *None) Detach(context.Context, string, string) error { return nil }

// Console is empty.
func (n *None) Console(string) ([]byte, error) { return nil, nil }

// Forget has nothing to forget.
func (n *None) Forget(string) error { return nil }

// Down notes that nothing runs.
func (n *None) Down(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.ids)
	return nil
}

// Close has nothing to close.
func (n *None) Close() error { return nil }
