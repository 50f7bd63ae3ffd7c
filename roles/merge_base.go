package roles

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// What is known of a commit while two histories are walked.
const (
	ofLeft  = 1 << iota // reachable from the one
	ofRight             // reachable from the other
	stale               // below a common ancestor that is known already
	common  = ofLeft | ofRight
)

// painter walks two histories at once, newest commits first, as Git itself does (paint_down_to_common in commit-reach.c):
// it ends as soon as only ancestors of common ancestors are left. go-git's MergeBase reads the whole history of one side,
// which takes longer than all the rest of a plan where main has ten thousand commits.
type painter struct {
	repo  *Repo
	edge  map[plumbing.Hash]bool // of a shallow clone
	paint map[plumbing.Hash]uint8
	queue *newestFirst
	in    map[plumbing.Hash]bool // in the queue
	open  int                    // commits in the queue that are not stale
	found []*object.Commit
}

// commonAncestors gives the common ancestors of two commits that are not below another one, newest first; with clocks that
// went wrong, also some that are: see independent.
func (r *Repo) commonAncestors(ctx context.Context, left, right plumbing.Hash) ([]*object.Commit, error) {
	edge, err := r.shallow()
	if err != nil {
		return nil, err
	}
	p := &painter{repo: r, edge: edge, paint: map[plumbing.Hash]uint8{}, queue: &newestFirst{}, in: map[plumbing.Hash]bool{}}
	if err := cmp.Or(p.add(left, ofLeft), p.add(right, ofRight)); err != nil {
		return nil, err
	}
	for p.open > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	// A commit that was found first and turned out to lie below another one has become stale since.
	found := slices.DeleteFunc(p.found, func(c *object.Commit) bool { return p.paint[c.Hash]&stale != 0 })
	slices.SortStableFunc(found, func(a, b *object.Commit) int { return b.Committer.When.Compare(a.Committer.When) })
	return found, nil
}

// independent takes out commits that another one contains: where clocks went wrong, the walk ends before it has seen that
// (remove_redundant in Git's commit-reach.c). Where a shallow clone cannot tell, both stay: to compare with one more is right.
func (r *Repo) independent(ctx context.Context, found []*object.Commit) ([]*object.Commit, error) {
	redundant := map[plumbing.Hash]bool{}
	for i, a := range found {
		for _, b := range found[i+1:] {
			shared, err := r.commonAncestors(ctx, a.Hash, b.Hash)
			if err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) {
				return nil, err
			}
			for _, c := range shared {
				redundant[c.Hash] = redundant[c.Hash] || c.Hash == a.Hash || c.Hash == b.Hash
			}
		}
	}
	return slices.DeleteFunc(found, func(c *object.Commit) bool { return redundant[c.Hash] }), nil
}

// add paints a commit and puts it into the queue.
func (p *painter) add(id plumbing.Hash, paint uint8) error {
	old := p.paint[id]
	if old|paint == old {
		return nil
	}
	p.paint[id] |= paint
	switch {
	case p.in[id]:
		if old&stale == 0 && paint&stale != 0 {
			p.open--
		}
		return nil
	case p.paint[id]&stale == 0:
		p.open++
	}
	c, err := p.repo.commit(id)
	if err != nil {
		return fmt.Errorf("reading commit %s: %w", id, err)
	}
	p.in[id] = true
	heap.Push(p.queue, c)
	return nil
}

// step takes the newest commit and paints its parents.
func (p *painter) step() error {
	c := heap.Pop(p.queue).(*object.Commit) //nolint:forcetypeassert // newestFirst holds nothing else
	delete(p.in, c.Hash)
	paint := p.paint[c.Hash]
	if paint&stale == 0 {
		p.open--
		switch {
		case paint&common == common:
			p.found = append(p.found, c)
			paint |= stale // its parents are; it is not itself
		case p.edge[c.Hash]: // what lies behind the edge may be a newer common ancestor than any here
			return fmt.Errorf("the parents of commit %s: %w", c.Hash, plumbing.ErrObjectNotFound)
		}
	}
	if p.edge[c.Hash] {
		return nil
	}
	for _, parent := range c.ParentHashes {
		if err := p.add(parent, paint); err != nil {
			return err
		}
	}
	return nil
}
