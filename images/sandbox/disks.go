package sandbox

import (
	"context"
	"errors"
	"os"
)

// NoDisks is Disks for the none driver: snapshots are known by id and have no bytes.
type NoDisks struct{}

// Capture keeps nothing.
func (NoDisks) Capture(context.Context, string, string, string) error { return nil }

// Restore makes no file.
func (NoDisks) Restore(context.Context, string, string, int64) error { return nil }

// Import keeps nothing.
func (NoDisks) Import(context.Context, string, string) error { return nil }

// Delete has nothing to delete.
func (NoDisks) Delete(string) error { return nil }

// IDs are none.
func (NoDisks) IDs() []string { return nil }

// Check finds nothing wrong.
func (NoDisks) Check(string) error { return nil }

// Has is always true: what was stored is not missing.
func (NoDisks) Has(string) bool { return true }

// Size is not known; the sandbox goes by the size in its own tables.
func (NoDisks) Size(string) (virtual, stored int64, err error) { return 0, 0, nil }

// makeDisk gives the volume its disk: of its snapshot, or empty. What an interrupted attempt left is thrown away first.
func (c *Cloud) makeDisk(ctx context.Context, v volumeRow) error {
	path, size := c.diskPath(v.ID), int64(v.SizeGiB)<<30
	if err := removeFile(path); err != nil {
		return err
	}
	if v.Blob != "" {
		return c.disks.Restore(ctx, v.Blob, path, size)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
