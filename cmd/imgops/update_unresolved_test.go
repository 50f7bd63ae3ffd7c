package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUpdatePinsWhatItCan: bases that there is no image for are all named, and the others are pinned all the same, in a fleet
// without a commit, too. What was pinned of the former stays.
func TestUpdatePinsWhatItCan(t *testing.T) {
	w := newAPIWorld(t)
	w.basesFleet("")
	for _, role := range []string{"bad", "worse"} {
		w.addRole(role)
		w.write("roles/"+role+"/image.yaml", `base: {owner: "`+publisher+`", name: "`+role+"-*\"}\nverify: [{suite: default}]\n")
	}
	w.publish("debian-12-1")
	w.publish("debian-13-1")
	was := w.publish("worse-1")

	text := filepath.Join(t.TempDir(), "update.md")
	_, errs := w.do(exitError, "update", "--pull-request", text)
	require.Contains(t, errs, `resolving the base of role bad: image not found: there is no available x86_64 image named "bad-*"`)
	require.NotContains(t, errs, "role worse")
	require.Contains(t, w.read("imgops.lock"), `image: "debian-12-1"`)
	require.Contains(t, w.read("imgops.lock"), `image: "worse-1"`)
	require.FileExists(t, text)
	w.git("add", "-A")
	w.git("commit", "-qm", "The first commit has a lock")

	w.edit("roles/web/image.yaml", "debian-12-*", "debian-11-*")
	newer := w.publish("debian-13-2")
	_, errs = w.do(exitError, "update", "--detailed-exitcode")
	require.Contains(t, errs, "resolving the base of role bad: ")
	require.Contains(t, errs, "resolving the base of role web: ")
	require.Contains(t, w.read("imgops.lock"), newer.ID)
	require.Contains(t, w.read("imgops.lock"), was.ID)
	w.do(exitUsage, "plan")
}
