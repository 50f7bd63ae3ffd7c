package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// upstream makes a bare repository of the fleet, and the fleet's remote of it.
func (w *apiWorld) upstream() string {
	w.t.Helper()
	bare := filepath.Join(w.t.TempDir(), "fleet.git")
	w.git("clone", "-q", "--bare", ".", bare)
	w.git("remote", "add", "origin", "file://"+bare)
	w.git("fetch", "-q")
	return bare
}

// checkout makes a clone of a repository, as a CI system's of a branch.
func (w *apiWorld) checkout(bare, branch string, args ...string) *apiWorld {
	w.t.Helper()
	c := &apiWorld{t: w.t, fleet: filepath.Join(w.t.TempDir(), "clone"), box: w.box}
	w.git(append(append([]string{"clone", "-q", "-b", branch}, args...), "file://"+bare, c.fleet)...)
	return c
}

// selfPromotion is every way to a new default, but for those of a person who gives an image.
func selfPromotion() [][]string {
	return [][]string{{"ci", "--event", "push"}, {"promote"}, {"promote", "--plan"}, {"ci", "--event", "push", "--matrix", "json"}, {"ci", "--event", "push", "--rewritten-history"}}
}

// TestBranchNamesItselfMain: a branch that nobody has merged is not main by saying so in its own imgops.yaml.
func TestBranchNamesItselfMain(t *testing.T) {
	for name, args := range map[string][]string{"whole clone": nil, "shallow clone": {"--depth=1"}, "partial clone": {"--filter=blob:none"}} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			w.commit("one")
			one := w.bake()
			bare := w.upstream()
			w.git("-C", bare, "config", "uploadpack.allowFilter", "true")
			w.do(exitDone, "ci", "--event", "push")
			first := w.git("rev-parse", "HEAD")
			w.git("switch", "-qc", "sneaky")
			w.edit("imgops.yaml", "main: main", "main: sneaky")
			w.commit("off main")
			off := w.bake()
			w.git("push", "-q", "origin", "sneaky")
			sneaky := w.git("rev-parse", "HEAD")

			c := w.checkout(bare, "sneaky", args...)
			refusal := "refused (not on main): imgops.yaml of commit " + sneaky[:10] + " names sneaky as main, but main was main at " + first[:10] +
				", the last promotion, and imgops.yaml on origin/main, at " + first[:10] + ", still names main; merge that change into main first"
			for _, command := range selfPromotion() {
				_, errs := c.do(exitRefused, command...)
				require.Contains(t, errs, refusal, command)
			}
			for _, vars := range []map[string]string{
				{"BUILDKITE": "true", "BUILDKITE_BRANCH": "sneaky", "BUILDKITE_PULL_REQUEST": "false", "BUILDKITE_SOURCE": "webhook", "BUILDKITE_BUILD_ID": "b1"},
				{"CIRCLECI": "true", "CIRCLE_BRANCH": "sneaky", "CIRCLE_SHA1": sneaky, "CIRCLE_WORKFLOW_ID": "abc"},
			} {
				code, _, errs := c.ci(vars)
				require.Equal(t, exitRefused, code, errs)
				require.Contains(t, errs, refusal)
			}
			_, errs := c.do(exitRefused, "rollback", "web", "--to", off, "--reason", "x")
			require.Contains(t, errs, refusal)
			c.git("rm", "-qr", "roles/web")
			c.addRole("other")
			c.git("add", "-A")
			c.git("commit", "-qm", "without web")
			_, errs = c.do(exitRefused, "retire", "web", "--reason", "x")
			require.Contains(t, errs, "names sneaky as main, but main was main")
			w.git("switch", "-q", "main")
			w.requireDefaults(one, "current")

			// It is the merge that makes it main.
			w.git("merge", "-q", "sneaky")
			w.git("push", "-q", "origin", "main")
			c = w.checkout(bare, "sneaky", args...)
			c.do(exitDone, "ci", "--event", "push")
			c.requireDefaults(off, "current")
			c.commit("and goes on")
			next := c.bake()
			c.git("push", "-q", "origin", "sneaky")
			w.checkout(bare, "sneaky", args...).do(exitDone, "ci", "--event", "push")
			c.requireDefaults(next, "current")
		})
	}
}

