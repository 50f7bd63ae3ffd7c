package roles

import (
	"context"
	"slices"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// pending is a directory whose subdirectories may still be read by other goroutines.
type pending struct {
	index   *indexed   // what is tracked in it, where all of that is as in Git's index; else nil
	subs    []*pending // by index of index.below
	entries []entry    // all else
	below   []*pending // by index of entries; nil for a file
	done    *tree      // once finished
}

func (p *pending) add(e entry, below *pending) {
	p.entries, p.below = append(p.entries, e), append(p.below, below)
}

// directory adds a directory, to be read.
func (p *pending) directory(name string) *pending {
	below := &pending{}
	p.add(entry{name: name, mode: filemode.Dir}, below)
	return below
}

func (p *pending) grow(n int) {
	p.entries, p.below = make([]entry, 0, n), make([]*pending, 0, n)
}

// finishTop is finish with the directories at depth two, one for each role, done in parallel.
func (p *pending) finishTop() *tree {
	var deep []*pending
	for _, top := range p.directories() {
		deep = append(deep, top.directories()...)
	}
	_ = each(context.Background(), len(deep), batch, func(i int) error { // it fails only when cancelled
		deep[i].done = deep[i].finish()
		return nil
	})
	return p.finish()
}

func (p *pending) directories() []*pending {
	return slices.DeleteFunc(slices.Concat(p.subs, p.below), func(b *pending) bool { return b == nil })
}

// finish computes the ids bottom up and leaves out empty directories, which Git does not have.
func (p *pending) finish() *tree {
	if p.done != nil {
		return p.done
	}
	kept := p.entries[:0]
	for i, e := range p.entries {
		if p.below[i] != nil {
			e.sub = p.below[i].finish()
			if e.sub.empty() {
				continue
			}
			e.id = e.sub.id
		}
		kept = append(kept, e)
	}
	if p.index != nil {
		whole := true
		for i, sub := range p.subs {
			t := sub.finish()
			p.index.below[i].tree, whole = t, whole && !t.empty()
		}
		if whole && len(kept) == 0 {
			return p.index.tree()
		}
		kept = append(kept, slices.DeleteFunc(p.index.entries(), func(e entry) bool { return e.sub != nil && e.sub.empty() })...)
	}
	if !slices.IsSortedFunc(kept, gitOrder) {
		slices.SortFunc(kept, gitOrder)
	}
	return newTree(kept)
}

// frozen is a directory that needs no reading.
func frozen(t *tree) *pending {
	p := &pending{}
	for _, e := range t.entries {
		var below *pending
		if e.sub != nil {
			below = frozen(e.sub)
		}
		p.add(e, below)
	}
	return p
}
