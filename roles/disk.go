package roles

import (
	"crypto/sha1" //nolint:gosec // Git names blobs by SHA-1; this computes Git's names
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// diskFile is one name in a directory on disk.
type diskFile struct {
	name string
	kind fs.FileMode // type bits
}

// diskStat is what is known of a file on disk.
type diskStat struct {
	fileStat
	kind  fs.FileMode // type bits
	exec  bool
	bytes int64
	exact bool // fileStat holds what Git's index would
}

// diskModes is what the file system can say, as far as Git's settings know.
type diskModes struct {
	exec  bool // core.fileMode: the executable bit means something
	links bool // core.symlinks: a symlink is one, and no file with its target in it
}

// gitMode is the mode that Git would give a file; false for what Git does not store. old is its mode in the index.
func (s diskStat) gitMode(old filemode.FileMode, can diskModes) (filemode.FileMode, bool) {
	switch {
	case s.kind == fs.ModeSymlink:
		return filemode.Symlink, true
	case s.kind != 0:
		return 0, false
	case !can.links && old == filemode.Symlink:
		return old, true
	case !can.exec && (old == filemode.Executable || old == filemode.Regular):
		return old, true
	case can.exec && s.exec:
		return filemode.Executable, true
	}
	return filemode.Regular, true
}

// hashDisk computes the id that Git would give to what is on disk, without filters or line-ending conversion.
func hashDisk(name string, stat diskStat) (id plumbing.Hash, err error) {
	if stat.kind == fs.ModeSymlink {
		target, err := readDisk(name)
		return blobID(target), err
	}
	f, err := os.Open(name)
	if err != nil {
		return id, fmt.Errorf("hashing a changed file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha1.New() //nolint:gosec // see the import
	_, _ = io.WriteString(h, "blob "+strconv.FormatInt(stat.bytes, 10)+"\x00")
	n, err := io.Copy(h, f)
	if err != nil {
		return id, fmt.Errorf("hashing a changed file: %w", err)
	}
	if n != stat.bytes {
		return id, fmt.Errorf("hashing %s: %w; run the command again", Printable(name), ErrChanged)
	}
	h.Sum(id[:0])
	return id, nil
}

// readDisk gives what Git would store for a path: a file's content or a symlink's target.
func readDisk(name string) ([]byte, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	switch {
	case info.Mode()&os.ModeSymlink != 0:
		target, err := os.Readlink(name)
		return []byte(filepath.ToSlash(target)), err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("reading %s: neither a file nor a symlink", Printable(name))
	}
	return os.ReadFile(name)
}
