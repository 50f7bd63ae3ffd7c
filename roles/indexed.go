package roles

import (
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// indexed is a directory on disk whose names and files are those of Git's index. There are thousands of them, and the
// entries of few are ever asked for.
type indexed struct {
	tracked []indexEntry // all that is below it
	skip    int          // length of its own path, with the slash
	below   []indexedDir // its directories, in Git's order
	noLinks bool         // no symlink is below it
}

type indexedDir struct {
	tree    *tree // what is on disk, which need not be as in the index
	tracked int   // how many of the entries are below it
}

// empty says whether nothing is in a directory that was made from disk.
func (t *tree) empty() bool { return t.index == nil && len(t.entries) == 0 }

// visit calls do for each name, in Git's order: that is the order of the index.
func (x *indexed) visit(do func(name string, mode filemode.FileMode, id plumbing.Hash, sub *tree)) {
	dirs := x.below
	for i := 0; i < len(x.tracked); {
		e := &x.tracked[i]
		name, _, deeper := strings.Cut(e.path[x.skip:], "/")
		if !deeper {
			do(name, e.mode, e.id, nil)
			i++
			continue
		}
		do(name, filemode.Dir, dirs[0].tree.id, dirs[0].tree)
		i += dirs[0].tracked
		dirs = dirs[1:]
	}
}

func (x *indexed) tree() *tree {
	b := newTreeBody()
	x.noLinks = true
	x.visit(func(name string, mode filemode.FileMode, id plumbing.Hash, sub *tree) {
		b.add(mode, name, id)
		x.noLinks = x.noLinks && mode != filemode.Symlink && (sub == nil || sub.index != nil && sub.index.noLinks)
	})
	return &tree{id: b.id(), index: x}
}

func (x *indexed) entries() []entry {
	n := len(x.tracked)
	for _, d := range x.below {
		n += 1 - d.tracked
	}
	list := make([]entry, 0, n)
	x.visit(func(name string, mode filemode.FileMode, id plumbing.Hash, sub *tree) {
		list = append(list, entry{name: name, mode: mode, id: id, sub: sub})
	})
	return list
}
