package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

// TestOldImages has gc show, and with --images remove, what retention no longer keeps.
func TestOldImages(t *testing.T) {
	w := newAPIWorld(t)
	w.write("imgops.yaml", w.read("imgops.yaml")+"retention: {keep: 1, min_age: 1ns}\n")
	var made []string
	for _, content := range []string{"one", "two", "three", "four"} {
		w.commit(content)
		made = append(made, w.bake())
		w.do(exitDone, "ci", "--event", "push")
	}
	w.commit("five")
	five := w.bake()
	rejected := made[3]
	w.do(exitDone, "reject", rejected, "--reason", "slow")
	w.do(exitDone, "rollback", "web", "--reason", "slow", "--to", made[2])
	w.do(exitDone, "release", "web")

	want := []garbage{{Kind: "image", ID: made[0], Role: "web", Run: "run-1", Account: "111111111111", Region: "us-east-1"}}
	same := func(out string, removed bool) {
		t.Helper()
		got := decode[[]garbage](t, out)
		require.Len(t, got, len(want))
		for i := range got {
			require.NotEmpty(t, got[i].Reason)
			require.NotEmpty(t, got[i].Digest)
			want[i].Removed, want[i].Reason, want[i].Digest = removed, got[i].Reason, got[i].Digest
		}
		require.Equal(t, want, got)
	}
	// Kept are the default (three), what main wants and is newest (five), and of those that were promoted last and are not
	// rejected the one before: two. The rejected one is what instances may still run by, and no default: it goes.
	want = append(want, garbage{Kind: "image", ID: rejected, Role: "web", Run: "run-1", Account: "111111111111", Region: "us-east-1"})
	out, errs := w.do(exitDone, "gc", "-o", "json")
	require.Contains(t, errs, "retention does not keep 2 images any more; to remove: imgops gc --images")
	same(out, false)
	out, _ = w.do(exitDone, "gc", "--images", "--dry-run", "-o", "json")
	same(out, false)
	require.Len(t, w.images(), 5)
	out, _ = w.do(exitDone, "gc", "--images", "-o", "json")
	same(out, true)
	var left []string
	for _, img := range w.images() {
		left = append(left, img.ID)
	}
	require.ElementsMatch(t, []string{made[1], made[2], five}, left)
	out, _ = w.do(exitDone, "gc", "--images", "-o", "json")
	require.Equal(t, "[]\n", out)

	// The way back is still there.
	w.do(exitDone, "rollback", "web", "--reason", "further", "--to", made[1])
	w.requireDefaults(made[1], "held")

	// A revert to the recipe of the rejected image, which is gone, brings it back only on purpose.
	w.do(exitDone, "release", "web")
	w.commit("four")
	out, _ = w.do(exitDone, "plan", "-o", "json")
	d := decode[[]images.Decision](t, out)[0]
	require.Equal(t, []string{images.ActionNone, rejected}, []string{d.Action, d.Image})
	require.Contains(t, d.Reason, "rejected: slow ("+rejected+"); change the recipe, or have it built anew")
	code, _, errs := w.onPaper("ci", "--event", "push")
	require.Equal(t, exitRefused, code, errs)
	require.Contains(t, errs, "image "+rejected+" of its digest")
	out, _ = w.do(exitDone, "show", "web", "-o", "json")
	require.Contains(t, out, `"state": "removed"`)
	w.requireDefaults(made[1], "behind")
	again := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(again, "current")
}
