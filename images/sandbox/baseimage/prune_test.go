package baseimage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// put makes an image of the key without a recipe, last used some time ago.
func put(t *testing.T, dir, key string, ago time.Duration) {
	t.Helper()
	data, err := json.Marshal(Image{Name: "debian-" + key, SizeBytes: 4})
	require.NoError(t, err)
	for suffix, content := range map[string][]byte{".img": []byte("disk"), ".json": data, ".lock": nil} {
		path, at := filepath.Join(dir, key+suffix), time.Now().Add(-ago)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		require.NoError(t, os.Chtimes(path, at, at))
	}
}

// keys lists the keys of which the cache has anything.
func keys(t *testing.T, dir string) map[string]int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	n := map[string]int{}
	for _, e := range entries {
		n[e.Name()[:min(12, len(e.Name()))]]++
	}
	return n
}

// When the recipe has changed, the image of the earlier one goes, a day after its last use.
func TestPrune(t *testing.T) {
	o := Options{Dir: t.TempDir()}.withDefaults()
	present, err := o.key()
	require.NoError(t, err)
	const old, recent, busy, broken = "000000000001", "000000000002", "000000000003", "000000000004"
	put(t, o.Dir, present, 100*time.Hour)
	put(t, o.Dir, old, 25*time.Hour)
	put(t, o.Dir, recent, 23*time.Hour)
	put(t, o.Dir, busy, 25*time.Hour)
	half := filepath.Join(o.Dir, broken+".tmp")
	require.NoError(t, os.MkdirAll(filepath.Join(half, "root"), 0o700))
	long := time.Now().Add(-48 * time.Hour)
	require.NoError(t, os.Chtimes(half, long, long))
	require.NoError(t, os.WriteFile(filepath.Join(o.Dir, "notes of mine"), nil, 0o600))
	held, err := tryLock(filepath.Join(o.Dir, busy+".lock"))
	require.NoError(t, err)

	img, err := Make(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, "debian-"+present, img.Name)
	require.Equal(t, map[string]int{present: 3, recent: 3, busy: 3, "notes of min": 1}, keys(t, o.Dir))
	info, err := os.Stat(filepath.Join(o.Dir, present+".json"))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), info.ModTime(), time.Hour, "its use is noted")

	require.NoError(t, held.Close())
	_, err = Make(t.Context(), o)
	require.NoError(t, err)
	require.NotContains(t, keys(t, o.Dir), busy)
}

// What one process is given another one does not remove, however they meet.
func TestPruneWhileInUse(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for round := range 20 {
		key := fmt.Sprintf("%012x", round)
		put(t, dir, key, 25*time.Hour)
		all.Go(func() {
			require.NoError(t, Options{Dir: dir}.prune(t.Context(), "ffffffffffff", time.Now().Add(-keepUnused)))
		})
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // so that an image which is gone is not made again
			o := Options{Dir: dir}.withDefaults()
			if img, err := o.find(ctx, key); err == nil {
				require.FileExists(t, img.Path)
			} else {
				require.True(t, errors.Is(err, context.Canceled) || Probe() != nil, err)
			}
		})
		all.Wait()
	}
}
