package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPlanOfDirtyTree: a plan of uncommitted changes says that it is one, for people and for programs, and that main takes
// nothing of it.
func TestPlanOfDirtyTree(t *testing.T) {
	w := newAPIWorld(t)
	for role, base := range map[string]string{"child": "{role: web}", "other": "{image: ami-0123456789abcdef0}"} {
		w.write("roles/"+role+"/image.yaml", "base: "+base+"\nverify: [{suite: default}]\n")
		w.write("roles/"+role+"/tests/default/true.sh", "#!/bin/sh\ntrue\n")
		w.write("roles/"+role+"/tasks/main.yml", "- ansible.builtin.ping:\n")
	}
	w.commit("one")
	_, errs := w.do(exitDone, "plan")
	require.NotContains(t, errs, "uncommitted")
	out, _ := w.do(exitDone, "plan", "-o", "json")
	require.NotContains(t, out, "dirty")

	w.write("roles/web/files/content", "two")
	out, errs = w.do(exitDone, "plan")
	require.Regexp(t, `(?m)^web +[0-9a-f]{12} +build .* exists \(of uncommitted changes\)$`, out)
	require.Regexp(t, `(?m)^child +[0-9a-f]{12} +build .* exists \(of uncommitted changes\)$`, out)
	require.Regexp(t, `(?m)^other +[0-9a-f]{12} +build .* exists$`, out)
	require.Contains(t, errs, "this is the plan of a tree with uncommitted changes (roles/web/files/content): what is built of it can be verified and is never promoted; "+
		"imgops promote, and ci on main, refuse such a tree (exit 4)")
	out, _ = w.do(exitDone, "plan", "-o", "json")
	dirty := map[string]bool{}
	for _, r := range decode[[]plannedRole](t, out) {
		dirty[r.Role] = r.Dirty
	}
	require.Equal(t, map[string]bool{"web": true, "child": true, "other": false}, dirty)
	w.do(exitRefused, "ci", "--event", "push")
	w.do(exitRefused, "promote")

	w.git("checkout", "-q", ".")
	w.write("imgops.yaml", w.read("imgops.yaml")+"retention: {keep: 9}\n")
	_, errs = w.do(exitDone, "plan")
	require.Contains(t, errs, "uncommitted changes (imgops.yaml)", "no role's files, and refused all the same")
	w.do(exitRefused, "ci", "--event", "push")

	// Git was told not to look: its status is silent, and so the reason is named.
	w.git("checkout", "-q", ".")
	w.git("update-index", "--assume-unchanged", "roles/web/files/content")
	w.write("roles/web/files/content", "three")
	_, errs = w.do(exitDone, "plan")
	require.Contains(t, errs, "git status is silent about roles/web/files/content")
	_, errs = w.do(exitRefused, "promote")
	require.Contains(t, errs, "git update-index --no-assume-unchanged roles/web/files/content")
}
