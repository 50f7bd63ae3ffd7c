package roles

import (
	"slices"
	"strconv"
	"strings"
)

// attributeRule is a line of a file of attributes (gitattributes(5)).
type attributeRule struct {
	pattern pathPattern
	macro   string // of a line that defines one
	attrs   []attribute
}

// attribute is what a line says of one attribute: "+" it is set, "-" it is unset, "!" nothing is said of it, or "=" and its value.
type attribute struct{ name, state string }

// attributesFile is the name of the files of attributes in a tree.
const attributesFile = ".gitattributes"

// attributeLineMax is the length above which Git ignores a line (ATTR_MAX_LINE_LENGTH in its attr.h).
const attributeLineMax = 2048

// parseAttributes reads a file of attributes that stands in a directory; only some may define macros. What Git ignores is ignored.
func parseAttributes(data, dir string, macros, fold bool) []attributeRule {
	var rules []attributeRule
	for line := range strings.Lines(strings.TrimPrefix(data, "\ufeff")) {
		line = strings.Trim(line, " \t\r\n")
		if line == "" || line[0] == '#' || len(line) > attributeLineMax {
			continue
		}
		pattern, rest, ok := cutPattern(line)
		rule := attributeRule{}
		if name, isMacro := strings.CutPrefix(pattern, "[attr]"); isMacro {
			name, rest, _ = cutWord(strings.TrimLeft(name+rest, " \t\r"))
			rule.macro, ok = name, ok && macros && validAttribute(name)
		} else {
			rule.pattern = newPathPattern(pattern, dir, fold)
			ok = ok && !rule.pattern.negative
		}
		for rest = strings.TrimLeft(rest, " \t\r"); ok && rest != ""; rest = strings.TrimLeft(rest, " \t\r") {
			var word string
			word, rest, _ = cutWord(rest)
			var a attribute
			a, ok = parseAttribute(word)
			rule.attrs = append(rule.attrs, a)
		}
		if ok {
			rules = append(rules, rule)
		}
	}
	return rules
}

func cutWord(s string) (word, rest string, found bool) {
	if i := strings.IndexAny(s, " \t\r"); i >= 0 {
		return s[:i], s[i:], true
	}
	return s, "", false
}

// cutPattern takes the pattern from a line, which may be quoted as in C.
func cutPattern(line string) (pattern, rest string, ok bool) {
	if line[0] != '"' {
		pattern, rest, _ = cutWord(line)
		return pattern, rest, true
	}
	var b []byte
	for rest = line[1:]; rest != "" && rest[0] != '"'; {
		c, _, tail, err := strconv.UnquoteChar(rest, '"')
		if rest[0] != '\\' {
			b, rest = append(b, rest[0]), rest[1:]
			continue
		}
		if err != nil {
			return "", "", false
		}
		b, rest = append(b, byte(c)), tail //nolint:gosec // an octal escape is a byte
	}
	if rest == "" {
		return "", "", false
	}
	return string(b), rest[1:], true
}

func parseAttribute(word string) (a attribute, ok bool) {
	name, value, valued := strings.Cut(word, "=")
	switch {
	case strings.HasPrefix(name, "-"), strings.HasPrefix(name, "!"):
		a = attribute{name[1:], name[:1]}
	case valued:
		a = attribute{name, "=" + value}
	default:
		a = attribute{name, "+"}
	}
	return a, validAttribute(a.name)
}

func validAttribute(name string) bool {
	return name != "" && name[0] != '-' && strings.Trim(name, "-_.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// attributeRules are rules in force in a directory, the weakest first.
type attributeRules []attributeRule

// of gives the state of each attribute that the rules say something of, for a file of the repository.
func (rules attributeRules) of(p string) map[string]string {
	said, macros := map[string]string{}, rules.macros()
	var fill func(attrs []attribute)
	fill = func(attrs []attribute) { // what is said last counts
		for _, a := range slices.Backward(attrs) {
			if _, ok := said[a.name]; ok {
				continue
			}
			said[a.name] = a.state
			if a.state == "+" {
				fill(macros[a.name])
			}
		}
	}
	for i := range slices.Backward(rules) {
		if rule := &rules[i]; rule.macro == "" && rule.pattern.matches(p, false) {
			fill(rule.attrs)
		}
	}
	return said
}

// macros gives the attributes that others stand for; "binary" is Git's own.
func (rules attributeRules) macros() map[string][]attribute {
	macros := map[string][]attribute{"binary": {{"diff", "-"}, {"merge", "-"}, {"text", "-"}}}
	for _, rule := range rules {
		if rule.macro != "" {
			macros[rule.macro] = rule.attrs
		}
	}
	return macros
}
