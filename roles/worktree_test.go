package roles

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func dirtyRoles(f *Fleet) []string {
	out := []string{}
	for _, r := range f.Roles {
		if r.Dirty {
			out = append(out, r.Name)
		}
	}
	slices.Sort(out)
	return out
}

func TestWorktreeDirty(t *testing.T) {
	cases := []struct {
		name   string
		change func(r *sandboxRepo)
		files  []string
		roles  []string
	}{
		{"clean", func(*sandboxRepo) {}, nil, []string{}},
		{"changed", func(r *sandboxRepo) { r.write("roles/web/harden.sh", "#!/bin/sh\ntrue\n") }, []string{"roles/web/harden.sh"}, []string{"web"}},
		{"changed, same size and times", func(r *sandboxRepo) {
			info, err := os.Stat(r.path("roles/web/harden.sh"))
			require.NoError(r.t, err)
			r.write("roles/web/harden.sh", "#!/bin/zz\n")
			require.NoError(r.t, os.Chtimes(r.path("roles/web/harden.sh"), info.ModTime(), info.ModTime()))
		}, []string{"roles/web/harden.sh"}, []string{"web"}},
		{"touched only", func(r *sandboxRepo) {
			require.NoError(r.t, os.Chtimes(r.path("web.yml"), time.Now(), time.Now()))
		}, nil, []string{}},
		{"changed and changed back", func(r *sandboxRepo) {
			r.write("web.yml", "x")
			r.write("web.yml", fleetFiles()["web.yml"])
		}, nil, []string{}},
		{"staged", func(r *sandboxRepo) {
			r.write("roles/worker/files/worker.conf", "queue=2\n")
			r.git("add", "-A")
		}, []string{"roles/worker/files/worker.conf"}, []string{"worker"}},
		{"staged, and changed back on disk", func(r *sandboxRepo) {
			r.write("web.yml", "x")
			r.git("add", "-A")
			r.write("web.yml", fleetFiles()["web.yml"])
		}, nil, []string{}},
		{"intent to add", func(r *sandboxRepo) {
			r.write("roles/web/files/n", "n")
			r.git("add", "-N", "roles/web/files/n")
		}, []string{"roles/web/files/n"}, []string{"web"}},
		{"deleted", func(r *sandboxRepo) { r.remove("roles/worker/files") }, []string{"roles/worker/files/worker.conf"}, []string{"worker"}},
		{"deleted from the index only", func(r *sandboxRepo) { r.git("rm", "-q", "--cached", "roles/worker/files/worker.conf") }, nil, []string{}},
		{"executable", func(r *sandboxRepo) { executable(r, "roles/web/harden.sh") }, []string{"roles/web/harden.sh"}, []string{"web"}},
		{"executable, where the file system knows no such bit", func(r *sandboxRepo) {
			r.git("config", "core.filemode", "false")
			executable(r, "roles/web/harden.sh")
		}, nil, []string{}},
		{"file became a directory", func(r *sandboxRepo) {
			r.remove("roles/web/harden.sh")
			r.write("roles/web/harden.sh/x", "x")
			r.write("roles/web/image.yaml", "base: {role: base}\n")
		}, []string{"roles/web/harden.sh", "roles/web/harden.sh/x", "roles/web/image.yaml"}, []string{"web"}},
		{"directory became a symlink", func(r *sandboxRepo) {
			r.remove("roles/worker/files")
			require.NoError(r.t, os.Symlink("../web/templates", r.path("roles/worker/files")))
		}, []string{"roles/worker/files", "roles/worker/files/worker.conf"}, []string{"worker"}},
		{"file became a symlink", func(r *sandboxRepo) {
			r.remove("roles/worker/files/worker.conf")
			require.NoError(r.t, os.Symlink("queue=1\n", r.path("roles/worker/files/worker.conf")))
		}, []string{"roles/worker/files/worker.conf"}, []string{"worker"}},
		{"untracked in a role", func(r *sandboxRepo) { r.write("roles/web/files/deep/new", "x") }, []string{"roles/web/files/deep/new"}, []string{"web"}},
		{"untracked tests", func(r *sandboxRepo) { r.write("roles/web/tests/more/x.bats", "x") }, []string{"roles/web/tests/more/x.bats"}, []string{"web"}},
		{"untracked Ansible role", func(r *sandboxRepo) { r.write("roles/unused/tasks/main.yml", "[]") }, []string{"roles/unused/tasks/main.yml"}, []string{}},
		{"untracked host_vars", func(r *sandboxRepo) { r.write("host_vars/a.yml", "a: 1") }, []string{"host_vars/a.yml"}, []string{"base", "web", "worker"}},
		{"untracked image role", func(r *sandboxRepo) {
			r.writeAll(withSuites(map[string]string{"roles/new/image.yaml": "base: {role: web}\n"}))
		}, []string{"roles/new/image.yaml", "roles/new/tests/default/goss.yaml"}, []string{"new"}},
		{"untracked where no role looks", func(r *sandboxRepo) {
			r.write("report.xml", "x")
			r.write(".cache/x.yml", "x")
			r.write("out/x.yml", "x")
		}, nil, []string{}},
		{"a tracked file that no role reads", func(r *sandboxRepo) { r.write("README.md", "x") }, []string{"README.md"}, []string{}},
		{"a whole parent", func(r *sandboxRepo) { r.write("roles/base/x", "x") }, []string{"roles/base/x"}, []string{"base", "web", "worker"}},
		{"lock", func(r *sandboxRepo) { r.write("imgops.lock", "version: 1\n") }, []string{"imgops.lock"}, []string{"arm", "base", "web", "worker"}},
		{"config", func(r *sandboxRepo) { r.write("imgops.yaml", imgopsYAML+"main: trunk\n") }, []string{"imgops.yaml"}, []string{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newSandboxRepo(t, fleetFiles())
			r.commit()
			r.settled()
			c.change(r)
			f := r.worktree()
			require.Equal(t, c.files, f.DirtyFiles)
			require.Equal(t, len(c.files) > 0, f.Dirty)
			require.Equal(t, c.roles, dirtyRoles(f))
			// Whatever is on disk: once committed, a commit has the same digests.
			want := digests(f)
			// Git compares times by the second; it would not see every change of this test.
			if c.name == "changed, same size and times" {
				require.NoError(t, os.Chtimes(r.path("roles/web/harden.sh"), time.Now(), time.Now()))
			}
			r.commit()
			require.Equal(t, want, digests(r.load()))
			require.False(t, r.worktree().Dirty)
		})
	}
}

