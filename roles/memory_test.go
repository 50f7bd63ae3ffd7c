package roles

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// past moves the times of every directory into the past, so that what is listed now may be remembered.
func (r *sandboxRepo) past() {
	r.t.Helper()
	old := time.Now().Add(-time.Hour)
	require.NoError(r.t, filepath.WalkDir(r.dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if err == nil && d.IsDir() {
			err = os.Chtimes(p, old, old)
		}
		return err
	}))
}

// settledListings gives what a second run remembers of every directory of the working tree.
func (r *sandboxRepo) settledListings() *listings {
	r.t.Helper()
	require.Eventually(r.t, func() bool { // the clock of the file system has to move on once
		r.worktree()
		l := newListings(r.path(".git"), "")
		l.read()
		_, ok := l.known["roles/web/templates"]
		return ok && l.known[""].files != nil
	}, 10*time.Second, time.Millisecond)
	l := newListings(r.path(".git"), "")
	l.read()
	return l
}

// TestListings checks that a change to the names of a directory is always seen, however it comes about.
func TestListings(t *testing.T) {
	changes := map[string]struct {
		change func(r *sandboxRepo)
		dirty  []string
	}{
		"nothing": {func(*sandboxRepo) {}, nil},
		"added":   {func(r *sandboxRepo) { r.write("roles/web/files/new", "x") }, []string{"roles/web/files/new"}},
		"removed": {func(r *sandboxRepo) { r.remove("roles/web/templates/site.conf") }, []string{"roles/web/templates/site.conf"}},
		"renamed": {func(r *sandboxRepo) {
			require.NoError(r.t, os.Rename(r.path("roles/web/templates/site.conf"), r.path("roles/web/templates/page.conf")))
		}, []string{"roles/web/templates/page.conf", "roles/web/templates/site.conf"}},
		"in place": {func(r *sandboxRepo) { r.write("roles/web/harden.sh", "other\n") }, []string{"roles/web/harden.sh"}},
		"added, and the directory's time set back": {func(r *sandboxRepo) {
			info, err := os.Stat(r.path("roles/web"))
			require.NoError(r.t, err)
			r.write("roles/web/new", "x")
			require.NoError(r.t, os.Chtimes(r.path("roles/web"), info.ModTime(), info.ModTime()))
		}, []string{"roles/web/new"}},
		"another directory in its place": {func(r *sandboxRepo) {
			require.NoError(r.t, os.Rename(r.path("roles/web/templates"), r.path("../elsewhere")))
			r.write("roles/web/templates/other.j2", "x")
		}, []string{"roles/web/templates/other.j2", "roles/web/templates/site.conf"}},
		"no longer tracked, then ignored": {func(r *sandboxRepo) {
			r.git("rm", "-q", "--cached", "roles/web/templates/site.conf")
			r.write(".git/info/exclude", "site.conf\n")
		}, []string{"roles/web/templates/site.conf"}},
	}
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			r := newSandboxRepo(t, fleetFiles())
			r.commit()
			r.settled()
			r.past()
			require.NotEmpty(t, r.settledListings().known)
			c.change(r)
			require.Equal(t, c.dirty, r.worktree().DirtyFiles)
		})
	}
}

// TestListingsRacy checks that a directory whose last change may be of the instant in which it is listed is not remembered.
func TestListingsRacy(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	root, err := openRoot(r.dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, root.close()) }()
	_, stamp, err := root.list("roles/web")
	require.NoError(t, err)
	same, later := stamp, stamp
	later.mtime[0] += 10
	for _, c := range []struct {
		clock dirStamp
		kept  bool
	}{{same, false}, {later, true}} {
		l := newListings(r.path(".git"), "")
		l.clock = &c.clock
		_, err := l.list(root, "roles/web")
		require.NoError(t, err)
		require.Equal(t, c.kept, len(l.fresh) > 0)
	}
}

// TestMemoryDamaged checks that nothing depends on what is remembered.
func TestMemoryDamaged(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	r.settled()
	r.past()
	want := digests(r.worktree())
	r.settledListings()
	for _, name := range []string{"listings", "definitions"} {
		file := r.path(".git/imgops/" + name)
		whole, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, damaged := range [][]byte{nil, []byte("x"), whole[:len(whole)-1], append([]byte("x"), whole...), append(whole[:len(whole):len(whole)], 0)} {
			require.NoError(t, os.WriteFile(file, damaged, 0o644))
			require.Equal(t, want, digests(r.worktree()), name)
		}
		require.NoError(t, os.Remove(file))
		require.Equal(t, want, digests(r.worktree()), name)
		require.FileExists(t, file)
	}
}

// TestDefinitions checks that a remembered definition is the one that was parsed, with its variables' types, and that
// mistakes are found again with their source lines.
func TestDefinitions(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	odd := "base: {role: base}\nbuild: {disk: 9GiB, timeout: 3m}\nprovision: [{ansible: {playbook: web.yml, vars: {i: 1, big: 9007199254740993, f: 1.0, b: yes, n: null, l: [1, [], {}], m: {k: [a]}, e: {}}}}]\n"
	plain := "base: {role: base}\nprovision: [{ansible: {playbook: web.yml, vars: {i: 1, big: 9007199254740993, f: 1.0, b: yes, l: [1, [a]], m: {k: [a]}}}}]\n"
	r.writeAll(withSuites(map[string]string{"roles/odd/image.yaml": odd, "roles/plain/image.yaml": plain}))
	r.commit()
	first := r.worktree()
	second := r.worktree()
	require.Equal(t, digests(first), digests(second))
	for i := range first.Roles {
		require.Equal(t, first.Roles[i].Provision, second.Roles[i].Provision)
		require.Equal(t, first.Roles[i].Build, second.Roles[i].Build)
		require.Equal(t, first.Roles[i].Verify, second.Roles[i].Verify)
		require.Equal(t, first.Roles[i].Components, second.Roles[i].Components)
	}
	d := newDefinitions(r.path(".git"))
	d.read()
	names := map[string]bool{}
	for _, k := range d.kept {
		names[k.Role.Name] = true
	}
	require.True(t, names["plain"])
	require.False(t, names["odd"], "gob gives no list where an empty one was: parsed each time")

	r.remove("web.yml")
	_, err := r.open().LoadWorktree(t.Context())
	require.ErrorContains(t, err, "roles/plain/image.yaml:2:34: playbook web.yml does not exist")
	require.ErrorContains(t, err, "provision: [{ansible: {playbook: web.yml")
}

func FuzzListings(f *testing.F) {
	f.Add(string(appendListing(nil, "roles/web", &dirListing{stamp: dirStamp{1, 2, [2]int64{3, 4}, [2]int64{5, 6}}, files: []diskFile{{"a", 0}, {"b", fs.ModeDir}}})))
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
	f.Fuzz(func(t *testing.T, body string) {
		l := newListings(t.TempDir(), "")
		l.known, l.rest = map[string]*dirListing{}, map[string]*dirListing{}
		l.parse(body)
		for dir, of := range l.known { // what can be read can be written and read again
			again := newListings(t.TempDir(), "")
			again.known, again.rest = map[string]*dirListing{}, map[string]*dirListing{}
			again.parse(string(appendListing(nil, dir, of)))
			require.Equal(t, of, again.known[dir])
		}
	})
}
