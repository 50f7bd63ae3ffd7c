package sandbox

import "slices"

var virtualName = lazy(`^ephemeral([0-9]|1[0-9]|2[0-3])$`)

// mapped is a device as the block device mappings of a request leave it.
type mapped struct {
	device           // what is inherited of the image or the instance, or a device that has its name only
	known  bool      // it was inherited
	ebs    *ebsParam // what the request says about its EBS volume, or nil
}

// mappings applies the block device mappings of a request to the inherited devices: NoDevice takes one away, VirtualName makes
// one of the instance store, and what is said of an EBS volume is for the caller to apply. The root, which can be none of the
// first two, comes first. There is no instance store here, as on most of EC2's types: such a device is only listed.
func mappings(params []deviceParam, root string, inherited []device) ([]mapped, error) {
	var list []mapped
	for _, d := range inherited {
		list = append(list, mapped{device: d, known: true})
	}
	var seen []string
	for _, p := range params {
		switch {
		case p.DeviceName == "":
			return nil, missing("BlockDeviceMapping.DeviceName")
		case slices.Contains(seen, p.DeviceName):
			return nil, fail("InvalidBlockDeviceMapping", "The device '%s' is used in more than one block-device mapping", p.DeviceName)
		}
		seen = append(seen, p.DeviceName)
		if err := p.check(root); err != nil {
			return nil, err
		}
		list = p.apply(list)
	}
	slices.SortStableFunc(list, func(a, b mapped) int { return order(a.Name == root) - order(b.Name == root) })
	return list, nil
}

// order puts the true before the false.
func order(first bool) int {
	if first {
		return 0
	}
	return 1
}

func (p deviceParam) check(root string) error {
	switch {
	case p.DeviceName == root && (p.NoDevice != nil || p.VirtualName != "" || p.Ebs == nil):
		return fail("InvalidBlockDeviceMapping", "The root device %s must have an EBS volume: it cannot be left out, nor be in the instance store", root)
	case p.NoDevice != nil:
		return nil
	case p.Ebs != nil && p.VirtualName != "":
		return fail("InvalidBlockDeviceMapping", "The mapping of %s has both an EBS volume and the virtual name %s", p.DeviceName, p.VirtualName)
	case p.Ebs == nil && !virtualName().MatchString(p.VirtualName):
		return fail("InvalidBlockDeviceMapping", "The mapping of %s needs an EBS volume, NoDevice, or a virtual name from ephemeral0 to ephemeral23, not '%s'", p.DeviceName, p.VirtualName)
	case p.Ebs != nil && !ebsDevice().MatchString(p.DeviceName):
		return notADevice(p.DeviceName)
	}
	return nil
}

// apply changes the list of devices as one mapping says.
func (p deviceParam) apply(list []mapped) []mapped {
	at := slices.IndexFunc(list, func(m mapped) bool { return m.Name == p.DeviceName })
	if at >= 0 && p.NoDevice == nil && p.Ebs != nil && list[at].Virtual == "" {
		list[at].ebs = p.Ebs
		return list
	}
	if at >= 0 {
		list = slices.Delete(list, at, at+1)
	}
	if p.NoDevice == nil {
		list = append(list, mapped{device: device{Name: p.DeviceName, Virtual: p.VirtualName}, ebs: p.Ebs})
	}
	return list
}

// ebsDevice: the names that EC2 takes for volumes of Linux instances (EBS user guide, device_naming.html); Linux knows sdf as xvdf.
var ebsDevice = lazy(`^(/dev/)?(sd[a-z][0-9]{0,2}|xvd[a-d]?[a-z])$`)

func notADevice(name string) error {
	return fail("InvalidParameterValue", "Value (%s) for parameter device is invalid. %s is not a valid EBS device name.", name, name)
}

// ebsDevices are the devices that are EBS volumes.
func ebsDevices(devices []device) []device {
	return slices.DeleteFunc(slices.Clone(devices), func(d device) bool { return d.Virtual != "" })
}

// each is a filter's values: one for each of the image's EBS volumes.
func each(value func(device) string) func(*imageRow) []string {
	return func(i *imageRow) (values []string) {
		for _, d := range ebsDevices(i.Devices) {
			values = append(values, value(d))
		}
		return values
	}
}

// snapshots are the ids of the snapshots of the image's volumes, the root's first. A volume that is empty at launch has none.
func (i *imageRow) snapshots() (ids []string) {
	for _, d := range i.Devices {
		if d.SnapshotID != "" {
			ids = append(ids, d.SnapshotID)
		}
	}
	return ids
}

// deviceNames are those of all the image's devices.
func (i *imageRow) deviceNames() (names []string) {
	for _, d := range i.Devices {
		names = append(names, d.Name)
	}
	return names
}