// TestWorktreeDirtyByName: tasks of web name files that are no part of a role. Whatever becomes of these on disk, the role is
// dirty when its digest is another than the commit's, and not because something else changed.
func TestWorktreeDirtyByName(t *testing.T) {
	const task = "- ansible.builtin.command: cat extra/two.yml other/one.yml\n"
	for name, c := range map[string]struct {
		change func(r *sandboxRepo)
		roles  []string
	}{
		"gone":                    {func(r *sandboxRepo) { r.remove("extra/two.yml") }, []string{"web"}},
		"gone with its directory": {func(r *sandboxRepo) { r.remove("extra") }, []string{"web"}},
		"moved away":              {func(r *sandboxRepo) { require.NoError(r.t, os.Rename(r.path("extra/two.yml"), r.path("extra/x.yml"))) }, []string{"web"}},
		"changed":                 {func(r *sandboxRepo) { r.write("extra/two.yml", "a: 3") }, []string{"web"}},
		"a neighbour gone":        {func(r *sandboxRepo) { r.remove("extra/three.yml") }, []string{}},
		"a link in its place": {func(r *sandboxRepo) {
			r.remove("extra/two.yml")
			require.NoError(r.t, os.Symlink("three.yml", r.path("extra/two.yml")))
		}, []string{"web"}},
		"a link in its directory's place": {func(r *sandboxRepo) { r.remove("extra"); require.NoError(r.t, os.Symlink("shared", r.path("extra"))) }, []string{"web"}},
		"there at last":                   {func(r *sandboxRepo) { r.write("other/one.yml", "a: 1"); r.git("add", "other") }, []string{"web"}},
		"an ignore list next door": {func(r *sandboxRepo) {
			r.write("roles/worker/image.yaml", fleetFiles()["roles/worker/image.yaml"]+"ignore: [README.md]\n")
		}, []string{"worker"}},
		"something else": {func(r *sandboxRepo) { r.write("shared/two.yml", "a: 9") }, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			files := fleetFiles()
			files["roles/web/tasks/main.yml"] += task
			for _, f := range []string{"extra/two.yml", "extra/three.yml", "shared/two.yml"} {
				files[f] = "a: 1"
			}
			r := newSandboxRepo(t, files)
			r.commit()
			r.settled()
			before := digests(r.load())
			c.change(r)
			f := r.worktree()
			require.Equal(t, c.roles, dirtyRoles(f))
			for role, digest := range digests(f) {
				require.Equal(t, slices.Contains(c.roles, role) && role != "worker", digest != before[role], role)
			}
		})
	}
}

