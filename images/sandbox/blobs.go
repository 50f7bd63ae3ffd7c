package sandbox

import (
	"github.com/imgops/imgops/images/sandbox/state"
)

// A blob is what Disks keeps for one or more snapshots: a copy of a snapshot, in whatever Region and account, is another
// row with the same blob. A blob goes when no snapshot, no volume that is still to be made from it and no other blob
// (which may hold only the difference to it) needs it.

// newBlob stages the row of a blob that is about to be captured, which keeps its parent from being deleted. The blob has
// no parent when that one is gone.
func (c *Cloud) newBlob(tx *state.Tx, id, parent string) {
	if b, ok := c.blobs.Get(tx, parent); !ok || b.Dead {
		parent = ""
	}
	c.blobs.Put(tx, id, blobRow{ID: id, Parent: parent})
}

func (c *Cloud) blobInUse(tx *state.Tx, id string) bool {
	for range c.snapshots.Scan(tx, "blob:"+id) {
		return true
	}
	for range c.blobs.Scan(tx, id) {
		return true
	}
	for range c.volumes.Scan(tx, "wants:"+id) {
		return true
	}
	return false
}

// releaseBlob deletes a blob that nothing needs, and then its parent likewise. It is marked dead first, so that nobody
// builds on it while its bytes go, and a sandbox that is killed in between knows what is left to do.
func (c *Cloud) releaseBlob(id string) {
	if id == "" {
		return
	}
	c.jobs.run("blobs", func() {
		for id != "" {
			var parent string
			dead := false
			c.update("release blob "+id, func(tx *state.Tx) error {
				b, ok := c.blobs.Get(tx, id)
				if !ok || c.blobInUse(tx, id) {
					return nil
				}
				b.Dead, dead, parent = true, true, b.Parent
				c.blobs.Put(tx, id, b)
				return nil
			})
			if !dead {
				return
			}
			if err := c.deleteBytes(id); err != nil {
				c.log.Error("the sandbox could not delete a stored snapshot; it is tried again at the next start", "blob", id, "error", err)
				return
			}
			c.update("forget blob "+id, func(tx *state.Tx) error {
				c.blobs.Delete(tx, id)
				return nil
			})
			id = parent
		}
	})
}

// deleteBytes is no error for bytes that are gone already, or never were.
func (c *Cloud) deleteBytes(id string) error {
	if !c.disks.Has(id) {
		return nil
	}
	return c.disks.Delete(id)
}
