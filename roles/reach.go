package roles

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// part is something of the fleet's tree that counts for a role: a file, or a directory as a whole.
type part struct {
	path  string
	entry entry
}

// forPuppet are the names that Puppet looks up beside a manifest's environment.
var forPuppet = []string{"modules", "site-modules", "manifests", "hiera.yaml", "hieradata", "data", "Puppetfile", "environment.conf"}

// reacher finds the parts of one role.
type reacher struct {
	v       *view
	asked   map[string]bool // every path that was looked up to be counted
	absent  map[string]bool // every path that a word may have meant, and that is not there
	globbed bool            // names were looked for by a pattern
	found   map[string]entry
	common  []*reacher      // what was found before, for every role alike: complete, and shared
	visited map[string]bool // Ansible roles and playbooks
	all     bool
	why     string // all is set
	err     error
	// problems are mistakes in the files that were read.
	problems []Problem
	// strays are symlinks that lead out of the fleet.
	strays []stray
}

func newReacher(v *view) *reacher {
	return &reacher{v: v, asked: map[string]bool{}, absent: map[string]bool{}, found: map[string]entry{}, visited: map[string]bool{}}
}

// everything makes all files count where a reference cannot be followed, and remembers the first reason.
func (c *reacher) everything(lost bool, why string, args ...any) {
	if lost && !c.all {
		c.all, c.why = true, fmt.Sprintf(why, args...)
	}
}

// reach finds what decides a role's content among the files of the fleet.
func (v *view) reach(r *Role) (parts []part, seen *reacher, problems []Problem, err error) {
	c := newReacher(v)
	own := "roles/" + r.Name
	c.count(own)
	for _, step := range r.Provision {
		switch {
		case step.Ansible != nil && step.Ansible.Playbook != "":
			c.ansible(path.Dir(step.Ansible.Playbook))
			c.playbook(step.Ansible.Playbook)
			c.variables(path.Dir(step.Ansible.Playbook), r.Name, step.Ansible.Vars)
		case step.Ansible != nil:
			c.ansible(".")
			c.ansibleRole(".", step.Ansible.Role)
			c.variables(".", r.Name, step.Ansible.Vars)
		case step.Puppet != nil:
			for _, name := range forPuppet {
				c.count(name)
			}
		}
	}
	if c.err != nil {
		return nil, nil, nil, c.err
	}
	if c.all {
		e, _, err := v.lookup(".")
		for _, common := range c.common {
			c.strays = append(c.strays, common.strays...)
		}
		c.asked, c.common = map[string]bool{".": true}, nil
		return []part{{".", e}}, c, c.problems, err
	}
	return c.parts(), c, c.problems, nil
}

// at gives what count found at a path.
func (c *reacher) at(p string) (entry, bool) {
	if e, ok := c.found[p]; ok {
		return e, true
	}
	for _, common := range c.common {
		if e, ok := common.found[p]; ok {
			return e, true
		}
	}
	return entry{}, false
}

// any says whether one of the paths was looked up.
func (c *reacher) any(paths pathSet) bool {
	return paths.meets(c.asked) || slices.ContainsFunc(c.common, func(common *reacher) bool { return paths.meets(common.asked) })
}

// mayFind says whether the role may find other files now that these paths have changed.
func (c *reacher) mayFind(changed pathSet) bool {
	return c.globbed || changed.meets(c.asked) || changed.meets(c.absent) ||
		slices.ContainsFunc(c.common, func(common *reacher) bool { return common.mayFind(changed) })
}

// looked says whether a path was looked up.
func (c *reacher) looked(p string) bool {
	return c.asked[p] || slices.ContainsFunc(c.common, func(common *reacher) bool { return common.asked[p] })
}

// variables takes in what the variables of an image's definition refer to.
func (c *reacher) variables(dir, role string, vars map[string]any) {
	own, _, err := c.v.lookup("roles/" + role)
	if err != nil {
		c.err = err
		return
	}
	s := &scanner{facts: &ansibleFacts{}, from: dir, role: "roles/" + role, tree: own.sub, vars: true}
	var visit func(value any)
	visit = func(value any) {
		switch v := value.(type) {
		case string:
			s.lookups(v)
			s.words(v, false, byName)
		case []any:
			for _, item := range v {
				visit(item)
			}
		case map[string]any:
			for _, item := range v {
				visit(item)
			}
		}
	}
	visit(vars)
	c.follow(dir, "roles/"+role, s.facts)
}

