package roles

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

// mention takes in a word of a playbook or task file if it names something of the fleet. Most words name nothing.
func (c *reacher) mention(dir, role string, m mention) {
	if c.all || c.err != nil {
		return
	}
	word := strings.ReplaceAll(m.word, playbookMark, dir)
	word, _, open := strings.Cut(word, unknownMark)
	if open {
		// Only the part before the expression is known: the directory that it stands in.
		word = word[:strings.LastIndex(word, "/")+1]
	}
	hit := false
	if word != "" && !path.IsAbs(word) {
		for _, base := range c.bases(dir, role, m) {
			hit = c.word(path.Join(base, word), role) || hit
		}
	}
	// An include outside a role whose file is not known: it may load anything.
	c.all = c.all || (!hit && open && m.loaded)
	// A path that climbs out of its role to a place that depends on an expression.
	c.all = c.all || (!hit && open && strings.HasPrefix(word, "../"))
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
	slices.Sort(bases)
	return slices.Compact(bases)
}

// word takes in a path if it exists. Words that happen to be the name of everything do not count.
func (c *reacher) word(p, role string) bool {
	p = path.Clean(p)
	if p == "." || p == "roles" || p == ".." || strings.HasPrefix(p, "../") {
		return false
	}
	if role != "" && (p == role || strings.HasPrefix(p, role+"/")) {
		return true // the role counts whole
	}
	if _, ok, err := c.v.lookup(p); err != nil || !ok {
		c.err = err
		return false
	}
	if name, ok := strings.CutPrefix(p, "roles/"); ok && !strings.Contains(name, "/") {
		c.ansibleRole(".", name)
		return true
	}
	if !c.count(p) {
		return false
	}
	e := c.found[p]
	if ext := path.Ext(p); e.isFile() && (ext == ".yml" || ext == ".yaml") {
		c.included(p)
	}
	return true
}

// included follows a file of tasks outside any role.
func (c *reacher) included(file string) {
	if c.visited[file] {
		return
	}
	c.visited[file] = true
	data, err := c.v.files.read(file, c.found[file].id)
	if err != nil {
		c.err = err
		return
	}
	s := &scanner{facts: &ansibleFacts{}, from: path.Dir(file)}
	s.file(data)
	c.follow(path.Dir(file), "", s.facts)
}

// tops are the top-level names of the fleet that a task file may mention to reach out of its role. What counts for
// every role, and what Ansible does not read, is left out.
func (v *view) tops() [][]byte {
	v.topsOnce.Do(func() {
		entries, err := v.root.list()
		if err != nil {
			return // the same error comes up where it can be returned
		}
		for _, e := range entries {
			name := e.name
			if strings.HasPrefix(name, ".") || name == configFile || name == lockFile || slices.Contains(besidePlaybook, name) || slices.Contains(atRoot, name) {
				continue
			}
			if e.isDir() {
				name += "/"
			}
			v.topNames = append(v.topNames, []byte(name))
		}
	})
	return v.topNames
}

// noDependencies is what `ansible-galaxy init` writes.
var noDependencies = regexp.MustCompile(`(?m)^dependencies: *\[ *\] *\r?$`)

// roleFacts scans the task files of an Ansible role. Its files/ and templates/ are copied, not read; tests are not applied.
func (v *view) roleFacts(dir string, t *tree) (*ansibleFacts, error) {
	key := factsKey{dir: dir, id: t.id, tops: string(bytes.Join(v.tops(), nil))}
	if facts := v.cache.facts(key); facts != nil {
		return facts, nil
	}
	facts := &ansibleFacts{}
	if v.cache.quiet.has(key) {
		return facts, nil
	}
	err := t.walk(dir, func(p string, e entry) error {
		rel, ext := strings.TrimPrefix(p, dir+"/"), path.Ext(p)
		switch {
		case e.isDir() && slices.Contains([]string{"files", "templates", "tests", "molecule", "defaults", "vars"}, rel):
			return errSkipDir
		case e.isFile() && (ext == ".yml" || ext == ".yaml"):
			return v.scanFile(facts, dir, p, e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	facts.paths = slices.DeleteFunc(facts.paths, func(m mention) bool { return !v.leaves(m) })
	if !facts.dynamic && len(facts.roles)+len(facts.books)+len(facts.paths) == 0 {
		v.cache.quiet.add(key)
	}
	v.cache.setFacts(key, facts)
	return facts, nil
}

// scanFile adds what one task or meta file of an Ansible role refers to.
func (v *view) scanFile(facts *ansibleFacts, dir, p string, e entry) error {
	data, err := v.files.read(p, e.id)
	if err != nil {
		return err
	}
	rel := strings.TrimPrefix(p, dir+"/")
	s := &scanner{facts: facts, from: path.Dir(p), role: dir, meta: rel == "meta/main.yml" || rel == "meta/main.yaml"}
	refers := mayRefer(data, v.tops())
	if s.meta {
		refers = bytes.Contains(data, []byte("dependencies")) && !noDependencies.Match(data)
	}
	if refers || bytes.HasPrefix(data, []byte("$ANSIBLE_VAULT")) {
		s.file(data)
	}
	return nil
}

// leaves says whether a word of a role may name something outside it.
func (v *view) leaves(m mention) bool {
	if strings.Contains(m.word, "..") || strings.Contains(m.word, playbookMark) {
		return true
	}
	return slices.ContainsFunc(v.tops(), func(top []byte) bool { return strings.HasPrefix(strings.TrimPrefix(m.word, "./"), string(top)) })
}
