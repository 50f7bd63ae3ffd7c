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
	if err != nil || ok && e.mode != filemode.Symlink {
		return p, e, toEntry, err
	}
	if !ok && v.root.index != nil && v.root.index.noLinks {
		return p, entry{}, toNothing, nil
	}
	at, pending := ".", strings.Split(path.Clean(p), "/")
	for hops := 0; len(pending) > 0; {
		name := pending[0]
		pending = pending[1:]
		switch {
		case name == "" || name == ".":
			continue
		case name == ".." && at == ".":
			return "", entry{}, outOfFleet, nil
		case name == "..":
			at = path.Dir(at)
			continue
		}
		at = path.Join(at, name)
		e, target, err := v.step(at, len(pending) > 0)
		switch {
		case err != nil:
			return at, entry{}, toNothing, err
		case e.mode == filemode.Empty:
			return path.Join(append([]string{at}, pending...)...), entry{}, toNothing, nil
		case e.mode == filemode.Submodule && len(pending) > 0:
			return at, e, toSubmodule, nil
		case e.mode != filemode.Symlink:
		case path.IsAbs(target):
			return target, entry{}, outOfFleet, nil
		default:
			if hops++; hops > mostHops {
				return at, entry{}, inCircles, nil
			}
			at, pending = path.Dir(at), append(strings.Split(target, "/"), pending...)
		}
	}
	e, ok, err = v.lookup(at)
	if err == nil && !ok {
		return at, entry{}, toNothing, nil
	}
	return at, e, toEntry, err
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
	if e.mode == filemode.Symlink {
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
	case e.mode != filemode.Symlink:
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
