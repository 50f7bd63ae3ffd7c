package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

// promoters are the commands that promote role web.
func promoters() [][]string {
	return [][]string{{"ci", "--event", "push"}, {"ci", "--event", "push", "--role", "web", "--level", "0"}, {"promote"}, {"promote", "--plan"}}
}

// TestFanOutLeavesNoRecord: main's newer commit wants what is the default already, so that its fan-out has no job for the
// role, and nothing says that it was asked. The older commit's pipeline promotes nothing all the same.
func TestFanOutLeavesNoRecord(t *testing.T) {
	for name, args := range map[string][]string{"whole clones": nil, "shallow clones": {"--depth=1"}} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			w.commit("one")
			one := w.bake()
			w.do(exitDone, "ci", "--event", "push")
			w.commit("bad")
			bad := w.bake()
			older := w.clone("older", args...)
			w.git("revert", "--no-edit", "HEAD")
			newest := w.git("rev-parse", "HEAD")
			out, _ := w.clone("newer", args...).do(exitDone, "ci", "--event", "push", "--matrix", "github")
			require.Equal(t, "{}\n", out)

			for _, command := range promoters() {
				_, errs := older.do(exitRefused, command...)
				require.Contains(t, errs, "promotion of web refused (backwards): commit "+older.git("rev-parse", "HEAD")[:10]+" is older than "+newest[:10]+
					" of main, which wants the image that is the default in 222222222222/us-east-1 now", command)
			}
			w.requireDefaults(one, "current")

			// It is no head that counts: main went on to a third recipe, which nobody has promoted.
			w.commit("three, which is not built yet")
			_, errs := older.do(exitRefused, "ci", "--event", "push")
			require.Contains(t, errs, "is older than "+newest[:10]+" of main, which wants the image that is the default")
			w.requireDefaults(one, "behind")

			// Main wants what the older commit has, after all.
			w.commit("bad")
			older.do(exitDone, "ci", "--event", "push")
			w.requireDefaults(bad, "current")
		})
	}
}

// TestNewestIsNotPromotedYet: what main's tip wants is a third image, and the older pipeline goes on; where its tip cannot be
// told what it wants, too, and it is said.
func TestNewestIsNotPromotedYet(t *testing.T) {
	for name, spoil := range map[string]func(*apiWorld){
		"not built": func(w *apiWorld) { w.write("roles/web/files/content", "three\n") },
		"wrong":     func(w *apiWorld) { w.write(web, "bse: {}\n") },
		"no fleet":  func(w *apiWorld) { w.git("rm", "-q", "imgops.yaml") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			w.commit("one")
			w.bake()
			w.do(exitDone, "ci", "--event", "push")
			w.commit("two")
			two := w.bake()
			older := w.clone("older")
			spoil(w)
			w.git("add", "-A")
			w.git("commit", "-qm", "newest")
			_, errs := older.do(exitDone, "ci", "--event", "push")
			if name != "not built" {
				require.Contains(t, errs, "what main wants at "+w.git("rev-parse", "HEAD")[:10]+" cannot be told")
			}
			for _, d := range older.defaults() {
				require.Equal(t, two, d.Image)
			}
		})
	}
}

// TestMainHasRemovedTheRole: an older commit's pipeline does not promote a role that main has no more, or has no more there.
func TestMainHasRemovedTheRole(t *testing.T) {
	for name, c := range map[string]struct {
		remove func(*apiWorld)
		says   string
	}{
		"the role":   {func(w *apiWorld) { w.git("rm", "-qr", "roles/web") }, " has no role web any more; commit "},
		"an account": {func(w *apiWorld) { w.edit("imgops.yaml", `, "333333333333"`, "") }, " has no role web in 333333333333/us-east-1 any more; commit "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			w.commit("one")
			one := w.bake()
			w.do(exitDone, "ci", "--event", "push")
			w.commit("two")
			w.bake()
			older := w.clone("older")
			c.remove(w)
			w.addRole("other")
			w.git("add", "-A")
			w.git("commit", "-qm", "remove")
			newest := w.git("rev-parse", "HEAD")
			for _, command := range promoters() {
				_, errs := older.do(exitRefused, command...)
				require.Contains(t, errs, "promotion of web refused (not on main any more): main at "+newest[:10]+c.says, command)
			}
			for _, d := range older.defaults() {
				require.Equal(t, []string{one, "behind"}, []string{d.Image, string(d.Status)})
			}
		})
	}
}

// TestBackInOneLocation: what counts is each location's default.
func TestBackInOneLocation(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	one := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.commit("two")
	two := w.bake()
	older := w.clone("older")
	w.commit("three")
	three := w.bake()
	pointers, err := images.OpenPointers(t.Context(), w.box, images.Location{Account: "333333333333", Region: "us-east-1"}, "acme")
	require.NoError(t, err)
	for _, img := range w.images() {
		if img.ID == three {
			w.box.Share(t, img, "333333333333")
		}
	}
	_, err = pointers.Set(t.Context(), "web", three, "a run that was killed before it left a record")
	require.NoError(t, err)
	_, errs := older.do(exitRefused, "ci", "--event", "push")
	require.Contains(t, errs, "which wants the image that is the default in 333333333333/us-east-1 now")
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(three, "current")
	require.NotContains(t, []string{one, two}, three)
}

// edit replaces text in a file of the fleet.
func (w *apiWorld) edit(name, old, with string) {
	w.t.Helper()
	text := w.read(name)
	require.Contains(w.t, text, old)
	w.write(name, strings.Replace(text, old, with, 1))
}

// addRole writes one more role.
func (w *apiWorld) addRole(name string) {
	w.write("roles/"+name+"/image.yaml", "base: {image: ami-0123456789abcdef0}\nverify: [{suite: default}]\n")
	w.write("roles/"+name+"/tests/default/true.sh", "#!/bin/sh\ntrue\n")
	w.write("roles/"+name+"/tasks/main.yml", "- ansible.builtin.ping:\n")
}
