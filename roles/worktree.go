package roles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// LoadWorktree reads the fleet from the commit that is checked out and what is on disk. A file whose size, times and
// inode are those that Git's index remembers is taken to be unchanged, as Git itself does; only others are read.
// Files that differ from the commit are marked in Fleet.DirtyFiles and Role.Dirty. Errors are those of Load, and
// ErrNoWorktree in a bare repository. Without a commit (see OpenWorktree) every file differs and Revision is empty.
func (r *Repo) LoadWorktree(ctx context.Context) (*Fleet, error) {
	if r.bare {
		return nil, fmt.Errorf("loading the fleet from %s: %w; name a revision, or run this in a clone", r.top, ErrNoWorktree)
	}
	revision, err := r.Head(ctx)
	if err != nil && !errors.Is(err, ErrUnbornBranch) {
		return nil, err
	}
	var f *Fleet
	err = r.complete(ctx, revision.Commit, func() (err error) {
		f, err = r.loadWorktree(ctx, revision)
		return err
	})
	return f, err
}

func (r *Repo) loadWorktree(ctx context.Context, revision Revision) (*Fleet, error) {
	go r.cache.definitions.load.Do(r.cache.definitions.read) // while the working tree is looked at
	root, content, err := r.checkout(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the working tree of %s: %w", r.top, err)
	}
	r.store.know(root)
	var top *tree // of the commit
	if revision.Tree != "" {
		top = r.store.tree(plumbing.NewHash(revision.Tree))
	}
	if !content.plain {
		if content.above, err = r.attributesAbove(top); err != nil {
			return nil, fmt.Errorf("reading commit %s: %w", revision.Commit, err)
		}
	}
	f, err := r.load(ctx, root, content, nil)
	if err != nil {
		return nil, loadError("in "+r.root, err)
	}
	f.Revision = revision
	var committed *tree
	if top != nil {
		committed, err = r.fleetTree(top)
		if err != nil && !errors.Is(err, ErrNoFleet) { // a fleet that is not committed yet differs in every file
			return nil, fmt.Errorf("reading commit %s: %w", revision.Commit, err)
		}
	}
	if err := f.markDirty(ctx, committed); err != nil {
		return nil, fmt.Errorf("comparing the working tree with commit %s: %w", revision.Commit, err)
	}
	return f, nil
}

// markDirty compares with the tree of the commit: a role is dirty when one of its inputs, or of an ancestor's, is another.
func (f *Fleet) markDirty(ctx context.Context, committed *tree) error {
	links := false
	err := diffTrees("", committed, f.view.root, func(p string, a, b *entry) {
		f.DirtyFiles = append(f.DirtyFiles, p)
		links = links || isLink(a) || isLink(b)
	})
	if err != nil || len(f.DirtyFiles) == 0 {
		return err
	}
	f.Dirty = true
	slices.Sort(f.DirtyFiles)
	touched, own, lock := touchedBy(f.DirtyFiles, f.view.drops)
	// What a role reached is known, and nearly all that it would have reached in the commit. Where it may be more, the commit is asked.
	unsure := links || committed == nil || slices.ContainsFunc(f.DirtyFiles, func(p string) bool { return path.Base(p) == definitionFile }) ||
		!slices.EqualFunc(topNames(committed), f.view.tops(), bytes.Equal) || slices.ContainsFunc(f.DirtyFiles, isAttributes)
	before := sync.OnceValue(func() *Fleet { return f.committed(ctx, committed) })
	for _, r := range f.Roles { // parents first
		r.Dirty = lock || own[r.Name] || r.Parent != nil && r.Parent.Dirty || r.seen.any(touched)
		if !r.Dirty && (unsure || r.seen.mayFind(touched)) {
			r.Dirty = !before().hasParts(r)
		}
	}
	return nil
}

// committed is the fleet of the commit; nil when it cannot be read or is wrong.
func (f *Fleet) committed(ctx context.Context, root *tree) *Fleet {
	if root == nil {
		return nil
	}
	before, err := f.repo.load(ctx, root, &files{repo: f.repo, store: f.repo.store, lfs: f.repo.lfsDir(), above: f.view.files.above}, f)
	if err != nil {
		return nil
	}
	return before
}

// hasParts says that the role is made of the very files in this fleet. A fleet that is nil has none.
func (f *Fleet) hasParts(r *Role) bool {
	if f == nil || f.byName[r.Name] == nil {
		return false
	}
	old := f.byName[r.Name]
	return slices.Equal(old.converted, r.converted) && slices.Equal(old.testsConverted, r.testsConverted) && slices.EqualFunc(old.parts, r.parts, func(a, b part) bool {
		return a.path == b.path && a.entry.mode == b.entry.mode && a.entry.id == b.entry.id
	})
}

func isLink(e *entry) bool { return e != nil && e.mode == filemode.Symlink }

// touchedBy gives every changed path that a recipe can see, and each directory above one; own holds the roles
// whose definition or tests changed; lock says that imgops.lock did, which may hold anything for any role.
func touchedBy(changed []string, drops map[string][]string) (touched pathSet, own map[string]bool, lock bool) {
	touched.set = map[string]bool{}
	own = map[string]bool{}
	for _, p := range changed {
		lock = lock || p == lockFile
		if p == configFile || p == lockFile {
			continue
		}
		if rest, ok := strings.CutPrefix(p, "roles/"); ok {
			name, rest, _ := strings.Cut(rest, "/")
			patterns, image := drops[name]
			if image && (rest == definitionFile || strings.HasPrefix(rest, "tests/")) {
				own[name] = true
				continue
			}
			if image && ignoredPath(patterns, rest) {
				continue
			}
		}
		for d := p; !touched.set[d]; d = path.Dir(d) { // "." is above itself
			touched.set[d], touched.list = true, append(touched.list, d)
		}
	}
	return touched, own, lock
}

// pathSet holds paths to be looked up, and to be gone through quickly.
type pathSet struct {
	set  map[string]bool
	list []string
}

// meets says whether one of the paths is in another set. Either may be large: that of a role, or that of a branch.
func (s pathSet) meets(other map[string]bool) bool {
	if len(s.list) <= len(other) {
		return slices.ContainsFunc(s.list, func(p string) bool { return other[p] })
	}
	for p := range other {
		if s.set[p] {
			return true
		}
	}
	return false
}

// ignoredPath says whether a pattern matches a path or a directory above it.
func ignoredPath(patterns []string, p string) bool {
	for ; p != "." && p != ""; p = path.Dir(p) {
		if ignoredBy(patterns, p) {
			return true
		}
	}
	return false
}
