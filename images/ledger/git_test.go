package ledger_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/storage/memory"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/ledger"
)

// run runs git in a directory, with no configuration but the repository's.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@example.com",
		"GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@example.com")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

// origin is a bare repository with a main branch of 3 commits.
func origin(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	bare, work := filepath.Join(dir, "origin.git"), filepath.Join(dir, "work")
	run(t, dir, "init", "-q", "--bare", "-b", "main", bare)
	run(t, dir, "init", "-q", "-b", "main", work)
	for _, n := range []string{"1", "2", "3"} {
		require.NoError(t, os.WriteFile(filepath.Join(work, "file"), []byte(n), 0o600))
		run(t, work, "add", "-A")
		run(t, work, "commit", "-qm", n)
	}
	run(t, work, "push", "-q", bare, "main")
	return bare
}

func clone(t *testing.T, url string, args ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clone")
	run(t, t.TempDir(), append(append([]string{"clone", "-q"}, args...), url, dir)...)
	return dir
}

func open(t *testing.T, dir string) *ledger.Git {
	t.Helper()
	g, err := ledger.OpenGit(dir, quick)
	require.NoError(t, err)
	return g
}

// quick waits for others, and not for long.
var quick = ledger.GitOptions{Wait: func(ctx context.Context, try int) error {
	turn := time.NewTimer(rand.N(time.Duration(try+1) * 5 * time.Millisecond))
	defer turn.Stop()
	select {
	case <-turn.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}}

func TestGitInMemory(t *testing.T) {
	bare := origin(t)
	testStore(t, func(t *testing.T) ledger.Store {
		repo, err := git.Init(memory.NewStorage(), nil)
		require.NoError(t, err)
		_, err = repo.CreateRemote(&config.RemoteConfig{Name: "origin", URLs: []string{bare}})
		require.NoError(t, err)
		g, err := ledger.NewGit(repo, quick)
		require.NoError(t, err)
		return g
	})
}

func TestGitClones(t *testing.T) {
	for name, args := range map[string][]string{
		"full":                     nil,
		"shallow, one branch":      {"--depth", "1", "--single-branch", "--branch", "main"},
		"bare":                     {"--bare"},
		"another name than origin": {"-o", "upstream"},
	} {
		t.Run(name, func(t *testing.T) {
			bare := origin(t)
			testStore(t, func(t *testing.T) ledger.Store { return open(t, clone(t, "file://"+bare, args...)) })
			run(t, bare, "fsck", "--strict", "--no-dangling")
			run(t, clone(t, "file://"+bare), "fsck", "--strict", "--no-dangling")
			require.Equal(t, "10", run(t, bare, "rev-list", "--count", ledger.Branch), "one commit for each append that added something, and no merges")
		})
	}
}

// TestGitOneClone has all writers in one working tree, as runs on one runner are.
func TestGitOneClone(t *testing.T) {
	dir := clone(t, "file://"+origin(t))
	testStore(t, func(t *testing.T) ledger.Store { return open(t, dir) })
	run(t, dir, "fsck", "--strict", "--no-dangling")
}

func TestGitWithoutRemote(t *testing.T) {
	dir := t.TempDir()
	run(t, dir, "init", "-q", "-b", "main")
	run(t, dir, "commit", "-q", "--allow-empty", "-m", "begin")
	testStore(t, func(t *testing.T) ledger.Store { return open(t, dir) })
	run(t, dir, "pack-refs", "--all")
	later := event(t, "web", "release", "", noon.Add(time.Hour))
	require.NoError(t, open(t, dir).Append(t.Context(), "later", []ledger.Entry{later}))
	require.Contains(t, paths(t, open(t, dir), "events/web/"), later.Path)
	run(t, dir, "fsck", "--strict", "--no-dangling")

	t.Log("with a remote, what only the local branch has goes along")
	bare := origin(t)
	run(t, dir, "remote", "add", "origin", "file://"+bare)
	next := event(t, "web", "hold", "x", noon.Add(2*time.Hour))
	require.NoError(t, open(t, dir).Append(t.Context(), "next", []ledger.Entry{next}))
	other := open(t, clone(t, "file://"+bare))
	require.NoError(t, other.Sync(t.Context()))
	require.Len(t, paths(t, other, ""), 13)
}

// TestGitTouchesNothingElse checks that the working tree, the index, HEAD, main and the shallow state stay as they are.
func TestGitTouchesNothingElse(t *testing.T) {
	bare := origin(t)
	dir := clone(t, "file://"+bare, "--depth", "1")
	run(t, dir, "checkout", "-q", "--detach")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("half-edited"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "new"), []byte("new"), 0o600))
	run(t, dir, "add", "new")
	state := func() string {
		index, err := os.ReadFile(filepath.Join(dir, ".git", "index"))
		require.NoError(t, err)
		shallow, err := os.ReadFile(filepath.Join(dir, ".git", "shallow"))
		require.NoError(t, err)
		return string(index) + string(shallow) + run(t, dir, "status", "--porcelain") + run(t, dir, "for-each-ref", "refs/heads", "refs/tags", "refs/remotes/origin/main") +
			run(t, dir, "rev-parse", "HEAD")
	}
	before := state()
	require.NoError(t, open(t, dir).Append(t.Context(), "one", []ledger.Entry{event(t, "web", "promote", "", noon)}))
	require.Equal(t, before, state())
	require.Equal(t, run(t, bare, "rev-parse", ledger.Branch), run(t, dir, "rev-parse", "refs/remotes/origin/"+ledger.Branch))
}

