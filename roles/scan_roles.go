package roles

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// roleList reads `roles:` of a play or `dependencies:` of a role: names, or mappings with role, name or src.
func (s *scanner) roleList(n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		s.facts.dynamic = s.facts.dynamic || (n.Kind == yaml.ScalarNode && n.Value != "")
		return
	}
	for _, item := range n.Content {
		s.roleName(resolveAlias(item))
	}
}

// roleName reads a name, `name=x tasks_from=y`, or a mapping that holds it.
func (s *scanner) roleName(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		found := false
		for key, value := range pairsOf(n) {
			switch {
			case key == "role" || key == "name" || (key == "src" && s.meta):
				s.roleName(value)
				found = true
			case strings.HasSuffix(key, "_from"):
				s.fromFile(value.Value)
			}
		}
		s.facts.dynamic = s.facts.dynamic || !found
		return
	}
	name := n.Value
	for field := range strings.FieldsSeq(n.Value) {
		if value, ok := strings.CutPrefix(field, "name="); ok {
			name = strings.Trim(value, `'"`)
		} else if key, value, ok := strings.Cut(field, "="); ok && strings.HasSuffix(key, "_from") {
			s.fromFile(strings.Trim(value, `'"`))
		}
	}
	if n.Kind != yaml.ScalarNode || strings.Contains(name, "{{") || strings.Contains(name, "{%") {
		s.facts.dynamic = true
		return
	}
	s.facts.roles = append(s.facts.roles, name)
}

// fromFile reads the argument of tasks_from and its like: one of the files of the other role that are looked into with it,
// unless it leads out of the directory, which only old versions of Ansible allow.
func (s *scanner) fromFile(name string) {
	s.facts.dynamic = s.facts.dynamic || strings.Contains(name, "..") || strings.HasPrefix(name, "/")
}
