package roles

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

func at(n *yaml.Node) place { return place{n.Line, n.Column} }

// fields maps the names that a mapping may hold to what reads each value.
type fields map[string]func(value *yaml.Node)

var (
	conflictLine = lazy(`(?m)^(<{7}|>{7}|\|{7})( .*)?\r?$`)
	yamlLine     = lazy(`^yaml: (?:unmarshal errors:\n\s*)?(?:line (\d+): )?(?s:(.*))$`)
)

// parse gives the root mapping of a YAML file, or nil after adding what is wrong with it.
func (s *source) parse(what string) *yaml.Node {
	if s.conflicts() {
		return nil
	}
	if bytes.IndexByte(s.data, 0) >= 0 {
		s.add(place{1, 1}, what+" is not text in UTF-8", "save it in UTF-8")
		return nil
	}
	documents, err := readYAML(s.data)
	if err != nil && what != gossFile { // which goss itself reads, with such a parser
		var data []byte
		if data, err = readable(s.data, err); err == nil {
			documents, err = readYAML(data)
		}
	}
	if err != nil && len(bytes.TrimSpace(s.data)) > 0 {
		s.syntax(err)
		return nil
	}
	if len(documents) == 0 || len(documents[0].Content) == 0 {
		s.add(place{1, 1}, what+" is empty", "write its fields, or delete the file")
		return nil
	}
	root := resolveAlias(documents[0].Content[0])
	if root.Kind != yaml.MappingNode {
		s.add(at(root), what+" must be a mapping, not "+kind(root), "write it as `field: value` lines")
		return nil
	}
	if len(documents) > 1 {
		s.add(at(documents[1]), what+" holds a second YAML document", "delete everything from this `---` on")
	}
	return root
}

// conflicts reports each merge conflict once: at its first marker.
func (s *source) conflicts() bool {
	found, inside := false, false
	for _, m := range conflictLine().FindAllIndex(s.data, -1) {
		marker := s.data[m[0]]
		if marker == '<' || (marker == '>' && !inside) {
			line := 1 + bytes.Count(s.data[:m[0]], []byte("\n"))
			s.add(place{line, 1}, "merge conflict marker", conflictFix(s.file))
		}
		found, inside = true, marker != '>'
	}
	return found
}

func (s *source) syntax(err error) {
	message, line := err.Error(), 0
	if m := yamlLine().FindStringSubmatch(message); m != nil {
		message = m[2]
		line, _ = strconv.Atoi(m[1]) // 0 where there is none
	}
	where := mistakeAt(s.data, message, line)
	if where.column == 0 {
		where.column = 1 + len(s.line(where.line)) - len(strings.TrimLeft(s.line(where.line), " \t"))
	}
	fix := "correct the YAML here or on the line before"
	if strings.HasPrefix(strings.TrimLeft(s.line(where.line), " "), "\t") || strings.Contains(message, "tab") {
		fix = "indent with spaces: YAML allows no tabs"
	}
	s.add(where, "YAML syntax: "+message, fix)
}

// resolveAlias follows `*name` to what it stands for.
func resolveAlias(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func kind(n *yaml.Node) string {
	switch resolveAlias(n).Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "empty"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	}
	return "text"
}

// mapping reads a mapping with known fields only; each at most once.
func (s *source) mapping(n *yaml.Node, what string, known fields, required ...string) {
	where := at(n)
	n = resolveAlias(n)
	if n.Kind != yaml.MappingNode {
		s.add(where, what+" must be a mapping, not "+kind(n), "write {"+strings.Join(names(known), ": ..., ")+": ...}")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolveAlias(n.Content[i]), n.Content[i+1]
		if first := seen[key.Value]; first > 0 {
			s.add(at(n.Content[i]), fmt.Sprintf("%s has %q twice", what, key.Value), fmt.Sprintf("delete this one or the one in line %d", first))
			continue
		}
		seen[key.Value] = n.Content[i].Line
		read, ok := known[key.Value]
		if !ok || key.Kind != yaml.ScalarNode {
			s.add(at(n.Content[i]), fmt.Sprintf("%s has no field %q", what, key.Value), choose(key.Value, names(known)))
			continue
		}
		read(value)
	}
	for _, name := range required {
		if seen[name] == 0 {
			s.add(where, fmt.Sprintf("%s has no %q", what, name), fmt.Sprintf("add `%s:`", name))
		}
	}
}

func names(known fields) []string {
	out := make([]string, 0, len(known))
	for k := range known {
		out = append(out, k)
	}
	return sortedStrings(out)
}

// list calls read for each item of a list.
func (s *source) list(n *yaml.Node, what string, read func(*yaml.Node)) {
	where := at(n)
	n = resolveAlias(n)
	if n.Kind != yaml.SequenceNode {
		fix := "write it as [...] or as `- ` lines"
		if n.Kind == yaml.ScalarNode && n.Value != "" && what != "verify" && what != "provision" { // those hold mappings
			fix = fmt.Sprintf("write [%q]", n.Value)
		}
		s.add(where, what+" must be a list, not "+kind(n), fix)
		return
	}
	for _, item := range n.Content {
		read(item)
	}
}

// text gives a string; numbers and booleans must be quoted, so that what is read is what was written.
func (s *source) text(n *yaml.Node, what string) (string, bool) {
	where := at(n)
	n = resolveAlias(n)
	switch {
	case n.Kind != yaml.ScalarNode:
		s.add(where, what+" must be text, not "+kind(n), "write one word or a quoted string")
	case n.ShortTag() == "!!null" || strings.TrimSpace(n.Value) == "":
		s.add(where, what+" is empty", "write its value, or delete the line")
	case n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp":
		s.add(where, what+" must be text, not "+kind(n), fmt.Sprintf("quote it: %q", n.Value))
	default:
		return n.Value, true
	}
	return "", false
}

// number gives a whole number of at least least.
func (s *source) number(n *yaml.Node, what string, least int) (int, bool) {
	where := at(n)
	n = resolveAlias(n)
	v, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || v < least {
		s.add(where, fmt.Sprintf("%s must be a whole number of at least %d, not %s", what, least, written(n)),
			fmt.Sprintf("write a number such as %d", max(least, 5)))
		return 0, false
	}
	return v, true
}

// written shows a scalar as it stands in the file and names any other kind.
func written(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.Value != "" {
		return strconv.Quote(n.Value)
	}
	return kind(n)
}
