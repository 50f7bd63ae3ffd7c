package ledger_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/ledger"
)

// TestGitRelativeRemote: the path of a remote begins where Git has it begin, and this process runs elsewhere. What go-git takes
// for the name of a host goes through the git command.
func TestGitRelativeRemote(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	for name, by := range map[string]string{"go-git": "origin.git", "git": "or:igin.git"} {
		for _, kind := range []string{"working tree", "directory in it", "linked working tree", "bare"} {
			t.Run(kind+" by "+name, func(t *testing.T) {
				base := t.TempDir()
				bare := filepath.Join(base, by)
				require.NoError(t, os.Rename(origin(t), bare))
				dir := filepath.Join(base, "clone")
				args := []string{"clone", "-q", "file://" + bare, dir}
				if kind == "bare" {
					args = append(args, "--bare")
				}
				run(t, base, args...)
				run(t, dir, "remote", "set-url", "origin", "../"+by)
				at := dir
				switch kind {
				case "directory in it":
					at = filepath.Join(dir, "deep", "down")
					require.NoError(t, os.MkdirAll(at, 0o755))
				case "linked working tree":
					at = filepath.Join(base, "linked")
					run(t, dir, "worktree", "add", "-q", "-b", "topic", at)
				}
				g := open(t, at)
				e := event(t, "web", "promote", "", noon)
				require.NoError(t, g.Ready(t.Context()))
				require.NoError(t, g.Append(t.Context(), "one", []ledger.Entry{e}))
				require.Equal(t, e.Path, run(t, bare, "ls-tree", "-r", "--name-only", ledger.Branch))
			})
		}
	}
}

// TestGitMadeShallow: a clone that has seen the branch fetches newer commits of it without what is between, as CI systems that
// keep their clones do. That is no rewriting.
func TestGitMadeShallow(t *testing.T) {
	bare := origin(t)
	dir := clone(t, "file://"+bare)
	other := clone(t, "file://"+bare)
	put := func(dir string, n int) {
		e := event(t, "web", "promote", "", noon.Add(time.Duration(n)*time.Second))
		require.NoError(t, open(t, dir).Append(t.Context(), "x", []ledger.Entry{e}))
	}
	put(dir, 0)
	seen := run(t, bare, "rev-parse", ledger.Branch)
	for n := range 3 {
		put(other, n+1)
	}
	run(t, dir, "fetch", "-q", "--depth=1", "origin", "+refs/heads/*:refs/remotes/origin/*")
	g := open(t, dir)
	require.NoError(t, g.Sync(t.Context()))
	require.NoError(t, g.Lacks(t.Context(), seen, "accept"))
	require.Len(t, paths(t, g, ""), 4)
}
