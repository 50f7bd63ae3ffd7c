package roles

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// IsAncestor says whether descendant contains ancestor (or is it). The error is ErrShallow when a shallow clone cannot tell,
// and ErrNowhere beside ErrUnknownRevision when one of them is in no history.
func (r *Repo) IsAncestor(ctx context.Context, ancestor, descendant string) (yes bool, err error) {
	if r.isParent(ancestor, descendant) {
		return true, nil
	}
	err = r.withHistory(ctx, []string{ancestor, descendant}, func() error {
		a, d, err := r.pair(ancestor, descendant)
		if err != nil {
			return err
		}
		yes, err = r.reaches(ctx, d, a)
		if errors.Is(err, ErrShallow) { // the other way round may be here: then it is none, for there are no circles
			if back, backErr := r.reaches(ctx, a, d); backErr == nil && back {
				return nil
			}
		}
		return err
	})
	if errors.Is(err, ErrNowhere) {
		err = r.missed(ctx, ancestor, descendant, err)
	}
	return yes, err
}

// missed takes the ErrNowhere from the error about a commit that is missing in a damaged clone: the other's history has
// it, or has a gap.
func (r *Repo) missed(ctx context.Context, here, lost string, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, resolveErr := r.resolve(here); resolveErr == nil && plumbing.IsHash(lost) {
		if part, walkErr := r.reaches(ctx, id, plumbing.NewHash(lost)); walkErr == nil && !part {
			return err
		}
	}
	return errors.Unwrap(err)
}

// isParent says whether a commit id is that of a parent. A commit names its parents also where a shallow clone lacks them.
func (r *Repo) isParent(id, rev string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	child, err := r.resolve(rev)
	if err != nil || !plumbing.IsHash(id) {
		return false
	}
	c, err := r.commit(child)
	return err == nil && slices.Contains(c.ParentHashes, plumbing.NewHash(id))
}

func (r *Repo) pair(a, b string) (x, y plumbing.Hash, err error) {
	if x, err = r.resolve(a); err != nil {
		return x, y, err
	}
	y, err = r.resolve(b)
	return x, y, err
}

// reaches walks the history of from until it meets to: newest commits first, for main's recent ones are asked about.
func (r *Repo) reaches(ctx context.Context, from, to plumbing.Hash) (bool, error) {
	edge, err := r.shallow()
	if err != nil {
		return false, err
	}
	queue, seen, cut := &newestFirst{}, map[plumbing.Hash]bool{from: true}, false
	next := []plumbing.Hash{from}
	for {
		for _, id := range next {
			if id == to {
				return true, nil
			}
			c, err := r.commit(id)
			if err != nil {
				return false, r.historyError("reading commit "+id.String(), err)
			}
			heap.Push(queue, c)
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if queue.Len() == 0 {
			break
		}
		c := heap.Pop(queue).(*object.Commit) //nolint:forcetypeassert // newestFirst holds nothing else
		next = next[:0]
		if edge[c.Hash] {
			cut = true
			continue
		}
		for _, parent := range c.ParentHashes {
			if !seen[parent] {
				seen[parent] = true
				next = append(next, parent)
			}
		}
	}
	if cut {
		return false, r.historyError(fmt.Sprintf("looking for %s in the history of %s", to, from), plumbing.ErrObjectNotFound)
	}
	return false, nil
}

// Since lists the commits that a branch whose tip is newer has had after older: along first parents, newest first. It is
// newer alone where older is not among the last most of them.
func (r *Repo) Since(ctx context.Context, older, newer string, most int) (commits []string, err error) {
	err = r.withHistory(ctx, []string{newer}, func() error {
		next, err := r.resolve(newer)
		if err != nil {
			return err
		}
		for commits = nil; len(commits) < most && ctx.Err() == nil; {
			c, err := r.commit(next)
			if err != nil {
				return r.historyError("reading commit "+next.String(), err)
			}
			commits = append(commits, next.String())
			if len(c.ParentHashes) == 0 {
				break
			}
			if next = c.ParentHashes[0]; next.String() == older {
				return nil
			}
		}
		commits = commits[:min(len(commits), 1)]
		return ctx.Err()
	})
	return commits, err
}

// newestFirst is a heap of commits by commit time.
type newestFirst []*object.Commit

func (h newestFirst) Len() int           { return len(h) }
func (h newestFirst) Less(i, j int) bool { return h[i].Committer.When.After(h[j].Committer.When) }
func (h newestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *newestFirst) Push(x any)        { *h = append(*h, x.(*object.Commit)) } //nolint:forcetypeassert // as above
func (h *newestFirst) Pop() any {
	old := *h
	c := old[len(old)-1]
	*h = old[:len(old)-1]
	return c
}
