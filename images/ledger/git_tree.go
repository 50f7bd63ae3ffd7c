package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// maxDepth bounds how deep the trees of somebody's branch are followed; entries are 5 deep.
const maxDepth = 12

// emptyTree stands for the tree of a branch that is not there.
var emptyTree = plumbing.ZeroHash

// rootOf is the tree of a commit; of none, the empty tree.
func (g *Git) rootOf(commit plumbing.Hash) (plumbing.Hash, error) {
	if commit.IsZero() {
		return emptyTree, nil
	}
	c, err := g.repo.CommitObject(commit)
	if err != nil {
		return emptyTree, &damage{"commit " + commit.String(), err}
	}
	return c.TreeHash, nil
}

func (g *Git) entries(tree plumbing.Hash) ([]object.TreeEntry, error) {
	if tree.IsZero() {
		return nil, nil
	}
	t, err := object.GetTree(g.repo.Storer, tree)
	if err != nil {
		return nil, &damage{"tree " + tree.String(), err}
	}
	return t.Entries, nil
}

// walk visits every file whose path begins with prefix.
func (g *Git) walk(ctx context.Context, root plumbing.Hash, prefix string, visit func(string, object.TreeEntry) error) error {
	return g.walkBelow(ctx, root, "", prefix, 0, visit)
}

