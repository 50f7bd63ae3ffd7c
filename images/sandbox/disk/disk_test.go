package disk

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const mib = 1 << 20

// lab is a store and a directory for disks.
type lab struct {
	t     *testing.T
	dir   string
	store *Store
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, dir: t.TempDir()}
	l.store = l.open()
	return l
}

func (l *lab) open() *Store {
	s, err := Open(filepath.Join(l.dir, "store"))
	require.NoError(l.t, err)
	return s
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// disk makes a sparse disk of the size with n pages of noise in it.
func (l *lab) disk(name string, size int64, n int, rng *rand.Rand) string {
	path := l.path(name)
	require.NoError(l.t, os.WriteFile(path, nil, 0o600))
	require.NoError(l.t, os.Truncate(path, size))
	l.scribble(path, n, rng)
	return path
}

// scribble writes noise, and zeroes here and there, to n places.
func (l *lab) scribble(path string, n int, rng *rand.Rand) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(l.t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(l.t, err)
	for i := range n {
		buf := make([]byte, min(1+rng.IntN(3*4096), int(info.Size())))
		if i%4 > 0 {
			for j := range buf {
				buf[j] = byte(rng.Uint32())
			}
		}
		_, err := f.WriteAt(buf, rng.Int64N(info.Size()-int64(len(buf))+1))
		require.NoError(l.t, err)
	}
}

func (l *lab) requireSame(want, got string) {
	l.t.Helper()
	a, err := os.ReadFile(want)
	require.NoError(l.t, err)
	b, err := os.ReadFile(got)
	require.NoError(l.t, err)
	require.Equal(l.t, len(a), len(b))
	require.True(l.t, bytes.Equal(a, b), "%s and %s differ", want, got)
}

func stored(t *testing.T, path string) int64 {
	var st unix.Stat_t
	require.NoError(t, unix.Stat(path, &st))
	return st.Blocks * 512
}

func TestRoundTrip(t *testing.T) {
	for _, size := range []int64{1, 4096, blockSize, blockSize + 1, 3*blockSize - 5, 20*mib + 512} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			l, rng := newLab(t), rand.New(rand.NewPCG(1, uint64(size)))
			disk := l.disk("disk", size, 20, rng)
			require.NoError(t, l.store.Import(t.Context(), disk, "snap-1"))
			require.NoError(t, l.store.Restore(t.Context(), "snap-1", l.path("copy"), 0))
			l.requireSame(disk, l.path("copy"))
			virtual, _, err := l.store.Size("snap-1")
			require.NoError(t, err)
			require.Equal(t, size, virtual)
		})
	}
}

// A chain of snapshots, of which ever more parents are deleted, always restores what was captured.
func TestChain(t *testing.T) {
	l, rng := newLab(t), rand.New(rand.NewPCG(7, 7))
	disk := l.disk("disk", 8*mib, 300, rng)
	parent := ""
	const generations = 8
	for i := range generations {
		id := fmt.Sprintf("snap-%d", i)
		require.NoError(t, l.store.Capture(t.Context(), disk, id, parent))
		require.NoError(t, l.store.Restore(t.Context(), id, l.path("copy"), 0))
		l.requireSame(disk, l.path("copy"))
		require.NoError(t, os.Rename(l.path("copy"), l.path(id)))
		l.scribble(disk, 5, rng)
		parent = id
	}
	_, first, err := l.store.Size("snap-0")
	require.NoError(t, err)
	_, later, err := l.store.Size("snap-5")
	require.NoError(t, err)
	require.Less(t, later, first/4, "a child stores the difference only")

	for i := range generations {
		require.NoError(t, l.store.Delete(fmt.Sprintf("snap-%d", i)))
		l.store = l.open()
		require.Len(t, l.store.IDs(), generations-1-i)
		for j := i + 1; j < generations; j++ {
			id := fmt.Sprintf("snap-%d", j)
			require.NoError(t, l.store.Restore(t.Context(), id, l.path("copy"), 0))
			l.requireSame(l.path(id), l.path("copy"))
		}
	}
	left, err := os.ReadDir(l.path("store"))
	require.NoError(t, err)
	require.Empty(t, left, "nothing is kept for nobody")
}