// TestWorktreeRacy changes a file in the instant in which the index is written, so that size and times are those
// that the index remembers.
func TestWorktreeRacy(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	name := r.path("roles/web/harden.sh")
	instant := time.Now().Truncate(time.Second)
	require.NoError(t, os.Chtimes(name, instant, instant))
	r.git("add", "-A")
	r.git("status")
	index := r.path(".git/index")
	require.NoError(t, os.Chtimes(index, instant, instant))
	repo := r.open()
	idx, err := repo.readIndex()
	require.NoError(t, err)
	i := slices.IndexFunc(idx.entries, func(e indexEntry) bool { return e.path == "roles/web/harden.sh" })
	d, err := openRoot(filepath.Dir(name))
	require.NoError(t, err)
	stat, err := d.lstat("harden.sh")
	require.NoError(t, err)
	require.NoError(t, d.close())
	require.False(t, idx.unchanged(&idx.entries[i], stat, diskModes{exec: true, links: true}), "as old as the index: not sure")
	idx.written.sec++
	require.True(t, idx.unchanged(&idx.entries[i], stat, diskModes{exec: true, links: true}), "older than the index: sure")
}

// TestWorktreeReadsNothing proves that a clean checkout is taken from the index: unreadable files do not matter.
func TestWorktreeReadsNothing(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	r.settled()
	repo := r.open()
	before, content, err := repo.checkout(t.Context())
	require.NoError(t, err)
	require.Empty(t, content.disk.files)
	require.Equal(t, r.git("rev-parse", "HEAD^{tree}"), before.id.String())
	idx, err := repo.readIndex()
	require.NoError(t, err)
	hashed := 0
	for i := range idx.entries {
		d, err := openRoot(r.dir)
		require.NoError(t, err)
		stat, err := d.lstat(idx.entries[i].path)
		require.NoError(t, err)
		require.NoError(t, d.close())
		if !idx.unchanged(&idx.entries[i], stat, diskModes{exec: true, links: true}) {
			hashed++
		}
	}
	require.Zero(t, hashed)
}

func TestWorktreeIgnored(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.writeAll(map[string]string{".gitignore": "*.retry\n/roles/web/.venv/\n", "roles/web/.gitignore": "/files/secret\n!keep.retry\n"})
	r.commit()
	r.write(".git/info/exclude", "*.swp\n")
	r.write("../no-home/git/ignore", "*~\n")
	r.writeAll(map[string]string{
		"roles/web/a.retry": "x", "roles/web/.venv/lib/x": "x", "roles/web/files/secret": "x", "roles/web/keep.retry": "x",
		"roles/web/x.swp": "x", "roles/web/y~": "x",
	})
	require.Equal(t, []string{"roles/web/keep.retry"}, r.worktree().DirtyFiles)
}

func TestWorktreeIndexVersions(t *testing.T) {
	for _, version := range []string{"2", "3", "4"} {
		r := newSandboxRepo(t, fleetFiles())
		r.commit()
		r.git("update-index", "--index-version", version)
		if version == "3" {
			r.git("update-index", "--skip-worktree", "web.yml") // the flag needs version 3
			r.remove("web.yml")
		}
		require.Empty(t, r.worktree().DirtyFiles, "version %s", version)
	}
	t.Run("damaged", func(t *testing.T) {
		r := newSandboxRepo(t, fleetFiles())
		r.commit()
		data, err := os.ReadFile(r.path(".git/index"))
		require.NoError(t, err)
		data[100] ^= 1
		require.NoError(t, os.WriteFile(r.path(".git/index"), data, 0o644))
		_, err = r.open().LoadWorktree(t.Context())
		require.ErrorIs(t, err, errBadIndex)
	})
}

func TestWorktreeConflict(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	r.git("switch", "-q", "-c", "a")
	r.write("roles/web/image.yaml", "base: {role: base}\n# a\n")
	r.commit()
	r.git("switch", "-q", "main")
	r.write("roles/web/image.yaml", "base: {role: base}\n# main\n")
	r.commit()
	require.Error(t, runGit(r, "merge", "a"))
	_, err := r.open().LoadWorktree(t.Context())
	var problems *ProblemsError
	require.ErrorAs(t, err, &problems)
	require.Len(t, problems.Problems, 1)
	require.Contains(t, problems.Error(), "roles/web/image.yaml:2:1: merge conflict marker")
}

func TestWorktreeSparse(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	want := digests(r.load())
	for _, p := range []string{"roles/worker/files/worker.conf", "roles/worker/tasks/main.yml"} {
		r.git("update-index", "--skip-worktree", p)
		r.remove(filepath.Dir(p))
	}
	f := r.worktree()
	require.Empty(t, f.DirtyFiles)
	require.Equal(t, want, digests(f))
}

