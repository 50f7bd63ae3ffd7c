package roles

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// lineEnds answers whether Git turns the line ends of a file on disk into those of a blob (gitattributes(5), text and eol;
// core.autocrlf). It is asked only about files that seem to have changed, and have CRLF where the blob has LF.
type lineEnds struct {
	repo     *Repo
	settings settings

	mu    sync.Mutex
	rules map[string]attributeRules // by directory; with those above it, the weakest first
}

// lineEndsMax is the size above which nobody takes a file for text.
const lineEndsMax = 32 << 20

// stored says whether a file on disk is what Git makes of a blob when it checks it out.
func (l *lineEnds) stored(known plumbing.Hash, rel string, stat diskStat) bool {
	if known.IsZero() || stat.kind != 0 || stat.bytes > lineEndsMax {
		return false
	}
	data, err := readDisk(filepath.Join(l.repo.root, filepath.FromSlash(rel)))
	if err != nil || !bytes.Contains(data, []byte("\r\n")) {
		return false
	}
	if blobID(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))) != known {
		return false
	}
	text, guess := l.text(join(l.repo.prefix, rel))
	return text && (!guess || looksLikeText(data))
}

// text says whether a file of the repository is text; guess, if it looks like it.
func (l *lineEnds) text(p string) (text, guess bool) {
	said := l.of(dirOf(p)).of(p)
	switch is := textOf(said); {
	case is == "-":
		return false, false
	case is == "+", is == "=input":
		return true, false
	case is == "=auto":
		return true, true
	case said["eol"] == "=lf" || said["eol"] == "=crlf":
		return true, false
	}
	convert, _ := gitBool(l.settings["autocrlf"])
	return convert || strings.EqualFold(l.settings["autocrlf"], "input"), true
}

// of lists the rules in force in a directory of the repository.
func (l *lineEnds) of(dir string) attributeRules {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rules == nil {
		l.rules = map[string]attributeRules{}
	}
	return append(l.inTree(dir), l.read(filepath.Join(commonDir(l.repo.gitDir), "info", "attributes"), "", true)...)
}

func (l *lineEnds) inTree(dir string) attributeRules {
	if known, ok := l.rules[dir]; ok {
		return known
	}
	var rules attributeRules
	if dir == "" {
		rules = l.global()
	} else {
		rules = l.inTree(dirOf(dir))
	}
	file := filepath.Join(l.repo.top, filepath.FromSlash(dir), attributesFile)
	if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() {
		rules = append(rules[:len(rules):len(rules)], l.read(file, dir, dir == "")...)
	}
	l.rules[dir] = rules[:len(rules):len(rules)]
	return l.rules[dir]
}

// global reads the attributes of the system and of the user.
func (l *lineEnds) global() attributeRules {
	file, ok := l.settings["attributesfile"]
	if !ok {
		file = filepath.Join(userConfigDir(), "git", "attributes")
	}
	var rules attributeRules
	if off, _ := gitBool(os.Getenv("GIT_ATTR_NOSYSTEM")); !off {
		rules = l.read("/etc/gitattributes", "", true)
	}
	return append(rules, l.read(expandHome(file), "", true)...)
}

// read reads a file of attributes; one that cannot be read has none.
func (l *lineEnds) read(file, dir string, macros bool) attributeRules {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return parseAttributes(string(data), dir, macros, l.settings.yes("ignorecase"))
}

// looksLikeText guesses as Git does (gather_stats and convert_is_binary in Git's convert.c).
func looksLikeText(data []byte) bool {
	printable, not := 0, 0
	for i, b := range data {
		switch {
		case b == '\r' && (i+1 == len(data) || data[i+1] != '\n'), b == 0:
			return false
		case b == '\r' || b == '\n':
		case b >= ' ' && b != 0x7f, b == '\b', b == '\t', b == 0x1b, b == '\f':
			printable++
		case b == 0x1a && i+1 == len(data): // an end of file of old
		default:
			not++
		}
	}
	return printable>>7 >= not
}
