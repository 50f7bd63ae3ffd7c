package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
)

// shared gives the API world's fleet a remote, and says where that is. setting is its `ledger:` line.
func (w *apiWorld) shared(setting string) string {
	w.t.Helper()
	config, err := os.ReadFile(filepath.Join(w.fleet, "imgops.yaml"))
	require.NoError(w.t, err)
	w.write("imgops.yaml", string(config)+setting+"\n")
	bare := filepath.Join(w.t.TempDir(), "origin.git")
	w.git("init", "-q", "--bare", "-b", "main", bare)
	w.git("remote", "add", "origin", bare)
	return bare
}

// merged commits the role with other content, pushes it and has its image verified, ready for main.
func (w *apiWorld) merged(content string) string {
	w.t.Helper()
	w.commit(content)
	w.git("push", "-q", "origin", "main")
	return w.bake()
}

// recorded lists the ledger's entries on the remote that runs have left of what they did themselves.
func (w *apiWorld) recorded(bare string) []string {
	w.t.Helper()
	return slices.DeleteFunc(w.entries(bare), func(path string) bool { return w.isRecovered(bare, path) })
}

func (w *apiWorld) isRecovered(bare, path string) bool {
	return strings.Contains(w.git("--git-dir", bare, "show", ledger.Branch+":"+path), `"recovered":`)
}

func (w *apiWorld) entries(bare string) []string {
	w.t.Helper()
	if w.git("--git-dir", bare, "for-each-ref", "refs/heads/"+ledger.Branch) == "" {
		return nil
	}
	list := w.git("--git-dir", bare, "ls-tree", "-r", "--name-only", ledger.Branch)
	if list == "" {
		return nil
	}
	return strings.Split(list, "\n")
}

// kept says whether something waits for the next run.
func (w *apiWorld) kept() bool {
	return !ledger.Spool{Dir: filepath.Join(w.fleet, ".git", "imgops", "pending")}.Empty()
}

func protect(t *testing.T, bare string, on bool) {
	t.Helper()
	hook := filepath.Join(bare, "hooks", "pre-receive")
	if !on {
		require.NoError(t, os.Remove(hook))
		return
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(hook), 0o755))
	script := "#!/bin/sh\nwhile read old new ref; do [ $ref = refs/heads/imgops-ledger ] && exit 1; done\nexit 0\n"
	require.NoError(t, os.WriteFile(hook, []byte(script), 0o755)) //nolint:gosec // a hook is run
}

// TestLedgerBestEffort has a remote that takes no record for a while: the pipeline goes on with a warning, and the next run
// takes the record along.
func TestLedgerBestEffort(t *testing.T) {
	w := newAPIWorld(t)
	bare := w.shared("")
	one := w.merged("one")
	protect(t, bare, true)
	_, errs := w.do(exitDone, "ci", "--event", "push")
	require.Contains(t, errs, "warning: what was done is not in the ledger yet")
	require.Contains(t, errs, "goes along with the next run here")
	w.requireDefaults(one, "current")
	require.Empty(t, w.recorded(bare))
	require.True(t, w.kept())
	require.Empty(t, w.witnessed(ledger.Branch), "what is not stored is not witnessed")
	out, _ := w.do(exitDone, "history", "web", "-o", "json")
	require.Contains(t, out, `"by"`, "what is kept can be read")

	protect(t, bare, false)
	_, errs = w.do(exitDone, "ci", "--event", "push")
	require.NotContains(t, errs, "warning")
	require.Len(t, w.recorded(bare), 1)
	require.False(t, w.kept())
	require.Equal(t, w.git("--git-dir", bare, "rev-parse", ledger.Branch), w.witnessed(ledger.Branch))

	t.Log("one commit for a run, and none for one that does nothing")
	tip := w.git("--git-dir", bare, "rev-parse", ledger.Branch)
	w.do(exitDone, "ci", "--event", "push")
	require.Equal(t, tip, w.git("--git-dir", bare, "rev-parse", ledger.Branch))
	w.do(exitDone, "hold", "web", "--reason", "freeze")
	require.Equal(t, "2", w.git("--git-dir", bare, "rev-list", "--count", ledger.Branch))
	require.Contains(t, w.git("--git-dir", bare, "log", "-1", "--format=%B", ledger.Branch), "imgops: hold web")
	require.Contains(t, w.git("--git-dir", bare, "log", "-1", "--format=%B", ledger.Branch), "[skip ci]")
	require.Empty(t, w.git("status", "--porcelain"))

	t.Log("a colleague reads who and why: from Git what the commit is about, from the ledger who ran imgops")
	w.git("config", "user.name", "Ann Example")
	w.git("config", "user.email", "ann@example.com")
	w.do(exitDone, "release", "web")
	out, _ = w.do(exitDone, "history", "web")
	require.Regexp(t, `release .* Ann Example <ann@example.com>`, out)
	require.Regexp(t, `promote \(now\) .* one \(test\)`, out)
	out, _ = w.do(exitDone, "history", "web", "-o", "json")
	require.Contains(t, out, `"subject": "one"`)
	require.Contains(t, out, `"author": "test <test@example.com>"`)
	require.Contains(t, out, `"who": "arn:aws:`, "the AWS identity is there, too")
}

