package roles

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/stretchr/testify/require"
)

// listing gives the files below dir: path -> type, permissions and content.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		require.NoError(t, err)
		rel, err := filepath.Rel(dir, p)
		require.NoError(t, err)
		data, err := readDisk(p)
		out[filepath.ToSlash(rel)] = info.Mode().String() + " " + string(data)
		return err
	}))
	return out
}

func TestMaterialize(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	executable(r, "roles/web/harden.sh")
	require.NoError(t, os.Symlink("site.conf", r.path("roles/web/templates/default.conf")))
	r.commit()
	files := fleetFiles()
	want := map[string]string{
		"roles/web/harden.sh": "-rwxr-xr-x #!/bin/sh\n", "roles/web/templates/default.conf": "Lrwxrwxrwx site.conf",
	}
	for _, name := range []string{
		"roles/web/tasks/main.yml", "roles/web/templates/site.conf", "roles/logging/tasks/main.yml", "roles/logging/meta/main.yml",
		"roles/certs/tasks/main.yml", "roles/certs/files/ca.pem", "web.yml", "shared/web.yml", "group_vars/all.yml", "requirements.yml",
	} {
		want[name] = "-rw-r--r-- " + files[name]
	}
	f := r.load()
	out := filepath.Join(t.TempDir(), "out")
	require.NoError(t, f.Materialize(t.Context(), roleOf(t, f, "web"), out))
	require.Equal(t, want, listing(t, out))
	require.Len(t, roleOf(t, f, "web").Inputs(), len(want), "Inputs lists the same files")

	tests := filepath.Join(t.TempDir(), "tests")
	require.NoError(t, f.MaterializeTests(t.Context(), roleOf(t, f, "web"), tests))
	require.Equal(t, map[string]string{"roles/web/tests/default/web.bats": "-rw-r--r-- @test up { true; }\n"}, listing(t, tests))
	require.Equal(t, []Input{{Path: "roles/web/tests/default/web.bats", Mode: 0o100644, Blob: blobID([]byte("@test up { true; }\n")).String()}}, roleOf(t, f, "web").TestInputs())
	require.NoError(t, f.MaterializeTests(t.Context(), roleOf(t, f, "worker"), filepath.Join(t.TempDir(), "none")))

	err := f.Materialize(t.Context(), roleOf(t, f, "web"), out)
	require.ErrorContains(t, err, "not empty", "left-over files would take part in the build")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, f.Materialize(ctx, roleOf(t, f, "web"), filepath.Join(t.TempDir(), "x")), context.Canceled)
}

func TestMaterializeDirty(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	r.write("roles/worker/files/worker.conf", "queue=2\n")
	r.write("roles/worker/files/new", "new\n")
	f := r.worktree()
	r.write("roles/tuning/tasks/main.yml", "changed after the load, but clean then\n")
	out := filepath.Join(t.TempDir(), "out")
	require.NoError(t, f.Materialize(t.Context(), roleOf(t, f, "worker"), out))
	got := listing(t, out)
	require.Equal(t, "-rw-r--r-- queue=2\n", got["roles/worker/files/worker.conf"])
	require.Equal(t, "-rw-r--r-- new\n", got["roles/worker/files/new"])
	require.Equal(t, "-rw-r--r-- "+fleetFiles()["roles/tuning/tasks/main.yml"], got["roles/tuning/tasks/main.yml"], "the digest's content, not the disk's")

	r.write("roles/worker/files/new", "newer\n")
	err := f.Materialize(t.Context(), roleOf(t, f, "worker"), filepath.Join(t.TempDir(), "out"))
	require.ErrorIs(t, err, ErrChanged)
}

// TestMaterializeHostile writes trees that a well-behaved Git would never make.
func TestMaterializeHostile(t *testing.T) {
	for _, name := range []string{"", ".", "..", ".git", ".GIT", "a/b", "a\x00"} {
		require.False(t, safeName(name), "%q", name)
	}
	require.Equal(t, filepath.Separator == '/', safeName(`a\b`), "a separator on Windows only")
	_, err := decodeTree(append([]byte("100644 ..\x00"), make([]byte, 20)...))
	require.ErrorContains(t, err, "unsafe name")
	for _, data := range []string{"100644", "100644 a", "100644 a\x00short", "9 a\x00" + string(make([]byte, 20))} {
		_, err := decodeTree([]byte(data))
		require.Error(t, err, "%q", data)
	}

	// A symlink and a directory of the same name: the directory's file must not go through the symlink.
	outside := t.TempDir()
	r := newSandboxRepo(t, fleetFiles())
	r.write("payload", "x")
	require.NoError(t, os.Symlink(outside, r.path("target")))
	r.commit()
	f := r.load()
	link, _, err := f.view.root.child("target")
	require.NoError(t, err)
	payload, _, err := f.view.root.child("payload")
	require.NoError(t, err)
	inner := newTree([]entry{payload})
	hostile := newTree([]entry{
		{name: "d", mode: filemode.Symlink, id: link.id},
		{name: "d", mode: filemode.Dir, id: inner.id, sub: inner},
	})
	require.Error(t, f.write(t.Context(), &Role{}, hostile, "", filepath.Join(t.TempDir(), "out")))
	require.NoFileExists(t, filepath.Join(outside, "payload"))
}
