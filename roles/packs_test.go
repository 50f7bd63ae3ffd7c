package roles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/stretchr/testify/require"
)

// TestObjects reads every object of a repository with deltas in several packs, loose objects and alternates, each with
// the content that it is named by; also those that follow the many after which a pack's index is turned around.
func TestObjects(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	long := strings.Repeat("a line that makes deltas worth their while\n", 40)
	for i := range 30 {
		r.write("roles/web/files/long", long+strings.Repeat("x", i))
		r.write("roles/web/files/n"+strings.Repeat("n", i), "x")
		r.commit()
		if i == 20 {
			r.git("gc", "-q")
		}
	}
	r.git("repack", "-q")
	r.write("loose", "x")
	r.commit()
	other := filepath.Join(t.TempDir(), "other")
	gitIn(t, r.dir, "clone", "-q", "--shared", r.dir, other)
	for name, dir := range map[string]string{"packs": r.dir, "alternates": other} {
		t.Run(name, func(t *testing.T) {
			repo, err := OpenRepo(t.Context(), dir)
			require.NoError(t, err)
			defer func() { require.NoError(t, repo.Close()) }()
			ids := strings.Fields(gitIn(t, dir, "rev-list", "--objects", "--no-object-names", "--all"))
			for range 1 + manyDeltas/len(ids) {
				for _, id := range ids {
					obj, err := repo.store.git.EncodedObject(plumbing.AnyObject, plumbing.NewHash(id))
					require.NoError(t, err)
					require.Equal(t, id, obj.Hash().String())
					size, err := repo.store.git.EncodedObjectSize(plumbing.NewHash(id))
					require.NoError(t, err)
					require.Equal(t, obj.Size(), size)
				}
			}
			_, err = repo.store.git.EncodedObject(plumbing.AnyObject, plumbing.NewHash(strings.Repeat("ab", 20)))
			require.ErrorIs(t, err, plumbing.ErrObjectNotFound)
			_, err = repo.store.git.EncodedObject(plumbing.BlobObject, plumbing.NewHash(gitIn(t, dir, "rev-parse", "HEAD")))
			require.ErrorIs(t, err, plumbing.ErrObjectNotFound, "a commit is no blob")
		})
	}
}

// TestDamagedPackIndex: an object is what its name says or an error, however the index of its pack is damaged.
func TestDamagedPackIndex(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	head := r.commit()
	r.git("gc", "-q")
	found, err := filepath.Glob(r.path(".git/objects/pack/*.idx"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	whole, err := os.ReadFile(found[0])
	require.NoError(t, err)
	require.NoError(t, os.Chmod(found[0], 0o644))
	want := digests(r.load())
	for at := 0; at < len(whole); at += 7 {
		damaged := append([]byte{}, whole...)
		damaged[at] ^= 0xff
		require.NoError(t, os.WriteFile(found[0], damaged, 0o644))
		repo, err := OpenRepo(t.Context(), r.dir)
		if err != nil {
			continue
		}
		f, err := repo.Load(t.Context(), head)
		if err == nil {
			require.NoError(t, f.Resolve(testPins))
			require.Equal(t, want, digests(f))
		}
		require.NoError(t, repo.Close())
	}
}

func FuzzPackIndex(f *testing.F) {
	f.Add([]byte(packIndexHead + strings.Repeat("\x00", fanoutSize+trailerSize)))
	one := packIndexHead + strings.Repeat("\x00\x00\x00\x00", 200) + strings.Repeat("\x00\x00\x00\x01", 56) + strings.Repeat("\xc8", 20) + "crc \x80\x00\x00\x00"
	f.Add([]byte(one + strings.Repeat("\x00", trailerSize)))
	f.Add([]byte(one + "\x00\x00\x00\x00\x00\x00\x00\x0c" + strings.Repeat("\x00", trailerSize)))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := parsePackIndex(data)
		if err != nil {
			return
		}
		for i := range 256 {
			id := plumbing.NewHash(strings.Repeat("c8", 20))
			id[0] = byte(i)
			if at, err := x.FindOffset(id); err == nil {
				require.GreaterOrEqual(t, at, int64(0))
			}
		}
	})
}
