package roles

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxValues bounds one variable tree, so that aliases of aliases cannot fill the memory.
const maxValues = 100_000

func sortedStrings(s []string) []string {
	slices.Sort(s)
	return s
}

// values reads variables as Ansible reads YAML: plain yes, no, on and off are booleans, dates stay text.
type values struct {
	s      *source
	what   string
	budget int
	spent  bool // said so already
}

// variables reads a mapping of variable names to values of any kind.
func (s *source) variables(n *yaml.Node, what string) map[string]any {
	v := &values{s: s, what: what, budget: maxValues}
	if resolveAlias(n).Kind != yaml.MappingNode {
		s.add(at(n), what+" must be a mapping, not "+kind(n), "write {name: value, ...}")
		return nil
	}
	m, _ := v.read(n, 0).(map[string]any)
	return m
}

func (v *values) read(n *yaml.Node, depth int) any {
	where := at(n)
	n = resolveAlias(n)
	if v.budget--; v.budget < 0 || depth > 100 {
		if !v.spent {
			v.s.add(where, v.what+" is nested too deep or its aliases expand too far",
				"write the values out in a vars file and name it in the playbook")
		}
		v.spent = true
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		return v.mapping(n, depth)
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			out = append(out, v.read(item, depth+1))
		}
		return out
	}
	return v.scalar(n, where)
}

func (v *values) mapping(n *yaml.Node, depth int) map[string]any {
	out := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolveAlias(n.Content[i])
		switch {
		case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
			v.s.add(at(key), v.what+" uses a merge key", "write the merged fields out")
			continue
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			v.s.add(at(key), v.what+" has a key that is not text", fmt.Sprintf("quote it: %q", key.Value))
			continue
		}
		if _, ok := out[key.Value]; ok {
			v.s.add(at(key), fmt.Sprintf("%s has %q twice", v.what, key.Value), "delete one of the two")
			continue
		}
		out[key.Value] = v.read(n.Content[i+1], depth+1)
	}
	return out
}

func (v *values) scalar(n *yaml.Node, where place) any {
	var decoded any
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return nil
	case "!!str", "!!timestamp":
		if n.Style == 0 {
			if b, ok := yaml11Bool(n.Value); ok {
				return b
			}
		}
		return n.Value
	case "!!bool", "!!int", "!!float":
		if err := n.Decode(&decoded); err != nil {
			v.s.add(where, fmt.Sprintf("%s has a value %q that cannot be read: %v", v.what, n.Value, err), "quote it")
			return nil
		}
	default:
		v.s.add(where, fmt.Sprintf("%s uses the tag %s", v.what, tag), "put the value into group_vars or a vars file, where Ansible reads it")
		return nil
	}
	if f, ok := decoded.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		v.s.add(where, v.what+" holds "+n.Value+", which JSON cannot carry to Ansible", "quote it: "+strconv.Quote(n.Value))
		return nil
	}
	return decoded
}

func yaml11Bool(word string) (value, ok bool) {
	switch strings.ToLower(word) {
	case "yes", "on":
		return true, true
	case "no", "off":
		return false, true
	}
	return false, false
}
