package roles

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// noDependencies is what `ansible-galaxy init` writes.
var noDependencies = lazy(`(?m)^dependencies: *\[ *\] *\r?$`)

// roleFacts scans the files of an Ansible role that can name other files. Its files/ are copied, not read; tests are
// not applied.
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
		rel := strings.TrimPrefix(p, dir+"/")
		switch {
		case strings.HasPrefix(path.Base(rel), "."), e.isDir() && slices.Contains(neverScanned, rel):
			if e.isDir() {
				return errSkipDir
			}
		case e.isFile():
			return v.scanFile(facts, t, dir, p, e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	facts.paths = slices.DeleteFunc(facts.paths, func(m mention) bool { return !m.needed && !v.leaves(m) })
	if !facts.dynamic && len(facts.roles)+len(facts.books)+len(facts.paths)+len(facts.problems) == 0 {
		v.cache.quiet.add(key)
	}
	v.cache.setFacts(key, facts)
	return facts, nil
}

// neverScanned are directories of a role whose files Ansible neither reads as YAML nor templates.
var neverScanned = []string{"tests", "molecule", "library", "module_utils", "filter_plugins", "lookup_plugins", "test_plugins", "docs"}

// readAsYAML are those whose YAML files Ansible reads, so that a syntax error is a mistake.
var readAsYAML = []string{"tasks", "handlers", "defaults", "vars", "meta"}

// scanFile adds what one file of an Ansible role refers to.
func (v *view) scanFile(facts *ansibleFacts, t *tree, dir, p string, e entry) error {
	rel, ext := strings.TrimPrefix(p, dir+"/"), path.Ext(p)
	top, _, deeper := strings.Cut(rel, "/")
	isYAML := (ext == ".yml" || ext == ".yaml") && top != "templates"
	if top == "files" && ext != ".j2" || !isYAML && !looksText(p) {
		return nil
	}
	data, err := v.files.read(p, e.id)
	if err != nil {
		return err
	}
	if _, ok := parseLFS(data); ok { // what it refers to would depend on what Git LFS has downloaded
		facts.dynamic = true
		return nil
	}
	s := &scanner{facts: facts, from: path.Dir(p), role: dir, tree: t}
	if !isYAML {
		s.template(data)
		return nil
	}
	s.meta = rel == "meta/main.yml" || rel == "meta/main.yaml"
	s.vars = top == "defaults" || top == "vars"
	if deeper && slices.Contains(readAsYAML, top) {
		s.name = p
	}
	s.scan(data, v.tops())
	return nil
}

// scan reads a YAML file if it can refer to anything.
func (s *scanner) scan(data []byte, tops [][]byte) {
	if s.mayRefer(data, tops) {
		s.file(data)
	}
}

// leaves says whether a word of a role may name something outside it.
func (v *view) leaves(m mention) bool {
	if strings.Contains(m.word, "..") || strings.Contains(m.word, playbookMark) {
		return true
	}
	return slices.ContainsFunc(v.tops(), func(top []byte) bool { return strings.HasPrefix(strings.TrimPrefix(m.word, "./"), string(top)) })
}
