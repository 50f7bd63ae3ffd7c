package roles

import (
	"bytes"
	"slices"
)

// needles are what a file must hold to refer to anything outside its role, or to a file by a name that is not plain.
// Reading YAML costs a hundred times as much as looking for them, and most files hold none.
var needles = needleList("..", "playbook_dir", "inventory_", "role_path", "ansible_config_", "_role_paths", "lookup", "query", "q(", "q (",
	"fileglob", " is ")

// taskNeedles are further ones of files that hold tasks.
var taskNeedles = needleList("include", "import_", "src", "script:", "script=", "with_", "vars_files", "local", "127.0.0.1", "::1", "delegate_to",
	"connection:")

func needleList(words ...string) [][]byte {
	list := make([][]byte, len(words))
	for i, w := range words {
		list[i] = []byte(w)
	}
	return list
}

// plainLine is a line of a task that names a file by a plain name; the groups are what names it, and the name.
var plainLine = lazy(`(?m)^[ \t-]+(?:ansible\.builtin\.)?(src|include_tasks|import_tasks|include_vars|script): +["']?([A-Za-z0-9_./-]+)["']?[ \t]*\r?$`)

// mayRefer says whether a file is worth parsing. tops are further words: the fleet's top-level names.
func (s *scanner) mayRefer(data []byte, tops [][]byte) bool {
	if s.meta {
		return bytes.Contains(data, []byte("dependencies")) && !noDependencies().Match(data)
	}
	has := func(list [][]byte) bool {
		return slices.ContainsFunc(list, func(n []byte) bool { return bytes.Contains(data, n) })
	}
	if sealed(data) || has(needles) || has(tops) {
		return true
	}
	if s.vars || !has(taskNeedles) {
		return false
	}
	foreign := false
	data = plainLine().ReplaceAllFunc(data, func(line []byte) []byte {
		m := plainLine().FindSubmatch(line)
		foreign = foreign || !s.plain(string(m[1]), string(m[2]))
		return nil
	})
	return foreign || has(taskNeedles)
}

// plain says whether a name leads to nothing but files of the role that are looked into without it.
func (s *scanner) plain(key, name string) bool {
	k, place := asTemplate, byName // src may be that of a template, or of a file that is copied
	switch key {
	case "include_tasks", "import_tasks":
		k, place = asTasks, asTasks
	case "include_vars":
		k, place = asVars, asVars
	case "script":
		k, place = asData, asData
	}
	return s.own(name, place) && len(s.alsoRead(name, k, k)) == 0
}
