package roles

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// treeAttributes answers what the .gitattributes files of a tree say of the files in it. Only those count that are
// committed, or will be: not .git/info/attributes, nor a user's.
type treeAttributes struct {
	files  *files
	root   *tree
	prefix string          // of the tree in its repository
	above  []attributeText // of the directories above it

	mu   sync.Mutex
	dirs map[string]*dirAttributes
	has  map[plumbing.Hash]bool // by tree: whether a file of attributes is in it or below
}

// attributeText is a file of attributes above the fleet's root.
type attributeText struct{ dir, data string }

// dirAttributes are those in force in a directory.
type dirAttributes struct{ rules, converting attributeRules }

// convertedFile is a file that a checkout does not give as it is stored.
type convertedFile struct {
	path string // relative to the tree's root
	as   conversion
}

func newTreeAttributes(content *files, root *tree, prefix string, above []attributeText) *treeAttributes {
	return &treeAttributes{files: content, root: root, prefix: prefix, above: above, dirs: map[string]*dirAttributes{}, has: map[plumbing.Hash]bool{}}
}

// ofRole lists the files of a role's recipe and of its tests that a checkout converts.
func (a *treeAttributes) ofRole(r *Role) (recipe, tests []convertedFile, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range r.parts {
		if err == nil {
			err = a.entry(p.path, p.entry, len(r.def.ignore) > 0, &recipe)
		}
	}
	at := "roles/" + r.Name + "/tests"
	if err == nil && r.tests != nil {
		err = a.below(at, r.tests, false, &tests)
	}
	for i := range tests {
		tests[i].path = tests[i].path[len(at)+1:]
	}
	byPath := func(x, y convertedFile) int { return strings.Compare(x.path, y.path) }
	slices.SortFunc(recipe, byPath)
	slices.SortFunc(tests, byPath)
	return recipe, tests, err
}

// entry adds what a checkout converts of something that stands at a path. Of a part that lacks some files, an ignored file
// of attributes counts, too.
func (a *treeAttributes) entry(p string, e entry, lacks bool, list *[]convertedFile) error {
	switch {
	case p == ".":
		return a.below("", e.sub, lacks, list)
	case e.sub != nil:
		return a.below(p, e.sub, lacks, list)
	case !e.isFile():
		return nil
	}
	d, err := a.dir(dirOf(p))
	if err != nil {
		return err
	}
	if as := d.rules.conversion(join(a.prefix, p), d.converting); !as.none() {
		*list = append(*list, convertedFile{p, as})
	}
	return nil
}

func (a *treeAttributes) below(at string, t *tree, lacks bool, list *[]convertedFile) error {
	d, err := a.dir(at)
	if err != nil {
		return err
	}
	if len(d.converting) == 0 {
		whole := t
		if e, ok, err := a.root.lookup(at); err != nil {
			return err
		} else if lacks && ok && e.sub != nil {
			whole = e.sub
		}
		if some, err := a.anyBelow(whole); err != nil || !some {
			return err
		}
	}
	entries, err := t.list()
	for _, e := range entries {
		if err == nil {
			err = a.entry(join(at, e.name), e, lacks, list)
		}
	}
	return err
}

// anyBelow says whether a directory or one below it holds a file of attributes.
func (a *treeAttributes) anyBelow(t *tree) (bool, error) {
	if known, ok := a.has[t.id]; ok {
		return known, nil
	}
	entries, err := t.list()
	if err != nil {
		return false, err
	}
	some := false
	for _, e := range entries {
		if e.name == attributesFile {
			some = true
		} else if e.sub != nil && !some {
			if some, err = a.anyBelow(e.sub); err != nil {
				return false, err
			}
		}
	}
	a.has[t.id] = some
	return some, nil
}

// dir gives the rules in force in a directory of the tree.
func (a *treeAttributes) dir(dir string) (*dirAttributes, error) {
	if known, ok := a.dirs[dir]; ok {
		return known, nil
	}
	var d dirAttributes
	if dir == "" {
		for _, file := range a.above {
			d.rules = append(d.rules, parseAttributes(file.data, file.dir, file.dir == "", false)...)
		}
	} else {
		up, err := a.dir(dirOf(dir))
		if err != nil {
			return nil, err
		}
		d = *up
	}
	own, err := a.file(dir)
	if err != nil {
		return nil, err
	}
	if len(own) > 0 {
		d.rules = append(d.rules[:len(d.rules):len(d.rules)], own...)
	}
	if dir == "" || len(own) > 0 {
		d.converting = d.rules.converting()
	}
	a.dirs[dir] = &d
	return &d, nil
}

// file reads the attributes that stand in a directory. Git follows no symlink to them.
func (a *treeAttributes) file(dir string) (attributeRules, error) {
	p := join(dir, attributesFile)
	e, ok, err := a.root.lookup(p)
	if err != nil || !ok || !e.isFile() {
		return nil, err
	}
	data, err := a.files.read(p, e.id)
	return parseAttributes(string(data), join(a.prefix, dir), join(a.prefix, dir) == "", false), err
}

// attributesAbove reads the files of attributes above the fleet's root, from the tree of a commit.
func (r *Repo) attributesAbove(top *tree) ([]attributeText, error) {
	if r.prefix == "" || top == nil {
		return nil, nil
	}
	var texts []attributeText
	dir := ""
	for _, name := range strings.Split(r.prefix, "/") {
		e, ok, err := top.lookup(join(dir, attributesFile))
		if err != nil {
			return nil, err
		}
		if ok && e.isFile() {
			data, err := r.store.readBlob(e.id)
			if err != nil {
				return nil, err
			}
			texts = append(texts, attributeText{dir, string(data)})
		}
		dir = join(dir, name)
	}
	return texts, nil
}

func isAttributes(p string) bool {
	return p == attributesFile || strings.HasSuffix(p, "/"+attributesFile)
}

// mayConvert says whether some files of attributes in the working tree can convert a file at all: most say only what is
// text. One that is not there may.
func (r *Repo) mayConvert(attributes []string) bool {
	return slices.ContainsFunc(attributes, func(p string) bool {
		data, err := os.ReadFile(filepath.Join(r.top, filepath.FromSlash(p)))
		return err != nil || slices.ContainsFunc(parseAttributes(string(data), "", true, false), func(rule attributeRule) bool { return convertingAttrs(rule.attrs) })
	})
}

// dirOf is the directory that a path is in; "" is the top.
func dirOf(p string) string { return p[:max(0, strings.LastIndexByte(p, '/'))] }
