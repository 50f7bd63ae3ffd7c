package roles

import (
	"cmp"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// Change is one difference between two versions of a role.
type Change struct {
	// Component is what differs: "file roles/web/tasks/main.yml", "base", "var web.yml port", ...; for tests, "test" and the path.
	Component string `json:"component"`
	// Old and New are the component's values; "" where it is not there.
	Old string `json:"old"`
	New string `json:"new"`
	// Via is the chain of parents that the change came through, nearest first; empty for the role's own.
	Via []string `json:"via,omitempty"`
}

// Affected gives the roles whose Digest or TestsDigest differ from base's, or that base does not have, parents first.
// Both fleets must be resolved.
func (f *Fleet) Affected(base *Fleet) []*Role {
	var out []*Role
	for _, r := range f.Roles {
		old, ok := base.Role(r.Name)
		if !ok || old.Digest != r.Digest || old.TestsDigest != r.TestsDigest {
			out = append(out, r)
		}
	}
	return out
}

// Explain lists what differs between two resolved versions of a role, component by component, files by name, and
// through its parents. Either may be nil: a role that is new, or gone.
func Explain(old, new *Role) []Change {
	return explain(old, new, nil)
}

func explain(old, new *Role, via []string) []Change {
	if old == nil && new == nil || old != nil && new != nil && old.Digest == new.Digest && old.TestsDigest == new.TestsDigest {
		return nil
	}
	left, right := otherValues(old), otherValues(new)
	parent := old != nil && new != nil && old.Parent != nil && new.Parent != nil && old.Parent.Name == new.Parent.Name
	var out []Change
	for name := range merged(left, right) {
		switch {
		case left[name] == right[name]:
		case name == "base" && parent:
			out = append(out, explain(old.Parent, new.Parent, append(slices.Clone(via), new.Parent.Name))...)
		default:
			out = append(out, Change{Component: name, Old: left[name], New: right[name], Via: via})
		}
	}
	out = append(out, explainFiles(old, new, via)...)
	if len(via) == 0 { // a parent's tests decide nothing about its children
		out = append(out, explainTests(old, new)...)
	}
	slices.SortStableFunc(out, func(a, b Change) int {
		return cmp.Or(cmp.Compare(strings.Join(a.Via, "/"), strings.Join(b.Via, "/")), cmp.Compare(a.Component, b.Component))
	})
	return out
}

// otherValues maps the components other than files, which are compared by their trees.
func otherValues(r *Role) map[string]string {
	out := map[string]string{}
	if r == nil {
		return out
	}
	for _, c := range r.Components {
		if !strings.HasPrefix(c.Name, "dir ") && !strings.HasPrefix(c.Name, "file ") {
			out[c.Name] = c.Value
		}
	}
	return out
}

func merged(a, b map[string]string) map[string]bool {
	out := make(map[string]bool, len(a)+len(b))
	for k := range a {
		out[k] = true
	}
	for k := range b {
		out[k] = true
	}
	return out
}

func explainFiles(old, new *Role, via []string) []Change {
	var trees [2]*tree
	why := [2]string{old.everythingCounts(), new.everythingCounts()}
	for i, r := range []*Role{old, new} {
		if r == nil {
			continue
		}
		t, err := r.recipeTree()
		if old != nil && new != nil && why[0] != why[1] && (why[0] == "" || why[1] == "") {
			t, err = r.fleet.view.all() // files that were there before are not new because they count now
		}
		if err != nil {
			return []Change{{Component: "files", New: err.Error(), Via: via}}
		}
		trees[i] = t
	}
	var out []Change
	if why[0] != why[1] && old != nil {
		out = append(out, Change{Component: AllFiles, Old: why[0], New: why[1], Via: via})
	}
	return append(out, treeChanges("file ", "", trees[0], trees[1], via, func(p string, l, r *entry) []Change {
		return variableChanges(p, old, new, l, r, via)
	})...)
}

// AllFiles is the component of a Change that tells why every file of the fleet counts for a role, or did.
const AllFiles = "all files count"

// everythingCounts gives the reason why every file of the fleet counts for the role; "" where only some do.
func (r *Role) everythingCounts() string {
	if r == nil || r.seen == nil || !r.seen.all {
		return ""
	}
	return cmp.Or(r.seen.why, "it names something in a way that cannot be followed")
}

func explainTests(old, new *Role) []Change {
	var trees [2]*tree
	var suites [2]map[string]string
	name := ""
	for i, r := range []*Role{old, new} {
		suites[i] = map[string]string{}
		if r == nil {
			continue
		}
		name, trees[i] = r.Name, r.tests
		for _, s := range r.Verify {
			suites[i]["suite "+s.Name] = s.InstanceType + " " + s.Wait
		}
		for _, f := range r.testsConverted {
			suites[i]["attributes roles/"+name+"/tests/"+f.path] = f.as.String()
		}
	}
	out := treeChanges("test ", "roles/"+name+"/tests", trees[0], trees[1], nil, nil)
	for suite := range merged(suites[0], suites[1]) {
		if suites[0][suite] != suites[1][suite] {
			out = append(out, Change{Component: suite, Old: suites[0][suite], New: suites[1][suite]})
		}
	}
	return out
}

// treeChanges lists the files that differ. finer can tell the change of a file in more detail.
func treeChanges(kind, prefix string, a, b *tree, via []string, finer func(p string, l, r *entry) []Change) []Change {
	var out []Change
	err := diffTrees(prefix, a, b, func(p string, l, r *entry) {
		if finer != nil {
			if changes := finer(p, l, r); len(changes) > 0 {
				out = append(out, changes...)
				return
			}
		}
		c := Change{Component: kind + p, Via: via}
		if l != nil {
			c.Old = l.value()
		}
		if r != nil {
			c.New = r.value()
		}
		out = append(out, c)
	})
	if err != nil {
		out = append(out, Change{Component: kind + prefix, New: err.Error(), Via: via})
	}
	return out
}

// assemble makes a tree of parts at their paths.
func assemble(parts []part) (*tree, error) {
	if len(parts) == 1 && parts[0].path == "." {
		return parts[0].entry.sub, nil
	}
	below, entries := map[string][]part{}, []entry{}
	for _, p := range parts {
		name, rest, deeper := strings.Cut(p.path, "/")
		if deeper {
			below[name] = append(below[name], part{rest, p.entry})
			continue
		}
		e := p.entry
		e.name = name
		entries = append(entries, e)
	}
	for name, inner := range below {
		t, err := assemble(inner)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{name: name, mode: filemode.Dir, id: t.id, sub: t})
	}
	slices.SortFunc(entries, gitOrder)
	return newTree(entries), nil
}

// gitOrder compares names as Git sorts a tree: a directory as if its name ended in a slash.
func gitOrder(a, b entry) int {
	n := min(len(a.name), len(b.name))
	if c := cmp.Compare(a.name[:n], b.name[:n]); c != 0 || len(a.name) == len(b.name) && a.isDir() == b.isDir() {
		return c
	}
	// One is the beginning of the other: a directory goes on with a slash.
	return cmp.Compare(a.after(n), b.after(n))
}

// after gives what Git sorts by behind the first n bytes.
func (e entry) after(n int) string {
	if e.isDir() && n == len(e.name) {
		return "/"
	}
	return e.name[n:]
}
