package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/images/sandbox"
)

// job is another clone of the fleet, as a CI job has one.
func (w *apiWorld) job(bare string) *apiWorld {
	w.t.Helper()
	c := &apiWorld{t: w.t, fleet: filepath.Join(w.t.TempDir(), "clone"), box: w.box}
	w.git("clone", "-q", "--depth=1", "file://"+bare, c.fleet)
	return c
}

// fatal has the remote kill the imgops that pushes to the ledger, as the end of a runner does.
func fatal(t *testing.T, bare string) {
	t.Helper()
	hook := filepath.Join(bare, "hooks", "pre-receive")
	require.NoError(t, os.MkdirAll(filepath.Dir(hook), 0o755))
	script := "#!/bin/sh\np=$PPID\nwhile [ \"$p\" -gt 1 ]; do\n  [ \"$(cat /proc/$p/comm)\" = imgops ] && kill -9 $p && exit 1\n" +
		"  p=$(sed -n 's/^PPid:[^0-9]*//p' /proc/$p/status)\ndone\nexit 1\n"
	require.NoError(t, os.WriteFile(hook, []byte(script), 0o755)) //nolint:gosec // a hook is run
}

// lose runs imgops in a clone of its own, which is gone afterwards, with what it had not pushed.
func (w *apiWorld) lose(bare string, kill bool, args ...string) {
	w.t.Helper()
	c := w.job(bare)
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if kill {
		fatal(w.t, bare)
		out, err := exec.CommandContext(ctx, "imgops", append([]string{"-C", c.fleet}, args...)...).CombinedOutput()
		var ended *exec.ExitError
		require.ErrorAs(w.t, err, &ended, string(out))
		require.Equal(w.t, -1, ended.ExitCode(), "it was killed: %s", out)
	} else {
		protect(w.t, bare, true)
		_, errs := c.do(exitDone, args...)
		require.Contains(w.t, errs, "without this clone, the next run on main records what AWS tells of it")
	}
	protect(w.t, bare, false)
	require.NoError(w.t, os.RemoveAll(c.fleet))
}

// intents are the notes of runs whose record is not in the ledger.
func (w *apiWorld) intents() []images.Intent {
	w.t.Helper()
	list, err := images.ReadIntents(w.t.Context(), w.box, apiHome, "acme")
	require.NoError(w.t, err)
	return list
}

// happened gives what the ledger has of a role's defaults, newest first, in a clone that has just been made.
func (w *apiWorld) happened(bare, role string) []ledger.Event {
	w.t.Helper()
	c := w.job(bare)
	store, err := ledger.OpenGit(c.fleet, ledger.GitOptions{})
	require.NoError(w.t, err)
	require.NoError(w.t, store.Sync(w.t.Context()))
	list, err := ledger.Ledger{Store: store}.Events(w.t.Context(), role)
	require.NoError(w.t, err)
	return list
}

// TestLedgerLostRunner: what a run promoted whose clone is thrown away before its record is stored, because the push was refused
// or the run was killed, is in the ledger after the next pipeline of main, in any other clone, and once.
func TestLedgerLostRunner(t *testing.T) {
	for name, kill := range map[string]bool{"refused": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			bare := w.shared("")
			one := w.merged("one")
			w.do(exitDone, "ci", "--event", "push")
			require.Empty(t, w.intents(), "everything is recorded")
			two := w.merged("two")
			w.lose(bare, kill, "ci", "--event", "push")
			w.requireDefaults(two, "current")
			require.Len(t, w.intents(), 1)
			require.Len(t, w.recorded(bare), 1)

			_, errs := w.job(bare).do(exitDone, "ci", "--event", "push")
			require.Contains(t, errs, "promote of web by run ")
			require.Contains(t, errs, " was not in the ledger; it is recorded now, as AWS tells it")
			events := w.happened(bare, "web")
			require.Len(t, events, 2)
			got := events[0]
			require.Equal(t, []string{"promote", two, w.git("rev-parse", "main")}, []string{got.Action, got.Image, got.Commit})
			require.NotNil(t, got.Recovered)
			require.NotEqual(t, got.By.Run, got.Recovered.Run)
			require.Contains(t, got.By.Who, "arn:aws:")
			require.Equal(t, []ledger.Pointer{
				{Account: "222222222222", Region: "us-east-1", Before: one, After: two}, {Account: "333333333333", Region: "us-east-1", Before: one, After: two},
			}, got.Pointers)
			require.Nil(t, events[1].Recovered)
			out, _ := w.do(exitDone, "show", two)
			require.Regexp(t, `verification .* passed`, out)
			out, _ = w.do(exitDone, "history", "web")
			require.Equal(t, 4, strings.Count(out, "promote "), out)
			require.Regexp(t, `promote \(now, recovered\)`, out)

			t.Log("and no more than once, whoever comes next")
			entries := w.entries(bare)
			w.job(bare).do(exitDone, "ci", "--event", "push")
			w.do(exitDone, "promote")
			require.Equal(t, entries, w.entries(bare))
		})
	}
}

