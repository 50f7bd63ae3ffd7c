package roles

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// noDependencies is what `ansible-galaxy init` writes.
var noDependencies = lazy(`(?m)^dependencies: *\[ *\] *\r?$`)

// roleFacts looks into the files of an Ansible role that can name other files. Its files/ are copied, not read; tests are
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
	l := &look{view: v, facts: facts, tree: t, role: dir}
	if err := l.all(); err != nil {
		return nil, err
	}
	facts.paths = slices.DeleteFunc(facts.paths, func(m mention) bool { return !m.needed && !v.leaves(m) })
	if facts.quiet() {
		v.cache.quiet.add(key)
	}
	v.cache.setFacts(key, facts)
	return facts, nil
}

// quiet says whether nothing is referred to.
func (f *ansibleFacts) quiet() bool {
	return !f.dynamic && len(f.roles)+len(f.books)+len(f.paths)+len(f.problems) == 0
}

// look is a look into the files of an Ansible role.
type look struct {
	view  *view
	facts *ansibleFacts
	tree  *tree // the role's
	role  string
	named []named
	done  map[named]bool
}

// all looks into the role's own files. What its symlinks lead to is no part of its tree: see linkedFacts.
func (l *look) all() error {
	err := l.tree.walk(l.role, func(p string, e entry) error {
		rel := strings.TrimPrefix(p, l.role+"/")
		switch k := kindOf(rel); {
		case e.isDir():
			if slices.Contains(neverScanned, rel) || strings.HasPrefix(rel, ".") {
				return errSkipDir
			}
		case e.isFile() && k != asData:
			return l.file(p, p, e, k)
		case e.mode == filemode.Submodule:
			// What a submodule holds is not looked into.
			l.facts.dynamic = l.facts.dynamic || kindOf(rel+"/x.j2") != asData
		}
		return nil
	})
	if err != nil {
		return err
	}
	return l.byTasks()
}

// byTasks looks into the files that tasks name and that would not be looked into otherwise, and what those name.
func (l *look) byTasks() error {
	if l.done == nil {
		l.done = map[named]bool{}
	}
	for len(l.named) > 0 {
		n := l.named[0]
		l.named = l.named[1:]
		if l.done[n] {
			continue
		}
		l.done[n] = true
		e, ok, err := l.tree.lookup(n.rel)
		if err == nil && ok && e.isFile() {
			err = l.file(path.Join(l.role, n.rel), path.Join(l.role, n.rel), e, n.kind)
		} else { // by a symlink
			l.facts.dynamic = true
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file adds what one file refers to. at is its path as Ansible sees it, real where it lies.
func (l *look) file(at, real string, e entry, k usage) error {
	data, err := l.view.scanned(real, e.id)
	if err != nil {
		return err
	}
	if _, ok := parseLFS(data); ok { // what it refers to would depend on what Git LFS has downloaded
		l.facts.dynamic = true
		return nil
	}
	s := &scanner{facts: l.facts, from: path.Dir(at), role: l.role, tree: l.tree, meta: k == asMeta, vars: k == asVars, named: &l.named}
	if at != real {
		s.also = path.Dir(real)
	}
	if k == asTemplate {
		s.template(data)
		return nil
	}
	rel := strings.TrimPrefix(at, l.role+"/")
	if top, _, deeper := strings.Cut(rel, "/"); deeper && slices.Contains(readAsYAML, top) && !hidden(rel) && hasYAMLName(rel) {
		s.name = real
	}
	s.scan(data, l.view.tops())
	return nil
}

func hasYAMLName(p string) bool { return path.Ext(p) == ".yml" || path.Ext(p) == ".yaml" }

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
