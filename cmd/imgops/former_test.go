package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

var west = images.Location{Account: apiHome.Account, Region: "eu-west-1"}

// movingFleet is a fleet in two Regions on an external base, which has another id in each, with two promotions of role web.
func movingFleet(t *testing.T) (w *apiWorld, one, two string) {
	t.Helper()
	w = newAPIWorld(t)
	w.edit("imgops.yaml", "regions: [us-east-1]", "regions: [us-east-1, eu-west-1]")
	w.write(web, externalBase)
	w.write("imgops.lock", strings.Replace(lockIn("us-east-1"), "us-east-1: ami-0123456789abcdef0", "eu-west-1: ami-0123456789abcdef1\n      us-east-1: ami-0123456789abcdef0", 1))
	w.commit("one")
	one = w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.commit("two")
	two = w.bake()
	w.do(exitDone, "ci", "--event", "push")
	return w, one, two
}

// digests are what the pointers' images are of.
func (w *apiWorld) digests() map[string]bool {
	found := map[string]bool{}
	for _, d := range w.defaults() {
		found[d.Digest] = true
	}
	return found
}

func (w *apiWorld) requireStatus(status string) {
	w.t.Helper()
	list := w.defaults()
	require.Len(w.t, list, 4)
	for _, d := range list {
		require.Equal(w.t, status, string(d.Status), d.Location())
	}
}

// TestHoldOutlastsTheBuildRegion: a merge that builds elsewhere undoes no rollback.
func TestHoldOutlastsTheBuildRegion(t *testing.T) {
	for name, args := range map[string][]string{"whole clone": nil, "shallow clone": {"--depth=1"}} {
		t.Run(name, func(t *testing.T) {
			w, _, _ := movingFleet(t)
			w.do(exitDone, "rollback", "web", "--reason", "two is broken")
			before := w.digests()
			last := w.git("rev-parse", "HEAD")
			w.edit("imgops.yaml", "region: us-east-1}", "region: eu-west-1}")
			w.git("commit", "-qam", "Build in eu-west-1")
			c := w.clone("c", args...)
			w.bakeAt(west, "web")

			w.requireStatus("held") // before anything was carried over
			out, _ := w.do(exitDone, "plan", "-o", "json")
			d := decode[[]images.Decision](t, out)[0]
			require.Equal(t, "none", d.Action)
			require.Contains(t, d.Reason, "two is broken")
			_, errs := w.do(exitRefused, "release", "web")
			require.Contains(t, errs, "release of web refused (build location moved): it is held by ")
			require.Contains(t, errs, "that is noted in 111111111111/us-east-1, where images were built until "+last[:10])

			_, errs = c.do(exitDone, "ci", "--event", "push")
			require.Contains(t, errs, "images were built in 111111111111/us-east-1 until "+last[:10]+", and are in 111111111111/eu-west-1 from now on; carried over from there: the holds of web")
			c.requireStatus("held")
			_, errs = c.do(exitDone, "ci", "--event", "push")
			require.NotContains(t, errs, "carried over", "once")
			c.do(exitDone, "promote")
			require.Equal(t, before, c.digests())
			holds, err := images.OpenHolds(t.Context(), w.box, west, "acme")
			require.NoError(t, err)
			found, err := holds.Of(t.Context(), "web")
			require.NoError(t, err)
			require.Equal(t, "two is broken", found["web"].Reason)

			// What is released now is not brought back from there.
			c.do(exitDone, "release", "web")
			c.do(exitDone, "ci", "--event", "push")
			c.requireStatus("current")
		})
	}
}

// TestRejectionOutlastsTheBuildRegion: the recipe has another digest where the base has another id, and stays rejected.
func TestRejectionOutlastsTheBuildRegion(t *testing.T) {
	w, _, two := movingFleet(t)
	w.do(exitDone, "reject", two, "--reason", "CVE-2026-1")
	w.edit("imgops.yaml", "region: us-east-1}", "region: eu-west-1}")
	w.git("commit", "-qam", "Build in eu-west-1")
	for range 2 {
		out, _ := w.do(exitDone, "plan", "-o", "json")
		d := decode[[]images.Decision](t, out)[0]
		require.Equal(t, "none", d.Action)
		require.Contains(t, d.Reason, "rejected: CVE-2026-1")
		for _, command := range [][]string{{"promote"}, {"ci", "--event", "push"}} {
			_, errs := w.do(exitRefused, command...)
			require.Contains(t, errs, "refused (rejected)", command)
		}
	}
	w.commit("three")
	w.bakeAt(west, "web")
	_, errs := w.do(exitDone, "ci", "--event", "push")
	require.NotContains(t, errs, "carried over", "it was, by the refused run")
	w.requireStatus("current")
	w.git("revert", "--no-edit", "HEAD") // the rejected recipe comes back
	out, _ := w.do(exitDone, "plan", "-o", "json")
	require.Contains(t, decode[[]images.Decision](t, out)[0].Reason, "rejected: CVE-2026-1")
}

// TestFormerBuildAccountCannotBeRead: where it is not known what is held or rejected, nothing is promoted.
func TestFormerBuildAccountCannotBeRead(t *testing.T) {
	w, _, _ := movingFleet(t)
	w.do(exitDone, "rollback", "web", "--reason", "two is broken")
	last := w.git("rev-parse", "HEAD")
	w.edit("imgops.yaml", `account: "111111111111"`, `account: "444444444444"`)
	w.edit("imgops.yaml", "region: us-east-1}", `region: us-east-1, role_arn: "arn:aws:iam::444444444444:role/imgops"}`)
	w.git("commit", "-qam", "Build in 444444444444")
	at := images.Location{Account: "444444444444", Region: "us-east-1"}
	w.bakeAt(at, "web")
	before := w.digests()

	t.Setenv("AWS_ACCESS_KEY_ID", "SANDBOX444444444444") // of the new account
	fix := "aws ssm put-parameter --region us-east-1 --name /imgops/acme/carried --type String --overwrite --value '111111111111/us-east-1 " + last + "'"
	for _, command := range [][]string{{"ci", "--event", "push"}, {"promote"}, {"promote", "--plan"}} {
		_, errs := w.do(exitRefused, command...)
		require.Contains(t, errs, "refused (build location moved): images were built in 111111111111/us-east-1 until "+last[:10], command)
		require.Contains(t, errs, fix)
	}
	_, errs := w.do(exitDone, "plan")
	require.Contains(t, errs, fix)

	t.Setenv("AWS_ACCESS_KEY_ID", "SANDBOX111111111111") // reads both
	w.do(exitDone, "ci", "--event", "push")
	w.requireStatus("held")
	require.Equal(t, before, w.digests())
}
