package roles

import (
	"fmt"
	"path"
	"slices"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// check adds a problem when something that a definition names is not there.
func (l *loading) check(r *Role, ref reference) error {
	switch ref.what {
	case "base.role":
		if _, ok := l.fleet.byName[ref.name]; !ok {
			l.missing(r, ref, fmt.Sprintf("base.role %q is no image role of this fleet", ref.name), choose(ref.name, l.otherRoles(r)))
		}
	case "target":
		known := make([]string, 0, len(l.fleet.Config.Targets))
		for _, t := range l.fleet.Config.Targets {
			known = append(known, t.Name)
		}
		if len(known) > 0 && !slices.Contains(known, ref.name) {
			l.missing(r, ref, fmt.Sprintf("target %q is not in imgops.yaml", ref.name), choose(ref.name, known))
		}
	case "ansible role":
		return l.checkAnsibleRole(r, ref)
	default:
		return l.checkFile(r, ref)
	}
	return nil
}

func (l *loading) missing(r *Role, ref reference, message, fix string) {
	l.problems = append(l.problems, r.def.source.problem(ref.at, message, fix))
}

func (l *loading) otherRoles(r *Role) []string {
	var out []string
	for name := range l.fleet.byName {
		if name != r.Name {
			out = append(out, name)
		}
	}
	return out
}

// checkAnsibleRole accepts a role that requirements.yml or a collection may bring.
func (l *loading) checkAnsibleRole(r *Role, ref reference) error {
	for _, p := range append([]string{path.Join("roles", ref.name), "collections"}, atRoot[1:]...) {
		_, ok, err := l.fleet.view.root.lookup(p)
		if err != nil || ok {
			return err
		}
	}
	known := []string(nil)
	if e, ok, err := l.fleet.view.root.lookup("roles"); err == nil && ok && e.sub != nil {
		entries, err := e.sub.list()
		if err != nil {
			return err
		}
		for _, e := range entries {
			known = append(known, e.name)
		}
	}
	l.missing(r, ref, fmt.Sprintf("ansible role %q is not under roles/", ref.name), choose(ref.name, known)+", or add a requirements.yml that brings it")
	return nil
}

// checkFile checks that a playbook, script or manifest is a file and a suite a directory.
func (l *loading) checkFile(r *Role, ref reference) error {
	e, ok, err := l.fleet.view.root.lookup(ref.name)
	if err != nil {
		return err
	}
	wanted, found := "file", ok && (e.isFile() || e.mode == filemode.Symlink)
	if ref.what == "suite" {
		wanted, found = "directory", ok && e.isDir()
	}
	switch {
	case found && ref.what == "suite":
		return l.hasTests(r, ref)
	case found:
	case ok:
		l.missing(r, ref, fmt.Sprintf("%s %s is not a %s", ref.what, ref.name, wanted), "name a "+wanted)
	default:
		near, err := l.neighbour(ref.name)
		if err != nil {
			return err
		}
		fix := "create it, or correct the name"
		if near != "" {
			fix = fmt.Sprintf("did you mean %s? Otherwise create it", near)
		}
		l.missing(r, ref, fmt.Sprintf("%s %s does not exist", ref.what, ref.name), fix)
	}
	return nil
}

// neighbour gives the path in the same directory whose name is close.
func (l *loading) neighbour(p string) (string, error) {
	dir, ok, err := l.fleet.view.root.lookup(path.Dir(p))
	if err != nil || !ok || dir.sub == nil {
		return "", err
	}
	entries, err := dir.sub.list()
	if err != nil {
		return "", err
	}
	known := make([]string, 0, len(entries))
	for _, e := range entries {
		known = append(known, e.name)
	}
	if near := nearest(path.Base(p), known); near != "" {
		return path.Join(path.Dir(p), near), nil
	}
	return "", nil
}
