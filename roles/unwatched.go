package roles

import (
	"fmt"
	"slices"
	"strings"
)

// Unwatched lists those of some files of the fleet that Git was told not to look at: `git status` is silent about a change
// of theirs, and Fleet.DirtyFiles is not.
func (r *Repo) Unwatched(files []string) ([]string, error) {
	if len(files) == 0 || r.bare {
		return nil, nil
	}
	idx, err := r.readIndex()
	if err != nil {
		return nil, err
	}
	var list []string
	for _, file := range files {
		at, ok := slices.BinarySearchFunc(idx.entries, join(r.prefix, file), func(e indexEntry, p string) int { return strings.Compare(e.path, p) })
		if ok && (idx.entries[at].assumeValid || idx.entries[at].skipWorktree) {
			list = append(list, file)
		}
	}
	return list, nil
}

// UnwatchedHint says what to do about files that Unwatched lists; "" where there is none.
func UnwatchedHint(files []string) string {
	if len(files) == 0 {
		return ""
	}
	const most = 5
	text := strings.Join(files[:min(len(files), most)], " ")
	return fmt.Sprintf("git status is silent about %[1]s, which Git was told not to look at; to see the change: git update-index --no-assume-unchanged %[1]s && git update-index --no-skip-worktree %[1]s", text)
}
