package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMainWasReplaced: a pipeline whose clone is from before somebody replaced main's history promotes nothing of it,
// whether or not the new history has been promoted by then.
func TestMainWasReplaced(t *testing.T) {
	for name, promoted := range map[string]bool{"before the new one is promoted": false, "after it": true} {
		for kind, args := range map[string][]string{"whole clone": nil, "shallow clone": {"--depth=1"}} {
			t.Run(name+", "+kind, func(t *testing.T) {
				w := newAPIWorld(t)
				root := w.commit("one")
				one := w.bake()
				w.do(exitDone, "ci", "--event", "push")
				w.commit("two")
				w.bake()
				old := w.clone("old", args...)
				w.git("reset", "-q", "--hard", root)
				w.commit("three")
				image := w.bake()
				if promoted {
					w.do(exitDone, "ci", "--event", "push")
				} else {
					image = one
				}
				for _, command := range [][]string{{"ci", "--event", "push"}, {"promote"}, {"promote", "--plan"}, {"ci", "--event", "push", "--rewritten-history"}} {
					_, errs := old.do(exitRefused, command...)
					require.Contains(t, errs, "is not on branch main of origin any more, whose tip is "+shortCommit(w.git("rev-parse", "main"))+" now", command)
					require.Contains(t, errs, "git fetch origin main && git checkout FETCH_HEAD")
				}
				for _, d := range w.defaults() {
					require.Equal(t, image, d.Image)
				}
				old.git("fetch", "-q", "origin", "+main:refs/remotes/origin/main")
				old.git("checkout", "-q", "origin/main")
				old.do(exitDone, "ci", "--event", "push")
			})
		}
	}
}

// TestMainThatCannotBeAsked: without the remote, what contains the promoted commit goes on, and says so; a line of history
// beside it does not.
func TestMainThatCannotBeAsked(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	w.bake()
	w.do(exitDone, "ci", "--event", "push")
	beside := w.clone("beside")
	beside.commit("of the history that was replaced")
	beside.git("update-ref", "refs/remotes/origin/main", "HEAD")
	beside.bake()
	w.commit("two")
	two := w.bake()
	c := w.clone("c")
	nowhere := "file://" + filepath.Join(t.TempDir(), "nowhere.git")
	c.git("remote", "set-url", "origin", nowhere)
	_, errs := c.do(exitDone, "ci", "--event", "push")
	require.Contains(t, errs, "warning: whether commit "+shortCommit(c.git("rev-parse", "HEAD"))+" is still on main is taken from this clone: the remote cannot be asked: git ls-remote origin main: ")
	w.requireDefaults(two, "current")
	_, errs = c.do(exitDone, "ci", "--event", "push")
	require.NotContains(t, errs, "warning: whether", "where nothing is to be done, nobody is asked")

	beside.git("fetch", "-q", "file://"+w.fleet, "main")
	beside.git("remote", "set-url", "origin", nowhere)
	_, errs = beside.do(exitRefused, "ci", "--event", "push")
	require.Contains(t, errs, "refused (backwards): commit "+shortCommit(beside.git("rev-parse", "HEAD"))+" does not contain "+shortCommit(w.git("rev-parse", "main"))+", which was promoted before, and whether it is still on main cannot be found out")
	require.Contains(t, errs, "git ls-remote origin main has to work")
	w.requireDefaults(two, "current")
}

// TestMainIsGone: the remote's main was renamed; a remote that never had one leaves main to the clone.
func TestMainIsGone(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	w.bake()
	c := w.clone("c")
	w.git("branch", "-m", "main", "trunk")
	_, errs := c.do(exitRefused, "ci", "--event", "push")
	require.Contains(t, errs, "is not on branch main of origin any more, whose tip is gone now")
	c.git("update-ref", "-d", "refs/remotes/origin/main")
	c.do(exitDone, "ci", "--event", "push")
}
