package roles

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// commitAt commits everything with a committer's date of its own, or merges with git merge's arguments.
func (r *sandboxRepo) commitAt(date string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
	cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_COMMITTER_DATE="+date)
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, string(out))
	return r.git("rev-parse", "HEAD")
}

// crissCross has main and feature merged into each other once, so that they have two merge bases, and `more` further
// commits on each. main's base has a file of web that the newer one of feature has not, and feature ends without it.
func crissCross(t *testing.T, more int) (r *sandboxRepo, mainBase, featureBase string) {
	t.Helper()
	r = newSandboxRepo(t, fleetFiles())
	r.commit()
	r.git("switch", "-q", "-c", "feature")
	featureBase = r.commitAt("2030-01-02T00:00:00Z", "commit", "-q", "--allow-empty", "-m", "f")
	r.git("switch", "-q", "main")
	r.write("roles/web/files/fix", "fix\n")
	r.git("add", "-A")
	mainBase = r.commitAt("2030-01-01T00:00:00Z", "commit", "-q", "-m", "fix")
	r.commitAt("2030-01-03T00:00:00Z", "merge", "-q", "--no-ff", "-m", "m", featureBase)
	r.git("switch", "-q", "feature")
	r.commitAt("2030-01-03T00:00:00Z", "merge", "-q", "--no-ff", "-m", "f", mainBase)
	r.git("rm", "-q", "roles/web/files/fix")
	r.commitAt("2030-01-04T00:00:00Z", "commit", "-q", "-m", "without")
	for i := range more {
		for _, branch := range []string{"main", "feature"} {
			r.git("switch", "-q", branch)
			r.commitAt(fmt.Sprintf("2030-02-%02dT00:00:00Z", i+1), "commit", "-q", "--allow-empty", "-m", "more")
		}
	}
	r.git("switch", "-q", "feature")
	return r, mainBase, featureBase
}

// TestCrissCross: what the branch takes back shows at one of two merge bases only.
func TestCrissCross(t *testing.T) {
	r, mainBase, featureBase := crissCross(t, 0)
	repo := r.open()
	bases, err := repo.MergeBases(t.Context(), "HEAD", "main")
	require.NoError(t, err)
	require.Equal(t, []string{featureBase, mainBase}, bases, "the newer one first")
	f := r.load()
	affected := map[string][]string{}
	for _, base := range bases {
		old, err := repo.Load(t.Context(), base)
		require.NoError(t, err)
		require.NoError(t, old.Resolve(testPins))
		affected[base] = roleNames(f.Affected(old))
	}
	require.Equal(t, map[string][]string{featureBase: {}, mainBase: {"web"}}, affected)
}

// TestCrissCrossShallow: a shallow clone fetches until all merge bases are known, and not one of them.
func TestCrissCrossShallow(t *testing.T) {
	r, mainBase, featureBase := crissCross(t, 3)
	url := "file://" + r.dir
	for depth := 1; depth <= 8; depth++ {
		for _, branches := range [][]string{{"feature"}, {"feature", "main"}} {
			t.Run(fmt.Sprintf("depth %d, %s", depth, strings.Join(branches, " and ")), func(t *testing.T) {
				c := &sandboxRepo{t, filepath.Join(t.TempDir(), "clone")}
				gitIn(t, t.TempDir(), "clone", "-q", fmt.Sprintf("--depth=%d", depth), "--branch=feature", url, c.dir)
				if slices.Contains(branches, "main") {
					c.git("fetch", "-q", fmt.Sprintf("--depth=%d", depth), "origin", "+refs/heads/main:refs/remotes/origin/main")
				}
				repo, said := c.fetching()
				bases, err := repo.MergeBases(t.Context(), "HEAD", "origin/main")
				require.NoError(t, err, *said)
				require.Equal(t, []string{featureBase, mainBase}, bases)
			})
		}
	}
}
