package roles

import (
	"fmt"
	"slices"
	"strings"
)

// Unwatched lists those of some files of the fleet that Git was told not to look at: `git status` is silent about a change
// of theirs, and Fleet.DirtyFiles is not. It knows of the working tree that was loaded last.
func (r *Repo) Unwatched(files []string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(files), func(file string) bool { return !r.unwatched[join(r.prefix, file)] })
}

// noteUnwatched keeps what Unwatched tells. While it is at it, it lists the files of attributes that are tracked.
func (r *Repo) noteUnwatched(idx *gitIndex) (attributes []string) {
	found := map[string]bool{}
	for i := range idx.entries {
		if e := &idx.entries[i]; e.assumeValid || e.skipWorktree {
			found[e.path] = true
		}
		if p := idx.entries[i].path; isAttributes(p) {
			attributes = append(attributes, p)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unwatched = found
	return attributes
}

// UnwatchedHint says what to do about files that Unwatched lists; "" where there is none.
func UnwatchedHint(files []string) string {
	if len(files) == 0 {
		return ""
	}
	const most = 5
	var words []string
	for _, file := range files[:min(len(files), most)] {
		words = append(words, shellWord(file))
	}
	text := strings.Join(words, " ")
	return fmt.Sprintf("git status is silent about %[1]s, which Git was told not to look at; to see the change: git update-index --no-assume-unchanged %[1]s && git update-index --no-skip-worktree %[1]s", text)
}