func TestGitLinkedWorktree(t *testing.T) {
	bare := origin(t)
	dir := clone(t, "file://"+bare)
	linked := filepath.Join(t.TempDir(), "linked")
	run(t, dir, "worktree", "add", "-q", "-b", "topic", linked)
	g := open(t, linked)
	common, err := filepath.EvalSymlinks(filepath.Join(dir, ".git"))
	require.NoError(t, err)
	require.Equal(t, common, filepath.Clean(g.CommonDir()))
	e := event(t, "web", "promote", "", noon)
	require.NoError(t, g.Append(t.Context(), "one", []ledger.Entry{e}))
	require.Equal(t, []string{e.Path}, paths(t, open(t, dir), ""))

	t.Log("a branch that somebody looks at is left alone")
	alone := t.TempDir()
	run(t, alone, "init", "-q", "-b", "main")
	run(t, alone, "commit", "-q", "--allow-empty", "-m", "begin")
	require.NoError(t, open(t, alone).Append(t.Context(), "one", []ledger.Entry{e}))
	run(t, alone, "checkout", "-q", ledger.Branch)
	later := event(t, "web", "hold", "", noon.Add(time.Hour))
	var refused *ledger.RefusedError
	require.ErrorAs(t, open(t, alone).Append(t.Context(), "two", []ledger.Entry{later}), &refused)
	require.ErrorAs(t, open(t, alone).Ready(t.Context()), &refused)
	require.Empty(t, run(t, alone, "status", "--porcelain"))
	run(t, alone, "switch", "-q", "main")
	require.NoError(t, open(t, alone).Append(t.Context(), "two", []ledger.Entry{later}))
}

