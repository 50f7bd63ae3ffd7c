package roles

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// leads says where a path ends when its symlinks are followed.
type leads uint8

const (
	toEntry     leads = iota
	toNothing         // nothing stands there
	toSubmodule       // into a submodule, whose content is not looked into
	outOfFleet        // above the fleet's root, or to an absolute path
	inCircles
)

// mostHops is how many symlinks Linux follows for one path.
const mostHops = 40

// resolve follows the symlinks of a path as a file system does. real is where it ends; where nothing is there, where
// something would have to be.
func (v *view) resolve(p string) (real string, e entry, to leads, err error) {
	e, ok, err := v.lookup(p)
	if err != nil || ok && !e.isSymlink() {
		return p, e, toEntry, err
	}
	if !ok && v.root.index != nil && v.root.index.noLinks {
		return p, entry{}, toNothing, nil
	}
	r := &resolving{view: v, at: ".", pending: strings.Split(path.Clean(p), "/")}
	for len(r.pending) > 0 {
		if to, err := r.next(); err != nil || to != toEntry {
			return r.at, entry{}, to, err
		}
	}
	e, ok, err = v.lookup(r.at)
	if err == nil && !ok {
		return r.at, entry{}, toNothing, nil
	}
	return r.at, e, toEntry, err
}

// resolving is a path that is being followed.
type resolving struct {
	view    *view
	at      string   // as far as it was followed
	pending []string // what comes after it
	hops    int
}

// next follows one name. at is where the path ends if that is not toEntry.
func (r *resolving) next() (leads, error) {
	name := r.pending[0]
	r.pending = r.pending[1:]
	switch {
	case name == "" || name == ".":
		return toEntry, nil
	case name == ".." && r.at == ".":
		return outOfFleet, nil
	case name == "..":
		r.at = path.Dir(r.at)
		return toEntry, nil
	}
	r.at = path.Join(r.at, name)
	e, target, err := r.view.step(r.at, len(r.pending) > 0)
	switch {
	case err != nil:
		return toNothing, err
	case e.mode == filemode.Empty:
		r.at = path.Join(append([]string{r.at}, r.pending...)...)
		return toNothing, nil
	case e.mode == filemode.Submodule && len(r.pending) > 0:
		return toSubmodule, nil
	case !e.isSymlink():
	case path.IsAbs(target):
		return outOfFleet, nil
	default:
		if r.hops++; r.hops > mostHops {
			return inCircles, nil
		}
		r.at, r.pending = path.Dir(r.at), append(strings.Split(target, "/"), r.pending...)
	}
	return toEntry, nil
}

// step looks at one name of a path: what stands there, none if nothing does, and where it points if it is a symlink.
func (v *view) step(at string, onward bool) (e entry, target string, err error) {
	look := v.lookup
	if at == "roles" && onward { // to filter all roles takes long, and does not make it a symlink
		look = v.root.lookup
	}
	e, ok, err := look(at)
	if err != nil || !ok {
		return entry{}, "", err
	}
	if e.isSymlink() {
		data, err := v.files.read(at, e.id)
		return e, string(data), err
	}
	return e, "", nil
}

// linkWalk visits the files that a path leads to, through symlinks: each with the path that it was come to by, and with
// the one where it lies.
type linkWalk struct {
	view  *view
	visit func(at, real string, e entry) error
	// astray is called for what no file is come to by.
	astray func(at string, to leads)
	left   int // entries that may still be visited: links of many directories to each other make many paths
}

// mostLinked is how many files may be come to by links, before all of the fleet counts.
const mostLinked = 20_000

var errManyLinks = errors.New("too many paths through symlinks")

// entry visits one, and what is below it. above are the directories that links have led into on the way here.
func (w *linkWalk) entry(at, real string, e entry, above []string) error {
	if w.left--; w.left < 0 {
		return errManyLinks
	}
	switch {
	case e.sub != nil:
		entries, err := e.sub.list()
		for i := 0; i < len(entries) && err == nil; i++ {
			err = w.entry(join(at, entries[i].name), join(real, entries[i].name), entries[i], above)
		}
		return err
	case e.mode == filemode.Submodule:
		w.astray(at, toSubmodule)
		return nil
	case !e.isSymlink():
		return w.visit(at, real, e)
	}
	target, e, to, err := w.view.resolve(real)
	switch {
	case err != nil:
		return err
	case to != toEntry:
		w.astray(at, to)
		return nil
	case e.sub == nil:
		return w.entry(at, target, e, above)
	case slices.Contains(above, target): // a link to where a link has led before
		return nil
	}
	return w.entry(at, target, e, append(above[:len(above):len(above)], target))
}