// TestLedgerRequired has a required ledger that cannot be written, was rewritten, or holds garbage: nothing is promoted.
func TestLedgerRequired(t *testing.T) {
	w := newAPIWorld(t)
	bare := w.shared("ledger: required")
	one := w.merged("one")

	t.Log("the remote is away")
	require.NoError(t, os.Rename(bare, bare+".away"))
	_, errs := w.do(exitError, "ci", "--event", "push")
	require.Contains(t, errs, "nothing is promoted: imgops.yaml requires the ledger")
	w.requireDefaults("", "missing")
	require.NoError(t, os.Rename(bare+".away", bare))

	t.Log("the remote takes no push, which shows when something is pushed: that comes before the pointers, with and without a record that waits")
	protect(t, bare, true)
	refused := func() {
		_, errs = w.do(exitError, "ci", "--event", "push")
		require.Contains(t, errs, "nothing is promoted: imgops.yaml requires the ledger, and it takes no record: ")
		w.requireDefaults("", "missing")
	}
	refused()
	require.True(t, w.kept())
	protect(t, bare, false)
	w.do(exitDone, "hold", "web", "--reason", "x") // takes along what waits
	w.do(exitDone, "release", "web")
	require.False(t, w.kept())
	protect(t, bare, true)
	refused()
	require.False(t, w.kept())
	protect(t, bare, false)
	w.do(exitDone, "ci", "--event", "push")
	require.Len(t, w.recorded(bare), 3)
	w.requireDefaults(one, "current")

	t.Log("garbage")
	two := w.merged("two")
	work := filepath.Join(t.TempDir(), "work")
	w.git("clone", "-q", "--branch", ledger.Branch, bare, work)
	write(t, filepath.Join(work, "README.md"), "hello\n")
	w.git("-C", work, "add", "-A")
	w.git("-C", work, "commit", "-qm", "hello")
	w.git("-C", work, "push", "-q", "origin", ledger.Branch)
	_, errs = w.do(exitError, "ci", "--event", "push")
	require.Contains(t, errs, "README.md: it is no file that imgops has written")
	require.Contains(t, errs, "git rm PATH")
	w.requireDefaults(one, "behind")
	w.git("-C", work, "rm", "-q", "README.md")
	w.git("-C", work, "commit", "-qm", "away")
	w.git("-C", work, "push", "-q", "origin", ledger.Branch)
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(two, "current")

	t.Log("garbage of another role counts as well")
	three := w.merged("three")
	require.NoError(t, os.MkdirAll(filepath.Join(work, "events/other"), 0o755))
	write(t, filepath.Join(work, "events/other/20260102T120000.000Z-hold-000000000000.json"), "{}\n")
	w.git("-C", work, "pull", "-q")
	w.git("-C", work, "add", "-A")
	w.git("-C", work, "commit", "-qm", "other")
	w.git("-C", work, "push", "-q", "origin", ledger.Branch)
	_, errs = w.do(exitError, "ci", "--event", "push")
	require.Contains(t, errs, "events/other/20260102T120000.000Z-hold-000000000000.json: ")
	w.requireDefaults(two, "behind")
	w.git("-C", work, "rm", "-rq", "events/other")
	w.git("-C", work, "commit", "-qm", "away")
	w.git("-C", work, "push", "-q", "origin", ledger.Branch)

	t.Log("records that were removed on top of the branch, in a clone that has never seen it, as a CI runner's")
	w.git("-C", work, "rm", "-rq", "events/web")
	w.git("-C", work, "commit", "-qm", "tamper", "--allow-empty")
	w.git("-C", work, "push", "-q", "origin", ledger.Branch)
	w.git("update-ref", "-d", "refs/imgops/ledger")
	w.git("update-ref", "-d", "refs/remotes/origin/"+ledger.Branch)
	_, errs = w.do(exitError, "ci", "--event", "push")
	require.Contains(t, errs, "nothing is promoted: imgops.yaml requires the ledger")
	require.Contains(t, errs, "changed or removed events/web/")
	require.Contains(t, errs, "git checkout ")
	w.requireDefaults(two, "behind")
	_, errs = w.do(exitDone, "history", "web")
	require.Contains(t, errs, "changed or removed events/web/")
	w.git("-C", work, "revert", "--no-edit", "HEAD")
	w.git("-C", work, "push", "-q", "origin", ledger.Branch)
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(three, "current")

	t.Log("rewritten")
	w.merged("four")
	w.git("-C", work, "push", "-q", "--force", "origin", "HEAD~2:"+ledger.Branch)
	_, errs = w.do(exitError, "ci", "--event", "push")
	require.Contains(t, errs, "was rewritten")
	require.Contains(t, errs, "to have the old state back: git fetch origin refs/heads/imgops-ledger && git switch --detach ")
	w.requireDefaults(three, "behind")
	t.Log("a rollback at night is not held up by it, and is an error all the same")
	_, errs = w.do(exitError, "rollback", "web", "--reason", "night")
	require.Contains(t, errs, "was rewritten")
	w.requireDefaults(two, "held")
	_, errs = w.do(exitDone, "history", "web")
	require.Contains(t, errs, "was rewritten")
}

