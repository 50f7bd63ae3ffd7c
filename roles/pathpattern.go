package roles

import (
	"path"
	"strings"
)

// pathPattern is a pattern of a .gitignore or .gitattributes file (gitignore(5), PATTERN FORMAT; parse_path_pattern and
// match_pathname in Git's dir.c).
type pathPattern struct {
	dir      string // of the file, relative to the top; "" is the top
	literal  string // the beginning that has no wildcard: Git compares it first, so that ** behind it is at a beginning
	rest     glob
	nameOnly bool // it has no slash but at its end: it is for names in all directories below
	dirOnly  bool
	negative bool
}

func newPathPattern(text, dir string, fold bool) pathPattern {
	p := pathPattern{dir: dir}
	text, p.negative = strings.CutPrefix(text, "!")
	text, p.dirOnly = strings.CutSuffix(text, "/")
	p.nameOnly = !strings.Contains(text, "/")
	text = strings.TrimPrefix(text, "/")
	if fold {
		text = lowerASCII(text)
	}
	at := strings.IndexAny(text, `*?[\`)
	if at < 0 {
		at = len(text)
	}
	p.literal, p.rest = text[:at], newGlob(text[at:], fold)
	return p
}

// matches says whether the pattern is about a path of the repository.
func (p *pathPattern) matches(name string, isDir bool) bool {
	if p.dirOnly && !isDir {
		return false
	}
	if p.rest.fold {
		name = lowerASCII(name)
	}
	if p.nameOnly {
		name = path.Base(name)
	} else if p.dir != "" {
		dir := p.dir
		if p.rest.fold {
			dir = lowerASCII(dir)
		}
		var below bool
		if name, below = strings.CutPrefix(name, dir+"/"); !below {
			return false
		}
	}
	rest, ok := strings.CutPrefix(name, p.literal)
	return ok && p.rest.matches(rest)
}
