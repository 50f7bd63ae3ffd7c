package ledger_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/ledger"
)

// tamper commits something on top of the ledger's branch, as somebody who may push does, and pushes it.
func tamper(t *testing.T, bare string, change func(work string)) {
	t.Helper()
	work := clone(t, "file://"+bare, "--branch", ledger.Branch)
	change(work)
	run(t, work, "add", "-A")
	run(t, work, "commit", "-qm", "tamper")
	run(t, work, "push", "-q", "origin", "HEAD:"+ledger.Branch)
}

// shell runs what an error says.
func shell(t *testing.T, dir, script string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@example.com",
		"GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@example.com")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", script, out)
}

// TestGitAlteredInFreshClone has records changed or deleted by a commit on top of the branch, and others appended after it by
// a writer that did not look. A clone that has never seen the branch, as a CI runner's, notices, whatever it was made with;
// both ways out that the error names lead out, for every other fresh clone as well.
func TestGitAlteredInFreshClone(t *testing.T) {
	one, img := event(t, "web", "promote", "one", noon), image(t, "web", "ami-1", noon)
	two, later := event(t, "web", "hold", "two", noon.Add(time.Second)), event(t, "db", "hold", "later", noon.Add(time.Minute))
	for name, change := range map[string]func(work string) error{
		"an event is deleted":                 func(work string) error { return os.Remove(filepath.Join(work, one.Path)) },
		"an image's provenance is deleted":    func(work string) error { return os.Remove(filepath.Join(work, img.Path)) },
		"an event is changed":                 func(work string) error { return reword(filepath.Join(work, one.Path), "one", "own") },
		"an image's provenance is changed":    func(work string) error { return reword(filepath.Join(work, img.Path), "ami-base", "ami-evil") },
		"everything but one event is deleted": func(work string) error { return os.RemoveAll(filepath.Join(work, "images")) },
	} {
		for _, way := range []string{"back", "on"} {
			if way == "on" && name != "an event is deleted" {
				continue // it is the same for all
			}
			t.Run(name+", and "+way, func(t *testing.T) {
				t.Parallel()
				bare := origin(t)
				writer := clone(t, "file://"+bare)
				require.NoError(t, open(t, writer).Append(t.Context(), "1", []ledger.Entry{one, img}))
				require.NoError(t, open(t, writer).Append(t.Context(), "2", []ledger.Entry{two}))
				tamper(t, bare, func(work string) { require.NoError(t, change(work)) })
				tamper(t, bare, func(work string) {
					file := filepath.Join(work, later.Path)
					require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
					require.NoError(t, os.WriteFile(file, later.Data, 0o600))
				})
				var rewritten *ledger.RewrittenError
				for kind, args := range freshClones {
					g := open(t, clone(t, "file://"+bare, args...))
					require.ErrorAs(t, g.Ready(t.Context()), &rewritten, kind)
					require.ErrorAs(t, g.Ready(t.Context()), &rewritten, "%s: it is not forgotten", kind)
					require.ErrorAs(t, g.Append(t.Context(), "x", []ledger.Entry{event(t, "web", "release", "", noon)}), &rewritten, kind)
					require.Contains(t, paths(t, g, ""), two.Path, "%s: what is there can be read", kind)
				}
				require.Contains(t, rewritten.What, "(test <test@example.com>, ")

				back, on, _ := strings.Cut(strings.TrimPrefix(rewritten.Fix, "to have them back as they were: "), "; if it was meant, begin the history anew: ")
				shell(t, clone(t, "file://"+bare), map[string]string{"back": back, "on": on}[way])
				g := open(t, clone(t, "file://"+bare))
				require.NoError(t, g.Append(t.Context(), "x", []ledger.Entry{event(t, "web", "release", "", noon)}))
				if way == "back" {
					require.Len(t, paths(t, g, ""), 5)
					data, err := g.Read(t.Context(), img.Path)
					require.NoError(t, err)
					require.Equal(t, string(img.Data), string(data))
				}
			})
		}
	}
}

// freshClones are ways to make a clone.
var freshClones = map[string][]string{
	"full": nil, "one branch": {"--single-branch", "--branch", "main"}, "shallow, one branch": {"--depth", "1", "--single-branch", "--branch", "main"},
	"shallow, all branches": {"--depth", "1", "--no-single-branch"},
}

func reword(file, old, now string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(strings.Replace(string(data), old, now, 1)), 0o600)
}

// TestGitAlteredWithoutRemote is about the local branch.
func TestGitAlteredWithoutRemote(t *testing.T) {
	dir := t.TempDir()
	run(t, dir, "init", "-q", "-b", "main")
	run(t, dir, "commit", "-q", "--allow-empty", "-m", "begin")
	one := event(t, "web", "promote", "one", noon)
	require.NoError(t, open(t, dir).Append(t.Context(), "1", []ledger.Entry{one, event(t, "web", "hold", "", noon)}))
	require.NoError(t, open(t, dir).Ready(t.Context()))
	run(t, dir, "switch", "-q", ledger.Branch)
	run(t, dir, "rm", "-q", one.Path)
	run(t, dir, "commit", "-qm", "tamper")
	run(t, dir, "switch", "-q", "main")
	var rewritten *ledger.RewrittenError
	require.ErrorAs(t, open(t, dir).Ready(t.Context()), &rewritten)
	require.ErrorAs(t, open(t, dir).Sync(t.Context()), &rewritten)
	back, _, _ := strings.Cut(strings.TrimPrefix(rewritten.Fix, "to have them back as they were: "), "; if it was meant")
	shell(t, dir, back+" && git switch -q main")
	require.NoError(t, open(t, dir).Ready(t.Context()))
}

// TestGitForeignBranch has a branch of that name that is somebody's own: nothing is written to it.
func TestGitForeignBranch(t *testing.T) {
	bare := origin(t)
	run(t, bare, "update-ref", "refs/heads/"+ledger.Branch, "main")
	dir := clone(t, "file://"+bare)
	g := open(t, dir)
	var foreign *ledger.ForeignError
	require.ErrorAs(t, g.Ready(t.Context()), &foreign)
	require.Equal(t, "file", foreign.File)
	require.ErrorAs(t, g.Sync(t.Context()), &foreign)
	e := event(t, "web", "promote", "", noon)
	require.ErrorAs(t, g.Append(t.Context(), "x", []ledger.Entry{e}), &foreign)
	require.Equal(t, run(t, bare, "rev-parse", "main"), run(t, bare, "rev-parse", ledger.Branch), "nothing was pushed")

	command, _, _ := strings.Cut(strings.TrimPrefix(foreign.Fix, "give it another name: "), "; or ")
	shell(t, dir, strings.Replace(command, "NAME", "theirs", 1))
	require.Equal(t, run(t, bare, "rev-parse", "main"), run(t, bare, "rev-parse", "theirs"))
	require.NoError(t, open(t, dir).Append(t.Context(), "x", []ledger.Entry{e}))

	t.Log("an empty branch, made to protect it, is a ledger")
	tree := run(t, bare, "hash-object", "-w", "-t", "tree", os.DevNull)
	run(t, bare, "update-ref", "refs/heads/"+ledger.Branch, run(t, bare, "commit-tree", "-m", "begin", tree))
	require.NoError(t, open(t, clone(t, "file://"+bare)).Append(t.Context(), "x", []ledger.Entry{e}))
}