// TestLedgerOff keeps nothing.
func TestLedgerOff(t *testing.T) {
	w := newAPIWorld(t)
	bare := w.shared("ledger: off")
	one := w.merged("one")
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(one, "current")
	require.Empty(t, w.recorded(bare))
	require.False(t, w.kept())
	_, errs := w.do(exitUsage, "diff", "web")
	require.Contains(t, errs, "ledger: off")
}

// TestLedgerDefaultRewritten has a ledger by the default settings whose branch somebody pushed by force, or changed records of:
// nothing is promoted, and the command of the message that accepts the branch as it is lets the next run promote.
func TestLedgerDefaultRewritten(t *testing.T) {
	for name, c := range map[string]struct{ rewrite, says string }{
		"another history": {
			"git update-ref refs/heads/imgops-ledger $(git commit-tree -m anew imgops-ledger^{tree})",
			"is no part of its history any more",
		},
		"a record removed on top, in a clone that has seen it": {
			"git update-ref refs/heads/imgops-ledger $(git commit-tree -m less -p imgops-ledger imgops-ledger~1^{tree})",
			" is not as it was",
		},
		"deleted": {"git update-ref -d refs/heads/imgops-ledger", "it is gone, and its last known tip is "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			bare := w.shared("")
			w.merged("one")
			w.do(exitDone, "ci", "--event", "push")
			two := w.merged("two")
			w.do(exitDone, "ci", "--event", "push")
			(&apiWorld{t: t, fleet: bare, box: w.box}).shell(c.rewrite)
			three := w.merged("three")
			for _, args := range [][]string{{"ci", "--event", "push"}, {"promote"}} {
				_, errs := w.do(exitError, args...)
				require.Contains(t, errs, "nothing is promoted: branch imgops-ledger of origin was rewritten: ")
				require.Contains(t, errs, c.says)
				require.Contains(t, errs, "to have the old state back: git ")
				w.requireDefaults(two, "behind")
			}
			_, errs := w.do(exitDone, "history", "web")
			require.Contains(t, errs, "warning: branch imgops-ledger of origin was rewritten")

			_, errs = w.do(exitError, "promote")
			_, meant, ok := strings.Cut(errs, "; if it was meant: ")
			require.True(t, ok, errs)
			git, aws, ok := strings.Cut(strings.TrimSpace(meant), " && ")
			require.True(t, ok, meant)
			require.Equal(t, "aws ssm delete-parameter --region us-east-1 --name "+images.WitnessName("acme"), aws)
			w.shell(git)
			w.forgetWitness()
			w.do(exitDone, "promote")
			w.requireDefaults(three, "current")
		})
	}
}

