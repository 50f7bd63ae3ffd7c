package main

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
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
			want[i].Removed, want[i].Reason, want[i].Digest, want[i].Action = removed, got[i].Reason, got[i].Digest, images.CleanRemove
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

// TestOldImagesAreDeprecated has gc deprecate old images, remove them later, and take it back for one that is kept again.
func TestOldImagesAreDeprecated(t *testing.T) {
	// EC2 lets no deprecation begin in the past. This one's clock is behind, so that a week has passed for imgops.
	w := newAPIWorld(t, func(o *sandbox.Options) { o.Clock = func() time.Time { return time.Now().Add(-12 * time.Minute) } })
	w.write("imgops.yaml", w.read("imgops.yaml")+"retention: {keep: 1, min_age: 1ns, deprecate_for: 168h}\n")
	var made []string
	for _, content := range []string{"one", "two", "three", "four"} {
		w.commit(content)
		made = append(made, w.bake())
		w.do(exitDone, "ci", "--event", "push")
	}
	gc := func(args ...string) (map[string]garbage, string) {
		t.Helper()
		out, errs := w.do(exitDone, append([]string{"gc", "-o", "json"}, args...)...)
		by := map[string]garbage{}
		for _, g := range decode[[]garbage](t, out) {
			by[g.ID] = g
		}
		return by, errs
	}
	before, errs := gc()
	require.Contains(t, errs, "retention does not keep 2 images any more; to deprecate: imgops gc --images")
	require.Len(t, before, 2)
	dry, _ := gc("--images", "--dry-run")
	start := time.Now()
	done, errs := gc("--images")
	require.NotContains(t, errs, "imgops gc --images")
	for _, id := range made[:2] {
		require.Equal(t, images.CleanDeprecate, before[id].Action)
		require.Nil(t, before[id].DeprecatedAt)
		require.Contains(t, dry[id].Reason, "to be deprecated, and removable from ")
		require.Nil(t, dry[id].DeprecatedAt)
		require.WithinRange(t, *done[id].DeprecatedAt, start, time.Now().Add(2*time.Minute))
		require.Equal(t, done[id].DeprecatedAt.Add(168*time.Hour), *done[id].RemovableAt)
		require.True(t, strings.HasPrefix(done[id].Reason, "deprecated, and removable from "), done[id].Reason)
		require.False(t, done[id].Removed)
		require.Contains(t, done[id].Reason, "not one of the 1 newest of role web")
	}
	wait, errs := gc()
	require.NotContains(t, errs, "imgops gc --images", "nothing is due")
	require.Equal(t, images.CleanWait, wait[made[0]].Action)
	require.Contains(t, wait[made[0]].Reason, "deprecated since ")
	out, _ := w.do(exitDone, "show", made[0])
	require.Contains(t, out, "available, deprecated from ")
	out, _ = w.do(exitDone, "show", made[3], "-o", "json")
	require.NotContains(t, out, "deprecated")

	// Back to the second: it is deprecated no more. The first has been for long enough when the time of imgops.yaml is short.
	w.do(exitDone, "rollback", "web", "--to", made[1], "--reason", "night")
	require.True(t, w.image(made[1]).Deprecated.IsZero())
	held, _ := gc("--images")
	require.Equal(t, images.CleanUndeprecate, held[made[0]].Action, "all of a held role are kept")
	require.Equal(t, "deprecated no more: retention keeps it again", held[made[0]].Reason)
	require.True(t, w.image(made[0]).Deprecated.IsZero())
	w.do(exitDone, "release", "web")
	gc("--images")
	api, err := w.box.EC2(t.Context(), apiHome)
	require.NoError(t, err)
	at := time.Now().Add(-10 * time.Minute)
	_, err = api.EnableImageDeprecation(t.Context(), &ec2.EnableImageDeprecationInput{ImageId: &made[0], DeprecateAt: &at})
	require.NoError(t, err)
	w.write("imgops.yaml", strings.Replace(w.read("imgops.yaml"), "168h", "5m", 1))
	removed, _ := gc("--images")
	require.True(t, removed[made[0]].Removed)
	require.Equal(t, images.CleanRemove, removed[made[0]].Action)
	require.Empty(t, w.image(made[0]).ID)
	w.requireDefaults(made[1], "behind")
}

// image is an image of the build location, or none.
func (w *apiWorld) image(id string) images.Image {
	for _, img := range w.images() {
		if img.ID == id {
			return img
		}
	}
	return images.Image{}
}
