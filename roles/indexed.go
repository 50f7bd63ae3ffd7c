package roles

import (
	"context"
	"slices"
	"sort"
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

// find looks for a name in a sorted list, first where it is likely.
func find(files []diskFile, name string, likely int) (at int, there bool) {
	if likely < len(files) && files[likely].name == name {
		return likely, true
	}
	return slices.BinarySearchFunc(files, name, func(f diskFile, name string) int { return strings.Compare(f.name, name) })
}

// endOf is the index behind the last entry whose path begins as that of the first does.
func endOf(tracked []indexEntry, first, length int) int {
	prefix := tracked[first].path[:length]
	return first + sort.Search(len(tracked)-first, func(j int) bool { return !strings.HasPrefix(tracked[first+j].path, prefix) })
}

// look compares what is tracked with what is on disk, a file after the other as in the index, which is much quicker than
// directory by directory. Each chunk has the root open for itself: the kernel counts the users of a descriptor, and
// threads that share one wait for each other.
func (c *checkout) look(ctx context.Context, tracked []indexEntry) error {
	const chunk = 512
	return each(ctx, (len(tracked)+chunk-1)/chunk, 1, func(n int) error {
		root, err := openRoot(c.root.path)
		if err != nil {
			return err
		}
		for i := n * chunk; i < min((n+1)*chunk, len(tracked)); i++ {
			e := &tracked[i]
			stat, err := root.lstat(e.path) // what is wrong with it is told where it is read
			e.clean = err == nil && c.index.unchanged(e, stat, c.modes)
		}
		return root.close()
	})
}

// asIndexed says whether all that is tracked in a directory is there as in the index, but for what its directories
// hold. known tells the names that are tracked.
func (c *checkout) asIndexed(into *pending, tracked []indexEntry, skip int, files []diskFile, known []bool) bool {
	x, next := &indexed{tracked: tracked, skip: skip}, 0
	for i := 0; i < len(tracked); {
		name, _, deeper := strings.Cut(tracked[i].path[skip:], "/")
		at, there := find(files, name, next)
		if !there || deeper != files[at].kind.IsDir() || !deeper && !tracked[i].clean {
			return false
		}
		known[at], next = true, at+1
		end := i + 1
		if deeper {
			end = endOf(tracked, i, skip+len(name)+1)
			x.below = append(x.below, indexedDir{tracked: end - i})
		}
		i = end
	}
	if len(tracked) > 0 {
		into.index = x
	}
	return true
}

// below reads the directories of one that is as in the index.
func (c *checkout) below(ctx context.Context, into *pending) error {
	x, dir := into.index, 0
	if x == nil {
		return nil
	}
	into.subs = make([]*pending, len(x.below))
	for i := 0; i < len(x.tracked) && dir < len(x.below); {
		path := x.tracked[i].path
		slash := strings.IndexByte(path[x.skip:], '/')
		if slash < 0 {
			i++
			continue
		}
		end := i + x.below[dir].tracked
		into.subs[dir] = &pending{}
		if err := c.descend(ctx, into.subs[dir], path[:x.skip+slash], x.tracked[i:end]); err != nil {
			return err
		}
		i, dir = end, dir+1
	}
	return nil
}
