package sandbox

import (
	"strings"

	"github.com/imgops/imgops/images/sandbox/machines"
)

// How a volume is on its way into a machine that runs, or out of it.
const (
	attaching = "attaching"
	detaching = "detaching"
	busy      = "busy" // the machine has it mounted: it goes when it is not, or when the machine reboots or stops
)

type attachVolumeRequest struct {
	VolumeId   string `query:",required"`
	InstanceId string `query:",required"`
	Device     string `query:",required"`
}

// attachVolume gives a stopped instance a volume at once, and a running one by plugVolume, where its kind of machine can.
func attachVolume(q *call, in *attachVolumeRequest) (*attachmentItem, error) {
	v, err := q.volume(in.VolumeId)
	if err != nil {
		return nil, err
	}
	i, err := q.instance(in.InstanceId)
	if err != nil {
		return nil, err
	}
	if err := firstError(v.free(), q.takesVolumes(&i), q.freeDevice(&i, in.Device)); err != nil {
		return nil, err
	}
	if v.Zone != i.Zone {
		return nil, fail("InvalidVolume.ZoneMismatch", "The volume '%s' is not in the same availability zone as instance '%s'", v.ID, i.ID)
	}
	v.State, v.InstanceID, v.Device, v.Attached = "in-use", i.ID, in.Device, q.now
	if i.State == running {
		v.Plug = attaching
		q.after(func() { q.jobs.run(i.ID, func() { q.plugVolume(v.ID) }) })
	}
	q.volumes.Put(q.tx, v.ID, v)
	item := v.attachmentItem()
	return &item, nil
}

// free is an error when the volume cannot be attached now.
func (v volumeRow) free() error {
	switch {
	case v.InstanceID != "":
		return fail("VolumeInUse", "%s is already attached to an instance", v.ID)
	case v.State != available:
		return fail("IncorrectState", "%s is not 'available'; it is '%s'", v.ID, v.State)
	}
	return nil
}

// takesVolumes is an error when volumes can neither be given to the instance now, nor be taken away.
func (q *call) takesVolumes(i *instanceRow) error {
	switch _, plugs := q.driver.(machines.Plugger); {
	case i.State == stopped, i.State == running && plugs:
		return nil
	case i.State == running:
		return fail("Unsupported", "The %s machines of this sandbox take volumes and give them back only while they are stopped; stop %s first", q.driver.Name(), i.ID)
	}
	return fail("IncorrectState", "Instance '%s' is not 'running' or 'stopped'; it is '%s'", i.ID, i.State)
}

// freeDevice: Linux knows /dev/sdf as /dev/xvdf, so that an instance cannot have both.
func (q *call) freeDevice(i *instanceRow, name string) error {
	if !ebsDevice().MatchString(name) {
		return notADevice(name)
	}
	for _, v := range q.volumesOf(q.tx, i) {
		if sameDevice(v.Device, name) {
			return fail("InvalidParameterValue", "Invalid value '%s' for unixDevice. Attachment point %[1]s is already in use", name)
		}
	}
	return nil
}

func sameDevice(a, b string) bool { return kernelName(a) == kernelName(b) }

// kernelName is a device's name as the kernel of an EC2 instance with Xen disks has it.
func kernelName(device string) string {
	name := strings.TrimPrefix(device, "/dev/")
	if letters, ok := strings.CutPrefix(name, "sd"); ok {
		return "xvd" + letters
	}
	return name
}

type detachVolumeRequest struct {
	VolumeId   string `query:",required"`
	InstanceId string
	Device     string
	Force      bool
}

// detachVolume is attachVolume's opposite. A volume that the machine has mounted becomes busy, as on EC2.
func detachVolume(q *call, in *detachVolumeRequest) (*attachmentItem, error) {
	v, err := q.volume(in.VolumeId)
	switch {
	case err != nil:
		return nil, err
	case v.InstanceID == "":
		return nil, fail("IncorrectState", "Volume '%s' is in the '%s' state.", v.ID, v.State)
	case in.InstanceId != "" && in.InstanceId != v.InstanceID, in.Device != "" && in.Device != v.Device:
		return nil, fail("InvalidAttachment.NotFound", "Volume '%s' is attached to instance '%s' as %s", v.ID, v.InstanceID, v.Device)
	}
	i, err := q.instance(v.InstanceID)
	if err != nil {
		return nil, err
	}
	if v.ID == i.VolumeID {
		return nil, fail("OperationNotPermitted", "Unable to detach root volume '%s' from instance '%s': this sandbox boots an instance from the root that it was launched with; make an AMI of the other root and launch that", v.ID, i.ID)
	}
	if err := q.takesVolumes(&i); err != nil {
		return nil, err
	}
	item := v.attachmentItem()
	item.Status = detaching
	if i.State == running {
		v.Plug = detaching
		q.volumes.Put(q.tx, v.ID, v)
		q.after(func() { q.jobs.run(i.ID, func() { q.plugVolume(v.ID) }) })
		return &item, nil
	}
	q.volumes.Put(q.tx, v.ID, v.detached())
	return &item, nil
}
