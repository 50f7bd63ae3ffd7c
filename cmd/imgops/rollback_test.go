package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

// TestNightAndDay is the life of a role's default: promoted, rolled back at night, held, released, reverted by day,
// overtaken, rejected, and retired.
func TestNightAndDay(t *testing.T) {
	w := newAPIWorld(t)
	first := w.commit("one")
	one := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(one, "current")
	_, errs := w.do(exitRefused, "rollback", "web", "--reason", "x")
	require.Contains(t, errs, "rollback of web refused (nothing before)")
	second := w.commit("two")
	two := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(two, "current")

	_, errs = w.do(exitUsage, "rollback", "web", "--reason", " ")
	require.Contains(t, errs, "give --reason TEXT")
	w.do(exitUsage, "rollback", "webb", "--reason", "x")
	out, _ := w.do(exitDone, "rollback", "web", "--reason", "x", "--plan")
	require.Contains(t, out, "222222222222/us-east-1: move the pointer from "+two+" to "+one)
	w.requireDefaults(two, "current")
	w.do(exitDone, "rollback", "web", "--reason", "the new one\nleaks")
	for _, d := range w.requireDefaults(one, "held") {
		require.Contains(t, d.Note, "held by arn:aws:iam::111111111111")
		require.Contains(t, d.Note, ": the new one leaks (rolled back to "+one+")")
	}
	_, errs = w.do(exitDone, "rollback", "web", "--reason", "again")
	require.Contains(t, errs, "to go further back, name the image with --to")
	w.requireDefaults(one, "held")

	// Merges do not undo it, and are no failure.
	out, errs = w.do(exitDone, "ci", "--event", "push", "-o", "json")
	require.Equal(t, "unchanged", decode[[]done](t, out)[0].Result)
	require.Contains(t, errs, "web is not promoted: held by ")
	out, _ = w.do(exitDone, "promote", "web", "-o", "json")
	require.Contains(t, out, `"held"`)
	out, _ = w.do(exitDone, "plan", "-o", "json")
	require.Contains(t, out, "verified, and not promoted: held by ")
	w.requireDefaults(one, "held")
	out, _ = w.do(exitDone, "list")
	require.Contains(t, out, "NOTE")

	_, errs = w.do(exitError, "hold", "web", "--reason", "mine")
	require.Contains(t, errs, "role web is held by ")
	_, errs = w.do(exitDone, "release", "web")
	require.Contains(t, errs, "web is released")
	_, errs = w.do(exitDone, "release", "web")
	require.Contains(t, errs, "web is not held")
	w.do(exitUsage, "release", "webb")
	w.requireDefaults(one, "behind")
	w.do(exitDone, "promote")
	w.requireDefaults(two, "current")

	// A rerun of the old pipeline promotes nothing old.
	w.git("checkout", "-q", first)
	_, errs = w.do(exitRefused, "ci", "--event", "push")
	require.Contains(t, errs, "commit "+first[:8]+" is older than "+second[:8])
	w.do(exitRefused, "promote")
	w.git("checkout", "-q", "main")
	w.requireDefaults(two, "current")

	// By day: the reverted content has its image already.
	w.git("revert", "--no-edit", "HEAD")
	out, _ = w.do(exitDone, "plan", "-o", "json")
	require.Contains(t, out, `"action": "promote"`)
	out, _ = w.do(exitDone, "ci", "--event", "push", "-o", "json")
	require.Equal(t, []done{{Role: "web", Digest: decode[[]done](t, out)[0].Digest, Result: "promoted", Image: one}}, decode[[]done](t, out))
	for _, d := range w.requireDefaults(one, "current") {
		require.Equal(t, w.git("rev-parse", "HEAD"), d.Commit)
	}
	w.git("checkout", "-q", second)
	w.do(exitRefused, "ci", "--event", "push")
	w.git("checkout", "-q", "main")

	out, _ = w.do(exitDone, "hold", "web", "--reason", "freeze", "-o", "json")
	require.Equal(t, "freeze", decode[images.Hold](t, out).Reason)
	w.do(exitDone, "hold", "web", "--reason", "freeze")
	out, _ = w.do(exitDone, "history", "web", "-o", "json")
	var actions []string
	for _, e := range decode[[]images.Event](t, out) {
		if e.Account != "333333333333" {
			actions = append(actions, e.Action)
		}
	}
	require.ElementsMatch(t, []string{"hold", "promote", "promote", "release", "rollback", "promote", "promote"}, actions)
	out, _ = w.do(exitDone, "history", "web")
	require.Contains(t, out, "the new one leaks")
	w.do(exitUsage, "history", "webb")

	w.do(exitUsage, "reject", "web", "--reason", "x")
	_, errs = w.do(exitError, "reject", "ami-0123456789abcdef0", "--reason", "x")
	require.Contains(t, errs, "is no image of fleet acme")
	out, errs = w.do(exitDone, "reject", one, "--reason", "CVE", "-o", "json")
	require.Contains(t, errs, "warning: "+one+" is the default of web in 222222222222/us-east-1 now")
	require.Len(t, decode[rejection](t, out).Defaults, 2)
	require.Contains(t, w.requireDefaults(one, "held")[0].Note, "rejected: CVE")
	out, _ = w.do(exitDone, "plan")
	require.Contains(t, out, "rejected: CVE ("+one+")")
	w.do(exitRefused, "rollback", "web", "--reason", "x", "--to", one)
	w.do(exitDone, "rollback", "web", "--reason", "x", "--to", two)
	w.requireDefaults(two, "held")

	_, errs = w.do(exitRefused, "retire", "web", "--reason", "x")
	require.Contains(t, errs, "retirement of web refused (still on main): main has the role")
	w.write("roles/db/image.yaml", "base: {image: ami-0123456789abcdef0}\nverify: [{suite: default}]\n")
	w.write("roles/db/tests/default/true.sh", "#!/bin/sh\ntrue\n")
	w.write("roles/db/tasks/main.yml", "- ansible.builtin.ping:\n")
	w.git("add", "-A")
	w.git("rm", "-rq", "roles/web")
	w.git("commit", "-qm", "Replace web")
	out, _ = w.do(exitDone, "list", "-o", "json")
	require.Contains(t, out, `"orphan"`)
	_, errs = w.do(exitUsage, "retire", "webb", "--reason", "x")
	require.Contains(t, errs, `role "webb" has no pointer and no image`)
	out, _ = w.do(exitDone, "retire", "web", "--reason", "db does it now", "-o", "json")
	require.Contains(t, out, two)
	out, _ = w.do(exitDone, "list", "-o", "json")
	require.NotContains(t, out, `"web"`)
	_, errs = w.do(exitDone, "retire", "web", "--reason", "db does it now")
	require.Contains(t, errs, "web has no pointer any more")
	w.git("checkout", "-q", second)
	w.do(exitRefused, "ci", "--event", "push")
}
