package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRollbackGoesNoWayAroundTheMerge: what was built and verified on a branch only becomes no default by --to.
func TestRollbackGoesNoWayAroundTheMerge(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	one := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.commit("skipped")
	skipped := w.bake() // of main, and never promoted
	w.commit("two")
	two := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.git("switch", "-qc", "branch")
	commit := w.commit("of a branch")
	image := w.bake()
	w.git("switch", "-q", "main")

	for _, gone := range []bool{false, true} {
		if gone {
			w.git("branch", "-qD", "branch")
			w.git("reflog", "expire", "--expire=now", "--all")
			w.git("gc", "-q", "--prune=now")
		}
		_, errs := w.do(exitRefused, "rollback", "web", "--reason", "x", "--to", image)
		require.Contains(t, errs, "rollback of web refused (not on main): image "+image+" has never been the default, and commit "+commit[:8]+
			", which it was built from, is not on main; merge it, and imgops ci promotes it")
		w.requireDefaults(two, "current")
	}
	for _, to := range []string{skipped, one, two} {
		w.do(exitDone, "rollback", "web", "--reason", "x", "--to", to)
		require.Equal(t, to, w.defaults()[0].Image)
	}
}
