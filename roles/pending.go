package roles

import (
	"context"
	"slices"
)

// pending is a directory whose subdirectories may still be read by other goroutines.
type pending struct {
	entries []entry
	below   []*pending // by index of entries; nil for a file
	done    *tree      // once finished
}

func (p *pending) add(e entry, below *pending) {
	p.entries, p.below = append(p.entries, e), append(p.below, below)
}

func (p *pending) grow(n int) {
	p.entries, p.below = make([]entry, 0, n), make([]*pending, 0, n)
}

// finishTop is finish with the directories at depth two, one for each role, done in parallel.
func (p *pending) finishTop() *tree {
	var deep []*pending
	for _, top := range p.below {
		if top != nil {
			deep = append(deep, slices.DeleteFunc(slices.Clone(top.below), func(b *pending) bool { return b == nil })...)
		}
	}
	_ = each(context.Background(), len(deep), func(i int) error { // it fails only when cancelled
		deep[i].done = deep[i].finish()
		return nil
	})
	return p.finish()
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
			if len(e.sub.entries) == 0 {
				continue
			}
			e.id = e.sub.id
		}
		kept = append(kept, e)
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
