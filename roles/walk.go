package roles

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Outcome is what a Walk did with one role.
type Outcome struct {
	Role *Role
	// Err is what the visit returned; for a role that was not visited, a *SkippedError.
	Err error
}

// SkippedError says that a role was not visited because an ancestor's visit did not succeed.
type SkippedError struct{ Ancestor string }

func (e *SkippedError) Error() string {
	return "skipped, because its parent " + e.Ancestor + " did not succeed"
}

// Walk visits the roles, each after its parent (where the parent is among them), unrelated ones in parallel, at most
// parallel at a time. A visit that returns an error stops only the descendants of its role. The outcomes are in the
// order of the roles given. A cancelled context ends the visits that have not begun with the context's error.
func Walk(ctx context.Context, list []*Role, parallel int, visit func(context.Context, *Role) error) []Outcome {
	outcomes := make([]Outcome, len(list))
	done := make(map[*Role]chan struct{}, len(list))
	index := make(map[*Role]int, len(list))
	for i, r := range list {
		outcomes[i].Role, done[r], index[r] = r, make(chan struct{}), i
	}
	slots := semaphore.NewWeighted(int64(max(parallel, 1)))
	var all sync.WaitGroup
	for i, r := range list {
		all.Go(func() {
			defer close(done[r])
			outcomes[i].Err = func() error {
				if parent, ok := done[r.Parent]; ok && r.Parent != nil {
					<-parent // a visit ends when its context does, so this ends too
					if outcomes[index[r.Parent]].Err != nil {
						return &SkippedError{Ancestor: r.Parent.Name}
					}
				}
				if err := slots.Acquire(ctx, 1); err != nil {
					return context.Cause(ctx)
				}
				defer slots.Release(1)
				return visit(ctx, r)
			}()
		})
	}
	all.Wait()
	return outcomes
}

// WithAncestors returns the roles and all their ancestors, parents first, each once.
func WithAncestors(list []*Role) []*Role {
	var out []*Role
	seen := map[*Role]bool{}
	var add func(*Role)
	add = func(r *Role) {
		if r == nil || seen[r] {
			return
		}
		seen[r] = true
		add(r.Parent)
		out = append(out, r)
	}
	for _, r := range list {
		add(r)
	}
	return out
}
