package disk

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The case: a disk of 2 GB with 400 MB in it, of which 100 MB differ from the parent.
func BenchmarkStore(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(dir + "/store")
	require.NoError(b, err)
	f, err := os.Create(dir + "/disk")
	require.NoError(b, err)
	defer f.Close()
	require.NoError(b, f.Truncate(2<<30))
	rng := rand.NewChaCha8([32]byte{})
	noise := make([]byte, 4*mib)
	fill := func(from, to int64) {
		for at := from; at < to; at += 4 {
			_, _ = rng.Read(noise)
			_, err := f.WriteAt(noise, at*(5*mib)) // spread over the disk, with holes between
			require.NoError(b, err)
		}
	}
	fill(0, 400)
	require.NoError(b, s.Import(b.Context(), f.Name(), "base"))
	fill(0, 100)
	n := 0
	b.Run("capture", func(b *testing.B) {
		for b.Loop() {
			n++
			require.NoError(b, s.Capture(b.Context(), f.Name(), fmt.Sprint("snap-", n), "base"))
		}
	})
	b.Run("capture without parent", func(b *testing.B) {
		for b.Loop() {
			n++
			require.NoError(b, s.Capture(b.Context(), f.Name(), fmt.Sprint("snap-", n), ""))
		}
	})
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, s.Restore(b.Context(), "snap-1", dir+"/copy", 0))
		}
	})
}
