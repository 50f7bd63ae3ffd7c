//go:build !linux

package roles

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// openDir is a directory that was listed.
type openDir struct {
	path  string
	files []diskFile // sorted by name
}

// readDir lists a directory; a missing one is empty.
func readDir(name string) (*openDir, error) {
	listing, err := os.ReadDir(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	d := &openDir{path: name}
	for _, e := range listing {
		d.files = append(d.files, diskFile{e.Name(), e.Type()})
	}
	return d, nil
}

func (d *openDir) close() error { return nil }

// lstat looks at one name. It does not fill what Git's index remembers, so every tracked file is hashed: slower than
// on Linux, and as right.
func (d *openDir) lstat(name string) (diskStat, error) {
	info, err := os.Lstat(filepath.Join(d.path, name))
	if err != nil {
		return diskStat{}, err
	}
	return diskStat{kind: info.Mode().Type(), exec: info.Mode()&0o100 != 0, bytes: info.Size()}, nil
}

// readQuick is for Linux.
func readQuick(string, []byte) ([]byte, bool) { return nil, false }
