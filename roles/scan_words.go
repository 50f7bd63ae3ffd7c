package roles

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// loads reads the argument of an include: a file name, a list of them, or a mapping with file or dir.
func (s *scanner) loads(n *yaml.Node, k usage) {
	n = resolveAlias(n)
	switch n.Kind {
	case yaml.ScalarNode:
		s.lookups(n.Value)
		s.words(n.Value, true, k)
		name := n.Value
		if m := inlineFile().FindStringSubmatch(name); m != nil {
			name = m[1] + m[2] + m[3]
		}
		if s.role != "" || !strings.Contains(name, "{{") { // outside roles, words knows the directory before an expression
			s.refer(name, k)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			s.loads(item, k)
		}
	case yaml.MappingNode:
		for key, value := range pairsOf(n) {
			if key == "file" || key == "dir" || key == "_raw_params" {
				s.loads(value, k)
			}
		}
	}
}

// words collects what may be paths in one string. Inside a role, relative names stay in the role, which counts whole;
// only those that leave it matter.
func (s *scanner) words(text string, loaded bool, k usage) {
	text = roleDir().ReplaceAllLiteralString(text, s.role)
	text = playDir().ReplaceAllLiteralString(text, playbookMark)
	if pathWords().MatchString(text) && expression().MatchString(text) {
		s.facts.dynamic = true
		return
	}
	text = expression().ReplaceAllLiteralString(text, unknownMark)
	for _, word := range wordEnd().Split(text, -1) {
		if word != "" && len(word) < 4096 {
			s.mention(mention{word: word, loaded: loaded && s.role == "", kind: k})
		}
	}
}

// mention takes note of a word, relative to each directory that it may be relative to.
func (s *scanner) mention(m mention) {
	m.from = s.from
	s.facts.paths = append(s.facts.paths, m)
	if s.also != "" && s.also != s.from {
		m.from, m.needed, m.loaded = s.also, false, false
		m.inRole = true // or wherever else the first finds it
		s.facts.paths = append(s.facts.paths, m)
	}
}