// TestNothingIsBuiltForAForeignMain: it is refused before machines are started.
func TestNothingIsBuiltForAForeignMain(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.git("switch", "-qc", "sneaky")
	w.edit("imgops.yaml", "main: main", "main: sneaky")
	w.commit("off main")
	before := len(w.images())
	_, errs := w.do(exitRefused, "ci", "--event", "push")
	require.Contains(t, errs, "names sneaky as main, but main was main at ", "without a remote, too")
	require.Contains(t, errs, "imgops.yaml on main, at ")
	require.Len(t, w.images(), before)
}

// TestMainIsRenamed: the branch that was main is gone, and the remote says which one is instead.
func TestMainIsRenamed(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	one := w.bake()
	bare := w.upstream()
	w.do(exitDone, "ci", "--event", "push")
	w.git("-C", bare, "branch", "-m", "main", "trunk")
	w.git("-C", bare, "branch", "other", "trunk")
	w.git("-C", bare, "symbolic-ref", "HEAD", "refs/heads/other")
	c := w.checkout(bare, "trunk")
	c.edit("imgops.yaml", "main: main", "main: trunk")
	c.commit("two")
	two := c.bake()
	c.git("push", "-q", "origin", "trunk")
	_, errs := c.do(exitRefused, "ci", "--event", "push")
	require.Contains(t, errs, "the last promotion, which is gone, and the remote's default branch is other; make trunk the remote's default branch")
	c.requireDefaults(one, "behind")
	w.git("-C", bare, "symbolic-ref", "HEAD", "refs/heads/trunk")
	c.do(exitDone, "ci", "--event", "push")
	c.requireDefaults(two, "current")
}

// TestFirstPromotionAsksTheDefaultBranch: nothing was promoted yet, so the remote's default branch says which branch is main.
func TestFirstPromotionAsksTheDefaultBranch(t *testing.T) {
	for name, c := range map[string]struct {
		develop func(*apiWorld)
		code    int
		says    string
	}{
		"it names the same": {func(w *apiWorld) { w.edit("imgops.yaml", "main: main", "main: release") }, exitDone, ""},
		"it names another": {func(*apiWorld) {}, exitRefused,
			"names release as main, but imgops.yaml on origin/develop, the default branch, names main; write `main: release` into imgops.yaml on develop, too"},
		"it is wrong":     {func(w *apiWorld) { w.write("imgops.yaml", "man: release\n") }, exitRefused, "imgops.yaml on origin/develop, the default branch, cannot be read: imgops.yaml:1:1: "},
		"it has no fleet": {func(w *apiWorld) { w.git("rm", "-q", "imgops.yaml") }, exitDone, "origin/develop has no fleet, so imgops.yaml of commit "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			w.commit("one")
			w.git("switch", "-qc", "develop")
			c.develop(w)
			w.git("add", "-A")
			w.git("commit", "-q", "--allow-empty", "-m", "develop")
			bare := w.upstream()
			w.git("switch", "-q", "main")
			w.git("switch", "-qc", "release")
			w.edit("imgops.yaml", "main: main", "main: release")
			w.commit("two")
			w.git("push", "-q", "origin", "release")
			w.bake()
			for _, args := range [][]string{nil, {"--depth=1"}} {
				_, errs := w.checkout(bare, "release", args...).do(c.code, "promote", "--plan")
				require.Contains(t, errs, c.says)
			}
			_, errs := w.checkout(bare, "release").do(c.code, "ci", "--event", "push")
			require.Contains(t, errs, c.says)
		})
	}
}
