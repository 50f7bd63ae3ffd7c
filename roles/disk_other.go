//go:build !linux

package roles

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// diskRoot is a directory below which files are looked at by their relative paths.
type diskRoot struct{ path string }

func openRoot(path string) (*diskRoot, error) { return &diskRoot{path}, nil }

func (d *diskRoot) close() error { return nil }

func (d *diskRoot) on(rel string) string { return filepath.Join(d.path, filepath.FromSlash(rel)) }

// list reads the names in a directory, sorted; a missing one is empty.
func (d *diskRoot) list(rel string) ([]diskFile, dirStamp, error) {
	names, err := os.ReadDir(d.on(rel))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, dirStamp{}, err
	}
	var files []diskFile
	for _, e := range names {
		files = append(files, diskFile{e.Name(), e.Type()})
	}
	return files, dirStamp{}, nil
}

// stamp is for Linux: elsewhere every directory is read anew.
func (d *diskRoot) stamp(string) (dirStamp, bool) { return dirStamp{}, false }

func hasSureTimes(*os.File) bool { return false }

func fileStamp(*os.File) (dirStamp, bool) { return dirStamp{}, false }

// lstat looks at one path. It does not fill what Git's index remembers, so every tracked file is hashed: slower than
// on Linux, and as right.
func (d *diskRoot) lstat(rel string) (diskStat, error) {
	info, err := os.Lstat(d.on(rel))
	if err != nil {
		return diskStat{}, err
	}
	return diskStat{kind: info.Mode().Type(), exec: info.Mode()&0o100 != 0, bytes: info.Size()}, nil
}

// readQuick is for Linux.
func readQuick(string, []byte) ([]byte, bool) { return nil, false }

// mapFile gives the bytes of a file that nobody writes to, until release.
func mapFile(name string) (data []byte, release func([]byte), err error) {
	data, err = os.ReadFile(name)
	return data, func([]byte) {}, err
}
