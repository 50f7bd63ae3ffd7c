package roles

import (
	"path"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// view is the fleet's tree as a recipe sees it: without imgops.yaml and imgops.lock, and image roles without their
// image.yaml, their tests and what they ignore. Those count through other components, or not at all.
type view struct {
	root  *tree
	files *files
	cache *parseCache
	drops map[string][]string // image role -> its ignore patterns

	mu    sync.Mutex
	roles map[string]*entry           // roles/<name>, filtered
	links map[plumbing.Hash][]symlink // by tree id
	whole *tree
	// claimed are the paths that were looked through for merge conflicts.
	claimed map[string]bool
	// clean are the contents that were scanned and hold no merge conflict, so that they need not be read for that again.
	clean sync.Map // plumbing.Hash -> nil

	topsOnce sync.Once
	topNames [][]byte

	besideMu sync.Mutex
	besides  map[string]*reacher // by directory of a playbook
}

func newView(root *tree, content *files, cache *parseCache) *view {
	v := &view{root: root, files: content, cache: cache, besides: map[string]*reacher{}}
	v.reserve(0)
	return v
}

// scanned reads a file for what it refers to.
func (v *view) scanned(p string, id plumbing.Hash) ([]byte, error) {
	data, err := v.files.read(p, id)
	if err == nil && conflictLineOf(data) == 0 {
		v.clean.Store(id, nil)
	}
	return data, err
}

// reserve makes room for what will be known of n roles.
func (v *view) reserve(n int) {
	v.drops, v.roles = make(map[string][]string, n), make(map[string]*entry, n)
	v.links, v.claimed = make(map[plumbing.Hash][]symlink, n), make(map[string]bool, 2*n)
}

// symlink is a link in a tree and where it points, as written.
type symlink struct{ path, target string }

// lookup is tree.lookup in the filtered tree.
func (v *view) lookup(p string) (entry, bool, error) {
	p = path.Clean(p)
	switch p {
	case configFile, lockFile:
		return entry{}, false, nil
	case ".", "roles":
		whole, err := v.all()
		if err != nil {
			return entry{}, false, err
		}
		return whole.lookup(p)
	}
	rest, ok := strings.CutPrefix(p, "roles/")
	if !ok {
		return v.root.lookup(p)
	}
	name, rest, deeper := strings.Cut(rest, "/")
	e, ok, err := v.role(name)
	if err != nil || !ok || !deeper {
		return e, ok, err
	}
	if e.sub == nil {
		return entry{}, false, nil
	}
	return e.sub.lookup(rest)
}

// role gives what stands at roles/<name>.
func (v *view) role(name string) (entry, bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if e, ok := v.roles[name]; ok {
		return *e, true, nil
	}
	e, ok, err := v.root.lookup("roles/" + name)
	if err != nil || !ok {
		return e, ok, err
	}
	if patterns, image := v.drops[name]; image {
		if e.sub, err = dropOwn(e.sub, patterns); err != nil {
			return e, false, err
		}
		e.id = e.sub.id
	}
	v.roles[name] = &e
	return e, true, nil
}

// dropOwn takes image.yaml, tests and ignored files out of an image role's directory.
func dropOwn(t *tree, patterns []string) (*tree, error) {
	entries, err := t.list()
	if err != nil {
		return nil, err
	}
	kept := make([]entry, 0, len(entries))
	for _, e := range entries {
		if e.name != definitionFile && e.name != "tests" {
			kept = append(kept, e)
		}
	}
	out := newTree(kept)
	if len(patterns) == 0 {
		return out, nil
	}
	return out.filter("", func(p string, _ entry) bool { return ignoredBy(patterns, p) })
}

// ignoredBy says whether a pattern matches p: one without a slash matches a name at any depth, one with a slash the
// whole path below the role.
func ignoredBy(patterns []string, p string) bool {
	for _, pattern := range patterns {
		anchored := strings.Contains(strings.TrimSuffix(pattern, "/"), "/")
		pattern = path.Clean(pattern)
		subject := p
		if !anchored {
			subject = path.Base(p)
		}
		if ok, err := path.Match(pattern, subject); err == nil && ok {
			return true
		}
	}
	return false
}

// all is the whole filtered tree, for a role whose references cannot be followed.
func (v *view) all() (*tree, error) {
	v.mu.Lock()
	whole := v.whole
	v.mu.Unlock()
	if whole != nil {
		return whole, nil
	}
	entries, err := v.root.list()
	if err != nil {
		return nil, err
	}
	kept := make([]entry, 0, len(entries))
	for _, e := range entries {
		switch {
		case e.name == configFile || e.name == lockFile:
			continue
		case e.name == "roles" && e.sub != nil:
			if e.sub, err = v.allRoles(e.sub); err != nil {
				return nil, err
			}
			e.id = e.sub.id
		}
		kept = append(kept, e)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.whole = newTree(kept)
	return v.whole, nil
}

func (v *view) allRoles(t *tree) (*tree, error) {
	entries, err := t.list()
	if err != nil {
		return nil, err
	}
	kept := make([]entry, 0, len(entries))
	for _, e := range entries {
		filtered, _, err := v.role(e.name)
		if err != nil {
			return nil, err
		}
		if filtered.sub != nil {
			if sub, err := filtered.sub.list(); err != nil {
				return nil, err
			} else if len(sub) == 0 {
				continue // Git has no empty directories
			}
		}
		kept = append(kept, filtered)
	}
	return newTree(kept), nil
}

// symlinks lists the links below a tree, paths relative to it.
func (v *view) symlinks(at string, t *tree) ([]symlink, error) {
	if t.index != nil && t.index.noLinks {
		return nil, nil
	}
	v.mu.Lock()
	found, ok := v.links[t.id]
	v.mu.Unlock()
	if ok {
		return found, nil
	}
	entries, err := t.list()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		switch {
		case e.sub != nil:
			below, err := v.symlinks(join(at, e.name), e.sub)
			if err != nil {
				return nil, err
			}
			for _, l := range below {
				found = append(found, symlink{e.name + "/" + l.path, l.target})
			}
		case e.mode == filemode.Symlink:
			target, err := v.files.read(join(at, e.name), e.id)
			if err != nil {
				return nil, err
			}
			found = append(found, symlink{e.name, string(target)})
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.links[t.id] = found
	return found, nil
}
