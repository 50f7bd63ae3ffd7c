package sandbox

import (
	"errors"
	"time"

	"github.com/imgops/imgops/images/sandbox/machines"
	"github.com/imgops/imgops/images/sandbox/state"
)

// plugged is the volume when there is no machine that runs and has it, or does not have it yet.
func (v volumeRow) plugged() volumeRow {
	if v.Plug == detaching || v.Plug == busy {
		return v.detached()
	}
	v.Plug = ""
	return v
}

// plugVolume gives a running machine a volume, or takes it away. It runs in the instance's lane.
func (c *Cloud) plugVolume(id string) {
	was, ok := view(c, c.volumes, id)
	if !ok || was.Plug == "" || c.ctx.Err() != nil {
		return
	}
	i, _ := view(c, c.instances, was.InstanceID)
	err := c.plugInto(i, was)
	if c.ctx.Err() != nil {
		return // the next process does it
	}
	if err != nil && !errors.Is(err, machines.ErrBusy) && was.Plug != busy {
		c.log.Error("the sandbox could not attach or detach a volume", "volume", id, "instance", i.ID, "plug", was.Plug, "error", err)
	}
	c.update("volume "+id, func(tx *state.Tx) error {
		v, ok := c.volumes.Get(tx, id)
		switch {
		case !ok || v.Plug == "":
			return nil
		case was.Plug == attaching && v.Plug != attaching:
			return nil // DetachVolume was called meanwhile, and its job comes next
		case err == nil:
			v = v.plugged()
		case v.Plug == attaching:
			v = v.detached()
		default:
			v.Plug = busy
		}
		c.volumes.Put(tx, id, v)
		return nil
	})
	if was.Plug == detaching && err != nil {
		c.awaitUnused(id)
	}
}

// plugInto does nothing when the instance does not run by now: its next machine has what it should.
func (c *Cloud) plugInto(i instanceRow, v volumeRow) error {
	driver, plugs := c.driver.(machines.Plugger)
	if i.State != running || !plugs {
		return nil
	}
	if v.Plug != attaching {
		return driver.Detach(c.ctx, i.ID, v.ID)
	}
	if err := c.keyWorks(v.KMSKey); err != nil {
		return err
	}
	return driver.Attach(c.ctx, i.ID, c.plug(v))
}

// A volume that is busy is looked at again after the first of these spans, and then after ever longer ones up to the other.
const firstLook, longestWait = 250 * time.Millisecond, 15 * time.Second

// awaitUnused takes a busy volume away from its machine as soon as that does not use it any more: nobody tells the sandbox of an umount.
func (c *Cloud) awaitUnused(id string) {
	c.jobs.run("busy "+id, func() {
		for wait := firstLook; ; wait = min(2*wait, longestWait) {
			select {
			case <-time.After(wait):
			case <-c.ctx.Done():
				return // the next process looks
			}
			v, ok := view(c, c.volumes, id)
			if !ok || v.Plug != busy {
				return
			}
			looked := make(chan struct{})
			c.jobs.run(v.InstanceID, func() {
				defer close(looked)
				c.plugVolume(id)
			})
			select {
			case <-looked:
			case <-c.ctx.Done():
				return
			}
		}
	})
}

// settlePlugs ends what volumes were on their way to or from an instance, when its machine has booted anew or is not there. It runs in
// the instance's lane.
func (c *Cloud) settlePlugs(instance string) {
	for _, v := range c.instanceVolumes(instanceRow{ID: instance}) {
		c.plugVolume(v.ID)
	}
}