func TestDeleteFreesBlocks(t *testing.T) {
	l, rng := newLab(t), rand.New(rand.NewPCG(3, 3))
	disk := l.disk("disk", 16*mib, 0, rng)
	noise := make([]byte, 8*mib)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt(noise, 0)
	require.NoError(t, err)
	require.NoError(t, l.store.Import(t.Context(), disk, "snap-old"))
	_, err = f.WriteAt(make([]byte, 6*mib), 0)
	require.NoError(t, err)
	require.NoError(t, l.store.Capture(t.Context(), disk, "snap-new", "snap-old"))
	_, own, err := l.store.Size("snap-new")
	require.NoError(t, err)
	require.Zero(t, own, "zeroes need no data")

	require.NoError(t, l.store.Delete("snap-old"))
	require.LessOrEqual(t, stored(t, l.store.dataPath("snap-old")), int64(2*mib+blockSize))
	require.NoError(t, l.store.Restore(t.Context(), "snap-new", l.path("copy"), 0))
	l.requireSame(disk, l.path("copy"))
}

// A disk may be larger or smaller than the parent's, and the parent may be gone.
func TestParentOfAnotherSize(t *testing.T) {
	l, rng := newLab(t), rand.New(rand.NewPCG(5, 5))
	require.NoError(t, l.store.Import(t.Context(), l.disk("a", 4*mib+100, 50, rng), "snap-a"))
	for _, size := range []int64{3 * mib, 4*mib + 100, 6 * mib} {
		require.NoError(t, l.store.Restore(t.Context(), "snap-a", l.path("b"), 6*mib))
		require.NoError(t, os.Truncate(l.path("b"), size))
		id := fmt.Sprintf("snap-%d", size)
		require.NoError(t, l.store.Capture(t.Context(), l.path("b"), id, "snap-a"))
		require.NoError(t, l.store.Restore(t.Context(), id, l.path("c"), 0))
		l.requireSame(l.path("b"), l.path("c"))
	}
	require.NoError(t, l.store.Capture(t.Context(), l.path("b"), "snap-orphan", "snap-gone"))
	require.NoError(t, l.store.Restore(t.Context(), "snap-orphan", l.path("c"), 0))
	l.requireSame(l.path("b"), l.path("c"))
}

func TestRefusals(t *testing.T) {
	l, rng := newLab(t), rand.New(rand.NewPCG(5, 5))
	disk := l.disk("disk", mib, 10, rng)
	ctx := t.Context()
	require.NoError(t, l.store.Import(ctx, disk, "snap-1"))
	require.ErrorIs(t, l.store.Import(ctx, disk, "snap-1"), fs.ErrExist)
	require.ErrorContains(t, l.store.Import(ctx, disk, "../evil"), "letters")
	require.ErrorIs(t, l.store.Import(ctx, l.path("none"), "snap-2"), fs.ErrNotExist)
	require.ErrorContains(t, l.store.Import(ctx, l.dir, "snap-2"), "no disk")
	require.ErrorIs(t, l.store.Restore(ctx, "snap-2", l.path("copy"), 0), fs.ErrNotExist)
	require.ErrorContains(t, l.store.Restore(ctx, "snap-1", l.path("copy"), 4096), "smaller")
	require.ErrorIs(t, l.store.Delete("snap-2"), fs.ErrNotExist)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, l.store.Capture(cancelled, disk, "snap-2", ""), context.Canceled)
	require.ErrorIs(t, l.store.Restore(cancelled, "snap-1", l.path("copy"), 0), context.Canceled)
	require.NoFileExists(t, l.path("copy"))
	require.Equal(t, []string{"snap-1"}, l.store.IDs())
	require.Len(t, l.leftovers(), 2)
}

func (l *lab) leftovers() []os.DirEntry {
	entries, err := os.ReadDir(l.path("store"))
	require.NoError(l.t, err)
	return entries
}

func TestOpenRemovesHalfMade(t *testing.T) {
	l, rng := newLab(t), rand.New(rand.NewPCG(5, 5))
	require.NoError(t, l.store.Import(t.Context(), l.disk("disk", mib, 10, rng), "snap-1"))
	for _, name := range []string{"snap-2.tmp", "snap-3.data", ".snap-4.map12345"} {
		require.NoError(t, os.WriteFile(l.path("store/"+name), []byte("half"), 0o600))
	}
	require.Equal(t, []string{"snap-1"}, l.open().IDs())
	require.Len(t, l.leftovers(), 2)

	require.NoError(t, os.WriteFile(l.path("store/snap-5.map"), []byte(`{"size":4096,"block":65536,"owners":["x"],"runs":[[0,2,0]]}`), 0o600))
	_, err := Open(l.path("store"))
	require.ErrorContains(t, err, "damaged")
}