// TestGitRewritten is about a branch that somebody pushed by force, cut, or deleted: nothing is appended, nothing that was
// seen is lost for readers, and the message's own commands lead back, or on.
func TestGitRewritten(t *testing.T) {
	one, two := event(t, "web", "promote", "one", noon), event(t, "web", "promote", "two", noon.Add(time.Second))
	three := event(t, "web", "promote", "three", noon.Add(2*time.Second))
	for name, rewrite := range map[string]func(t *testing.T, bare string){
		"another history": func(t *testing.T, bare string) {
			tree := run(t, bare, "rev-parse", ledger.Branch+"^{tree}")
			run(t, bare, "update-ref", "refs/heads/"+ledger.Branch, run(t, bare, "commit-tree", "-m", "squashed", tree))
		},
		"an older tip": func(t *testing.T, bare string) {
			run(t, bare, "update-ref", "refs/heads/"+ledger.Branch, ledger.Branch+"~1")
		},
		"an entry is gone": func(t *testing.T, bare string) {
			older := run(t, bare, "rev-parse", ledger.Branch+"~1^{tree}")
			run(t, bare, "update-ref", "refs/heads/"+ledger.Branch, run(t, bare, "commit-tree", "-m", "remove", "-p", ledger.Branch, older))
		},
		"deleted": func(t *testing.T, bare string) { run(t, bare, "update-ref", "-d", "refs/heads/"+ledger.Branch) },
	} {
		for _, way := range []string{"back", "on"} {
			t.Run(name+", and "+way, func(t *testing.T) {
				bare := origin(t)
				dir := clone(t, "file://"+bare)
				require.NoError(t, open(t, dir).Append(t.Context(), "one", []ledger.Entry{one}))
				require.NoError(t, open(t, dir).Append(t.Context(), "two", []ledger.Entry{two}))
				rewrite(t, bare)
				tips := func() string { return run(t, bare, "for-each-ref") }
				before := tips()
				g := open(t, dir)
				var rewritten *ledger.RewrittenError
				require.ErrorAs(t, g.Sync(t.Context()), &rewritten)
				require.ErrorAs(t, g.Ready(t.Context()), &rewritten)
				require.ErrorAs(t, g.Append(t.Context(), "three", []ledger.Entry{three}), &rewritten)
				require.Equal(t, before, tips(), "nothing was pushed")
				require.Equal(t, []string{one.Path, two.Path}, paths(t, g, ""))

				back, on, _ := strings.Cut(strings.TrimPrefix(rewritten.Fix, "to have the old state back: "), "; if it was meant: ")
				shell(t, dir, map[string]string{"back": back, "on": on}[way])
				require.Equal(t, "main", run(t, dir, "branch", "--show-current"))
				g = open(t, dir)
				require.NoError(t, g.Append(t.Context(), "three", []ledger.Entry{three}))
				require.Contains(t, paths(t, g, ""), three.Path)
				if way == "back" {
					require.Equal(t, []string{one.Path, two.Path, three.Path}, paths(t, g, ""))
				}
			})
		}
	}
}

func TestGitRefused(t *testing.T) {
	bare := origin(t)
	hook := "#!/bin/sh\necho protected >&2\nexit 1\n"
	require.NoError(t, os.WriteFile(filepath.Join(bare, "hooks", "pre-receive"), []byte(hook), 0o755)) //nolint:gosec // a hook is run
	dir := clone(t, "file://"+bare)
	g := open(t, dir)
	var refused *ledger.RefusedError
	require.ErrorAs(t, g.Append(t.Context(), "one", []ledger.Entry{event(t, "web", "promote", "", noon)}), &refused)
	require.Contains(t, refused.Error(), "declined")
	require.Empty(t, run(t, bare, "for-each-ref", "refs/heads/"+ledger.Branch))

	t.Log("a remote that is gone: no refusal, and what is known can be read")
	e := event(t, "web", "promote", "", noon)
	require.NoError(t, os.Remove(filepath.Join(bare, "hooks", "pre-receive")))
	require.NoError(t, open(t, dir).Append(t.Context(), "one", []ledger.Entry{e}))
	require.NoError(t, os.Rename(bare, bare+".gone"))
	g = open(t, dir)
	err := g.Append(t.Context(), "two", []ledger.Entry{event(t, "web", "hold", "", noon)})
	require.Error(t, err)
	require.False(t, errors.As(err, &refused), err)
	require.Equal(t, []string{e.Path}, paths(t, g, ""))
}
