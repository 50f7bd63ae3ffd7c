package roles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// ignores answers what .gitignore files, .git/info/exclude and core.excludesFile keep out. They are read when the
// first untracked file turns up: a clean checkout needs none. go-git's matcher reads some patterns in another way than
// Git, which would make a tree dirty that `git status` calls clean, or the other way round.
type ignores struct {
	repo     *Repo
	settings settings
	mu       sync.Mutex
	dirs     map[string]ignoreDir // by directory relative to the top of the repository
}

// ignoreDir is what is known of a directory.
type ignoreDir struct {
	out      bool          // it is ignored: nothing in it can be taken in again
	patterns []pathPattern // in force in it, the weakest first
}

func newIgnores(r *Repo, set settings) *ignores {
	return &ignores{repo: r, settings: set, dirs: map[string]ignoreDir{}}
}

// match says whether Git ignores a path of the fleet.
func (g *ignores) match(p string, isDir bool) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	full := join(g.repo.prefix, p)
	d, err := g.dir(path.Dir(full))
	return d.ignores(full, isDir), err
}

// ignores says whether something that stands in the directory is ignored: the last pattern that is about it decides.
func (d ignoreDir) ignores(p string, isDir bool) bool {
	if d.out {
		return true
	}
	for i := range slices.Backward(d.patterns) {
		if d.patterns[i].matches(p, isDir) {
			return !d.patterns[i].negative
		}
	}
	return false
}

func (g *ignores) dir(dir string) (d ignoreDir, err error) {
	if known, ok := g.dirs[dir]; ok {
		return known, nil
	}
	if dir == "." {
		d.patterns, err = g.global()
	} else {
		if d, err = g.dir(path.Dir(dir)); err == nil {
			d.out = d.ignores(dir, true)
		}
	}
	if err == nil && !d.out {
		var own []pathPattern
		base := dir
		if base == "." {
			base = ""
		}
		own, err = g.read(filepath.Join(g.repo.top, filepath.FromSlash(dir), ".gitignore"), base, true)
		d.patterns = append(d.patterns[:len(d.patterns):len(d.patterns)], own...)
	}
	if err == nil {
		g.dirs[dir] = d
	}
	return d, err
}

// global reads core.excludesFile, or where Git looks without it, and .git/info/exclude.
func (g *ignores) global() ([]pathPattern, error) {
	file, ok := g.settings["excludesfile"]
	if !ok {
		file = filepath.Join(userConfigDir(), "git", "ignore")
	}
	var patterns []pathPattern
	if file != "" { // core.excludesFile can say that there is none
		if file = expandHome(file); !filepath.IsAbs(file) {
			file = filepath.Join(g.repo.top, file)
		}
		var err error
		if patterns, err = g.read(file, "", false); err != nil {
			return nil, err
		}
	}
	exclude, err := g.read(filepath.Join(commonDir(g.repo.gitDir), "info", "exclude"), "", false)
	return append(patterns, exclude...), err
}

// read gives the patterns of a file; none where it is not there. One of the working tree is not followed through a symlink.
func (g *ignores) read(file, dir string, inTree bool) ([]pathPattern, error) {
	if info, err := os.Lstat(file); err == nil && !info.Mode().IsRegular() && (inTree || info.IsDir()) {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading ignore patterns: %w", err)
	}
	var patterns []pathPattern
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		line, _, _ = strings.Cut(line, "\x00")
		if line = trimSpaces(line); line != "" && line[0] != '#' {
			patterns = append(patterns, newPathPattern(line, dir, g.settings.yes("ignorecase")))
		}
	}
	return patterns, nil
}

// trimSpaces takes the spaces from the end of a line, but for one that a backslash protects.
func trimSpaces(line string) string {
	end := 0 // of what is no space
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
		} else if line[i] == ' ' {
			continue
		}
		end = min(i+1, len(line))
	}
	return line[:end]
}
