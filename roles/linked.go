package roles

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// Ansible opens the file that a symlink leads to under the name of the symlink: include_tasks in roles/web/tasks/main.yml ->
// ../../../shared/main.yml is relative to roles/web/tasks. Only the directory of a role, group_vars and the directory of a
// playbook are replaced by their real path first (definition.py, host_group_vars.py). What such a file names is therefore
// looked up from both places: relative to the link with all that follows from a name that is not found, and relative to
// the file if there is something.

// linkedRole takes in what the files name that an Ansible role has by symlinks.
func (c *reacher) linkedRole(dir, role string, t *tree) {
	if c.all || c.err != nil {
		return
	}
	links, err := c.v.symlinks(role, t)
	if err != nil || len(links) == 0 {
		c.err = err
		return
	}
	links = slices.DeleteFunc(slices.Clone(links), func(l symlink) bool { return !mayBeRead(l.path) })
	key, sure := c.linkedKey(role, t, links)
	if len(links) == 0 || c.err != nil || sure && c.v.cache.quiet.has(key) {
		return
	}
	l := &look{view: c.v, facts: &ansibleFacts{}, tree: t, role: role}
	for _, link := range links {
		if c.err = c.linkedFiles(l, link.path); c.err != nil {
			return
		}
	}
	if c.err = l.byTasks(); c.err != nil {
		return
	}
	if sure && l.facts.quiet() {
		c.v.cache.quiet.add(key)
	}
	c.follow(dir, role, l.facts)
}

// linkedKey holds all that the facts of linkedRole follow from: the role, and where its symlinks lead. It is not sure where
// they lead to further symlinks, or astray.
func (c *reacher) linkedKey(role string, t *tree, links []symlink) (key factsKey, sure bool) {
	tops := bytes.Join(c.v.tops(), nil)
	for _, link := range links {
		real, e, to, err := c.v.resolve(path.Join(role, link.path))
		var further []symlink
		if err == nil && e.sub != nil {
			further, err = c.v.symlinks(real, e.sub)
		}
		if err != nil || to != toEntry || e.mode == filemode.Submodule || len(further) > 0 {
			c.err = err
			return key, false
		}
		tops = append(tops, "\x00"+real+"\x00"+e.value()...)
	}
	return factsKey{dir: "\x00linked " + role, id: t.id, tops: string(tops)}, true
}

// linkedFiles looks into what one symlink of a role leads to.
func (c *reacher) linkedFiles(l *look, rel string) error {
	e, _, err := l.tree.lookup(rel)
	if err != nil {
		return err
	}
	at := path.Join(l.role, rel)
	return c.linked(l.facts, rel, at, at, e, func(at, real string, e entry) error {
		if k := kindOf(strings.TrimPrefix(at, l.role+"/")); k != asData {
			return l.file(at, real, e, k)
		}
		return nil
	})
}

// mayBeRead says whether Ansible may look into what a role has at a path, be it a file or a directory.
func mayBeRead(rel string) bool {
	return !strings.HasPrefix(rel, "tests/") && (kindOf(rel) != asData || kindOf(rel+"/x.j2") != asData)
}

// linked visits the files that a path leads to. rel is where Ansible looks for it: in a role, or beside a playbook.
func (c *reacher) linked(facts *ansibleFacts, rel, at, real string, e entry, visit func(at, real string, e entry) error) error {
	w := &linkWalk{view: c.v, visit: visit, left: mostLinked, astray: func(at string, to leads) {
		if to == toSubmodule {
			facts.dynamic = true
		} else if top, _, _ := strings.Cut(rel, "/"); readAlways(top) && !hidden(at) {
			facts.problems = append(facts.problems, astrayProblem(at, to))
		}
	}}
	err := w.entry(at, real, e, nil)
	if errors.Is(err, errManyLinks) {
		facts.dynamic, err = true, nil
	}
	return err
}