// parts drops what lies inside a directory that counts as a whole.
func (c *reacher) parts() []part {
	paths := make([]string, 0, len(c.found)+4)
	for p := range c.found {
		paths = append(paths, p)
	}
	for _, common := range c.common {
		for p := range common.found {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	parts := make([]part, 0, len(paths))
	for _, p := range paths {
		covered := false
		for d := path.Dir(p); d != "." && !covered; d = path.Dir(d) {
			above, ok := c.at(d)
			covered = ok && above.isDir()
		}
		if !covered {
			e, _ := c.at(p)
			parts = append(parts, part{p, e})
		}
	}
	return parts
}

// count takes a path in, with what its symlinks point at. It says whether the path exists.
func (c *reacher) count(p string) bool {
	p = path.Clean(p)
	if p == "." {
		c.all = true
		return true
	}
	if c.all || c.err != nil || strings.HasPrefix(p, "../") || path.IsAbs(p) {
		return false
	}
	if c.looked(p) {
		_, ok := c.at(p)
		return ok
	}
	c.asked[p] = true
	e, ok, err := c.v.lookup(p)
	if err != nil || !ok {
		c.err = err
		return c.viaLink(p)
	}
	c.found[p] = e
	links := []symlink(nil)
	switch {
	case e.sub != nil:
		links, c.err = c.v.symlinks(p, e.sub)
	case e.isSymlink():
		target, err := c.v.files.read(p, e.id)
		links, c.err = []symlink{{"", string(target)}}, err
	}
	for _, l := range links {
		c.toLink(path.Join(p, l.path), l.target)
	}
	return true
}

// viaLink takes in a path that leads through a symlinked directory, the link and what it points at, or through a submodule.
func (c *reacher) viaLink(p string) bool {
	for d := path.Dir(p); d != "." && c.err == nil; d = path.Dir(d) {
		look := c.v.lookup
		if d == "roles" { // to filter all roles takes long, and does not make it a symlink
			look = c.v.root.lookup
		}
		e, ok, err := look(d)
		if c.err = err; !ok {
			continue
		}
		return (e.isSymlink() || e.mode == filemode.Submodule) && c.count(d)
	}
	return false
}

// ansibleRole takes in an Ansible role by the name that a playbook in dir, or another role, uses.
func (c *reacher) ansibleRole(dir, name string) {
	known := false
	for _, p := range []string{path.Join("roles", name), path.Join(dir, "roles", name), path.Join(dir, name)} {
		if p = path.Clean(p); strings.HasPrefix(p, "../") || p == "." || p == "roles" || c.visited[p] {
			known = known || c.visited[p]
			continue
		}
		if !c.count(p) {
			continue
		}
		known = true
		c.visited[p] = true
		if e, _ := c.at(p); e.sub != nil {
			facts, err := c.v.roleFacts(p, e.sub)
			if err != nil {
				c.err = err
				return
			}
			c.follow(dir, p, facts)
			c.linkedRole(dir, p, e.sub)
		} else {
			// Ansible would follow it, and names in it are relative to two places.
			c.everything(true, "%s is a symlink", p)
		}
	}
	if !known && strings.ContainsAny(name, "/") {
		c.everything(true, "the Ansible role %q is found some other way", name)
	}
}

// playbook takes in a playbook and what it names.
func (c *reacher) playbook(file string) {
	if c.visited[file] {
		return
	}
	c.visited[file] = true
	if !c.count(file) || c.err != nil {
		return
	}
	e, _ := c.at(file)
	if !e.isFile() {
		c.everything(true, "the playbook %s is no file", file)
		return
	}
	data, err := c.v.scanned(file, e.id)
	if err != nil {
		c.err = err
		return
	}
	s := &scanner{facts: &ansibleFacts{}, from: path.Dir(file), book: true, name: file}
	s.file(data)
	c.follow(path.Dir(file), "", s.facts)
}

// follow takes in what a playbook in dir, or an Ansible role applied by one, names.
func (c *reacher) follow(dir, role string, facts *ansibleFacts) {
	c.everything(facts.dynamic, "%s names something in a way that cannot be followed", cmp.Or(role, dir))
	c.problems = append(c.problems, facts.problems...)
	for _, m := range facts.paths {
		c.mention(dir, role, m)
	}
	for _, name := range facts.roles {
		c.ansibleRole(dir, name)
	}
	for _, book := range facts.books {
		c.ansible(path.Dir(book))
		c.playbook(book)
	}
}