// TestLedgerDefaultAway: by the default settings a remote that cannot be reached holds nothing up, and is told once.
func TestLedgerDefaultAway(t *testing.T) {
	w := newAPIWorld(t)
	bare := w.shared("")
	one := w.merged("one")
	require.NoError(t, os.Rename(bare, bare+".away"))
	_, errs := w.do(exitDone, "ci", "--event", "push")
	require.Equal(t, 1, strings.Count(errs, "warning: whether the ledger is as it was left could not be found out: "), errs)
	require.Contains(t, errs, "warning: what was done is not in the ledger yet")
	w.requireDefaults(one, "current")
}

// TestLedgerBeforeMachines: what keeps a run from promoting ends it before it builds for that. These accounts have no machines,
// so a build would be another error.
func TestLedgerBeforeMachines(t *testing.T) {
	const reset = "git update-ref refs/heads/imgops-ledger $(git commit-tree -m anew imgops-ledger^{tree})"
	put := func(content, path string) string {
		return "export GIT_INDEX_FILE=spoilt; b=$(echo '" + content + "' | git hash-object -w --stdin); git read-tree imgops-ledger; git update-index --add --cacheinfo 100644,$b," + path +
			"; git update-ref refs/heads/imgops-ledger $(git commit-tree -m hello -p imgops-ledger $(git write-tree)); rm spoilt"
	}
	garbage := put("hello", "README.md")
	const event = "events/web/20260102T120000.000Z-hold-000000000000.json"
	for name, c := range map[string]struct{ setting, spoil, says string }{
		"rewritten":            {"", reset, "was rewritten"},
		"rewritten, required":  {"ledger: required", reset, "was rewritten"},
		"garbage":              {"", garbage, "README.md: it is no file that imgops has written"},
		"a cut-off entry":      {"", put(`{"schema":1,"kind":"event","fleet":"ac`, event), event + ": it is not the JSON of an entry"},
		"a changed entry":      {"", put(`{"schema":1,"kind":"event","fleet":"acme","role":"web","action":"hold","at":"2026-01-02T12:00:00Z"}`, event), "it was changed after imgops wrote it"},
		"a newer entry":        {"", put(`{"schema":2,"kind":"event"}`, event), event + ": it is of schema 2, and this imgops reads up to 1; update imgops"},
		"garbage, required":    {"ledger: required", garbage, "README.md: it is no file that imgops has written"},
		"out of reach, needed": {"ledger: required", "mv hooks .. && mv HEAD ../HEAD.away", "nothing is promoted: imgops.yaml requires the ledger"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			bare := w.shared(c.setting)
			one := w.merged("one")
			w.do(exitDone, "ci", "--event", "push")
			w.commit("two")
			w.git("push", "-q", "origin", "main")
			(&apiWorld{t: t, fleet: bare, box: w.box}).shell(c.spoil)
			out, errs := w.do(exitError, "ci", "--event", "push")
			require.Contains(t, errs, "nothing is promoted: ")
			require.Contains(t, errs, c.says)
			require.NotContains(t, errs, "role web: ", "no build was begun")
			require.Equal(t, strings.Contains(name, "garbage") || strings.Contains(name, "cut-off") || strings.Contains(name, "changed"), strings.Contains(errs, "git rm PATH"))
			require.Empty(t, out)
			w.requireDefaults(one, "behind")
			require.Len(t, w.images(), 1)
		})
	}
}

