package roles

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// checkout turns a working tree into a tree, with the index as the memory of what is unchanged.
type checkout struct {
	repo    *Repo
	index   *gitIndex
	modes   diskModes
	eol     *lineEnds
	unborn  bool // there is no commit: what is not tracked may be what the first one will hold
	ignores *ignores
	names   *listings
	root    *diskRoot
	later   []laterDir // that are read in parallel

	mu     sync.Mutex
	disk   changedFiles
	doubts []doubt
	untidy bool // a file of attributes is there that is not tracked
}

// checkout reads the fleet's part of the working tree.
func (r *Repo) checkout(ctx context.Context) (_ *tree, _ *files, err error) {
	names := newListings(r.gitDir, r.prefix)
	go names.load.Do(names.read) // while the index is read
	idx, err := r.readIndex()
	if err != nil {
		return nil, nil, err
	}
	attributes := r.noteUnwatched(idx)
	r.mu.Lock()
	cfg, err := r.git.Config()
	_, headErr := r.git.Head()
	r.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	disk, err := openRoot(r.root)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, disk.close()) }()
	set := r.settings(cfg)
	c := &checkout{
		repo: r, index: idx, disk: newChangedFiles(), ignores: newIgnores(r, set), names: names, root: disk,
		unborn: errors.Is(headErr, plumbing.ErrReferenceNotFound),
		modes:  diskModes{exec: set.on("filemode"), links: set.on("symlinks")},
		eol:    &lineEnds{repo: r, settings: set},
	}
	tracked := idx.entries
	if r.prefix != "" {
		tracked = slices.DeleteFunc(slices.Clone(tracked), func(e indexEntry) bool { return !strings.HasPrefix(e.path, r.prefix+"/") })
		for i := range tracked {
			tracked[i].path = tracked[i].path[len(r.prefix)+1:]
		}
	}
	if err := c.look(ctx, tracked); err != nil {
		return nil, nil, err
	}
	root := &pending{}
	if err := c.dir(ctx, root, "", tracked); err != nil {
		return nil, nil, err
	}
	later := c.later
	c.later = nil
	err = each(ctx, len(later), batch, func(i int) error { return c.dir(ctx, later[i].into, later[i].rel, later[i].tracked) })
	if err != nil {
		return nil, nil, err
	}
	c.names.save()
	if err := c.settle(ctx); err != nil {
		return nil, nil, err
	}
	content := &files{repo: r, store: r.store, root: r.root, disk: c.disk, lfs: r.lfsDir(), plain: !c.untidy && !r.mayConvert(attributes)}
	return root.finishTop(), content, nil
}

// dir reads one directory: what is tracked below it, in the index's order, and what else is there.
func (c *checkout) dir(ctx context.Context, into *pending, rel string, tracked []indexEntry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	files, err := c.names.list(c.root, rel)
	if err != nil {
		return err
	}
	skip := 0
	if rel != "" {
		skip = len(rel) + 1
	}
	known := make([]bool, len(files))
	if c.asIndexed(into, tracked, skip, files, known) {
		if err := c.below(ctx, into); err != nil {
			return err
		}
		return c.untracked(ctx, into, rel, files, known)
	}
	clear(known)
	into.grow(len(files))
	next := 0 // both lists are sorted, but for directories: the next name is mostly the next file
	for i := 0; i < len(tracked); {
		name, _, deeper := strings.Cut(tracked[i].path[skip:], "/")
		end := i + 1
		if deeper {
			end = endOf(tracked, i, skip+len(name)+1)
		}
		at, there := find(files, name, next)
		next = at + 1
		var found *diskFile
		if there {
			found = &files[at]
		}
		done, err := c.name(ctx, into, rel, name, tracked[i:end], deeper, found)
		if err != nil {
			return err
		}
		if there {
			known[at] = done
		}
		i = end
	}
	return c.untracked(ctx, into, rel, files, known)
}

// name reads one tracked name of a directory; found is what stands there, or nil. It says whether the name is done
// with: what stands in place of something else is read as untracked.
func (c *checkout) name(ctx context.Context, into *pending, rel, name string, tracked []indexEntry, deeper bool, found *diskFile) (bool, error) {
	if !deeper {
		return c.tracked(into, name, &tracked[0], found)
	}
	if found != nil && found.kind.IsDir() {
		return true, c.descend(ctx, into.directory(name), join(rel, name), tracked)
	}
	return false, c.sparse(into, rel, name, tracked)
}

// laterDir is a directory that is still to be read.
type laterDir struct {
	into    *pending
	rel     string
	tracked []indexEntry
}

// descend reads a subdirectory; those at depth two, one for each role, later and in parallel.
func (c *checkout) descend(ctx context.Context, below *pending, rel string, tracked []indexEntry) error {
	if strings.Count(rel, "/") == 1 {
		c.later = append(c.later, laterDir{below, rel, tracked})
		return nil
	}
	return c.dir(ctx, below, rel, tracked)
}

