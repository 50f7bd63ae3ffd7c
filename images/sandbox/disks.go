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

// Grow has no file to look at.
func (NoDisks) Grow(context.Context, string) error { return nil }

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

// makeDisk gives the volume its disk: of its snapshot, or empty. What an interrupted attempt left is thrown away first. The file system of a
// root is grown to the volume's size, which on EC2 cloud-init does at the first boot; that of any other volume is left as it was captured, for
// the instance's user to grow (EBS user guide, "Create a volume": extend the file system).
func (c *Cloud) makeDisk(ctx context.Context, v volumeRow) error {
	path, size := c.diskPath(v.ID), int64(v.SizeGiB)<<30
	if err := removeFile(path); err != nil {
		return err
	}
	if v.Blob != "" {
		if err := c.disks.Restore(ctx, v.Blob, path, size); err != nil || !c.isRoot(v) {
			return err
		}
		return c.disks.Grow(ctx, path)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

func (c *Cloud) isRoot(v volumeRow) bool {
	i, ok := view(c, c.instances, v.InstanceID)
	return ok && i.VolumeID == v.ID
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