// TestLedgerLostDecisions loses what people did: rollback, release, hold, reject and retire.
func TestLedgerLostDecisions(t *testing.T) {
	w := newAPIWorld(t)
	w.write("roles/db/image.yaml", "base: {image: ami-0123456789abcdef0}\nverify: [{suite: default}]\n")
	w.write("roles/db/tests/default/true.sh", "#!/bin/sh\ntrue\n")
	w.write("roles/db/tasks/main.yml", "- ansible.builtin.ping:\n")
	bare := w.shared("")
	one := w.merged("one")
	w.bakeRole("db")
	w.do(exitDone, "ci", "--event", "push")
	two := w.merged("two")
	w.do(exitDone, "ci", "--event", "push")
	next := func() ledger.Event {
		w.job(bare).do(exitDone, "ci", "--event", "push")
		return w.happened(bare, "web")[0]
	}
	commit := w.git("rev-parse", "main")

	w.lose(bare, true, "rollback", "web", "--reason", "it leaks")
	e := next()
	require.Equal(t, []string{"rollback", "it leaks", one, commit}, []string{e.Action, e.Reason, e.Image, e.Commit})
	require.Equal(t, []ledger.Pointer{
		{Account: "222222222222", Region: "us-east-1", Before: two, After: one}, {Account: "333333333333", Region: "us-east-1", Before: two, After: one},
	}, e.Pointers)
	w.lose(bare, false, "release", "web")
	w.lose(bare, true, "hold", "web", "--reason", "fair")
	e = next()
	require.Equal(t, []string{"hold", "fair"}, []string{e.Action, e.Reason})
	require.Equal(t, "release", w.happened(bare, "web")[1].Action)
	w.lose(bare, true, "reject", two, "--reason", "CVE-2026-1")
	e = next()
	require.Equal(t, []string{"reject", "CVE-2026-1", two}, []string{e.Action, e.Reason, e.Image})
	w.do(exitDone, "release", "web")

	w.git("rm", "-rq", "roles/web")
	w.git("commit", "-qm", "web is no more")
	w.git("push", "-q", "origin", "main")
	w.lose(bare, true, "retire", "web", "--reason", "db does it")
	w.bakeRole("db")
	e = next()
	require.Equal(t, []string{"retire", "db does it"}, []string{e.Action, e.Reason})
	require.Len(t, e.Pointers, 2)
	for _, e := range w.happened(bare, "web") {
		require.Contains(t, e.By.Who, "arn:aws:", e.Action)
	}
}

// TestLedgerLostBefore: what was lost without a note, as by an imgops that left none, is recorded by the next promotion of the role.
func TestLedgerLostBefore(t *testing.T) {
	w := newAPIWorld(t)
	bare := w.shared("")
	w.merged("one")
	w.do(exitDone, "ci", "--event", "push")
	for _, content := range []string{"two", "three"} {
		w.merged(content)
		w.lose(bare, false, "ci", "--event", "push")
		for _, i := range w.intents() {
			require.NoError(t, images.DropIntent(t.Context(), w.box, apiHome, i.Name))
		}
	}
	w.merged("four")
	_, errs := w.job(bare).do(exitDone, "ci", "--event", "push")
	require.Contains(t, errs, "web: what moved its pointers before was not in the ledger (2 times)")
	events := w.happened(bare, "web")
	require.Len(t, events, 4)
	for i, e := range events {
		require.Equal(t, i == 1 || i == 2, e.Recovered != nil)
		if i < 3 {
			require.Equal(t, events[i+1].Image, e.Pointers[0].Before)
		}
	}
	w.merged("five")
	_, errs = w.job(bare).do(exitDone, "ci", "--event", "push")
	require.NotContains(t, errs, "was not in the ledger")
	require.Len(t, w.happened(bare, "web"), 5)
}

// TestLedgerIntentEnds: the note of a run that is gone goes as soon as its record is stored, or when it is old and nothing came of it.
func TestLedgerIntentEnds(t *testing.T) {
	var behind atomic.Int64
	w := newAPIWorld(t, func(o *sandbox.Options) {
		o.Clock = func() time.Time { return time.Now().Add(-time.Duration(behind.Load())) }
	})
	bare := w.shared("")
	w.merged("one")
	nothing := func() map[string]int { return w.calls("ci", "--event", "push") }
	protect(t, bare, true)
	w.do(exitDone, "ci", "--event", "push")
	require.Len(t, w.intents(), 1)
	protect(t, bare, false)
	w.do(exitDone, "ci", "--event", "push") // stores what this clone keeps
	w.do(exitDone, "ci", "--event", "push")
	require.Empty(t, w.intents())
	want := nothing()
	require.Zero(t, want["ssm:GetParameterHistory"])

	put := func(value string) {
		require.NoError(t, images.PutIntent(t.Context(), w.box, apiHome, images.IntentName("acme", "gone"), value))
	}
	for _, value := range []string{`{"action":"promote","roles":["web"],"by":{"run":"gone"}}`, "{", `{"action":"hold","by":{"run":"gone"},"roles":["web"],"reason":"x"}`} {
		put(value)
		w.do(exitDone, "ci", "--event", "push")
		require.Len(t, w.intents(), 1, "the run may be about to move pointers")
		behind.Store(int64(settleTime + 2*time.Minute)) // signatures hold for 15
		put(value)
		behind.Store(0)
		w.do(exitDone, "ci", "--event", "push")
		require.Empty(t, w.intents())
		require.Equal(t, want, nothing())
	}
	require.Len(t, w.entries(bare), 3)
}
