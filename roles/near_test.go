package roles

import (
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireSame checks that a fleet loaded near another one is what it is when it is loaded alone.
func requireSame(t *testing.T, alone, near *Fleet) {
	t.Helper()
	require.NoError(t, near.Resolve(testPins))
	require.Equal(t, digests(alone), digests(near))
	require.Equal(t, testsDigests(alone), testsDigests(near))
	for i, r := range alone.Roles {
		require.Equal(t, r.Components, near.Roles[i].Components)
		require.Equal(t, r.Inputs(), near.Roles[i].Inputs())
	}
}

// states are the fleet of a case, each without one of its files, with a symlink in a file's place, and with another
// file beside one: what a reference leads to comes and goes.
func (c reachCase) states() []map[string]grownFile {
	whole := map[string]grownFile{}
	for p, content := range c.fleet() {
		whole[p] = grownFile{mode: "100644", content: content}
	}
	list := []map[string]grownFile{whole}
	for _, p := range slices.Sorted(maps.Keys(c.files)) {
		without, linked, more := maps.Clone(whole), maps.Clone(whole), maps.Clone(whole)
		delete(without, p)
		linked[p] = grownFile{mode: "120000", content: "/nowhere"}
		more[p+".more.yml"] = grownFile{mode: "100644", content: "[]"}
		list = append(list, without, whole, linked, whole, more, whole)
		if dir := path.Dir(p); dir != "." { // the directory moves, and a symlink leads there
			moved := maps.Clone(whole)
			for q, f := range whole {
				if rest, ok := strings.CutPrefix(q, dir+"/"); ok {
					delete(moved, q)
					moved["roles/b/moved/"+rest] = f
				}
			}
			moved[dir] = grownFile{mode: "120000", content: strings.Repeat("../", strings.Count(dir, "/")) + "roles/b/moved"}
			before := maps.Clone(moved)
			delete(before, dir)
			list = append(list, before, moved, before, whole)
		}
	}
	return list
}

// appearing are references to what need not be there, and may come later.
var appearing = []reachCase{
	{name: "a word of a playbook", files: map[string]string{"web.yml": "- hosts: all\n  tasks: [{command: cat conf/x}]", "conf/x": "x", "conf/y": "y"}},
	{name: "a word of a role", files: map[string]string{"roles/web/tasks/main.yml": "- command: cat fresh/x", "fresh/x": "x"}},
	{name: "a word below a directory", files: map[string]string{"roles/web/tasks/main.yml": "- command: cat fresh/a/x", "fresh/a/x": "x", "fresh/y": "y"}},
	{name: "a pattern", files: map[string]string{
		"roles/web/image.yaml": "base: {role: base}\nprovision: [{ansible: {playbook: plays/site.yaml}}]\n", "plays/site.yaml": "- hosts: all\n  roles: [web]",
		"roles/web/tasks/main.yml": "- include_vars: '{{ ansible_os_family }}.yml'", "roles/web/vars/RedHat.yml": "a: 1", "plays/Debian.yml": "a: 2",
	}},
	{name: "a playbook below a symlink", files: map[string]string{"web.yml": "- import_playbook: top/plays/site.yml", "top/plays/site.yml": "- hosts: all", "top/keep": "x"}},
	{name: "an image role that ignores files", files: map[string]string{
		"web.yml": "- hosts: all\n  roles: [app]", "roles/app/image.yaml": "base: {role: base}\nignore: [notes]\n", "roles/app/notes": "x", "roles/app/tasks/main.yml": "[]",
	}},
}

// TestLoadNear loads fleets near each other, and wants what loading each alone gives: its digests, or its mistakes.
func TestLoadNear(t *testing.T) {
	var states []map[string]grownFile
	for _, c := range append(reachCases(), appearing...) {
		states = append(states, c.states()...)
	}
	r := newSandboxRepo(t, nil)
	ids := history(t, r, states)
	repo := r.open()
	load := func(id string) (*Fleet, error) {
		f, err := repo.Load(t.Context(), id)
		if err == nil {
			require.NoError(t, f.Resolve(testPins))
		}
		return f, err
	}
	var before *Fleet
	for _, id := range ids {
		f, err := load(id)
		if before != nil {
			near, nearErr := repo.LoadNear(t.Context(), id, before)
			require.Equal(t, err, nearErr)
			if err == nil {
				requireSame(t, f, near)
			}
		}
		if err == nil {
			before = f
		}
	}
}

// TestLoadNearReads checks what is taken from the fleet near by, and what is not.
func TestLoadNearReads(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(r *sandboxRepo)
		again  []string // the roles whose files are looked for again
	}{
		{"nothing", func(*sandboxRepo) {}, nil},
		{"a file of a role", func(r *sandboxRepo) { r.write("roles/worker/files/worker.conf", "queue=2\n") }, []string{"worker"}},
		{"tests", func(r *sandboxRepo) { r.write("roles/worker/tests/more/goss.yaml", suiteOf) }, []string{"worker"}},
		{"variables of all", func(r *sandboxRepo) { r.write("group_vars/all.yml", "new: 1\n") }, []string{"base", "web", "worker"}},
		{"a symlink", func(r *sandboxRepo) { require.NoError(r.t, os.Symlink("worker.conf", r.path("roles/worker/files/l"))) }, []string{"arm", "base", "web", "worker"}},
		{"a name at the top", func(r *sandboxRepo) { r.write("another/x", "x") }, []string{"arm", "base", "web", "worker"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newSandboxRepo(t, fleetFiles())
			first := r.commit()
			repo := r.open()
			before, err := repo.Load(t.Context(), first)
			require.NoError(t, err)
			c.change(r)
			after, err := repo.LoadNear(t.Context(), r.commit(), before)
			require.NoError(t, err)
			var again []string
			for _, role := range after.Roles {
				if role.seen != roleOf(t, before, role.Name).seen {
					again = append(again, role.Name)
				}
			}
			slices.Sort(again)
			require.Equal(t, c.again, again)
			requireSame(t, r.load(), after)
		})
	}
}