// A full disk is reported and leaves nothing.
func TestNoSpace(t *testing.T) {
	l, rng := newLab(t), rand.New(rand.NewPCG(9, 9))
	small := t.TempDir()
	if err := unix.Mount("imgops-test", small, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("mounting a small tmpfs needs root: ", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(small, unix.MNT_DETACH)) })
	disk := l.disk("disk", 8*mib, 1000, rng)
	require.NoError(t, l.store.Import(t.Context(), disk, "snap-1"))
	require.ErrorIs(t, l.store.Restore(t.Context(), "snap-1", filepath.Join(small, "disk"), 0), unix.ENOSPC)
	left, err := os.ReadDir(small)
	require.NoError(t, err)
	require.Empty(t, left)

	full, err := Open(filepath.Join(small, "store"))
	require.NoError(t, err)
	require.ErrorIs(t, full.Import(t.Context(), disk, "snap-1"), unix.ENOSPC)
	require.False(t, full.Has("snap-1"))
	left, err = os.ReadDir(filepath.Join(small, "store"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestExt4(t *testing.T) {
	for _, tool := range []string{"mkfs.ext4", "e2fsck", "resize2fs"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing: apt-get install e2fsprogs", tool)
		}
	}
	l, rng := newLab(t), rand.New(rand.NewPCG(9, 9))
	disk := l.disk("disk", 64*mib, 0, rng)
	out, err := exec.Command("mkfs.ext4", "-q", "-F", disk).CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, l.store.Import(t.Context(), disk, "snap-1"))
	require.NoError(t, l.store.Restore(t.Context(), "snap-1", l.path("grown"), 256*mib))
	sized := func(want int64) {
		t.Helper()
		f, err := os.Open(l.path("grown"))
		require.NoError(t, err)
		defer f.Close()
		size, ok := ext4Size(f)
		require.True(t, ok)
		require.Equal(t, want, size)
	}
	sized(64 * mib)
	require.NoError(t, l.store.Grow(t.Context(), l.path("grown")))
	sized(256 * mib)
	require.NoError(t, l.store.Grow(t.Context(), l.path("grown")), "again")

	require.NoError(t, os.Truncate(disk, 50*mib))
	require.ErrorContains(t, l.store.Import(t.Context(), disk, "snap-2"), "truncated")
}

// Data that was cut off is not taken for zeroes.
func TestTruncatedData(t *testing.T) {
	l, rng := newLab(t), rand.New(rand.NewPCG(4, 4))
	disk := l.disk("disk", 8*mib, 200, rng)
	require.NoError(t, l.store.Import(t.Context(), disk, "snap-1"))
	require.NoError(t, l.store.Restore(t.Context(), "snap-1", l.path("copy"), 0))
	for _, size := range []int64{4 * mib, 0} {
		require.NoError(t, os.Truncate(l.store.dataPath("snap-1"), size))
		require.ErrorContains(t, l.store.Restore(t.Context(), "snap-1", l.path("cut"), 0), "truncated")
		require.NoFileExists(t, l.path("cut"))
	}
}

func TestConcurrent(t *testing.T) {
	l, rng := newLab(t), rand.New(rand.NewPCG(2, 2))
	disk := l.disk("disk", 8*mib, 200, rng)
	require.NoError(t, l.store.Import(t.Context(), disk, "base"))
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			id, path := fmt.Sprintf("snap-%d", i), l.path(fmt.Sprint(i))
			for range 5 {
				errs[i] = l.store.Capture(t.Context(), disk, id, "base")
				if errs[i] == nil {
					errs[i] = l.store.Restore(t.Context(), id, path, 0)
				}
				if errs[i] == nil {
					errs[i] = l.store.Delete(id)
				}
				if errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		require.NoError(t, err)
		l.requireSame(disk, l.path(fmt.Sprint(i)))
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"size":131072,"block":65536,"owners":["snap-1"],"runs":[[0,2,0]]}`))
	f.Add([]byte(`{"size":1,"block":65536,"owners":["a"],"runs":[[0,9223372036854775807,0]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "m")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		if m, err := readManifest(path); err == nil && m.Size < 1<<34 {
			m.table() // stays inside the disk
		}
	})
}
