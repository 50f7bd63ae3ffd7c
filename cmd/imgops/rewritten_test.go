package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRewrittenHistory: main was replaced by another history, and what was promoted is in none any more.
func TestRewrittenHistory(t *testing.T) {
	for name, args := range map[string][]string{"whole clones": nil, "shallow clones": {"--depth=1"}} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			lost := w.commit("one")
			one := w.bake()
			w.do(exitDone, "ci", "--event", "push")
			w.git("checkout", "-q", "--orphan", "anew")
			w.write("NOTES", "a history without the secret\n")
			w.commit("one")
			w.git("branch", "-qM", "anew", "main")
			w.git("reflog", "expire", "--expire=now", "--all")
			w.git("gc", "-q", "--prune=now")

			c := w.clone("unchanged", args...)
			_, errs := c.do(exitDone, "ci", "--event", "push")
			require.Contains(t, errs, "nothing to do", "a role that needs nothing is not refused")
			c.do(exitDone, "promote")

			w.commit("two")
			two := w.bake()
			w.commit("three")
			three := w.bake()
			c = w.clone("refused", args...)
			head := c.git("rev-parse", "HEAD")
			_, errs = c.do(exitRefused, "ci", "--event", "push")
			require.Contains(t, errs, "promotion of web refused (backwards): whether commit "+head[:8]+" is older than "+lost[:8]+
				", at which the present default was promoted, cannot be shown")
			require.Contains(t, errs, "run it once with --rewritten-history")
			c.do(exitRefused, "promote")
			w.requireDefaults(one, "behind")

			c.do(exitDone, "ci", "--event", "push", "--rewritten-history")
			w.requireDefaults(three, "current")
			w.clone("again", args...).do(exitDone, "ci", "--event", "push")

			w.commit("four")
			four := w.bake()
			w.clone("next", args...).do(exitDone, "ci", "--event", "push")
			w.requireDefaults(four, "current")

			older := w.clone("older")
			older.git("checkout", "-q", "main~1")
			older.do(exitRefused, "ci", "--event", "push", "--rewritten-history")
			w.requireDefaults(four, "current")
			require.NotEqual(t, two, three)
		})
	}
}

// TestRewrittenHistoryIsNotGuessed: where the commit may be at a remote that cannot be asked, the flag helps nothing.
func TestRewrittenHistoryIsNotGuessed(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("zero")
	c := w.clone("older")
	w.commit("one")
	one := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	c.commit("of a clone that lacks the promoted commit")
	c.git("update-ref", "refs/remotes/origin/main", "HEAD")
	c.bake()
	c.git("remote", "set-url", "origin", "file://"+filepath.Join(t.TempDir(), "nowhere.git"))
	_, errs := c.do(exitRefused, "ci", "--event", "push", "--rewritten-history")
	require.Contains(t, errs, "let this job read the remote: git ls-remote origin main has to work")
	w.requireDefaults(one, "current")
}
