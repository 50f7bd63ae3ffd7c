package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/imgops/imgops/images/sandbox/state"
)

// removeLeftovers deletes the files that an earlier process had begun, or had meant to delete, when it was killed: disks
// of volumes, contents of objects and stored snapshots that no row names. It runs before any job and any request, in a
// directory that is this process's alone, so what no row names is nobody's. Other files are not touched.
func (c *Cloud) removeLeftovers(tx *state.Tx) error {
	contents := map[string]bool{}
	for _, o := range c.objects.All(tx) {
		contents[o.File] = true
	}
	err := errors.Join(
		c.removeUnnamed(c.volumeDir(), "vol-", func(name string) bool {
			id, whole := strings.CutSuffix(name, ".raw")
			_, known := c.volumes.Get(tx, id)
			return whole && known
		}),
		c.removeUnnamed(c.objectPath(""), "object-", func(name string) bool { return contents[name] }),
	)
	for _, id := range c.disks.IDs() {
		if _, known := c.blobs.Get(tx, id); known || c.blobInUse(tx, id) {
			continue
		}
		c.log.Info("the sandbox removes a stored snapshot that nothing names", "blob", id)
		err = errors.Join(err, c.disks.Delete(id))
	}
	return err
}

// removeUnnamed deletes the regular files of a directory that begin like a resource's, or like its temporary file, which
// has a dot before that, and that are not named by a row.
func (c *Cloud) removeUnnamed(dir, prefix string, named func(string) bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasPrefix(strings.TrimPrefix(e.Name(), "."), prefix) || named(e.Name()) {
			continue
		}
		c.log.Info("the sandbox removes a file that a killed process has left", "file", filepath.Join(dir, e.Name()))
		err = errors.Join(err, removeFile(filepath.Join(dir, e.Name())))
	}
	return err
}
