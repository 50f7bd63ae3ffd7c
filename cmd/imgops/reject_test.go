package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

// TestHoldOutlastsMerges rolls back by night: what is merged later, new content too, does not undo it until the release.
func TestHoldOutlastsMerges(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	one := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.commit("two")
	w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.do(exitDone, "rollback", "web", "--reason", "it leaks")
	w.commit("three")
	three := w.bake()
	for range 2 {
		_, errs := w.do(exitDone, "ci", "--event", "push")
		require.Contains(t, errs, "web is not promoted: held by ")
		w.requireDefaults(one, "held")
	}
	w.do(exitDone, "release", "web")
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(three, "current")
}

// TestRejectedDigest rejects what main has: the same recipe is neither built again nor promoted, until somebody changes it,
// stamps it, or builds it on purpose.
func TestRejectedDigest(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	one := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.do(exitDone, "reject", one, "--reason", "CVE-2026-1")
	const rule = "change the recipe, or have it built anew: imgops update --refresh web"

	out, _ := w.do(exitDone, "plan", "-o", "json", "--detailed-exitcode")
	d := decode[[]images.Decision](t, out)[0]
	require.Equal(t, []string{"none", "rejected: CVE-2026-1 (" + one + "); " + rule, one}, []string{d.Action, d.Reason, d.Image})
	for _, command := range [][]string{{"ci", "--event", "push"}, {"promote"}, {"build"}, {"verify"}, {"ci", "--event", "push", "--level", "0"}} {
		_, errs := w.do(exitRefused, command...)
		require.Contains(t, errs, "refused (rejected): image "+one+" of its digest", command)
		require.Contains(t, errs, "is rejected: CVE-2026-1; "+rule, command)
	}
	out, _ = w.do(exitRefused, "ci", "--event", "push", "-o", "json")
	require.Equal(t, "refused", decode[[]done](t, out)[0].Result)
	require.Contains(t, w.requireDefaults(one, "current")[0].Note, "rejected: CVE-2026-1", "it stays the default, and is flagged")
	require.Len(t, w.images(), 1, "nothing was built")

	// Other roles go on.
	w.write("roles/db/image.yaml", "base: {image: ami-0123456789abcdef0}\nverify: [{suite: default}]\n")
	w.write("roles/db/tests/default/true.sh", "#!/bin/sh\ntrue\n")
	w.write("roles/db/tasks/main.yml", "- ansible.builtin.ping:\n")
	w.commit("one")
	db := w.bakeRole("db")
	out, _ = w.do(exitRefused, "ci", "--event", "push", "-o", "json")
	for _, o := range decode[[]done](t, out) {
		require.Equal(t, map[string]string{"web": "refused", "db": "promoted"}[o.Role], o.Result)
	}
	out, _ = w.do(exitDone, "list", "db", "-o", "json")
	require.Equal(t, db, decode[[]images.Default](t, out)[0].Image)

	// As long as the role is held it is no error.
	w.do(exitDone, "hold", "web", "--reason", "until it is mended")
	_, errs := w.do(exitDone, "ci", "--event", "push")
	require.Contains(t, errs, "web is held, and its digest is rejected: CVE-2026-1")
	w.do(exitDone, "promote")
	w.do(exitDone, "release", "web")

	// What was built on purpose of the same recipe counts again.
	two := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	out, _ = w.do(exitDone, "list", "web", "-o", "json")
	require.Equal(t, two, decode[[]images.Default](t, out)[0].Image)
}

// TestRejectedParent rejects a parent: its children are not promoted, and not built on it.
func TestRejectedParent(t *testing.T) {
	w := newAPIWorld(t)
	w.write("roles/child/image.yaml", "base: {role: web}\nverify: [{suite: default}]\n")
	w.write("roles/child/tests/default/true.sh", "#!/bin/sh\ntrue\n")
	w.write("roles/child/tasks/main.yml", "- ansible.builtin.ping:\n")
	w.commit("one")
	web := w.bake()
	w.do(exitDone, "reject", web, "--reason", "CVE-2026-1")
	out, _ := w.do(exitRefused, "ci", "--event", "push", "-o", "json")
	for _, o := range decode[[]done](t, out) {
		require.Equal(t, map[string]string{"web": "refused", "child": "skipped"}[o.Role], o.Result)
	}
	_, errs := w.do(exitRefused, "ci", "--event", "push", "--level", "1")
	require.Contains(t, errs, "image "+web+" of its digest")
	w.do(exitDone, "hold", "web", "--reason", "until it is mended")
	_, errs = w.do(exitRefused, "ci", "--event", "push")
	require.Contains(t, errs, "image "+web+" of its digest")
	require.Len(t, w.images(), 1, "nothing was built")
}