// readAlways says whether Ansible reads all files of a directory of a role, or beside a playbook, by itself or by the
// tasks there: a symlink that leads to nothing there is a mistake. Elsewhere it may be meant for the machine.
func readAlways(top string) bool {
	return slices.Contains(readAsYAML, top) || top == "group_vars" || top == "host_vars"
}

func astrayProblem(at string, to leads) Problem {
	p := Problem{File: at, Message: "the symlink leads to nothing that Git keeps and no `ignore` takes out", Fix: "correct it, or delete it"}
	switch to {
	case outOfFleet:
		p.Message = "the symlink leads out of the fleet, so a change of what it names would go unseen"
		p.Fix = "make it relative, to a file of the fleet, or write a file in its place"
	case inCircles:
		p.Message = "the symlink leads to itself"
	}
	return p
}

// stray is a symlink that leads out of the fleet, where it stands and what it says.
type stray struct{ at, target string }

// warning says what comes of a symlink out of the fleet that may be meant for the machine: Ansible's copy follows it on
// the computer that builds (local_follow), synchronize copies the link.
func (s stray) warning() Problem {
	return Problem{
		File:    s.at,
		Message: fmt.Sprintf("the symlink leads out of the fleet, to %s: it is kept as it is, and what it names decides no digest", s.target),
		Fix:     "if Ansible is to copy the file, make the link relative, to a file of the fleet; if it is to copy the link, say so with `local_follow: false`",
	}
}

// inCheckout gives the problem of an absolute symlink into the working tree itself: anywhere else it leads to nothing.
func (s stray) inCheckout(top string) (Problem, bool) {
	rel, ok := strings.CutPrefix(path.Clean(s.target), strings.TrimSuffix(top, "/")+"/")
	if !ok || top == "" {
		return Problem{}, false
	}
	up := strings.Repeat("../", strings.Count(s.at, "/"))
	return Problem{
		File:    s.at,
		Message: fmt.Sprintf("the symlink is absolute (%s): it leads to nothing in any other clone, and a change of what it names would go unseen", s.target),
		Fix:     fmt.Sprintf("make it relative: ln -sfn %s%s %s", up, rel, s.at),
	}, true
}

// intoCheckout gives the problems of all strays that lead into the fleet by an absolute path.
func (c *reacher) intoCheckout(root string) (problems []Problem) {
	for _, s := range c.allStrays() {
		if p, ok := s.inCheckout(root); ok {
			problems = append(problems, p)
		}
	}
	return problems
}

// allStrays are those among all that counts for a role.
func (c *reacher) allStrays() []stray {
	strays := c.strays
	for _, common := range c.common {
		strays = append(strays[:len(strays):len(strays)], common.strays...)
	}
	return strays
}

// Warnings tells of what may be a mistake in the files that count for some roles: symlinks that lead out of the fleet.
// They are sorted by file.
func (f *Fleet) Warnings(list []*Role) []Problem {
	var found []Problem
	for _, r := range list {
		for _, s := range r.seen.allStrays() {
			found = append(found, s.warning())
		}
	}
	slices.SortFunc(found, func(a, b Problem) int { return strings.Compare(a.File, b.File) })
	return slices.Compact(found)
}

// toLink takes in what a symlink at a path points at.
func (c *reacher) toLink(at, target string) {
	to := path.Join(path.Dir(at), target)
	if c.err != nil {
		return
	}
	if path.IsAbs(target) || to == ".." || strings.HasPrefix(to, "../") {
		c.strays = append(c.strays, stray{at, target})
		return
	}
	if strings.Contains(strings.TrimLeft(target, "./"), "..") { // what is up depends on what is a symlink
		real, _, leads, err := c.v.resolve(at)
		c.all, c.err = c.all || leads == toEntry && real != to, err
	}
	if c.err == nil {
		c.count(to)
	}
}

// isSymlink says whether an entry is one; isLink is for those of a comparison.
func (e entry) isSymlink() bool { return e.mode == filemode.Symlink }
