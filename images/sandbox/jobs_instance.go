package sandbox

import (
	"context"
	"slices"

	"github.com/imgops/imgops/images/sandbox/state"
)

// reconcile has the instance brought to where its state says it should go, after whatever is being done to it already.
func (c *Cloud) reconcile(id string) { c.jobs.run(id, func() { c.reconcileInstance(id) }) }

// reconcileInstance does what the instance's state asks for; a state that asks for nothing, nothing.
func (c *Cloud) reconcileInstance(id string) {
	i, ok := view(c, c.instances, id)
	if !ok || c.ctx.Err() != nil {
		return
	}
	switch {
	case i.State == pending:
		c.startInstance(i)
	case i.State == stopping:
		c.stopInstance(i)
	case i.State == shuttingDown:
		c.terminateInstance(i)
	case i.State == running && i.Rebooting:
		c.rebootInstance(i)
	}
}

// changeInstance stores a change of the instance, unless its state is not the expected one any more.
func (c *Cloud) changeInstance(id, expected string, change func(*state.Tx, *instanceRow)) bool {
	changed := false
	c.update("instance "+id, func(tx *state.Tx) error {
		i, ok := c.instances.Get(tx, id)
		if ok && i.State == expected {
			if change(tx, &i); i.State != expected {
				i.Before, i.Changed = expected, c.clock().UTC()
			}
			c.instances.Put(tx, id, i)
			changed = true
		}
		return nil
	})
	return changed
}

// startInstance makes the disks that are not there yet and boots it. An instance that never came up is terminated
// with the reason, as on EC2 (ec2-facts 1.12); one that had run before is stopped.
func (c *Cloud) startInstance(i instanceRow) {
	if i.Fate != nil {
		c.failLaunch(i)
		return
	}
	began := c.clock()
	err := c.boot(i)
	if c.ctx.Err() != nil {
		return // the sandbox goes down; the next one starts the instance
	}
	if err == nil {
		if !c.pace(map[bool]string{false: "launch", true: "start"}[i.Started], began) {
			return
		}
		c.changeInstance(i.ID, pending, func(_ *state.Tx, i *instanceRow) { i.State, i.Started = running, true })
		return
	}
	c.log.Error("an instance of the sandbox did not start", "instance", i.ID, "error", err)
	why := launchReason(err)
	if i.Started {
		c.changeInstance(i.ID, pending, func(_ *state.Tx, i *instanceRow) { i.State, i.Reason = stopped, why })
		return
	}
	if c.changeInstance(i.ID, pending, func(_ *state.Tx, i *instanceRow) { i.State, i.Reason = shuttingDown, why }) {
		c.reconcileInstance(i.ID)
	}
}

// failLaunch ends an instance before it runs, as its fate is.
func (c *Cloud) failLaunch(i instanceRow) {
	if !c.pace("launch", c.clock()) {
		return
	}
	if c.changeInstance(i.ID, pending, func(_ *state.Tx, i *instanceRow) { i.State, i.Reason = shuttingDown, i.Fate }) {
		c.reconcileInstance(i.ID)
	}
}

func (c *Cloud) boot(i instanceRow) error {
	for _, v := range c.instanceVolumes(i) {
		if err := c.fillVolume(v.ID); err != nil {
			return err
		}
		if err := c.keyWorks(v.KMSKey); err != nil {
			return err
		}
	}
	m, err := c.machine(i)
	if err != nil {
		return err
	}
	return c.driver.Start(c.ctx, m)
}

// stopInstance leaves the instance in stopping when the machine cannot be stopped: that is the truth, and StopInstances
// with Force tries again.
func (c *Cloud) stopInstance(i instanceRow) {
	began := c.clock()
	if err := c.driver.Stop(c.ctx, i.ID, i.Force); err != nil {
		if c.ctx.Err() == nil {
			c.log.Error("an instance of the sandbox did not stop; try again with force", "instance", i.ID, "error", err)
		}
		return
	}
	if !c.pace("stop", began) {
		return
	}
	c.changeInstance(i.ID, stopping, func(tx *state.Tx, i *instanceRow) {
		i.State, i.Force, i.Rebooting = stopped, false, false
		for _, v := range c.volumesOf(tx, i) {
			if v.Plug != "" {
				c.volumes.Put(tx, v.ID, v.plugged())
			}
		}
	})
}

