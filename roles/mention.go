package roles

import (
	"bytes"
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// mention takes in a word of a playbook or task file if it names something of the fleet. Most words name nothing.
func (c *reacher) mention(dir, role string, m mention) {
	if c.all || c.err != nil {
		return
	}
	word := strings.ReplaceAll(m.word, playbookMark, dir)
	if m.pattern {
		c.pattern(dir, role, word, m)
		return
	}
	word, _, open := strings.Cut(word, unknownMark)
	if open {
		// Only the part before the expression is known: the directory that it stands in.
		word = word[:strings.LastIndex(word, "/")+1]
	}
	hit := c.lookUp(dir, role, word, m)
	c.everything(strings.Contains(m.word, playbookMark) && path.Clean(word) == ".", "%s names the whole fleet", m.from)
	c.everything(m.needed && !hit, "%s names %q, which is not there or is found some other way", m.from, word)
	// An include outside a role whose file is not known: it may load anything.
	c.everything(!hit && open && m.loaded, "an include in %s has a name that an expression makes", m.from)
	// A path that climbs out of its role to a place that depends on an expression.
	c.everything(!hit && open && strings.HasPrefix(word, "../"), "%s names a path above it that an expression makes", m.from)
}

// lookUp takes in what a name leads to, from every directory that it may be relative to. It says whether there is anything.
func (c *reacher) lookUp(dir, role, word string, m mention) (hit bool) {
	if word == "" || path.IsAbs(word) {
		return false
	}
	for _, base := range c.bases(dir, role, m) {
		p := path.Join(base, word)
		if m.needed && role != "" && strings.HasPrefix(p, role+"/") {
			real, e, to, err := c.v.resolve(p) // the role counts whole, but this has to be there
			hit, c.err = hit || to == toEntry, cmp.Or(c.err, err)
			// By a symlink, what it leads to is looked into as what its name says.
			c.all = c.all || to == toEntry && (real != p || e.isSymlink()) && m.kind > asData && kindOf(strings.TrimPrefix(p, role+"/")) != m.kind
			continue
		}
		hit = c.word(p, role, m.kind) || hit
	}
	return hit
}

// bases are the directories that a relative name is looked up in.
func (c *reacher) bases(dir, role string, m mention) []string {
	if strings.Contains(m.word, playbookMark) || role != "" && strings.HasPrefix(m.word, role+"/") {
		return []string{"."}
	}
	bases := []string{m.from, dir, "."}
	if role != "" {
		bases = append(bases, role, role+"/files", role+"/templates", role+"/tasks", role+"/vars")
	}
	if m.needed {
		for _, name := range []string{"files", "templates", "tasks", "vars", "handlers"} {
			bases = append(bases, name, path.Join(dir, name))
		}
	}
	slices.Sort(bases)
	return slices.Compact(bases)
}

// pattern resolves a name that holds facts of the machine. It is enough that the role has such files, as long as
// there are none beside the playbook that could take their place.
func (c *reacher) pattern(dir, role, word string, m mention) {
	known := m.inRole
	c.globbed = true
	if !path.IsAbs(word) {
		for _, base := range c.bases(dir, role, m) {
			p := path.Join(base, word)
			top, _, _ := strings.Cut(strings.TrimPrefix(p, strings.TrimPrefix(dir+"/", "./")), "/")
			switch {
			case p == ".." || strings.HasPrefix(p, "../"):
				c.everything(true, "%s names files by the pattern %q", m.from, strings.ReplaceAll(word, unknownMark, "*"))
			case role != "" && strings.HasPrefix(p, role+"/"):
			case !matches(c.v.root, p):
			case slices.Contains(besidePlaybook, top) && (m.kind <= asData || slices.Contains(lookedInto, top) && besideKind(top, p) == m.kind):
				known = true // counts whole, and is looked into
			default:
				c.everything(true, "%s names files by the pattern %q", m.from, strings.ReplaceAll(word, unknownMark, "*"))
			}
		}
	}
	c.everything(!known, "%s names files by the pattern %q", m.from, strings.ReplaceAll(word, unknownMark, "*"))
}

// word takes in a path if it exists. Words that happen to be the name of everything do not count.
func (c *reacher) word(p, role string, k usage) bool {
	p = path.Clean(p)
	if p == "." || p == "roles" || p == ".." || strings.HasPrefix(p, "../") || c.err != nil {
		return false
	}
	if role != "" && (p == role || strings.HasPrefix(p, role+"/")) {
		return true // the role counts whole
	}
	real, e, to, err := c.v.resolve(p)
	switch {
	case err != nil:
		c.err = err
		return false
	case to == toSubmodule:
		c.all = c.all || k > asData // it is not looked into
		return c.count(p)
	case to != toEntry:
		c.absent[p], c.absent[real] = true, true
		return false
	}
	if name, ok := strings.CutPrefix(p, "roles/"); ok && !strings.Contains(name, "/") {
		c.ansibleRole(".", name)
		return true
	}
	if !c.count(p) {
		return false
	}
	if key := string('0'+rune(k)) + p; !c.visited[key] && !c.all && c.err == nil {
		c.visited[key] = true
		c.lookInto(p, real, e, k)
	}
	return true
}

// lookInto follows what stands at a path outside any role.
func (c *reacher) lookInto(p, real string, e entry, k usage) {
	switch {
	case e.mode == filemode.Submodule:
		c.all = c.all || k != asData
	case e.isFile() && (k == asTasks || k == asVars || k == byName && hasYAMLName(p)):
		c.included(p, real, e, k)
	default:
		c.outside(p, real, e, k)
	}
}

// outside looks into a directory, or a file that may be a template, that is no part of a role: what reads further
// files there reads them from places that depend on who uses it.
func (c *reacher) outside(p, real string, e entry, k usage) {
	facts := &ansibleFacts{}
	c.err = c.linked(facts, "", p, real, e, func(at, real string, e entry) error {
		if k == asData || k == byName && !looksText(at) {
			return nil
		}
		data, err := c.v.scanned(real, e.id)
		if err != nil {
			return err
		}
		s := &scanner{facts: facts, from: path.Dir(at), vars: k == asVars}
		if at != real {
			s.also = path.Dir(real)
		}
		switch {
		case k == asTemplate || k == byName && !hasYAMLName(at):
			s.template(data)
			return nil
		case k == byName:
			s.vars = !bytes.HasPrefix(bytes.TrimLeft(data, "- \r\n"), []byte("- "))
		}
		s.scan(data, c.v.tops())
		return nil
	})
	if c.err == nil {
		c.follow(path.Dir(p), "", facts)
	}
}

// included follows a file of tasks, or of variables, outside any role.
func (c *reacher) included(p, real string, e entry, k usage) {
	data, err := c.v.scanned(real, e.id)
	if err != nil {
		c.err = err
		return
	}
	s := &scanner{facts: &ansibleFacts{}, from: path.Dir(p), vars: k == asVars, name: real}
	if p != real {
		s.also = path.Dir(real)
	}
	s.file(data)
	c.follow(path.Dir(p), "", s.facts)
}

// tops are the top-level names of the fleet that a task file may mention to reach out of its role. What counts for
// every role, and what Ansible does not read, is left out.
func (v *view) tops() [][]byte {
	v.topsOnce.Do(func() { v.topNames = topNames(v.root) })
	return v.topNames
}

func topNames(root *tree) [][]byte {
	entries, err := root.list()
	if err != nil {
		return nil // the same error comes up where it can be returned
	}
	var names [][]byte
	for _, e := range entries {
		name := e.name
		if strings.HasPrefix(name, ".") || name == configFile || name == lockFile || slices.Contains(besidePlaybook, name) || slices.Contains(atRoot, name) {
			continue
		}
		if e.isDir() {
			name += "/"
		}
		names = append(names, []byte(name))
	}
	return names
}
