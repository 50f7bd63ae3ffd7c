package sandbox

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/imgops/imgops/images/sandbox/machines"
	"github.com/imgops/imgops/images/sandbox/state"
)

const (
	keepTokens       = 48 * time.Hour
	keepDeregistered = 24 * time.Hour
)

// recover brings a state that a process left, in order or by kill -9, back to one that is true: it stores what has become
// of the machines, drops what is out of date, and runs the jobs that had not ended. Instances to resume are started.
func (c *Cloud) recover(ctx context.Context, resume []string) error {
	if err := c.store.View(c.removeLeftovers); err != nil {
		c.log.Error("the sandbox could not remove what an earlier server has left; it is tried again at the next start", "error", err)
	}
	ids, err := c.runningMachines(ctx)
	if err != nil {
		return fmt.Errorf("find the sandbox's running machines: %w", err)
	}
	if err := c.store.Update(func(tx *state.Tx) error {
		c.settleInstances(tx, ids, resume)
		c.sweep(tx)
		return nil
	}); err != nil {
		return err
	}
	return c.store.View(func(tx *state.Tx) error {
		c.resumeImages(tx) // before the instances: a capture that was interrupted comes first in its lane
		c.resumeRest(tx)
		return nil
	})
}

// runningMachines asks the driver. With the none driver nothing runs that could have ended with an earlier process: what
// should run, runs.
func (c *Cloud) runningMachines(ctx context.Context) ([]string, error) {
	if none, ok := c.driver.(*machines.None); ok {
		_ = c.store.View(func(tx *state.Tx) error {
			for id, i := range c.instances.All(tx) {
				if i.State == running {
					none.Adopt(id)
				}
			}
			return nil
		})
	}
	return c.driver.Running(ctx)
}

// settleInstances: what runs, runs; what should run and does not has stopped, unless a capture has stopped it and will
// start it again, or it is to be resumed.
func (c *Cloud) settleInstances(tx *state.Tx, ids, resume []string) {
	captured := map[string]bool{}
	for _, i := range c.images.All(tx) {
		if i.Job != nil && i.Job.Reboot {
			captured[i.Job.InstanceID] = true
		}
	}
	for id, row := range maps.Collect(c.instances.All(tx)) {
		i, runs := *row, slices.Contains(ids, id)
		switch {
		case i.State == pending && runs:
			i.State, i.Started = running, true
		case i.State != running || runs || captured[id]:
			continue
		case slices.Contains(resume, id):
			i.State, i.Rebooting = pending, false
		default:
			i.State, i.Rebooting = stopped, false
			i.Reason = &reason{"Server.InternalError", "Server.InternalError: the machine was not running when the sandbox was started again"}
		}
		c.instances.Put(tx, id, i)
	}
}

// sweep forgets terminated instances, deregistered images, client tokens and dead sessions that nobody asks for any more.
func (c *Cloud) sweep(tx *state.Tx) {
	now := c.clock()
	for id, i := range maps.Collect(c.instances.All(tx)) {
		if i.goneBy(now) {
			c.instances.Delete(tx, id)
			c.tags.Delete(tx, i.key(id))
			c.tags.Delete(tx, i.key(i.ENI))
		}
	}
	for id, i := range maps.Collect(c.images.All(tx)) {
		if i.State == deregistered && i.Job == nil && now.Sub(i.Deregistered) > keepDeregistered {
			c.images.Delete(tx, id)
		}
	}
	for key, t := range maps.Collect(c.tokens.All(tx)) {
		if now.Sub(t.Since) > keepTokens {
			c.tokens.Delete(tx, key)
		}
	}
}

// resumeImages runs the captures and copies again that had not ended.
func (c *Cloud) resumeImages(tx *state.Tx) {
	forImage := map[string]bool{}
	for id, i := range c.images.All(tx) {
		switch {
		case i.Job != nil:
			c.jobs.run(i.Job.InstanceID, func() { c.captureImage(id) })
		case i.State == pending:
			c.jobs.run(id, func() { c.finishImageCopy(id) })
		default:
			continue
		}
		for _, snapshot := range i.snapshots() {
			forImage[snapshot] = true
		}
	}
	for id, s := range c.snapshots.All(tx) {
		switch {
		case s.State != pending || forImage[id]:
		case s.Blob == id:
			c.jobs.run(id, func() { c.captureSnapshot(id) })
		default:
			c.jobs.run(id, func() { c.finishCopy(id) })
		}
	}
}

func (c *Cloud) resumeRest(tx *state.Tx) {
	for id := range c.instances.All(tx) {
		c.reconcile(id)
	}
	for id, v := range c.volumes.All(tx) {
		switch v.State {
		case "creating":
			c.jobs.run(id, func() { _ = c.fillVolume(id) })
		case "deleting":
			c.jobs.run(id, func() { c.removeVolume(id) })
		}
		if v.Plug != "" {
			c.jobs.run(v.InstanceID, func() { c.plugVolume(id) })
		}
		if v.Plug == busy {
			c.awaitUnused(id)
		}
	}
	for id, b := range c.blobs.All(tx) {
		if b.Dead || !c.blobInUse(tx, id) {
			c.releaseBlob(id)
		}
	}
	for id, r := range c.reports.All(tx) {
		if r.State == pending {
			c.jobs.run(id, func() { c.finishReport(id) })
		}
	}
	for key, p := range c.parameters.All(tx) {
		if len(p.Pending) > 0 {
			c.jobs.run(key, func() { c.settleParameter(key) })
		}
	}
}
