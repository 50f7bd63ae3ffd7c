package sandbox

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/imgops/imgops/images/sandbox/machines"
	"github.com/imgops/imgops/images/sandbox/state"
)

// launchVolume is a volume that a launch makes: how, and the blob it is made from, or "" for an empty one.
type launchVolume struct {
	device
	blob string
}

// launchDevices are the devices of a launch: the image's with what the request says about them. The root's volume comes first.
func (q *call) launchDevices(image imageRow, params []deviceParam) (volumes []launchVolume, virtual []device, err error) {
	list, err := mappings(params, image.RootDevice, image.Devices)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range list {
		if m.Virtual != "" {
			virtual = append(virtual, m.device)
			continue
		}
		v, err := q.launchDevice(image, m)
		if err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(volumes, func(other launchVolume) bool { return sameDevice(other.Name, v.Name) }) {
			return nil, nil, fail("InvalidBlockDeviceMapping", "The device '%s' is another name of a device that is used in the same block-device mappings", v.Name)
		}
		volumes = append(volumes, v)
	}
	return volumes, virtual, nil
}

// launchDevice is one volume of a launch. The image's owner lets the launch use the image's snapshots; they need not be shared
// (ec2-facts 4.5). Any other snapshot must be.
func (q *call) launchDevice(image imageRow, m mapped) (launchVolume, error) {
	d, err := m.override()
	if err != nil {
		return launchVolume{}, err
	}
	if m.Name == image.RootDevice && d.SnapshotID != m.SnapshotID {
		return launchVolume{}, fail("InvalidBlockDeviceMapping", "snapshotId cannot be modified on root device")
	}
	var source snapshotRow
	switch d.SnapshotID {
	case "":
	case m.SnapshotID:
		known := false
		if source, known = q.snapshots.Get(q.tx, d.SnapshotID); !known {
			return launchVolume{}, fail("InvalidSnapshot.NotFound", "The snapshot '%s' of image %s does not exist.", d.SnapshotID, image.ID)
		}
	default:
		if source, err = q.sourceSnapshot(q.Region, d.SnapshotID); err != nil {
			return launchVolume{}, err
		}
	}
	asked, key := (*bool)(nil), ""
	if m.ebs != nil {
		asked, key = m.ebs.Encrypted, m.ebs.KmsKeyId
	}
	if asked == nil && d.SnapshotID == "" && d.Encrypted {
		asked = &d.Encrypted
	}
	if d, err = q.encrypted(d, asked, key, source); err == nil {
		d, err = d.complete(source)
	}
	return launchVolume{d, source.Blob}, err
}

// override is the device with what the request says of its volume, but for the encryption.
func (m mapped) override() (device, error) {
	d, p := m.device, m.ebs
	if p == nil {
		return d, nil
	}
	if err := checkInitialization(p.VolumeInitializationRate); err != nil {
		return d, err
	}
	if p.VolumeType != "" {
		d.Type, d.IOPS, d.Throughput = p.VolumeType, 0, 0
	}
	d.IOPS, d.Throughput, d.SizeGiB = cmp.Or(p.Iops, d.IOPS), cmp.Or(p.Throughput, d.Throughput), cmp.Or(p.VolumeSize, d.SizeGiB)
	if p.SnapshotId != "" && p.SnapshotId != d.SnapshotID {
		d.SnapshotID, d.SizeGiB = p.SnapshotId, p.VolumeSize
	}
	if p.DeleteOnTermination != nil {
		d.DeleteOnTermination = *p.DeleteOnTermination
	}
	return d, nil
}

// volumesOf are the volumes that an instance has, its root first and the others by device name. One that is being detached is
// still there.
func (t *tables) volumesOf(tx *state.Tx, i *instanceRow) []volumeRow {
	var list []volumeRow
	for _, v := range t.volumes.Scan(tx, "on:"+i.ID) {
		list = append(list, *v)
	}
	slices.SortFunc(list, func(a, b volumeRow) int {
		return cmp.Or(order(a.ID == i.VolumeID)-order(b.ID == i.VolumeID), cmp.Compare(a.Device, b.Device))
	})
	return list
}

// instanceVolumes is volumesOf outside of a request.
func (c *Cloud) instanceVolumes(i instanceRow) (list []volumeRow) {
	_ = c.store.View(func(tx *state.Tx) error {
		list = c.volumesOf(tx, &i)
		return nil
	})
	return list
}

// startedWith are the devices of the EBS volumes beside the root that the instance had when it was launched or last started.
func (c *Cloud) startedWith(tx *state.Tx, i *instanceRow) (names []string) {
	for _, v := range c.volumesOf(tx, i) {
		if v.ID != i.VolumeID && !v.Attached.After(i.Launched) {
			names = append(names, v.Device)
		}
	}
	slices.Sort(names)
	return names
}

// detached is the volume after it has left its instance.
func (v volumeRow) detached() volumeRow {
	v.InstanceID, v.Device, v.Plug, v.State, v.DeleteOnTermination = "", "", "", available, false
	return v
}

// plug is the volume as the machine gets it.
func (c *Cloud) plug(v volumeRow) machines.Volume {
	return machines.Volume{ID: v.ID, Device: v.Device, Disk: c.diskPath(v.ID)}
}

type instanceDeviceParam struct {
	DeviceName string
	Ebs        struct {
		VolumeId            string
		DeleteOnTermination *bool
	}
}

// modifyDevices says which of an instance's volumes go with it.
func (q *call) modifyDevices(i *instanceRow, params []instanceDeviceParam) error {
	volumes := q.volumesOf(q.tx, i)
	for _, p := range params {
		at := slices.IndexFunc(volumes, func(v volumeRow) bool { return v.Device == p.DeviceName })
		if at < 0 || p.Ebs.VolumeId != "" && p.Ebs.VolumeId != volumes[at].ID {
			return fail("InvalidInstanceAttributeValue", "No device is currently mapped at %s", p.DeviceName)
		}
		if p.Ebs.DeleteOnTermination != nil {
			volumes[at].DeleteOnTermination = *p.Ebs.DeleteOnTermination
			q.volumes.Put(q.tx, volumes[at].ID, volumes[at])
		}
	}
	return nil
}

// attachmentFilters are the filters of DescribeInstances below block-device-mapping.
var attachmentFilters = map[string]func(volumeRow) string{
	"attach-time":           func(v volumeRow) string { return timestamp(v.Attached) },
	"delete-on-termination": func(v volumeRow) string { return strconv.FormatBool(v.DeleteOnTermination) },
	"device-name":           func(v volumeRow) string { return v.Device },
	"status":                func(v volumeRow) string { return v.attachment() },
	"volume-id":             func(v volumeRow) string { return v.ID },
}