func (g *Git) walkBelow(ctx context.Context, tree plumbing.Hash, at, prefix string, depth int, visit func(string, object.TreeEntry) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("directory %s of the ledger is nested deeper than %d; imgops has not written it", at, maxDepth)
	}
	list, err := g.entries(tree)
	if err != nil {
		return err
	}
	for _, e := range list {
		path := at + e.Name
		if e.Mode == filemode.Dir {
			if dir := path + "/"; strings.HasPrefix(dir, prefix) || strings.HasPrefix(prefix, dir) {
				err = g.walkBelow(ctx, e.Hash, dir, prefix, depth+1, visit)
			}
		} else if strings.HasPrefix(path, prefix) {
			err = visit(path, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// find looks a file up.
func (g *Git) find(tree plumbing.Hash, path string) (object.TreeEntry, error) {
	name, rest, deeper := strings.Cut(path, "/")
	list, err := g.entries(tree)
	if err != nil {
		return object.TreeEntry{}, err
	}
	at := slices.IndexFunc(list, func(e object.TreeEntry) bool { return e.Name == name })
	switch {
	case at < 0, deeper != (list[at].Mode == filemode.Dir):
		return object.TreeEntry{}, fmt.Errorf("%s: %w", path, ErrNoEntry)
	case deeper:
		return g.find(list[at].Hash, rest)
	}
	return list[at], nil
}

// change is what a graft makes: the trees that have to be sent.
type change struct{ made []plumbing.Hash }

// graft writes the tree that has the files (path to blob) added. Nothing that is there changes: a file of another content in its place is a
// *ConflictError.
func (g *Git) graft(tree plumbing.Hash, at string, files map[string]plumbing.Hash, c *change) (plumbing.Hash, error) {
	list, err := g.entries(tree)
	if err != nil {
		return tree, err
	}
	list = slices.Clone(list)
	below, grown := map[string]map[string]plumbing.Hash{}, false
	for path, blob := range files {
		name, rest, deeper := strings.Cut(path, "/")
		if deeper {
			if below[name] == nil {
				below[name] = map[string]plumbing.Hash{}
			}
			below[name][rest] = blob
			continue
		}
		switch i := indexOf(list, name); {
		case i < 0:
			list, grown = append(list, object.TreeEntry{Name: name, Mode: filemode.Regular, Hash: blob}), true
		case list[i].Hash != blob:
			return tree, &ConflictError{at + name}
		}
	}
	for name, inner := range below {
		i, sub := indexOf(list, name), emptyTree
		if i >= 0 {
			if list[i].Mode != filemode.Dir {
				return tree, fmt.Errorf("the ledger has a file %s%s where imgops needs a directory; see: git log -- %s%s", at, name, at, name)
			}
			sub = list[i].Hash
		}
		id, err := g.graft(sub, at+name+"/", inner, c)
		switch {
		case err != nil:
			return tree, err
		case i < 0:
			list, grown = append(list, object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: id}), true
		case id != sub:
			list[i].Hash, grown = id, true
		}
	}
	if !grown {
		return tree, nil
	}
	slices.SortFunc(list, gitOrder)
	id, err := g.write(&object.Tree{Entries: list})
	c.made = append(c.made, id)
	return id, err
}

func indexOf(list []object.TreeEntry, name string) int {
	return slices.IndexFunc(list, func(e object.TreeEntry) bool { return e.Name == name })
}

// gitOrder compares names as Git sorts a tree: a directory as if its name ended in a slash.
func gitOrder(a, b object.TreeEntry) int {
	key := func(e object.TreeEntry) string {
		if e.Mode == filemode.Dir {
			return e.Name + "/"
		}
		return e.Name
	}
	return compare(key(a), key(b))
}

// write stores an object.
func (g *Git) write(o object.Object) (plumbing.Hash, error) {
	enc := g.repo.Storer.NewEncodedObject()
	if err := o.Encode(enc); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("encoding an object of the ledger: %w", err)
	}
	id, err := g.repo.Storer.SetEncodedObject(enc)
	if err != nil {
		return id, fmt.Errorf("writing an object of the ledger: %w", err)
	}
	return id, nil
}

func (g *Git) writeBlob(data []byte) (plumbing.Hash, error) {
	enc := g.repo.Storer.NewEncodedObject()
	enc.SetType(plumbing.BlobObject)
	enc.SetSize(int64(len(data)))
	w, err := enc.Writer()
	if err == nil {
		_, err = w.Write(data)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("encoding an entry of the ledger: %w", err)
	}
	id, err := g.repo.Storer.SetEncodedObject(enc)
	if err != nil {
		return id, fmt.Errorf("writing an entry of the ledger: %w", err)
	}
	return id, nil
}

// lost names an entry of the old tree that the new one has not, or has with another content; "" when it has all.
func (g *Git) lost(ctx context.Context, old, now plumbing.Hash) (string, error) {
	errFound, lost := errors.New("found"), ""
	err := g.losses(ctx, old, now, "", func(path string, _ object.TreeEntry) error {
		lost = path
		return errFound
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return lost, err
}

// losses visits the entries of the old tree that the new one has not, or has with another content. What is no entry, or
// cannot be read as one, may go: that is how garbage is removed.
func (g *Git) losses(ctx context.Context, old, now plumbing.Hash, at string, visit func(string, object.TreeEntry) error) error {
	if old == now || old.IsZero() {
		return nil
	}
	was, err := g.entries(old)
	if err != nil {
		return err
	}
	is, err := g.entries(now)
	if err != nil {
		return err
	}
	has := make(map[string]object.TreeEntry, len(is))
	for _, e := range is {
		has[e.Name] = e
	}
	for _, e := range was {
		below, after := emptyTree, has[e.Name]
		if after.Hash == e.Hash {
			continue
		} else if after.Mode == filemode.Dir {
			below = after.Hash
		}
		if e.Mode == filemode.Dir {
			err = g.losses(ctx, e.Hash, below, at+e.Name+"/", visit)
		} else if g.isEntry(at+e.Name, e) {
			err = visit(at+e.Name, e)
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

func (g *Git) isEntry(path string, e object.TreeEntry) bool {
	if _, err := parsePath(path); err != nil {
		return false
	}
	data, err := g.blob(e.Hash)
	if err != nil {
		return false
	}
	_, err = Read(path, data)
	var newer *NewerError
	return err == nil || errors.As(err, &newer)
}

// reachesWhole is reaches, for which it gets the history that a shallow clone lacks.
func (g *Git) reachesWhole(ctx context.Context, from, to plumbing.Hash) (bool, error) {
	h := &history{git: g, tip: from}
	queue, queued := []plumbing.Hash{from}, map[plumbing.Hash]bool{}
	for len(queue) > 0 && !from.IsZero() {
		id := queue[0]
		queue = queue[1:]
		if id == to {
			return true, nil
		}
		c, err := h.commit(ctx, id)
		if err != nil {
			return false, err
		}
		for _, parent := range c.ParentHashes {
			if !queued[parent] {
				queued[parent] = true
				queue = append(queue, parent)
			}
		}
	}
	return false, ctx.Err()
}

// reaches says whether a commit is in the history of another. What a shallow clone has no history of counts as not.
func (g *Git) reaches(ctx context.Context, from, to plumbing.Hash) bool {
	queue, seen := []plumbing.Hash{from}, map[plumbing.Hash]bool{}
	for len(queue) > 0 && ctx.Err() == nil {
		id := queue[0]
		queue = queue[1:]
		if id == to {
			return true
		}
		if c, err := g.repo.CommitObject(id); err == nil && !seen[id] {
			queue = append(queue, c.ParentHashes...)
		}
		seen[id] = true
	}
	return false
}
