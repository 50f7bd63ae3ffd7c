package roles

import (
	"path"
	"strings"
)

// wildmatch matches a path as Git does where a star stops at a slash (WM_PATHNAME in Git's wildmatch.c): ** stands for any
// number of directories.
func wildmatch(pattern, name string) bool {
	return matchParts(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

func matchParts(pattern, name []string) bool {
	for len(pattern) > 0 && pattern[0] != "**" {
		if len(name) == 0 || !matchPart(pattern[0], name[0]) {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	if len(pattern) == 0 {
		return len(name) == 0
	}
	for len(pattern) > 1 && pattern[1] == "**" { // as often as not at all: or many of them would take for ever
		pattern = pattern[1:]
	}
	if len(pattern) == 1 {
		return len(name) > 0
	}
	for i := range name {
		if matchParts(pattern[1:], name[i:]) {
			return true
		}
	}
	return false
}

func matchPart(pattern, name string) bool {
	ok, err := path.Match(strings.ReplaceAll(pattern, "[!", "[^"), name)
	return ok && err == nil
}

// quoteGlob makes a path a pattern that matches only it.
func quoteGlob(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(name)
}
