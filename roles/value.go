package roles

import (
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// maxValues bounds one variable tree, so that aliases of aliases cannot fill the memory.
const maxValues = 100_000

func sortedStrings(s []string) []string {
	slices.Sort(s)
	return s
}

// values reads variables as Ansible reads YAML, exactly (see scalars11.go): what is read is a nil, a bool, a string, an
// int, a json.Number (any other number), or lists and mappings of these. What JSON could not carry to Ansible is a mistake.
type values struct {
	s       *source
	what    string
	budget  int
	spent   bool // said so already
	lenient bool // only to be shown: what is no value for JSON is told as it is written
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
	if tag := n.ShortTag(); n.Kind != yaml.ScalarNode && tag != "!!map" && tag != "!!seq" {
		v.refuseTag(tag, where)
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
		case key.Kind == yaml.ScalarNode && key.Style == 0 && key.Value == "<<":
			v.s.add(at(key), v.what+" uses a merge key", "write the merged fields out")
			continue
		case !isTextKey(key):
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

// isTextKey says whether a key is text to Ansible: a plain `on` is true.
func isTextKey(key *yaml.Node) bool {
	if key.Kind == yaml.ScalarNode && key.Style == 0 {
		return plainTag(key.Value) == "!!str"
	}
	return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!str"
}

// scalar reads what a plain scalar is to PyYAML, or what its tag makes of it.
func (v *values) scalar(n *yaml.Node, where place) any {
	tag := n.ShortTag()
	switch {
	case n.Style&yaml.TaggedStyle != 0:
	case n.Style != 0:
		return n.Value
	default:
		tag = plainTag(n.Value)
	}
	value, wrong := construct(tag, n.Value)
	switch known := slices.Contains(scalarTags, tag); {
	case known && wrong == nil:
		return value
	case v.lenient:
		return n.Value
	case !known:
		v.refuseTag(tag, where)
		return nil
	}
	v.s.add(where, fmt.Sprintf("%s: %s %s", v.what, written(n), wrong.why), wrong.fix)
	return nil
}

// construct makes the value of a scalar as PyYAML's SafeConstructor does.
func construct(tag, text string) (any, *unreadable) {
	switch tag {
	case "!!null":
		return nil, nil
	case "!!str":
		return text, nil
	case "!!bool":
		if b, ok := yaml11Bool(text); ok {
			return b, nil
		}
		return nil, &unreadable{"is neither true nor false to Ansible", "write true or false"}
	case "!!int":
		return pythonInt(text)
	case "!!float":
		return pythonFloat(text)
	case "!!timestamp":
		return nil, &unreadable{"is a date to Ansible, which JSON cannot carry there", "quote it: " + strconv.Quote(text)}
	case "!!value", "!!merge":
		return nil, &unreadable{"has a meaning of its own in YAML, and Ansible refuses it", "quote it: " + strconv.Quote(text)}
	}
	return nil, nil
}

// scalarTags are those that construct knows.
var scalarTags = []string{"!!null", "!!str", "!!bool", "!!int", "!!float", "!!timestamp", "!!value", "!!merge"}

func (v *values) refuseTag(tag string, where place) {
	v.s.add(where, fmt.Sprintf("%s uses the tag %s", v.what, tag), "put the value into group_vars or a vars file, where Ansible reads it")
}
