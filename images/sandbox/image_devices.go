package sandbox

import "slices"

// capturedDevices are those of an image of the instance: its volumes and its devices of the instance store, with what the
// request says about them. Snapshots are not made yet.
func (q *call) capturedDevices(inst *instanceRow, params []deviceParam) ([]device, error) {
	var has []device
	for _, v := range q.volumesOf(q.tx, inst) {
		if v.Plug == attaching || v.Plug == detaching {
			return nil, fail("IncorrectState", "The volume '%s' of instance %s is '%s'; try again when it is attached or detached", v.ID, inst.ID, v.Plug)
		}
		has = append(has, device{Name: v.Device, SizeGiB: v.SizeGiB, Type: v.Type, DeleteOnTermination: v.DeleteOnTermination,
			Encrypted: v.Encrypted, KMSKey: v.KMSKey, IOPS: v.IOPS, Throughput: v.Throughput})
	}
	list, err := mappings(params, inst.RootDevice, append(has, inst.Virtual...))
	if err != nil {
		return nil, err
	}
	var devices []device
	for _, m := range list {
		d := m.device
		switch {
		case m.Virtual != "" || m.ebs == nil:
		case m.known:
			d, err = m.recaptured()
		default:
			d, err = q.addedDevice(m)
		}
		if err != nil {
			return nil, err
		}
		devices = append(devices, d)
	}
	return devices, nil
}

// recaptured is the device of a volume that CreateImage takes a snapshot of: a request can change when it goes and its type,
// but neither size nor encryption (ec2-facts 2.8).
func (m mapped) recaptured() (device, error) {
	p := m.ebs
	if p.SnapshotId != "" || p.KmsKeyId != "" || p.Encrypted != nil || p.VolumeInitializationRate != 0 || p.VolumeSize != 0 && p.VolumeSize != m.SizeGiB {
		return m.device, fail("InvalidBlockDeviceMapping", "Only deleteOnTermination and the volume type of %s can be changed by CreateImage", m.Name)
	}
	d, err := m.override()
	if err != nil {
		return d, err
	}
	return d.complete(snapshotRow{})
}

// newSnapshots stages a pending snapshot of each of the instance's volumes that the devices have, and writes it there.
func (q *call) newSnapshots(inst *instanceRow, devices []device, description string, tags map[string]string) {
	for _, v := range q.volumesOf(q.tx, inst) {
		at := slices.IndexFunc(devices, func(d device) bool { return d.Name == v.Device && d.Virtual == "" && d.SnapshotID == "" })
		if at >= 0 {
			devices[at].SnapshotID = q.newSnapshot(v, description, tags).ID
		}
	}
}

// registeredDevices are those of an image to be registered. Its root has a snapshot; another volume may be empty.
func (q *call) registeredDevices(in *registerImageRequest) ([]device, error) {
	list, err := mappings(in.BlockDeviceMapping, in.RootDeviceName, nil)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || list[0].Name != in.RootDeviceName {
		return nil, fail("InvalidBlockDeviceMapping", "There is no mapping of the root device %s", in.RootDeviceName)
	}
	if list[0].ebs.SnapshotId == "" {
		return nil, fail("InvalidBlockDeviceMapping", "The root device %s needs a snapshot", in.RootDeviceName)
	}
	var devices []device
	for _, m := range list {
		d := m.device
		if m.Virtual == "" {
			if d, err = q.addedDevice(m); err != nil {
				return nil, err
			}
			d.DeleteOnTermination = d.DeleteOnTermination || m.Name == in.RootDeviceName && m.ebs.DeleteOnTermination == nil
		}
		devices = append(devices, d)
	}
	return devices, nil
}

// addedDevice is a device that a request adds to an image: of a snapshot of the caller's, or empty. Only an empty one can be
// said to be encrypted, and no key be named (SDK, types.EbsBlockDevice).
func (q *call) addedDevice(m mapped) (device, error) {
	p := m.ebs
	if p.KmsKeyId != "" || p.Encrypted != nil && p.SnapshotId != "" {
		return m.device, fail("InvalidBlockDeviceMapping", "The encryption of a snapshot cannot be changed by an image's mapping; leave it out for %s", m.Name)
	}
	d, err := m.override()
	if err != nil || d.SnapshotID == "" {
		d.Encrypted = isTrue(p.Encrypted)
		if err == nil {
			d, err = d.complete(snapshotRow{})
		}
		return d, err
	}
	s, err := q.sourceSnapshot(q.Region, d.SnapshotID)
	if err != nil {
		return d, err
	}
	if s.Account != q.Account {
		return d, fail("InvalidSnapshot.NotFound", "The snapshot '%s' is not yours; copy it first", s.ID)
	}
	d.Encrypted, d.KMSKey = s.Encrypted, s.KMSKey
	return d.complete(s)
}

// copyDevices stages pending copies of the source's snapshots, all of which must be shared with the caller too (ec2-facts 4.6).
func (q *call) copyDevices(source imageRow, copied *imageRow, in *copyImageRequest, tags map[string]string) error {
	for n := range copied.Devices {
		d := &copied.Devices[n]
		if d.SnapshotID == "" {
			continue
		}
		from, ok := q.snapshots.Get(q.tx, d.SnapshotID)
		if !ok || !q.at(source.Region).seesSnapshot(&from) {
			return fail("InvalidRequest", "You do not have permission to access the storage of this ami")
		}
		if from.State != "completed" {
			return fail("IncorrectState", "The snapshot '%s' of image %s is %s", from.ID, source.ID, from.State)
		}
		s, err := q.copyOf(from, "", in.Encrypted, in.KmsKeyId, in.SnapshotCopyCompletionDurationMinutes)
		if err != nil {
			return err
		}
		s.Description = "Copied for DestinationAmi " + copied.ID + " from SourceAmi " + source.ID + " for SourceSnapshot " + from.ID + "."
		d.SnapshotID, d.Encrypted, d.KMSKey = s.ID, s.Encrypted, s.KMSKey
		q.snapshots.Put(q.tx, s.ID, s)
		q.setTags(s.ID, tags)
	}
	return nil
}
