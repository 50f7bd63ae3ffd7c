package roles

import "strings"

// class reads the set of bytes in brackets that begins at i, behind the bracket, and says where it ends. The first member
// may be a closing bracket; a class that does not end, or names none that Git knows, has the pattern match nothing.
func (g *glob) class(pattern string, i int) int {
	m := &classReader{rest: pattern[i:], fold: g.fold, previous: -1}
	not := strings.HasPrefix(m.rest, "!") || strings.HasPrefix(m.rest, "^")
	if not {
		m.rest = m.rest[1:]
	}
	for first := true; first || !strings.HasPrefix(m.rest, "]"); first = false {
		if !m.member() {
			g.never = true
			return len(pattern)
		}
	}
	g.add(globStep{kind: globSet, set: bytesWhere(func(c byte) bool { return m.set[c] != not && c != '/' })})
	return len(pattern) - len(m.rest) + 1
}

// classReader reads the members of a class.
type classReader struct {
	rest     string
	fold     bool
	set      [256]bool
	previous int // the member before, from which a range can go; or -1
}

// member reads one; false where the class is malformed.
func (m *classReader) member() bool {
	if inside, ok := strings.CutPrefix(m.rest, "[:"); ok {
		if name, rest, ok := strings.Cut(inside, "]"); ok && strings.HasSuffix(name, ":") {
			m.rest, m.previous = rest, -1
			return m.named(strings.TrimSuffix(name, ":"))
		}
	}
	from := m.previous
	isRange := from >= 0 && len(m.rest) > 1 && m.rest[0] == '-' && m.rest[1] != ']'
	if isRange {
		m.rest = m.rest[1:]
	}
	m.rest = strings.TrimPrefix(m.rest, `\`)
	if m.rest == "" {
		return false
	}
	c := int(m.rest[0])
	m.rest, m.previous = m.rest[1:], c
	if isRange {
		m.previous = -1
	} else {
		from = c
	}
	for b := from; b <= c; b++ {
		m.set[b] = true
	}
	return true
}

// namedClasses are the classes of characters that Git knows, of ASCII, as pairs of the first and last of each range.
func namedClasses() map[string]string {
	return map[string]string{
		"alnum": "09AZaz", "alpha": "AZaz", "blank": "\t\t  ", "cntrl": "\x00\x1f\x7f\x7f", "digit": "09", "graph": "!~", "lower": "az", "print": " ~",
		"punct": "!/:@[`{~", "space": "\t\r  ", "upper": "AZ", "xdigit": "09AFaf",
	}
}

func (m *classReader) named(name string) bool {
	ranges, ok := namedClasses()[name]
	if m.fold && name == "upper" {
		ranges += "az"
	}
	for i := 0; i+1 < len(ranges); i += 2 {
		for c := ranges[i]; c <= ranges[i+1]; c++ {
			m.set[c] = true
		}
	}
	return ok
}

func bytesWhere(in func(byte) bool) *[256]bool {
	var set [256]bool
	for c := range set {
		set[c] = in(byte(c)) //nolint:gosec // 256 of them
	}
	return &set
}