// terminateInstance stops the machine by force and removes its volumes, or leaves them detached.
func (c *Cloud) terminateInstance(i instanceRow) {
	began := c.clock()
	if err := c.driver.Stop(c.ctx, i.ID, true); err != nil {
		if c.ctx.Err() == nil {
			c.log.Error("an instance of the sandbox could not be terminated; it is tried again at the next start", "instance", i.ID, "error", err)
		}
		return
	}
	if err := c.driver.Forget(i.ID); err != nil {
		c.log.Warn("what the driver keeps of a terminated instance was not removed", "instance", i.ID, "error", err)
	}
	if !c.pace("terminate", began) {
		return
	}
	var remove []string
	c.changeInstance(i.ID, shuttingDown, func(tx *state.Tx, i *instanceRow) {
		i.State, i.Ended, i.UserData, i.Rebooting = terminated, c.clock().UTC(), nil, false
		for _, v := range c.volumesOf(tx, i) {
			left := v.detached()
			if v.DeleteOnTermination || !v.Restored {
				left.State = "deleting"
				remove = append(remove, v.ID)
			}
			c.volumes.Put(tx, v.ID, left)
		}
	})
	for _, id := range remove {
		c.removeVolume(id)
	}
}

func (c *Cloud) rebootInstance(i instanceRow) {
	err := c.driver.Reboot(c.ctx, i.ID)
	if c.ctx.Err() != nil {
		return
	}
	if err != nil {
		c.log.Error("an instance of the sandbox did not reboot", "instance", i.ID, "error", err)
	}
	c.changeInstance(i.ID, running, func(_ *state.Tx, i *instanceRow) {
		i.Rebooting = false
		if err != nil {
			i.State, i.Reason = stopped, &reason{"Server.InternalError", "Server.InternalError: the machine did not reboot: " + err.Error()}
		}
	})
	c.settlePlugs(i.ID)
}

// fillVolume makes the volume's disk if it has none yet.
func (c *Cloud) fillVolume(id string) error {
	v, ok := view(c, c.volumes, id)
	if !ok || v.Restored {
		return nil
	}
	err := faultError(v.Fault)
	if err == nil {
		err = c.makeDisk(c.ctx, v)
	}
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	if err != nil {
		c.log.Error("the sandbox could not make a volume", "volume", id, "error", err)
	}
	c.update("volume "+id, func(tx *state.Tx) error {
		v, ok := c.volumes.Get(tx, id)
		if !ok || v.State == "deleting" {
			return nil
		}
		v.Restored = err == nil
		switch {
		case err != nil && v.InstanceID == "":
			v.State = "error"
		case v.InstanceID == "":
			v.State = available
		}
		c.volumes.Put(tx, id, v)
		return nil
	})
	return err
}

// removeVolume removes a volume that is being deleted: its file, its row, its tags, and what only it needed.
func (c *Cloud) removeVolume(id string) {
	if err := removeFile(c.diskPath(id)); err != nil {
		c.log.Error("a volume's file was not removed; it is tried again at the next start", "volume", id, "error", err)
		return
	}
	blob := ""
	c.update("delete volume "+id, func(tx *state.Tx) error {
		v, ok := c.volumes.Get(tx, id)
		if ok && v.State == "deleting" {
			blob = v.Blob
			c.volumes.Delete(tx, id)
			c.tags.Delete(tx, v.key(id))
		}
		return nil
	})
	c.releaseBlob(blob)
}

// watchExits hears from the driver of machines that ended by themselves.
func (c *Cloud) watchExits() {
	for {
		select {
		case id, open := <-c.driver.Exited():
			if !open {
				return // the driver was closed first
			}
			c.jobs.run(id, func() { c.exited(id) })
		case <-c.ctx.Done():
			return
		}
	}
}

// exited stops or terminates an instance whose machine has shut down from inside, as InstanceInitiatedShutdownBehavior
// says. A machine that runs (again) by now, because a capture or a reboot was what ended it, is left alone.
func (c *Cloud) exited(id string) {
	if c.isRunning(id) {
		return
	}
	changed := c.changeInstance(id, running, func(_ *state.Tx, i *instanceRow) {
		i.State, i.Force = stopping, true
		if i.ShutdownBehavior == "terminate" {
			i.State = shuttingDown
		}
		i.Reason = &reason{"Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown"}
		i.Transition = ""
	})
	if changed {
		c.reconcileInstance(id)
	}
}

func (c *Cloud) isRunning(id string) bool {
	ids, err := c.driver.Running(context.WithoutCancel(c.ctx))
	return err == nil && slices.Contains(ids, id)
}
