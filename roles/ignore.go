package roles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// ignores answers what .gitignore files, .git/info/exclude and core.excludesFile keep out. They are read when the
// first untracked file turns up: a clean checkout needs none.
type ignores struct {
	repo     *Repo
	settings settings
	mu       sync.Mutex
	dirs     map[string][]gitignore.Pattern // by directory relative to the top of the repository; with those above it
}

func newIgnores(r *Repo, set settings) *ignores {
	return &ignores{repo: r, settings: set, dirs: map[string][]gitignore.Pattern{}}
}

// match says whether Git ignores a path of the fleet. Directories above it are not ignored.
func (g *ignores) match(p string, isDir bool) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	full := join(g.repo.prefix, p)
	patterns, err := g.patterns(path.Dir(full))
	if err != nil {
		return false, err
	}
	return gitignore.NewMatcher(patterns).Match(strings.Split(full, "/"), isDir), nil
}

// patterns are those in force in a directory, the weakest first.
func (g *ignores) patterns(dir string) (patterns []gitignore.Pattern, err error) {
	if known, ok := g.dirs[dir]; ok {
		return known, nil
	}
	var domain []string
	if dir == "." {
		patterns, err = g.global()
	} else {
		domain = strings.Split(dir, "/")
		patterns, err = g.patterns(path.Dir(dir))
	}
	if err != nil {
		return nil, err
	}
	own, err := readPatterns(filepath.Join(g.repo.top, filepath.FromSlash(dir), ".gitignore"), domain)
	if err != nil {
		return nil, err
	}
	patterns = append(patterns[:len(patterns):len(patterns)], own...)
	g.dirs[dir] = patterns
	return patterns, nil
}

// global reads core.excludesFile, or where Git looks without it, and .git/info/exclude.
func (g *ignores) global() ([]gitignore.Pattern, error) {
	file, ok := g.settings["excludesfile"]
	if !ok {
		file = filepath.Join(userConfigDir(), "git", "ignore")
	}
	patterns, err := readPatterns(expandHome(file), nil)
	if err != nil {
		return nil, err
	}
	exclude, err := readPatterns(filepath.Join(commonDir(g.repo.gitDir), "info", "exclude"), nil)
	return append(patterns, exclude...), err
}

func readPatterns(file string, domain []string) ([]gitignore.Pattern, error) {
	if file == "" { // core.excludesFile can say that there is none
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading ignore patterns: %w", err)
	}
	var patterns []gitignore.Pattern
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		patterns = append(patterns, gitignore.ParsePattern(line, domain))
	}
	return patterns, nil
}
