package roles

import "strings"

// class reads the set of bytes in brackets that begins at i, behind the bracket, and says where it ends. The first member
// may be a closing bracket; a class that does not end, or names none that Git knows, has the pattern match nothing.
func (g *glob) class(pattern string, i int) int {
	var set [256]bool
	not := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if not {
		i++
	}
	previous, first := -1, true // the member before, from which a range can go
	for ; ; first = false {
		if i >= len(pattern) {
			g.never = true
			return i
		}
		c := pattern[i]
		if c == ']' && !first {
			break
		}
		if name, rest, ok := strings.Cut(strings.TrimPrefix(pattern[i:], "[:"), "]"); ok && strings.HasPrefix(pattern[i:], "[:") && strings.HasSuffix(name, ":") {
			if !g.named(&set, strings.TrimSuffix(name, ":")) {
				return i
			}
			i, previous = len(pattern)-len(rest), -1
			continue
		}
		from, isRange := int(c), false
		if c == '-' && previous >= 0 && i+1 < len(pattern) && pattern[i+1] != ']' {
			from, isRange, i = previous, true, i+1
			c = pattern[i]
		}
		if c == '\\' {
			if i++; i == len(pattern) {
				g.never = true
				return i
			}
			c = pattern[i]
		}
		if !isRange {
			from = int(c)
		}
		for b := from; b <= int(c); b++ {
			set[b] = true
		}
		i, previous = i+1, int(c)
		if isRange {
			previous = -1
		}
	}
	g.add(globStep{kind: globSet, set: bytesWhere(func(c byte) bool { return set[c] != not && c != '/' })})
	return i + 1
}

// named adds a class of characters; those of ASCII, as in Git.
func (g *glob) named(set *[256]bool, name string) bool {
	lower := func(c byte) bool { return c >= 'a' && c <= 'z' || g.fold && c >= 'A' && c <= 'Z' }
	upper := func(c byte) bool { return c >= 'A' && c <= 'Z' || g.fold && c >= 'a' && c <= 'z' }
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	alnum := func(c byte) bool { return lower(c) || upper(c) || digit(c) }
	graph := func(c byte) bool { return c > ' ' && c < 0x7f }
	in, ok := map[string]func(byte) bool{
		"alnum": alnum, "alpha": func(c byte) bool { return lower(c) || upper(c) }, "blank": func(c byte) bool { return c == ' ' || c == '\t' },
		"cntrl": func(c byte) bool { return c < ' ' || c == 0x7f }, "digit": digit, "graph": graph, "lower": lower,
		"print": func(c byte) bool { return graph(c) || c == ' ' }, "punct": func(c byte) bool { return graph(c) && !alnum(c) },
		"space": func(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }, "upper": upper,
		"xdigit": func(c byte) bool { return digit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' },
	}[name]
	if !ok {
		g.never = true
		return false
	}
	for c := range set {
		set[c] = set[c] || in(byte(c)) //nolint:gosec // 256 of them
	}
	return true
}

func bytesWhere(in func(byte) bool) *[256]bool {
	var set [256]bool
	for c := range set {
		set[c] = in(byte(c)) //nolint:gosec // 256 of them
	}
	return &set
}
