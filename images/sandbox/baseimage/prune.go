package baseimage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// keepUnused is how long an image is kept after its last use when it is not the present recipe's: another version of imgops, or a sandbox with another
// mirror, may use it, and whoever was given its path has this time to read it.
const keepUnused = 24 * time.Hour

// cacheFile is what belongs to an image: its key and a suffix.
var cacheFile = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([0-9a-f]{12})\.(img|json|lock|tmp)$`) })

// prune removes what belongs to the images of other recipes than key's that were last used before then.
func (o Options) prune(ctx context.Context, key string, then time.Time) error {
	entries, err := os.ReadDir(o.Dir)
	if err != nil {
		return err
	}
	last := map[string]time.Time{}
	for _, e := range entries {
		m := cacheFile().FindStringSubmatch(e.Name())
		if info, err := e.Info(); err == nil && m != nil && info.ModTime().After(last[m[1]]) {
			last[m[1]] = info.ModTime()
		}
	}
	delete(last, key)
	var errs []error
	for other, used := range last {
		if used.Before(then) {
			errs = append(errs, o.forget(ctx, other, then))
		}
	}
	return errors.Join(errs...)
}

// forget removes an image, unless somebody is just making it or has used it meanwhile. Its description goes first, because without it there is no image,
// and its lock last.
func (o Options) forget(ctx context.Context, key string, then time.Time) error {
	path := func(suffix string) string { return filepath.Join(o.Dir, key+suffix) }
	f, err := tryLock(path(".lock"))
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, errReplaced) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("locking the base image %s: %w", key, err)
	}
	defer f.Close()
	if info, err := os.Stat(path(".json")); err == nil && !info.ModTime().Before(then) {
		return nil
	}
	for _, suffix := range []string{".json", ".img"} {
		if err := os.Remove(path(suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := remove(ctx, path(".tmp")); err != nil {
		return err
	}
	return os.Remove(path(".lock"))
}

// lock waits for the exclusive lock on path as long as ctx allows, and says so once when it has to. The kernel drops it when the process dies.
func lock(ctx context.Context, path string, waiting func()) (func(), error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for first := true; ; {
		f, err := tryLock(path)
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case errors.Is(err, errReplaced):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return nil, err
		case first:
			waiting()
			first = false
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// errReplaced says that the lock was got on a file that has been removed meanwhile: another one counts now.
var errReplaced = errors.New("the lock was removed")

// tryLock takes the lock if it is free. Reading is enough for it, so that a user can use what root has made.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	mine, err1 := f.Stat()
	there, err2 := os.Stat(path)
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		f.Close()
		return nil, errReplaced
	}
	return f, nil
}
