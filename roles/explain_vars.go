package roles

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxVarsFile is the size from which on a file of variables is told as a file only.
const maxVarsFile = 1 << 20

// variableFile says whether Ansible reads a path as a file of variables.
func variableFile(p string) bool {
	if ext := path.Ext(p); ext != "" && ext != ".yml" && ext != ".yaml" && ext != ".json" {
		return false
	}
	dirs := strings.Split(path.Dir(p), "/")
	return slices.ContainsFunc(dirs, func(d string) bool {
		return d == "group_vars" || d == "host_vars" || d == "vars" || d == "defaults"
	})
}

// variableChanges tells a changed file of variables by what it says: one Change for each variable, with its old and new
// value as JSON. It is empty where that cannot be told: the mode differs, too, or a version is no plain mapping.
func variableChanges(p string, old, new *Role, l, r *entry, via []string) []Change {
	if l == nil || r == nil || l.mode != r.mode || !l.isFile() || !variableFile(p) {
		return nil
	}
	left, ok := old.variablesOf(p, l)
	if !ok {
		return nil
	}
	right, ok := new.variablesOf(p, r)
	if !ok {
		return nil
	}
	var out []Change
	for name := range merged(left, right) {
		if left[name] != right[name] {
			out = append(out, Change{Component: "var " + p + " " + name, Old: left[name], New: right[name], Via: via})
		}
	}
	return out
}

// variablesOf reads a file of variables; false where it is no plain mapping.
func (r *Role) variablesOf(p string, e *entry) (map[string]string, bool) {
	data, err := r.fleet.view.files.read(p, e.id)
	if err != nil || len(data) > maxVarsFile {
		return nil, false
	}
	var doc map[string]yaml.Node
	if yaml.Unmarshal(data, &doc) != nil {
		return nil, false
	}
	out := make(map[string]string, len(doc))
	for name, n := range doc {
		if n.Tag == "!vault" {
			out[name] = "!vault " + strings.Join(strings.Fields(n.Value), "")
			continue
		}
		reader := &values{s: &source{}, budget: maxValues, lenient: true}
		text, err := json.Marshal(reader.read(&n, 0))
		if err != nil || len(reader.s.problems) > 0 {
			return nil, false
		}
		out[name] = string(text)
	}
	return out, true
}
