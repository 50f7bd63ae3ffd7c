package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// gitAt runs git with a committer's date.
func (w *apiWorld) gitAt(date string, args ...string) string {
	w.t.Helper()
	return w.git(append([]string{"-c", "alias.at=!GIT_COMMITTER_DATE=" + date + " git", "at"}, args...)...)
}

// TestCrissCrossMerge: a branch and main were merged into each other, and the branch takes back what came from main. Only
// at the older of the two merge bases can that be seen.
func TestCrissCrossMerge(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	w.git("switch", "-qc", "feat")
	w.gitAt("2030-01-02T00:00:00Z", "commit", "-q", "--allow-empty", "-m", "f")
	branch := w.git("rev-parse", "HEAD")
	w.git("switch", "-q", "main")
	w.write("roles/web/files/fix", "fix\n")
	w.git("add", "-A")
	w.gitAt("2030-01-01T00:00:00Z", "commit", "-q", "-m", "fix")
	fix := w.git("rev-parse", "HEAD")
	w.git("merge", "-q", "--no-ff", "-m", "m", branch)
	w.git("switch", "-q", "feat")
	w.git("merge", "-q", "--no-ff", "-m", "f", fix)
	require.NoError(t, os.Remove(filepath.Join(w.fleet, "roles/web/files/fix")))
	w.git("commit", "-qam", "without the fix")

	out, _ := w.do(exitDone, "plan", "--base", "main", "--explain", "-o", "json")
	planned := decode[[]plannedRole](t, out)
	require.Len(t, planned, 1)
	require.Equal(t, "web", planned[0].Role)
	require.Len(t, planned[0].Changes, 1)
	require.Equal(t, "file roles/web/files/fix", planned[0].Changes[0].Component)
	require.Empty(t, planned[0].Changes[0].New)

	out, _ = w.do(exitDone, "ci", "--event", "pull-request", "--base", "main", "--matrix", "json")
	require.Contains(t, out, `"web"`)
	image := w.bake()
	out, _ = w.do(exitDone, "ci", "--event", "pull-request", "--base", "main", "-o", "json")
	require.Equal(t, image, decode[[]done](t, out)[0].Image)

	// The other way round, main has the fix, which the newer base has not.
	w.git("switch", "-q", "main")
	out, _ = w.do(exitDone, "plan", "--base", "feat", "-o", "json")
	require.Len(t, decode[[]plannedRole](t, out), 1)
}
