package roles

import (
	"bytes"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ansibleFacts is what the files of one Ansible role, or one playbook, refer to. They follow from the content alone.
type ansibleFacts struct {
	roles   []string // names, or paths, of Ansible roles
	books   []string // imported playbooks, relative to the file that imports them
	paths   []mention
	dynamic bool // something is named by an expression: what it refers to cannot be known
	// problems are mistakes in the syntax of files that Ansible has to read.
	problems []Problem
}

// mention is a word that may name a file of the fleet. from is the directory of the file that holds it.
type mention struct {
	from, word string
	loaded     bool  // it is the argument of an include: when it cannot be resolved, everything counts
	needed     bool  // a file is read by this name: when it is not found, everything counts
	pattern    bool  // with a * for each fact of the machine
	inRole     bool  // the pattern matches something in the role itself
	kind       usage // what the file is read as
}

// scanner collects facts from YAML files that Ansible reads.
type scanner struct {
	facts *ansibleFacts
	from  string // directory of the file in hand, relative to the fleet's root
	role  string // directory of the Ansible role that it belongs to; "" outside roles
	book  bool   // the file is a playbook
	meta  bool   // the file is a role's meta/main.yml
	vars  bool   // the file holds variables, not tasks
	name  string // the file's path; "" where a syntax error in it is not Ansible's business
	tree  *tree  // of the role; nil outside roles
	loop  *yaml.Node
	use   usage    // what the task in hand reads the files as that its loop finds
	also  string   // a symlink led here: where the file lies, to which names may be relative, too; else ""
	named *[]named // files of the role that a task names
}

var (
	expression = lazy(`\{\{.*?\}\}`)
	roleDir    = lazy(`\{\{-?\s*role_path\s*-?\}\}`)
	playDir    = lazy(`\{\{-?\s*(playbook_dir|inventory_dir|ansible_config_dir)\s*-?\}\}`)
	wordEnd    = lazy("[\\s'\"=,;:()\\[\\]|`]+")
	// pathWords in an expression mean that it builds a path out of the role.
	pathWords = lazy(`\b(playbook_dir|inventory_dir|inventory_file|ansible_config_file|role_path|ansible_parent_role_paths)\b`)
)

// Placeholders for parts of a word that are known only where it is resolved, and for expressions.
const (
	playbookMark = "\x01"
	unknownMark  = "\x00"
)

// file reads one YAML file. What cannot be parsed here may be fine for Ansible, so it counts as unknown.
func (s *scanner) file(data []byte) {
	if sealed(data) {
		s.facts.dynamic = true
		return
	}
	documents, err := readYAML(data)
	if err != nil {
		if data, err = readable(data, err); err == nil {
			documents, err = readYAML(data)
		}
	}
	for _, doc := range documents {
		for _, root := range doc.Content {
			s.top(root)
		}
	}
	if err != nil {
		s.malformed(data, err)
	}
}

// sealed says whether a file is encrypted as a whole, by Ansible Vault or as git-crypt stores it: what it refers to is not
// known.
func sealed(data []byte) bool {
	return bytes.HasPrefix(data, []byte("$ANSIBLE_VAULT")) || bytes.HasPrefix(data, []byte("\x00GITCRYPT\x00"))
}

// malformed reports a syntax error, unless it comes of a merge conflict, which is reported as such, or Ansible may read it.
func (s *scanner) malformed(data []byte, err error) {
	s.facts.dynamic = true
	if s.name == "" || conflictLineOf(data) > 0 || !isMistake(data, err) {
		return
	}
	src := &source{file: s.name, data: data}
	src.syntax(err)
	s.facts.problems = append(s.facts.problems, src.problems...)
}

// top reads the root of a file: a list of plays or tasks, or a role's meta mapping.
func (s *scanner) top(root *yaml.Node) {
	root = resolveAlias(root)
	if s.vars {
		s.node(root, 0)
		return
	}
	if s.meta {
		for key, value := range pairsOf(root) {
			if key == "dependencies" {
				s.roleList(value)
			}
		}
		return
	}
	if root.Kind != yaml.SequenceNode {
		// A playbook that is no list is something this does not know.
		s.facts.dynamic = s.facts.dynamic || s.book
		s.node(root, 0)
		return
	}
	for _, item := range root.Content {
		item = resolveAlias(item)
		for key, value := range pairsOf(item) {
			if key == "roles" && s.book {
				s.roleList(value)
			}
		}
		s.node(item, 0)
	}
}

func pairsOf(n *yaml.Node) func(yield func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, resolveAlias(n.Content[i+1])) {
				return
			}
		}
	}
}

// node walks tasks, blocks and arguments.
func (s *scanner) node(n *yaml.Node, depth int) {
	n = resolveAlias(n)
	if depth > 200 { // aliases can make a loop
		s.facts.dynamic = true
		return
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			s.node(item, depth+1)
		}
	case yaml.ScalarNode:
		s.lookups(n.Value)
		s.words(n.Value, false, byName)
	case yaml.MappingNode:
		if s.vars {
			for _, value := range pairsOf(n) {
				s.node(value, depth+1)
			}
			return
		}
		outer, use := s.loop, s.use
		if loop := loopOf(n); loop != nil {
			s.loop = loop
		}
		s.task(n)
		for key, value := range pairsOf(n) {
			s.field(key, value, depth)
		}
		s.loop, s.use = outer, use
	}
}

func (s *scanner) field(key string, value *yaml.Node, depth int) {
	switch key = builtin(key); key {
	case "vars", "set_fact": // variables of any form
		s.vars, depth = true, depth+1
		s.node(value, depth)
		s.vars = false
	case "include_role", "import_role":
		s.roleName(value)
	case "import_playbook":
		s.playbook(value)
	case "include_tasks", "import_tasks", "include":
		s.loads(value, asTasks)
	case "include_vars", "vars_files":
		s.loads(value, asVars)
	case "action", "local_action":
		// `action: include_role name=x`, the old way to write a task.
		if strings.Contains(value.Value, "_role") {
			s.facts.dynamic = true
		}
		s.node(value, depth+1)
	case "roles", "dependencies":
		if !s.book || depth > 0 { // a play's own roles are read by top
			s.node(value, depth+1)
		}
	case "name": // a task's title
	default:
		s.node(value, depth+1)
	}
}

func (s *scanner) playbook(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode || strings.Contains(n.Value, "{{") {
		s.facts.dynamic = true
		return
	}
	fields := strings.Fields(n.Value)
	if len(fields) > 0 {
		s.facts.books = append(s.facts.books, path.Join(s.from, fields[0]))
	}
}