// sparse keeps the files below a missing directory that a sparse checkout leaves out on purpose.
func (c *checkout) sparse(into *pending, rel, name string, tracked []indexEntry) error {
	skipped := make([]part, 0)
	for _, e := range tracked {
		if e.skipWorktree {
			skipped = append(skipped, part{strings.TrimPrefix(e.path, join(rel, name)+"/"), entry{mode: e.mode, id: e.id}})
		}
	}
	if len(skipped) == 0 {
		return nil
	}
	t, err := assemble(skipped)
	if err == nil {
		into.add(entry{name: name, mode: filemode.Dir, id: t.id}, frozen(t))
	}
	return err
}

// tracked adds a file of the index as it is on disk.
func (c *checkout) tracked(into *pending, name string, e *indexEntry, found *diskFile) (bool, error) {
	switch {
	case found == nil && (e.skipWorktree || e.mode == filemode.Submodule): // a submodule that is not checked out is no change
		into.add(entry{name: name, mode: e.mode, id: e.id}, nil)
		return true, nil
	case found == nil:
		return true, nil
	case e.mode == filemode.Submodule && found.kind.IsDir():
		id, err := c.submodule(e)
		into.add(entry{name: name, mode: filemode.Submodule, id: id}, nil)
		return true, err
	case e.mode == filemode.Submodule || found.kind.IsDir():
		return false, nil
	}
	stat, err := c.root.lstat(e.path)
	if err != nil {
		return true, ignoreMissing(err)
	}
	if c.index.unchanged(e, stat, c.modes) {
		into.add(entry{name: name, mode: e.mode, id: e.id}, nil)
		return true, nil
	}
	return true, c.changed(into, e.path, stat, e.mode, e.id)
}

// ignoreMissing takes a file that vanished after its directory was listed as not there.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// changed adds a file by what is on disk; known is the id that Git has for it, or zero.
func (c *checkout) changed(into *pending, rel string, stat diskStat, mode filemode.FileMode, known plumbing.Hash) error {
	mode, ok := stat.gitMode(mode, c.modes)
	if !ok {
		return nil // neither file nor symlink: not there, for Git
	}
	id, err := hashDisk(filepath.Join(c.repo.root, filepath.FromSlash(rel)), stat)
	if err != nil {
		return ignoreMissing(err)
	}
	if id != known && (c.smudged(known, rel, stat) || c.eol.stored(known, rel, stat)) {
		id = known
	}
	into.add(entry{name: path.Base(rel), mode: mode, id: id}, nil)
	if id != known {
		asks := c.eol.cleans(rel, stat)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.untidy = c.untidy || known.IsZero() && isAttributes(rel); asks {
			c.doubts = append(c.doubts, doubt{into: into, at: len(into.entries) - 1, path: rel, raw: id, known: known})
		} else {
			c.disk.add(rel, id, id)
		}
	}
	return nil
}

// untracked adds what is on disk, not in the index and not ignored.
func (c *checkout) untracked(ctx context.Context, into *pending, rel string, files []diskFile, known []bool) error {
	for i, f := range files {
		if known[i] || f.name == ".git" || !safeName(f.name) {
			continue
		}
		p, isDir := join(rel, f.name), f.kind.IsDir()
		if !c.relevant(p, isDir) {
			continue
		}
		if isDir && c.hollow(p) {
			continue
		}
		ignored, err := c.ignores.match(p, isDir)
		switch {
		case err != nil:
			return err
		case ignored:
			continue
		case isDir:
			err = c.descend(ctx, into.directory(f.name), p, nil)
		default:
			var stat diskStat
			if stat, err = c.root.lstat(p); err == nil {
				err = c.changed(into, p, stat, 0, plumbing.ZeroHash)
			}
		}
		if err := ignoreMissing(err); err != nil {
			return err
		}
	}
	return nil
}

// hollow says whether a directory holds nothing: quicker than whether it is ignored.
func (c *checkout) hollow(p string) bool {
	files, err := c.names.list(c.root, p)
	return err == nil && len(files) == 0
}

// relevant says whether an untracked path can matter to a role. Reports, caches and editors' files that a CI job or a
// person leaves at the top must not make the fleet dirty; anything beside tracked files in a directory, and every
// name that Ansible looks up, does.
func (c *checkout) relevant(p string, isDir bool) bool {
	top, _, deeper := strings.Cut(p, "/")
	if slices.Contains(besidePlaybook, top) || top == "roles" {
		return true
	}
	if c.unborn {
		return !strings.HasPrefix(top, ".")
	}
	if deeper || isDir {
		return !strings.HasPrefix(top, ".") && c.index.hasTop(c.repo.prefix, top)
	}
	ext := path.Ext(p)
	return p == lockFile || p == "ansible.cfg" || !strings.HasPrefix(p, ".") && (ext == ".yml" || ext == ".yaml")
}