// TestRejectedAndUnseen: a role is held, its default is rejected, and an account does not see that image any more: list says
// all of it, there as in the account that does.
func TestRejectedAndUnseen(t *testing.T) {
	w := newAPIWorld(t)
	commit := w.commit("one")
	one := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.do(exitDone, "hold", "web", "--reason", "wait for the fix")
	w.do(exitDone, "reject", one, "--reason", "CVE-2026-1")
	api, err := w.box.EC2(t.Context(), apiHome)
	require.NoError(t, err)
	_, err = api.ModifyImageAttribute(t.Context(), &ec2.ModifyImageAttributeInput{ImageId: &one, LaunchPermission: &types.LaunchPermissionModifications{
		Remove: []types.LaunchPermission{{UserId: aws.String("333333333333")}},
	}})
	require.NoError(t, err)
	for _, d := range w.requireDefaults(one, "held") {
		require.Contains(t, d.Note, "wait for the fix")
		require.Contains(t, d.Note, "; rejected: CVE-2026-1")
		require.Equal(t, d.Account == "333333333333", strings.Contains(d.Note, "the pointer is drifted"), d.Note)
		require.NotEmpty(t, d.Digest)
		require.Equal(t, commit, d.Commit)
	}
	out, _ := w.do(exitDone, "list")
	require.Equal(t, 2, strings.Count(out, "rejected: CVE-2026-1"), out)
	w.do(exitDone, "release", "web")
	for _, d := range w.defaults() {
		require.Equal(t, "rejected: CVE-2026-1", d.Note)
		require.Equal(t, map[bool]images.Status{true: images.StatusDrifted, false: images.StatusCurrent}[d.Account == "333333333333"], d.Status)
	}
}

// deregister removes an image by another hand than gc's.
func (w *apiWorld) deregister(ids ...string) {
	w.t.Helper()
	api, err := w.box.EC2(w.t.Context(), apiHome)
	require.NoError(w.t, err)
	for _, id := range ids {
		_, err = api.DeregisterImage(w.t.Context(), &ec2.DeregisterImageInput{ImageId: &id})
		require.NoError(w.t, err)
	}
}

// TestRejectionOutlastsImage removes rejected images with other tools: their recipe, and what was built on it, stays rejected,
// for every command and in any clone, until somebody builds it on purpose.
func TestRejectionOutlastsImage(t *testing.T) {
	w := newAPIWorld(t)
	w.write("roles/child/image.yaml", "base: {role: web}\nverify: [{suite: default}]\n")
	w.write("roles/child/tests/default/true.sh", "#!/bin/sh\ntrue\n")
	w.write("roles/child/tasks/main.yml", "- ansible.builtin.ping:\n")
	w.commit("one")
	good, goodChild := w.bake(), w.bakeOn("child", "")
	w.do(exitDone, "ci", "--event", "push")
	w.commit("two")
	bad := w.bake()
	child := w.bakeOn("child", bad)
	w.do(exitDone, "ci", "--event", "push")
	w.do(exitDone, "reject", bad, "--reason", "CVE-2026-1")
	digest := map[string]string{}
	for _, img := range w.images() {
		digest[img.ID] = img.Digest
	}
	for range 2 { // the second time some are gone
		w.do(exitRefused, "ci", "--event", "push")
		w.deregister(bad)
		bad, child = child, bad
	}
	w.git("commit", "-q", "--allow-empty", "-m", "Any merge")

	out, _ := w.do(exitDone, "plan", "-o", "json")
	for _, d := range decode[[]images.Decision](t, out) {
		require.Equal(t, images.ActionNone, d.Action, d.Reason)
		require.Contains(t, d.Reason, "CVE-2026-1")
	}
	before := len(w.images())
	for _, command := range [][]string{{"ci", "--event", "push"}, {"ci", "--event", "push", "--role", "child"}, {"promote"}, {"promote", "child"}, {"build"}, {"verify"}} {
		_, errs := w.do(exitRefused, command...)
		require.Contains(t, errs, "refused (rejected): ", command)
	}
	require.Len(t, w.images(), before, "nothing was built")
	for _, d := range w.defaults() {
		require.Equal(t, []string{"drifted", "true"}, []string{string(d.Status), fmt.Sprint(strings.Contains(d.Note, "CVE-2026-1"))}, d.Note)
		require.Equal(t, digest[d.Image], d.Digest)
	}
	for id, role := range map[string]string{bad: "web", child: "child"} {
		for _, to := range []string{id, digest[id], strings.TrimPrefix(digest[id], "sha256:")[:10]} {
			_, errs := w.do(exitRefused, "rollback", role, "--to", to, "--reason", "x")
			require.Contains(t, errs, "rollback of "+role+" refused (rejected): image "+id+" of digest "+digest[id][7:15]+" was rejected, and is gone: ")
		}
	}
	w.do(exitError, "rollback", "web", "--to", "ami-0123456789abcdef9", "--reason", "x")
	w.do(exitDone, "rollback", "web", "--to", good, "--reason", "back")
	w.do(exitDone, "rollback", "child", "--to", goodChild, "--reason", "back")
	w.do(exitDone, "release", "web")
	w.do(exitDone, "release", "child")
	w.do(exitRefused, "ci", "--event", "push")

	t.Log("an image that is built on what was rejected and is gone, and that nobody has tagged, is no way around it")
	late := w.bakeOn("child", bad)
	_, errs := w.do(exitRefused, "promote", "child")
	require.Contains(t, errs, "is rejected: CVE-2026-1")
	_, errs = w.do(exitRefused, "rollback", "child", "--to", late, "--reason", "x")
	require.Contains(t, errs, "is rejected: CVE-2026-1")

	t.Log("what is built of the recipe on purpose counts")
	two := w.bake()
	w.do(exitDone, "promote", "web")
	out, _ = w.do(exitDone, "list", "web", "-o", "json")
	require.Equal(t, two, decode[[]images.Default](t, out)[0].Image)
}
