package sandbox

import (
	"context"
	"fmt"
	"time"

	"github.com/imgops/imgops/images/sandbox/state"
)

// Base is a base image: a disk made on the spot, which appears as a public image of its owner in every Region.
type Base struct {
	Owner        string // account id, such as Debian's 136693071363
	Name         string // as debian-12-amd64-20260101-1234; together with the Region it decides the image's id
	Description  string
	Architecture string    // x86_64 or arm64
	RawPath      string    // the disk: an ext4 file system without a partition table
	SizeBytes    int64     // of the disk
	Created      time.Time // shown as the image's creation date
}

const baseRoot = "/dev/xvda" // as Debian's images have it

// RegisterBase stores the base image's disk, once, and makes the image in every Region. Ids depend on name and Region only.
// An image that is there already stays as it is, so calling it again does nothing.
func (c *Cloud) RegisterBase(ctx context.Context, b Base) error {
	if !accountID().MatchString(b.Owner) || !imageName().MatchString(b.Name) || b.SizeBytes <= 0 {
		return fmt.Errorf("register base image %q: owner %q, name and size %d must be a 12-digit account, a valid image name and positive",
			b.Name, b.Owner, b.SizeBytes)
	}
	blob := hashID("snap-", "base", b.Owner, b.Name)
	_, known := view(c, c.blobs, blob)
	if !known || !c.disks.Has(blob) {
		if err := c.disks.Import(ctx, b.RawPath, blob); err != nil {
			return fmt.Errorf("store base image %s: %w", b.Name, err)
		}
	}
	return c.store.Update(func(tx *state.Tx) error {
		if _, known := c.blobs.Get(tx, blob); !known {
			c.blobs.Put(tx, blob, blobRow{ID: blob})
		}
		for _, r := range regionTable {
			c.putBase(tx, b, blob, place{b.Owner, r.Name})
		}
		return nil
	})
}

func (c *Cloud) putBase(tx *state.Tx, b Base, blob string, p place) {
	id := hashID("ami-", "base", b.Name, p.Region)
	if i, known := c.images.Get(tx, id); known && i.State != deregistered {
		return
	}
	created := b.Created.UTC()
	gib := int32((b.SizeBytes + 1<<30 - 1) >> 30)
	s := snapshotRow{place: p, ID: hashID("snap-", "base", b.Name, p.Region), VolumeID: "vol-ffffffff", Description: b.Description,
		State: "completed", Started: created, Completed: created, SizeGiB: gib, Blob: blob, Public: true}
	if _, stored, err := c.disks.Size(blob); err == nil {
		s.StoredBytes = stored
	}
	c.snapshots.Put(tx, s.ID, s)
	c.images.Put(tx, id, imageRow{place: p, ID: id, Name: b.Name, Description: b.Description, Architecture: b.Architecture,
		State: available, Created: created, Public: true, RootDevice: baseRoot, ENA: true, Sriov: "simple", BootMode: "uefi-preferred",
		Devices: []device{{Name: baseRoot, SnapshotID: s.ID, SizeGiB: gib, Type: "gp3", IOPS: 3000, Throughput: 125, DeleteOnTermination: true}}})
}
