package roles

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"golang.org/x/sync/errgroup"
)

// checkout turns a working tree into a tree, with the index as the memory of what is unchanged.
type checkout struct {
	repo     *Repo
	index    *gitIndex
	fileMode bool // core.filemode: the executable bit on disk means something
	ignores  *ignores
	group    *errgroup.Group

	mu   sync.Mutex
	disk map[plumbing.Hash]string // hashed from disk, not known to Git: path
}

// checkout reads the fleet's part of the working tree.
func (r *Repo) checkout(ctx context.Context) (*tree, map[plumbing.Hash]string, error) {
	idx, err := r.readIndex()
	if err != nil {
		return nil, nil, err
	}
	r.mu.Lock()
	cfg, err := r.git.Config()
	r.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	c := &checkout{
		repo: r, index: idx, disk: map[plumbing.Hash]string{}, ignores: newIgnores(r, cfg),
		fileMode: cfg.Raw.Section("core").Option("filemode") != "false",
	}
	c.group, ctx = errgroup.WithContext(ctx)
	c.group.SetLimit(runtime.GOMAXPROCS(0))
	tracked := idx.entries
	if r.prefix != "" {
		tracked = slices.DeleteFunc(slices.Clone(tracked), func(e indexEntry) bool { return !strings.HasPrefix(e.path, r.prefix+"/") })
		for i := range tracked {
			tracked[i].path = tracked[i].path[len(r.prefix)+1:]
		}
	}
	root := &pending{}
	err = c.dir(ctx, root, "", tracked)
	if err := errors.Join(err, c.group.Wait()); err != nil {
		return nil, nil, err
	}
	t := root.finish()
	return t, c.disk, nil
}

// pending is a directory whose subdirectories may still be read by other goroutines.
type pending struct {
	entries []entry
	below   []*pending // by index of entries; nil for a file
}

func (p *pending) add(e entry, below *pending) {
	p.entries, p.below = append(p.entries, e), append(p.below, below)
}

// finish computes the ids bottom up and leaves out empty directories, which Git does not have.
func (p *pending) finish() *tree {
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

// dir reads one directory: what is tracked below it, in the index's order, and what else is there.
func (c *checkout) dir(ctx context.Context, into *pending, rel string, tracked []indexEntry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	listing, err := os.ReadDir(filepath.Join(c.repo.root, filepath.FromSlash(rel)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	skip := 0
	if rel != "" {
		skip = len(rel) + 1
	}
	known := make(map[string]bool, len(listing))
	types := make(map[string]fs.FileMode, len(listing))
	for _, d := range listing {
		types[d.Name()] = d.Type()
	}
	for i := 0; i < len(tracked); {
		name, _, deeper := strings.Cut(tracked[i].path[skip:], "/")
		known[name] = true
		end := i + 1
		if deeper {
			prefix := tracked[i].path[:skip+len(name)+1]
			for end < len(tracked) && strings.HasPrefix(tracked[end].path, prefix) {
				end++
			}
		}
		kind, there := types[name]
		switch {
		case deeper && there && kind.IsDir():
			err = c.descend(ctx, into, join(rel, name), tracked[i:end])
		case deeper:
			err = c.sparse(into, rel, name, tracked[i:end])
			known[name] = false // a file or symlink may stand in the directory's place
		default:
			known[name], err = c.tracked(into, name, tracked[i], there, kind)
		}
		if err != nil {
			return err
		}
		i = end
	}
	return c.untracked(ctx, into, rel, listing, known)
}

// descend reads a subdirectory, in another goroutine if one is free.
func (c *checkout) descend(ctx context.Context, into *pending, rel string, tracked []indexEntry) error {
	below := &pending{}
	into.add(entry{name: path.Base(rel), mode: filemode.Dir}, below)
	if c.group.TryGo(func() error { return c.dir(ctx, below, rel, tracked) }) {
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

// tracked adds a file of the index as it is on disk. It says whether the name is done with: a directory in a file's
// place is read as untracked.
func (c *checkout) tracked(into *pending, name string, e indexEntry, there bool, kind fs.FileMode) (bool, error) {
	if !there {
		if e.skipWorktree {
			into.add(entry{name: name, mode: e.mode, id: e.id}, nil)
		}
		return true, nil
	}
	if e.mode == filemode.Submodule {
		if !kind.IsDir() {
			return false, nil
		}
		id, err := c.submodule(e)
		into.add(entry{name: name, mode: filemode.Submodule, id: id}, nil)
		return true, err
	}
	if kind.IsDir() {
		return false, nil
	}
	info, err := os.Lstat(filepath.Join(c.repo.root, filepath.FromSlash(e.path)))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return true, err
	}
	if c.index.unchanged(e, info, c.fileMode) {
		into.add(entry{name: name, mode: e.mode, id: e.id}, nil)
		return true, nil
	}
	return true, c.changed(into, e.path, info, e.mode, e.id)
}

// changed adds a file by what is on disk; known is the id that Git has for it, or zero.
func (c *checkout) changed(into *pending, rel string, info fs.FileInfo, mode filemode.FileMode, known plumbing.Hash) error {
	mode, ok := diskMode(info, mode, c.fileMode)
	if !ok {
		return nil // neither file nor symlink: not there, for Git
	}
	id, err := hashDisk(filepath.Join(c.repo.root, filepath.FromSlash(rel)), info)
	if err != nil {
		return err
	}
	into.add(entry{name: path.Base(rel), mode: mode, id: id}, nil)
	if id != known {
		c.mu.Lock()
		defer c.mu.Unlock()
		if old, ok := c.disk[id]; !ok || rel < old {
			c.disk[id] = rel
		}
	}
	return nil
}

// diskMode is the mode that Git would give a file.
func diskMode(info fs.FileInfo, old filemode.FileMode, fileMode bool) (filemode.FileMode, bool) {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return filemode.Symlink, true
	case !info.Mode().IsRegular():
		return 0, false
	case !fileMode && (old == filemode.Executable || old == filemode.Regular):
		return old, true
	case fileMode && info.Mode()&0o100 != 0:
		return filemode.Executable, true
	}
	return filemode.Regular, true
}

// untracked adds what is on disk, not in the index and not ignored.
func (c *checkout) untracked(ctx context.Context, into *pending, rel string, listing []fs.DirEntry, known map[string]bool) error {
	for _, d := range listing {
		name, p := d.Name(), join(rel, d.Name())
		if known[name] || name == ".git" || !c.relevant(p, d.IsDir()) {
			continue
		}
		if ignored, err := c.ignores.match(p, d.IsDir()); err != nil || ignored {
			if err != nil {
				return err
			}
			continue
		}
		if d.IsDir() {
			if err := c.descend(ctx, into, p, nil); err != nil {
				return err
			}
			continue
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := c.changed(into, p, info, 0, plumbing.ZeroHash); err != nil {
			return err
		}
	}
	return nil
}

// relevant says whether an untracked path can matter to a role. Reports, caches and editors' files that a CI job or a
// person leaves at the top must not make the fleet dirty; anything beside tracked files in a directory, and every
// name that Ansible looks up, does.
func (c *checkout) relevant(p string, isDir bool) bool {
	top, _, deeper := strings.Cut(p, "/")
	if slices.Contains(besidePlaybook, top) || top == "roles" {
		return true
	}
	if deeper || isDir {
		return !strings.HasPrefix(top, ".") && c.index.hasTop(c.repo.prefix, top)
	}
	ext := path.Ext(p)
	return p == lockFile || p == "ansible.cfg" || !strings.HasPrefix(p, ".") && (ext == ".yml" || ext == ".yaml")
}
