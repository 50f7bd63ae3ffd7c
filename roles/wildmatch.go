package roles

import "strings"

// glob is a pattern as Git matches paths with it (gitignore(5), PATTERN FORMAT; WM_PATHNAME of Git's wildmatch.c): bytes,
// of which a star and a question mark stand for no slash, and ** between slashes for any number of directories. It is
// matched in one pass over the name, whatever the pattern.
type glob struct {
	steps []globStep
	never bool // it is malformed: Git has it match nothing
	fold  bool // core.ignoreCase
}

type globStep struct {
	kind globKind
	char byte
	set  *[256]bool
}

type globKind byte

const (
	globChar globKind = iota // one byte
	globSet                  // one of a set of bytes
	globStar                 // any bytes but slashes
	globDeep                 // any bytes
	globSkip                 // what follows, or what follows the next two steps: of **/, the slash needs not be there
)

// wildmatch matches a path with a pattern.
func wildmatch(pattern, name string) bool {
	g := newGlob(pattern, false)
	return g.matches(name)
}

func newGlob(pattern string, fold bool) glob {
	g := glob{fold: fold}
	if fold {
		pattern = lowerASCII(pattern)
	}
	for i := 0; i < len(pattern) && !g.never; {
		switch c := pattern[i]; c {
		case '*':
			i = g.stars(pattern, i)
		case '?':
			g.add(globStep{kind: globSet, set: bytesWhere(func(c byte) bool { return c != '/' })})
			i++
		case '[':
			i = g.class(pattern, i+1)
		case '\\':
			if i++; i == len(pattern) {
				g.never = true
				break
			}
			c = pattern[i]
			fallthrough
		default:
			g.add(globStep{char: c})
			i++
		}
	}
	return g
}

func (g *glob) add(s globStep) { g.steps = append(g.steps, s) }

// stars reads a run of stars at i, and says where it ends.
func (g *glob) stars(pattern string, i int) int {
	end := i
	for end < len(pattern) && pattern[end] == '*' {
		end++
	}
	rest := pattern[end:]
	whole := end-i > 1 && (i == 0 || pattern[i-1] == '/') && (rest == "" || rest[0] == '/' || strings.HasPrefix(rest, `\/`))
	switch {
	case !whole:
		g.add(globStep{kind: globStar})
	case rest != "" && rest[0] == '/':
		g.add(globStep{kind: globSkip})
		fallthrough
	default:
		g.add(globStep{kind: globDeep})
	}
	return end
}

// matches says whether the pattern stands for a whole name: at each byte it knows all steps that may come next.
func (g *glob) matches(name string) bool {
	if g.never {
		return false
	}
	if g.fold {
		name = lowerASCII(name)
	}
	now, next := make([]bool, len(g.steps)+1), make([]bool, len(g.steps)+1)
	g.reach(now, 0)
	for i := range len(name) {
		clear(next)
		for at, s := range g.steps {
			switch c := name[i]; {
			case !now[at]:
			case s.kind == globChar && c == s.char, s.kind == globSet && s.set[c]:
				g.reach(next, at+1)
			case s.kind == globDeep, s.kind == globStar && c != '/':
				g.reach(next, at)
			}
		}
		now, next = next, now
	}
	return now[len(g.steps)]
}

// reach marks a step, and those that it may leave for without a byte.
func (g *glob) reach(marks []bool, at int) {
	for ; !marks[at]; at++ {
		marks[at] = true
		if at == len(g.steps) || g.steps[at].kind == globChar || g.steps[at].kind == globSet {
			return
		}
		if g.steps[at].kind == globSkip {
			g.reach(marks, at+3)
		}
	}
}

// quoteGlob makes a path a pattern that matches only it.
func quoteGlob(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(name)
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
