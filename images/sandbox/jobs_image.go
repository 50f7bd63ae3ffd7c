package sandbox

import (
	"cmp"
	"errors"
	"time"

	"github.com/imgops/imgops/images/sandbox/state"
)

// captureImage carries a pending image of CreateImage out: stop the machine if it is to be rebooted, capture its disks, start it
// again. It runs in the instance's lane, so nothing else happens to the machine meanwhile: the snapshots of all volumes are of
// one moment.
func (c *Cloud) captureImage(id string) {
	i, ok := view(c, c.images, id)
	if !ok || i.Job == nil || len(i.Devices) == 0 || c.ctx.Err() != nil {
		return
	}
	began := c.clock()
	if i.Job.Captured {
		c.completeImage(id, began)
		return
	}
	inst, ok := view(c, c.instances, i.Job.InstanceID)
	if !ok || inst.State == terminated || inst.State == shuttingDown {
		c.endImage(id, &reason{"Client.InstanceTerminated", "Client.InstanceTerminated: the instance was terminated while the AMI was being created"},
			errors.New("the instance is terminated"))
		return
	}
	restart := i.Job.Reboot && inst.State == running
	err := error(nil)
	if restart {
		err = c.driver.Stop(c.ctx, inst.ID, false)
	}
	if err == nil {
		err = c.captureDisks(i)
	}
	if c.ctx.Err() != nil {
		return // the next process does all of it again, and starts the machine
	}
	if restart {
		c.bootAgain(inst)
	}
	why := (*reason)(nil)
	if err != nil {
		c.log.Error("the sandbox could not create an image", "image", id, "error", err)
		why = &reason{"Server.InternalError", "Server.InternalError: the disk could not be captured: " + err.Error()}
		c.endImage(id, why, err)
		return
	}
	c.completeImage(id, began)
}

// completeImage makes an image whose disk is captured available, when that has taken as long as on AWS. The wait is not in
// the instance's lane: the instance is free to change, and to go.
func (c *Cloud) completeImage(id string, began time.Time) {
	if !c.slow() {
		c.endImage(id, nil, nil)
		return
	}
	c.update("captured image "+id, func(tx *state.Tx) error {
		if i, ok := c.images.Get(tx, id); ok && i.Job != nil {
			i.Job = &imageJob{InstanceID: i.Job.InstanceID, Captured: true}
			c.images.Put(tx, id, i)
		}
		return nil
	})
	c.jobs.run(id, func() {
		if c.pace("image", began) {
			c.endImage(id, nil, nil)
		}
	})
}

// bootAgain starts the machine that a capture has stopped, unless the instance is meant to go elsewhere by now.
func (c *Cloud) bootAgain(inst instanceRow) {
	now, ok := view(c, c.instances, inst.ID)
	if !ok || now.State != running {
		return
	}
	if err := c.boot(inst); err != nil && c.ctx.Err() == nil {
		c.log.Error("an instance of the sandbox did not start after its image was made", "instance", inst.ID, "error", err)
		c.changeInstance(inst.ID, running, func(_ *state.Tx, i *instanceRow) {
			i.State, i.Reason = stopped, &reason{"Server.InternalError", "Server.InternalError: the machine did not start after CreateImage: " + err.Error()}
		})
	}
	c.settlePlugs(inst.ID)
}

// captureDisks stores the disks of a pending image's volumes. A device that was added by its mapping has a snapshot that is completed.
func (c *Cloud) captureDisks(i imageRow) error {
	for _, id := range i.snapshots() {
		s, ok := view(c, c.snapshots, id)
		if !ok || s.State != pending {
			continue
		}
		if err := c.captureDisk(s.VolumeID, id); err != nil {
			return err
		}
	}
	return nil
}

// captureDisk stores a volume's disk as the blob of a pending snapshot. Half a blob of an earlier attempt is thrown away.
func (c *Cloud) captureDisk(volume, snapshot string) error {
	b, ok := view(c, c.blobs, snapshot)
	if !ok {
		return nil // the snapshot was deleted meanwhile
	}
	if v, ok := view(c, c.volumes, volume); ok {
		if err := c.keyWorks(v.KMSKey); err != nil {
			return err
		}
	}
	if err := c.deleteBytes(b.ID); err != nil {
		return err
	}
	return c.disks.Capture(c.ctx, c.diskPath(volume), b.ID, b.Parent)
}

// endImage makes a pending image available, or failed for the reason, and its snapshots completed or error.
func (c *Cloud) endImage(id string, why *reason, err error) {
	var snapshots []string
	c.update("image "+id, func(tx *state.Tx) error {
		i, ok := c.images.Get(tx, id)
		if !ok {
			return nil
		}
		snapshots = i.snapshots()
		for _, snapshot := range snapshots {
			if s, _ := c.snapshots.Get(tx, snapshot); why == nil && s.Fate != nil {
				why, err = s.Fate, s.fault()
			}
		}
		i.Job = nil
		if i.State == pending {
			i.State, i.Reason, i.Settled = available, nil, c.clock().UTC()
			if why != nil {
				i.State, i.Reason = failed, why
			}
		}
		c.images.Put(tx, id, i)
		for _, snapshot := range snapshots {
			c.endSnapshot(tx, snapshot, err)
		}
		return nil
	})
	for _, snapshot := range snapshots {
		c.releaseBlob(snapshot)
	}
}

