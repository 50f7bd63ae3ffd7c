package roles

import (
	"bytes"
	"os"
	"path"
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
	rules map[string][]attributeRule // by directory; with those above it, the weakest first
}

// attributeRule is a line of a file of attributes.
type attributeRule struct {
	dir     string // "" is the top
	pattern string
	attrs   []string
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
	var is, was, ends string // of the attributes text, crlf (its former name) and eol
	for _, rule := range l.of(path.Dir(p)) {
		if !rule.matches(p) {
			continue
		}
		for _, a := range rule.attrs {
			switch strings.TrimLeft(a, "-!") {
			case "text", "text=auto":
				is = a
			case "binary":
				is = "-text"
			case "crlf", "crlf=input":
				was = strings.Replace(strings.TrimSuffix(a, "=input"), "crlf", "text", 1)
			case "eol", "eol=lf", "eol=crlf":
				ends = a
			}
		}
	}
	if is == "" || is == "!text" {
		is = was
	}
	switch {
	case is == "-text":
		return false, false
	case is == "text":
		return true, false
	case is == "text=auto":
		return true, true
	case strings.HasPrefix(ends, "eol="):
		return true, false
	}
	convert, _ := gitBool(l.settings["autocrlf"])
	return convert || strings.EqualFold(l.settings["autocrlf"], "input"), true
}

// of lists the rules in force in a directory of the repository.
func (l *lineEnds) of(dir string) []attributeRule {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rules == nil {
		l.rules = map[string][]attributeRule{}
	}
	return append(l.inTree(dir), attributesIn(filepath.Join(commonDir(l.repo.gitDir), "info", "attributes"), "")...)
}

func (l *lineEnds) inTree(dir string) []attributeRule {
	if dir == "." {
		dir = ""
	}
	if known, ok := l.rules[dir]; ok {
		return known
	}
	var rules []attributeRule
	if dir == "" {
		rules = l.global()
	} else {
		rules = l.inTree(path.Dir(dir))
	}
	own := attributesIn(filepath.Join(l.repo.top, filepath.FromSlash(dir), ".gitattributes"), dir)
	rules = append(rules[:len(rules):len(rules)], own...)
	l.rules[dir] = rules
	return rules
}

// global reads the attributes of the system and of the user.
func (l *lineEnds) global() []attributeRule {
	file, ok := l.settings["attributesfile"]
	if !ok {
		file = filepath.Join(userConfigDir(), "git", "attributes")
	}
	var rules []attributeRule
	if off, _ := gitBool(os.Getenv("GIT_ATTR_NOSYSTEM")); !off {
		rules = attributesIn("/etc/gitattributes", "")
	}
	return append(rules, attributesIn(expandHome(file), "")...)
}

// attributesIn reads a file of attributes; one that cannot be read has none. Macros other than "binary" are not known.
func attributesIn(file, dir string) []attributeRule {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var rules []attributeRule
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) > 1 && !strings.HasPrefix(words[0], "#") && !strings.HasPrefix(words[0], "[attr]") {
			rules = append(rules, attributeRule{dir, words[0], words[1:]})
		}
	}
	return rules
}

// matches: a pattern without a slash is for names in all directories below, any other for paths from its own.
func (r attributeRule) matches(p string) bool {
	if r.dir != "" {
		p = strings.TrimPrefix(p, r.dir+"/")
	}
	if !strings.Contains(r.pattern, "/") {
		return wildmatch(r.pattern, path.Base(p))
	}
	return wildmatch(strings.TrimPrefix(r.pattern, "/"), p)
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
