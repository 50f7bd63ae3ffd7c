package roles

import (
	"path"
	"slices"
	"strings"
)

// usage is what Ansible takes a file of the fleet for.
type usage uint8

const (
	byName usage = iota // what its name says
	asData              // copied or run: it names no other file
	asTasks
	asVars
	asMeta // meta/main of a role
	asTemplate
)

// neverScanned are directories of a role whose files Ansible neither reads as YAML nor templates, unless a task names them.
var neverScanned = []string{"tests", "molecule", "library", "module_utils", "filter_plugins", "lookup_plugins", "test_plugins", "docs"}

// readAsYAML are those whose YAML files Ansible reads, so that a syntax error is a mistake.
var readAsYAML = []string{"tasks", "handlers", "defaults", "vars", "meta"}

// kindOf is what the file of a role is read as when nothing names it; rel is relative to the role.
func kindOf(rel string) usage {
	top, rest, deeper := strings.Cut(rel, "/")
	ext := path.Ext(rel)
	if deeper && slices.Contains(readAsYAML, top) && structured(rel) {
		switch {
		case top == "vars" || top == "defaults":
			return asVars
		case top == "meta" && strings.TrimSuffix(rest, ext) == "main":
			return asMeta
		}
		return asTasks
	}
	switch {
	case deeper && slices.Contains(neverScanned, top), deeper && top == "files" && ext != ".j2", !looksText(rel):
		return asData
	case deeper && top == "templates":
		return asTemplate
	case hidden(rel) && !slices.Contains(readAsYAML, top):
		return asData
	case ext == ".yml" || ext == ".yaml":
		return asTasks
	}
	return asTemplate
}

// structured says whether a file among a role's tasks or variables is read as YAML (or JSON, which is YAML, too). Ansible
// looks for .yml, .yaml, .json and no extension by itself (role/__init__.py, _load_role_yaml), and for any other by tasks_from.
func structured(p string) bool {
	base := path.Base(p)
	switch ext := strings.ToLower(path.Ext(base)); ext {
	case ".yml", ".yaml", ".json":
		return true
	case "":
		return base != strings.ToUpper(base) && base != "Makefile" // such as README
	default:
		return looksText(p) && !slices.Contains(notTasks, ext)
	}
}

// notTasks are the extensions of texts that nobody writes tasks or variables in.
var notTasks = []string{".md", ".rst", ".txt", ".adoc", ".j2", ".jinja", ".jinja2", ".sh", ".py", ".pl", ".rb", ".ps1", ".orig", ".rej", ".bak", ".swp"}

func hidden(p string) bool { return strings.HasPrefix(p, ".") || strings.Contains(p, "/.") }

// placesOf are the directories of a role in which a name is looked up (dataloader.py, path_dwim_relative); from is that
// of the file that holds the name. What else Ansible tries is beside the playbook.
func placesOf(k usage, from string) []string {
	switch k {
	case asTasks:
		return []string{"tasks", "handlers", "", from, path.Join(from, "tasks"), path.Join(from, "handlers")}
	case asVars:
		return []string{"vars", "", "tasks", from, path.Join(from, "vars")}
	case asTemplate:
		return []string{"templates", "", "tasks", "tasks/templates", from, path.Join(from, "templates")}
	case asData:
		return []string{"files", "", "tasks", "tasks/files", from, path.Join(from, "files")}
	}
	return []string{"files", "templates", "tasks", "vars", "handlers", "", from}
}

// inRole gives the paths in the role that a name, which may be a pattern, may mean.
func (s *scanner) inRole(name string, k usage) []string {
	if s.tree == nil || strings.Contains(name, playbookMark) {
		return nil
	}
	var paths []string
	add := func(p string) {
		if p != "." && p != ".." && !strings.HasPrefix(p, "../") && !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	if rest, ok := strings.CutPrefix(name, s.role+"/"); ok {
		add(path.Clean(rest))
	}
	for _, dir := range placesOf(k, strings.TrimPrefix(strings.TrimPrefix(s.from, s.role), "/")) {
		add(path.Join(dir, name))
	}
	return paths
}

// own says whether a name, which may be a pattern, is found inside the role by the directories that Ansible tries.
func (s *scanner) own(name string, k usage) bool {
	return slices.ContainsFunc(s.inRole(name, k), func(p string) bool { return matches(s.tree, p) })
}

// named is a file of a role that a task names, and that is not read as such unless it is named.
type named struct {
	rel  string
	kind usage
}

// alsoRead lists what a name means in the role and is to be read as k though nothing in its own name says so.
func (s *scanner) alsoRead(name string, place, k usage) (found []named) {
	if k != asTasks && k != asVars && k != asTemplate {
		return nil
	}
	for _, pattern := range s.inRole(name, place) {
		eachMatch(s.tree, "", pattern, func(rel string, e entry) {
			below := func(rel string, e entry) error {
				if !e.isDir() && kindOf(rel) != k {
					found = append(found, named{rel, k})
				}
				return nil
			}
			switch {
			case e.sub == nil:
				_ = below(rel, e) // returns none
			case k == asVars: // include_vars of a directory
				_ = e.sub.walk(rel, below) // what cannot be read comes up where the role is read
			}
		})
	}
	return found
}

// eachMatch visits what a path, or one that a glob pattern stands for, leads to in a tree.
func eachMatch(t *tree, at, pattern string, visit func(p string, e entry)) {
	if !strings.ContainsAny(pattern, "*?[") {
		if e, ok, err := t.lookup(pattern); ok && err == nil {
			visit(join(at, pattern), e)
		}
		return
	}
	first, rest, deeper := strings.Cut(pattern, "/")
	entries, err := t.list()
	if err != nil {
		return // the same error comes up where the role is read
	}
	for _, e := range entries {
		switch ok, err := path.Match(first, e.name); {
		case err != nil || !ok:
		case !deeper:
			visit(join(at, e.name), e)
		case e.sub != nil:
			eachMatch(e.sub, join(at, e.name), rest, visit)
		}
	}
}

// matches says whether a path, or one that a glob pattern stands for, is in a tree.
func matches(t *tree, pattern string) (found bool) {
	eachMatch(t, "", pattern, func(string, entry) { found = true })
	return found
}