// endSnapshot stages the end of a pending snapshot.
func (c *Cloud) endSnapshot(tx *state.Tx, id string, err error) {
	s, ok := c.snapshots.Get(tx, id)
	if !ok || s.State != pending {
		return
	}
	s.State, s.Completed = "completed", c.clock().UTC()
	if err != nil {
		s.State, s.Message, s.Blob = "error", err.Error(), ""
	} else if _, stored, err := c.disks.Size(s.Blob); err == nil {
		s.StoredBytes = stored
	}
	c.snapshots.Put(tx, id, s)
}

// captureSnapshot carries CreateSnapshot out.
func (c *Cloud) captureSnapshot(id string) {
	s, ok := view(c, c.snapshots, id)
	if !ok || s.State != pending || c.ctx.Err() != nil {
		return
	}
	began := c.clock()
	if s.Captured {
		c.completeSnapshot(id, began)
		return
	}
	err := errors.New("the volume is gone")
	if v, ok := view(c, c.volumes, s.VolumeID); ok && v.State != "deleting" {
		err = c.captureDisk(v.ID, id)
	}
	if c.ctx.Err() != nil {
		return
	}
	if err != nil {
		c.log.Error("the sandbox could not make a snapshot", "snapshot", id, "error", err)
		c.finishSnapshot(id, err)
		return
	}
	c.completeSnapshot(id, began)
}

// completeSnapshot is completeImage for a snapshot.
func (c *Cloud) completeSnapshot(id string, began time.Time) {
	if !c.slow() {
		c.finishSnapshot(id, nil)
		return
	}
	c.update("captured snapshot "+id, func(tx *state.Tx) error {
		if s, ok := c.snapshots.Get(tx, id); ok {
			s.Captured = true
			c.snapshots.Put(tx, id, s)
		}
		return nil
	})
	c.jobs.run(id, func() {
		if c.pace("snapshot", began) {
			c.finishSnapshot(id, nil)
		}
	})
}

// finishSnapshot ends a snapshot that CreateSnapshot made, in error when err or its fate says so.
func (c *Cloud) finishSnapshot(id string, err error) {
	c.update("snapshot "+id, func(tx *state.Tx) error {
		if s, _ := c.snapshots.Get(tx, id); err == nil {
			err = s.fault()
		}
		c.endSnapshot(tx, id, err)
		return nil
	})
	c.releaseBlob(id)
}

// fault is why a snapshot will end in error, or nil.
func (s snapshotRow) fault() error {
	if s.Fate != nil {
		return errors.New(s.Fate.Message)
	}
	return faultError(s.Fault)
}

// finishImageCopy completes a CopyImage: the bytes are shared, so there is nothing to move. A copy with a key that cannot be
// used fails (ec2-facts 3.6).
func (c *Cloud) finishImageCopy(id string) {
	if !c.pace("copy", c.clock()) {
		return
	}
	image, _ := view(c, c.images, id)
	broken := c.anyBroken(image)
	var blobs []string
	c.update("complete image "+id, func(tx *state.Tx) error {
		i, ok := c.images.Get(tx, id)
		if !ok {
			return nil
		}
		why, err := c.copyFailure(tx, i, broken)
		if i.State == pending {
			i.State, i.Settled = available, c.clock().UTC()
			if why != nil {
				i.State, i.Reason = failed, why
			}
			c.images.Put(tx, id, i)
		}
		for _, snapshot := range i.snapshots() {
			s, _ := c.snapshots.Get(tx, snapshot)
			blobs = append(blobs, s.Blob)
			c.endSnapshot(tx, snapshot, cmp.Or(s.fault(), err))
		}
		return nil
	})
	for _, blob := range blobs {
		c.releaseBlob(blob)
	}
}

// copyFailure is why a copied image fails, and with what its snapshots end: the fate or the fault of any of them, or missing data.
func (c *Cloud) copyFailure(tx *state.Tx, i imageRow, broken error) (*reason, error) {
	for _, snapshot := range i.snapshots() {
		switch s, _ := c.snapshots.Get(tx, snapshot); {
		case s.Fate != nil:
			return s.Fate, s.fault()
		case s.Fault != "":
			return &reason{"Client.InternalError", "Client.InternalError: Copy image failed with an internal error: " + s.Fault}, s.fault()
		}
	}
	if broken != nil {
		return &reason{"Server.InternalError", "Server.InternalError: Copy image failed: " + broken.Error()}, broken
	}
	return nil, nil
}

// anyBroken is sourceBroken of any of the image's snapshots.
func (c *Cloud) anyBroken(i imageRow) error {
	for _, snapshot := range i.snapshots() {
		if err := c.sourceBroken(snapshot); err != nil {
			return err
		}
	}
	return nil
}

// sourceBroken is why the data that a pending copy shares with its source cannot be copied, or nil. A copy that would be
// completed all the same could not be launched.
func (c *Cloud) sourceBroken(snapshot string) error {
	s, ok := view(c, c.snapshots, snapshot)
	if !ok || s.State != pending {
		return nil
	}
	err := c.disks.Check(s.Blob)
	if err != nil {
		c.log.Error("the sandbox could not copy a snapshot", "snapshot", snapshot, "error", err)
	}
	return err
}