// TestLedgerRelativeRemote: a remote's path begins at the fleet's working tree, wherever imgops was started.
func TestLedgerRelativeRemote(t *testing.T) {
	w := newAPIWorld(t)
	bare := w.shared("ledger: required")
	relative, err := filepath.Rel(w.fleet, bare)
	require.NoError(t, err)
	w.git("remote", "set-url", "origin", relative)
	one := w.merged("one")
	_, errs := w.do(exitDone, "ci", "--event", "push")
	require.NotContains(t, errs, "warning")
	w.requireDefaults(one, "current")
	require.Len(t, w.recorded(bare), 1)
	_, out, _ := w.try("doctor")
	require.NotContains(t, out, "does not appear to be a git repository")
}

// TestLedgerDefaultGarbage has a best-effort ledger with garbage: nothing is promoted until it is gone, and each bad entry is
// named, also by commands that read. A branch that is somebody's own ends the promotion, too.
func TestLedgerDefaultGarbage(t *testing.T) {
	w := newAPIWorld(t)
	bare := w.shared("")
	one := w.merged("one")
	w.git("--git-dir", bare, "update-ref", "refs/heads/"+ledger.Branch, "main")
	_, errs := w.do(exitError, "ci", "--event", "push")
	require.Contains(t, errs, "nothing is promoted: branch imgops-ledger of origin is no ledger")
	w.requireDefaults("", "missing")
	w.git("--git-dir", bare, "update-ref", "-d", "refs/heads/"+ledger.Branch)
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(one, "current")

	work := filepath.Join(t.TempDir(), "work")
	w.git("clone", "-q", "--branch", ledger.Branch, bare, work)
	write(t, filepath.Join(work, "README.md"), "hello\n")
	w.git("-C", work, "add", "-A")
	w.git("-C", work, "commit", "-qm", "hello")
	w.git("-C", work, "push", "-q", "origin", ledger.Branch)
	two := w.merged("two")
	_, errs = w.do(exitError, "ci", "--event", "push")
	require.Contains(t, errs, "nothing is promoted: the ledger")
	require.Contains(t, errs, "README.md: it is no file that imgops has written")
	require.Contains(t, errs, "git rm PATH")
	w.requireDefaults(one, "behind")
	_, errs = w.do(exitDone, "history", "web", "--quiet")
	require.Contains(t, errs, "warning: skipped in the ledger: README.md")
	w.git("-C", work, "rm", "-q", "README.md")
	w.git("-C", work, "commit", "-qm", "as the message says")
	w.git("-C", work, "push", "-q", "origin", ledger.Branch)
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(two, "current")
}

// TestLedgerOfOtherForms writes and reads the ledger of a sparse checkout, of a linked working tree of it, and of a
// repository whose settings go-git cannot read: what imgops reads the fleet of, it can record in.
func TestLedgerOfOtherForms(t *testing.T) {
	w := newAPIWorld(t)
	bare := w.shared("ledger: required")
	w.merged("one")
	w.do(exitDone, "ci", "--event", "push")
	held := func(w *apiWorld, reason string) {
		t.Helper()
		count := len(w.recorded(bare))
		_, errs := w.do(exitDone, "hold", "web", "--reason", reason)
		require.NotContains(t, errs, "warning")
		require.Len(t, w.recorded(bare), count+1)
		w.do(exitDone, "release", "web")
		out, errs := w.do(exitDone, "history", "web")
		require.Contains(t, out, reason)
		require.NotContains(t, errs, "could not be opened")
	}
	w.git("sparse-checkout", "set", "roles")
	require.Contains(t, w.read(".git/config"), "worktreeConfig")
	held(w, "in a sparse checkout")
	linked := filepath.Join(t.TempDir(), "linked")
	w.git("worktree", "add", "-q", "--detach", linked)
	held(&apiWorld{t: t, fleet: linked, box: w.box}, "in a linked working tree")
	w.write(".git/config", w.read(".git/config")+"[alias] co = checkout\n[extensions]\n\tpartialClone = origin\n")
	held(w, "with settings in one line, and an extension of a partial clone")
}
