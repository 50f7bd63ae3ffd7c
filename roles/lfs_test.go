package roles

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pointerTo is the pointer of a content.
func pointerTo(content string) string {
	sum := sha256.Sum256([]byte(content))
	return fmt.Sprintf("%soid sha256:%s\nsize %d\n", lfsVersion, hex.EncodeToString(sum[:]), len(content))
}

// lfsRepo is a fleet in which Git LFS keeps worker.conf. The clean filter that Git LFS installs is replaced by one that
// prints the pointer.
func lfsRepo(t *testing.T, content string) *sandboxRepo {
	files := fleetFiles()
	files[".gitattributes"] = "worker.conf filter=lfs diff=lfs merge=lfs -text\n"
	files["roles/worker/files/worker.conf"] = pointerTo(content)
	r := newSandboxRepo(t, files)
	r.commit()
	r.write(".git/lfs-clean", `in=$(mktemp); cat >"$in"
if grep -q "^version https://git-lfs" "$in"; then cat "$in"; else
	printf "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" "$(sha256sum <"$in" | cut -d" " -f1)" "$(wc -c <"$in")"
fi
rm "$in"
`)
	r.git("config", "filter.lfs.clean", "sh .git/lfs-clean")
	return r
}

func (r *sandboxRepo) storeLFS(dir, content string) {
	sum := sha256.Sum256([]byte(content))
	oid := hex.EncodeToString(sum[:])
	r.write(dir+"/objects/"+oid[:2]+"/"+oid[2:4]+"/"+oid, content)
}

func requireWorkerConf(t *testing.T, f *Fleet, want string) {
	t.Helper()
	require.NoError(t, f.Complete(t.Context(), f.Roles))
	out := filepath.Join(t.TempDir(), "out")
	require.NoError(t, f.Materialize(t.Context(), roleOf(t, f, "worker"), out))
	require.Equal(t, "-rw-r--r-- "+want, listing(t, out)["roles/worker/files/worker.conf"])
}

// TestLFS: the pointer is in the digest, the content in the build.
func TestLFS(t *testing.T) {
	const one, two = "a large file\n", "another large file\n"
	r := lfsRepo(t, one)
	before := r.load()

	t.Run("no content", func(t *testing.T) {
		for _, f := range []*Fleet{r.load(), r.worktree()} {
			err := f.Complete(t.Context(), f.Roles)
			require.ErrorIs(t, err, ErrIncomplete)
			require.Equal(t, "incomplete clone: roles/worker/files/worker.conf is a Git LFS pointer, and its content (13 bytes) is not here; run `git lfs pull`", err.Error())
			require.NoError(t, f.Complete(t.Context(), []*Role{roleOf(t, f, "web")}), "other roles do not need it")
			out := filepath.Join(t.TempDir(), "out")
			err = f.Materialize(t.Context(), roleOf(t, f, "worker"), out)
			require.ErrorContains(t, err, "git lfs pull")
			require.NoFileExists(t, filepath.Join(out, "roles/worker/files/worker.conf"), "never the pointer")
		}
	})
	t.Run("smudged", func(t *testing.T) {
		r.write(".git/large", one)
		r.git("config", "filter.lfs.smudge", "cat .git/large #")
		r.remove("roles/worker/files/worker.conf")
		r.git("checkout", "--", ".")
		data, err := os.ReadFile(r.path("roles/worker/files/worker.conf"))
		require.NoError(t, err)
		require.Equal(t, one, string(data))
		require.Empty(t, r.git("status", "--porcelain"), "Git takes it for clean")
		// Whether or not the index still knows the file as clean.
		for _, when := range []time.Time{time.Now(), time.Now().Add(-time.Hour)} {
			require.NoError(t, os.Chtimes(r.path("roles/worker/files/worker.conf"), when, when))
			f := r.worktree()
			require.False(t, f.Dirty, f.DirtyFiles)
			require.Equal(t, digests(before), digests(f))
			requireWorkerConf(t, f, one)
		}
		r.git("add", "-A")
		require.False(t, r.worktree().Dirty)
		requireWorkerConf(t, r.load(), one)
	})
	t.Run("damaged", func(t *testing.T) {
		r.write("roles/worker/files/worker.conf", strings.ToUpper(one))
		require.Equal(t, []string{"roles/worker/files/worker.conf"}, r.worktree().DirtyFiles)
		require.ErrorIs(t, r.load().Complete(t.Context(), before.Roles), ErrIncomplete, "a commit needs the commit's content")
		requireWorkerConf(t, r.worktree(), strings.ToUpper(one))
		r.write("roles/worker/files/worker.conf", pointerTo(one))
	})
	t.Run("downloaded", func(t *testing.T) {
		r.storeLFS(".git/lfs", one)
		requireWorkerConf(t, r.load(), one)
		requireWorkerConf(t, r.worktree(), one)
		linked := &sandboxRepo{t, filepath.Join(t.TempDir(), "linked")}
		r.git("worktree", "add", "-q", "--detach", linked.dir)
		requireWorkerConf(t, linked.load(), one)
	})
	t.Run("downloaded elsewhere", func(t *testing.T) {
		r.remove(".git/lfs")
		r.git("config", "lfs.storage", "elsewhere")
		r.storeLFS(".git/elsewhere", one)
		requireWorkerConf(t, r.load(), one)
	})
	t.Run("changed", func(t *testing.T) {
		r.write("roles/worker/files/worker.conf", pointerTo(two))
		r.commit()
		after := r.load()
		require.Equal(t, []string{"worker"}, changed(digests(before), digests(after)))
		changes := Explain(roleOf(t, before, "worker"), roleOf(t, after, "worker"))
		require.Len(t, changes, 1)
		require.Equal(t, "file roles/worker/files/worker.conf", changes[0].Component)
		require.NotEqual(t, changes[0].Old, changes[0].New)
	})
}

// TestLFSOfWhatIsRead: what a template in Git LFS includes cannot be known, so everything counts.
func TestLFSOfWhatIsRead(t *testing.T) {
	files := fleetFiles()
	files["roles/worker/templates/large.j2"] = pointerTo("{% include 'x' %}")
	r := newSandboxRepo(t, files)
	r.commit()
	before := digests(r.load())
	r.write("shared/unused.yml", "a: 2\n")
	r.commit()
	require.Equal(t, []string{"worker"}, changed(before, digests(r.load())))
}

func TestParseLFS(t *testing.T) {
	good := pointerTo("x")
	p, ok := parseLFS([]byte(good))
	require.True(t, ok)
	require.Equal(t, lfsPointer{"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", 1}, p)
	for _, bad := range []string{
		"", "x", lfsVersion, lfsVersion + "oid sha256:abc\nsize 1\n", strings.Replace(good, "size 1", "size -1", 1), strings.Replace(good, "size 1", "size x", 1),
		strings.Replace(good, "size 1\n", "", 1), strings.Replace(good, "sha256:", "sha1:", 1), good + strings.Repeat("x", lfsMax),
	} {
		_, ok := parseLFS([]byte(bad))
		require.False(t, ok, "%q", bad)
	}
}

func FuzzParseLFS(f *testing.F) {
	f.Add([]byte(pointerTo("x")))
	f.Add([]byte(lfsVersion + "oid sha256:\nsize 99999999999999999999\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, ok := parseLFS(data); ok {
			require.Len(t, p.oid, 64)
			require.GreaterOrEqual(t, p.size, int64(0))
		}
	})
}
