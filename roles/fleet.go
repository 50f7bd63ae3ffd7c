package roles

import (
	"cmp"
	"maps"
	"slices"
	"sort"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// Fleet is all that a repository says about its images, at one commit or in a working tree.
type Fleet struct {
	Config Config
	// Lock is imgops.lock; empty when there is none.
	Lock Lock
	// Roles stand parents before children: by distance from their external base, then by name.
	Roles []*Role
	// Revision is the commit; for a working tree the one that is checked out.
	Revision Revision
	// Dirty says that files of the working tree differ from Revision; DirtyFiles names them, sorted, relative to the
	// fleet's root. Files that Git ignores, and untracked ones where Ansible does not look, do not count.
	Dirty      bool
	DirtyFiles []string

	byName   map[string]*Role
	view     *view
	repo     *Repo
	checkout string // the fleet's root on disk; "" in a bare repository
}

// External is an external base that a role starts from and that imgops.lock must pin to an image.
type External struct {
	Role         string // the role
	Key          string // owner/name/architecture: the key in imgops.lock and in Pins
	Owner, Name  string
	Architecture string
	Image        string   // the image id that imgops.lock pins it to in the build Region; "" when it does not yet
	PinnedIn     []string // the Regions that imgops.lock pins it in, sorted
}

// Role gives a role by name.
func (f *Fleet) Role(name string) (*Role, bool) {
	r, ok := f.byName[name]
	return r, ok
}

// Select gives the named roles, parents first; all of them for no name. The error is an *UnknownRoleError.
func (f *Fleet) Select(names []string) ([]*Role, error) {
	if len(names) == 0 {
		return slices.Clone(f.Roles), nil
	}
	unknown := &UnknownRoleError{}
	for _, n := range names {
		if _, ok := f.byName[n]; !ok && !slices.Contains(unknown.Names, n) {
			unknown.Names = append(unknown.Names, n)
		}
	}
	if len(unknown.Names) > 0 {
		for n := range f.byName {
			unknown.Known = append(unknown.Known, n)
		}
		sort.Strings(unknown.Known)
		return nil, unknown
	}
	var selected []*Role
	for _, r := range f.Roles {
		if slices.Contains(names, r.Name) {
			selected = append(selected, r)
		}
	}
	return selected, nil
}

// Externals gives one External per role whose base is an owner and a name pattern, sorted by key and role. Bases that
// name an image id need no pin and are not among them.
func (f *Fleet) Externals() []External {
	var out []External
	pins := f.Lock.Pins(f.Config.Build.Region)
	for _, r := range f.Roles {
		if r.Base.Owner == "" {
			continue
		}
		key := r.Base.key()
		locked, _ := f.Lock.Base(key)
		out = append(out, External{
			Role: r.Name, Key: key, Owner: r.Base.Owner, Name: r.Base.Name, Architecture: r.Base.Architecture, Image: pins[key],
			PinnedIn: slices.Sorted(maps.Keys(locked.IDs)),
		})
	}
	slices.SortFunc(out, func(a, b External) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Role, b.Role)) })
	return out
}

func (b Base) key() string { return b.Owner + "/" + b.Name + "/" + b.Architecture }

// Inputs lists the files that decide the role's recipe digest, sorted by path, less those of its parent.
// It is nil when a tree of the repository cannot be read; Materialize then says why.
func (r *Role) Inputs() []Input {
	t, err := r.recipeTree()
	if err != nil {
		return nil
	}
	return inputs("", t)
}

// TestInputs lists the files under roles/<role>/tests, sorted by path.
func (r *Role) TestInputs() []Input {
	if r.tests == nil {
		return nil
	}
	return inputs("roles/"+r.Name+"/tests", r.tests)
}

func inputs(prefix string, t *tree) []Input {
	var out []Input
	err := t.walk(prefix, func(p string, e entry) error {
		if e.mode != filemode.Dir {
			out = append(out, Input{Path: p, Mode: uint32(e.mode), Blob: e.id.String()})
		}
		return nil
	})
	if err != nil {
		return nil
	}
	slices.SortFunc(out, func(a, b Input) int { return cmp.Compare(a.Path, b.Path) })
	return out
}
