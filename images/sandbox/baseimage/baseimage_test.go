package baseimage

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func cacheDir(t *testing.T) string {
	dir, err := os.UserCacheDir()
	require.NoError(t, err)
	return filepath.Join(dir, "imgops", "base")
}

func TestMake(t *testing.T) {
	if err := Probe(); err != nil {
		t.Skip(err)
	}
	img, err := Make(t.Context(), Options{Dir: cacheDir(t), Progress: func(s string) { t.Log(s) }})
	require.NoError(t, err)
	require.Regexp(t, `^debian-12-(amd64|arm64)-\d{8}-\d+$`, img.Name)
	require.EqualValues(t, 8<<30, img.SizeBytes)

	var st unix.Stat_t
	require.NoError(t, unix.Stat(img.Path, &st))
	require.Less(t, st.Blocks*512, int64(1<<30), "the disk is sparse")

	again, err := Make(t.Context(), Options{Dir: cacheDir(t)})
	require.NoError(t, err)
	require.Equal(t, img, again, "made once")
}

func TestMakeCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if Probe() != nil {
		t.Skip(Probe())
	}
	_, err := Make(ctx, Options{Dir: dir})
	require.ErrorIs(t, err, context.Canceled)
	left, err := filepath.Glob(filepath.Join(dir, "*.[ijt]*"))
	require.NoError(t, err)
	require.Empty(t, left)
}
