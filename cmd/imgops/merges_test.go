package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// clone makes a clone of the fleet with Git's arguments.
func (w *apiWorld) clone(name string, args ...string) *apiWorld {
	w.t.Helper()
	c := &apiWorld{t: w.t, fleet: filepath.Join(w.t.TempDir(), name), box: w.box}
	w.git(append(append([]string{"clone", "-q"}, args...), "file://"+w.fleet, c.fleet)...)
	return c
}

// TestMergesFinishInTheWrongOrder: the clone of the older pipeline was made before the newer merge was there, so it knows
// nothing of the commit that the default was promoted at.
func TestMergesFinishInTheWrongOrder(t *testing.T) {
	for name, args := range map[string][]string{"whole clones": nil, "shallow clones": {"--depth=1"}} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			first := w.commit("one")
			w.bake()
			older := w.clone("older", args...)
			second := w.commit("two")
			two := w.bake()
			newer := w.clone("newer", args...)
			newer.do(exitDone, "ci", "--event", "push")
			_, errs := older.do(exitRefused, "ci", "--event", "push")
			require.Contains(t, errs, "commit "+first[:8]+" is older than "+second[:8])
			w.requireDefaults(two, "current")

			// A rerun of the old pipeline, in a clone of its own.
			again := w.clone("again", args...)
			again.git("fetch", "-q", "origin", first)
			again.git("checkout", "-q", first)
			again.do(exitRefused, "ci", "--event", "push")
			w.requireDefaults(two, "current")

			out, errs := newer.do(exitDone, "ci", "--event", "push", "-o", "json")
			require.Contains(t, errs, "nothing to do: no role needs a build, a verification or a promotion")
			require.Equal(t, "unchanged", decode[[]done](t, out)[0].Result)
			newer.do(exitUsage, "ci", "--event", "push", "webb")
			newer.do(exitUsage, "ci", "--event", "push", "--role", "webb")
		})
	}
}

// TestSameRecipeSharesTheImage: two pull requests that make the same of a role need one image, and the merge of either
// promotes it; where the merge makes something else of it, that has to be built first.
func TestSameRecipeSharesTheImage(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("main")
	w.git("switch", "-qc", "a")
	w.commit("same")
	image := w.bake()
	w.git("switch", "-q", "main")
	w.git("switch", "-qc", "b")
	w.write("docs/b", "another commit\n")
	w.commit("same")
	out, errs := w.do(exitDone, "ci", "--event", "pull-request", "--base", "main", "-o", "json")
	require.Equal(t, []done{{Role: "web", Digest: decode[[]done](t, out)[0].Digest, Result: "unchanged", Image: image}}, decode[[]done](t, out))
	require.Contains(t, errs, "needed no build")

	w.git("switch", "-q", "main")
	w.git("merge", "-q", "--no-ff", "-m", "Merge a", "a")
	out, _ = w.do(exitDone, "ci", "--event", "push", "-o", "json")
	require.Equal(t, "promoted", decode[[]done](t, out)[0].Result)
	w.requireDefaults(image, "current")

	w.git("switch", "-qc", "c")
	w.write("roles/web/files/c", "c\n")
	w.git("add", "-A")
	w.git("commit", "-qm", "c")
	verified := w.bake()
	w.git("switch", "-q", "main")
	w.commit("main went on")
	w.git("merge", "-q", "--no-ff", "-m", "Merge c", "c")
	out, _ = w.do(exitDone, "ci", "--event", "push", "--matrix", "json")
	require.Contains(t, out, `"action": "build"`)
	require.NotContains(t, out, verified)
	w.requireDefaults(image, "behind")
}
