package roles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
)

// submodule gives the id that stands for a checked-out submodule: the commit that it is at, or, where its files differ
// from that, the id of their tree, which is no commit anywhere and so marks it dirty.
func (c *checkout) submodule(e *indexEntry) (plumbing.Hash, error) {
	sub, err := openSubmodule(filepath.Join(c.repo.root, filepath.FromSlash(e.path)))
	if sub == nil || err != nil {
		return e.id, err
	}
	head, t, _, err := sub.snapshot()
	if err != nil {
		return e.id, fmt.Errorf("reading submodule %s: %w", Printable(e.path), err)
	}
	if t.id != sub.store.tree(head.tree).id {
		return t.id, nil
	}
	return head.commit, errors.Join(sub.Close())
}

// openSubmodule opens the repository of a submodule; nil when it is not checked out.
func openSubmodule(dir string) (*Repo, error) {
	if _, err := os.Lstat(filepath.Join(dir, ".git")); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	r, err := open(dir)
	if err != nil {
		return nil, err
	}
	r.root, r.prefix = r.top, ""
	return r, nil
}

type commitTree struct{ commit, tree plumbing.Hash }

// snapshot reads all files of a working tree and the commit that it is at.
func (r *Repo) snapshot() (commitTree, *tree, *files, error) {
	head, err := r.Head(context.Background())
	if err != nil {
		return commitTree{}, nil, nil, err
	}
	t, content, err := r.checkout(context.Background())
	if err != nil {
		return commitTree{}, nil, nil, err
	}
	return commitTree{plumbing.NewHash(head.Commit), plumbing.NewHash(head.Tree)}, t, content, nil
}

// checkOutSubmodule says how to get a submodule of the repository: a command that works in any directory. Git takes
// only paths of the repository that it runs in, from its top or from where it runs.
func (r *Repo) checkOutSubmodule(dir string) string {
	in := ""
	if here, err := os.Getwd(); err != nil || resolved(here) != resolved(r.top) {
		in = "-C " + shellWord(r.top) + " "
	}
	rel, err := filepath.Rel(r.top, dir)
	if err != nil {
		rel = dir
	}
	return "run `git " + in + "submodule update --init --recursive " + shellWord(filepath.ToSlash(rel)) + "`"
}

// submoduleTree finds the content that a submodule's id stands for.
func (f *files) submoduleTree(checkoutRoot, p string, id plumbing.Hash) (*tree, *files, error) {
	if checkoutRoot == "" {
		return nil, nil, fmt.Errorf("%w: a bare repository does not hold submodule %s; use a clone, and there run `git submodule update --init --recursive`", ErrIncomplete, Printable(p))
	}
	dir := filepath.Join(checkoutRoot, filepath.FromSlash(p))
	advice := f.repo.checkOutSubmodule(dir)
	sub, err := openSubmodule(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("reading submodule %s: %w", Printable(p), err)
	}
	if sub == nil {
		return nil, nil, fmt.Errorf("%w: submodule %s is not checked out; %s", ErrIncomplete, Printable(p), advice)
	}
	if c, err := sub.git.CommitObject(id); err == nil {
		return sub.store.tree(c.TreeHash), &files{repo: sub, store: sub.store, lfs: sub.lfsDir()}, nil
	}
	_, t, content, err := sub.snapshot()
	if err != nil {
		return nil, nil, fmt.Errorf("reading submodule %s: %w", Printable(p), err)
	}
	if t.id != id {
		return nil, nil, fmt.Errorf("%w: submodule %s has no commit %s; %s", ErrIncomplete, Printable(p), id, advice)
	}
	return t, content, nil
}