// TestWorktreeSparseIndex has directories as single entries of the index, in each version of it.
func TestWorktreeSparseIndex(t *testing.T) {
	for _, version := range []string{"2", "4"} {
		r := newSandboxRepo(t, fleetFiles())
		r.write("roles/web/deep/er/file", "x\n")
		r.commit()
		want := digests(r.load())
		r.git("config", "index.version", version)
		r.git("sparse-checkout", "set", "--sparse-index", "roles/base")
		require.NoFileExists(t, r.path("roles/web/image.yaml"))
		require.Contains(t, r.git("ls-files", "--sparse"), "roles/web/\n", "the index is sparse")
		f := r.worktree()
		require.Empty(t, f.DirtyFiles)
		require.Equal(t, want, digests(f))

		r.write("roles/base/tasks/main.yml", "- ansible.builtin.ping:\n")
		require.Equal(t, []string{"roles/base/tasks/main.yml"}, r.worktree().DirtyFiles)
		r.git("checkout", "roles/base")
		r.write("roles/web/stray", "x\n")
		require.Equal(t, []string{"roles/web/stray"}, r.worktree().DirtyFiles)
	}
}

// TestWorktreeSplitIndex has an index in two files: entries of the shared one are replaced, deleted and added to.
func TestWorktreeSplitIndex(t *testing.T) {
	for _, version := range []string{"2", "4"} {
		r := newSandboxRepo(t, fleetFiles())
		for i := range 200 { // the bitmaps have more than one word
			r.write(fmt.Sprintf("roles/base/files/f%03d", i), "x\n")
		}
		r.commit()
		r.git("config", "splitIndex.maxPercentChange", "100") // or Git writes one file again
		r.git("update-index", "--index-version", version)
		r.git("update-index", "--split-index")
		require.Empty(t, r.worktree().DirtyFiles)
		for i := range 100 {
			r.remove(fmt.Sprintf("roles/base/files/f%03d", i))
		}
		r.write("roles/base/files/f100", "y\n")
		r.write("roles/base/files/f199", "y\n")
		r.write("roles/base/files/a", "new\n")
		r.write("roles/web/files/z", "new\n")
		r.git("add", "-A")
		r.git("commit", "-qm", "Change much")
		shared, err := filepath.Glob(r.path(".git/sharedindex.*"))
		require.NoError(t, err)
		require.NotEmpty(t, shared, "the index is still split")
		r.settled()
		f := r.worktree()
		require.Empty(t, f.DirtyFiles)
		require.Equal(t, digests(r.load()), digests(f))
		r.write("roles/base/files/f150", "z\n")
		require.Equal(t, []string{"roles/base/files/f150"}, r.worktree().DirtyFiles)

		for _, name := range shared {
			require.NoError(t, os.Remove(name))
		}
		_, err = r.open().LoadWorktree(t.Context())
		require.ErrorContains(t, err, "git update-index --no-split-index")
	}
}

func TestWorktreeSubmodule(t *testing.T) {
	lib := newSandboxRepo(t, map[string]string{"tasks/main.yml": "[]\n"})
	libHead := lib.commit()
	r := newSandboxRepo(t, fleetFiles())
	r.git("submodule", "add", "-q", lib.dir, "roles/web/files/lib")
	r.commit()
	f := r.worktree()
	require.Empty(t, f.DirtyFiles)
	require.Contains(t, roleOf(t, f, "web").Inputs(), Input{Path: "roles/web/files/lib", Mode: 0o160000, Blob: libHead})
	require.Equal(t, digests(r.load()), digests(f))
	out := filepath.Join(t.TempDir(), "out")
	require.NoError(t, f.Materialize(t.Context(), roleOf(t, f, "web"), out))
	require.FileExists(t, filepath.Join(out, "roles/web/files/lib/tasks/main.yml"))

	r.write("roles/web/files/lib/tasks/main.yml", "- debug: {}\n")
	f = r.worktree()
	require.Equal(t, []string{"roles/web/files/lib"}, f.DirtyFiles, "changes inside a submodule count")
	out = filepath.Join(t.TempDir(), "out")
	require.NoError(t, f.Materialize(t.Context(), roleOf(t, f, "web"), out))
	data, err := os.ReadFile(filepath.Join(out, "roles/web/files/lib/tasks/main.yml"))
	require.NoError(t, err)
	require.Equal(t, "- debug: {}\n", string(data))

	clone := &sandboxRepo{t, filepath.Join(t.TempDir(), "clone")}
	gitIn(t, r.dir, "clone", "-q", r.dir, clone.dir)
	f = clone.worktree()
	require.Empty(t, f.DirtyFiles, "a submodule that is not checked out is as the commit says")
	err = f.Materialize(t.Context(), roleOf(t, f, "web"), filepath.Join(t.TempDir(), "out"))
	require.ErrorContains(t, err, "submodule update --init")
}
