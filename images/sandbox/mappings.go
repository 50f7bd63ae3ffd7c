package sandbox

import "slices"

var virtualName = lazy(`^ephemeral([0-9]|1[0-9]|2[0-3])$`)

// mappings takes the block device mappings of a request apart: what it says about the root device, and the instance store
// devices (VirtualName) that are left of those inherited when it has added and taken away (NoDevice) its own. There is no
// instance store here, as on most of EC2's types: such a device is only listed. An EBS volume besides the root is refused.
func mappings(params []deviceParam, root string, inherited []device) (ofRoot []deviceParam, virtual []device, err error) {
	virtual = slices.Clone(inherited)
	var seen []string
	for _, p := range params {
		switch {
		case p.DeviceName == "":
			return nil, nil, missing("BlockDeviceMapping.DeviceName")
		case slices.Contains(seen, p.DeviceName):
			return nil, nil, fail("InvalidBlockDeviceMapping", "The device '%s' is used in more than one block-device mapping", p.DeviceName)
		}
		seen = append(seen, p.DeviceName)
		if p.DeviceName == root {
			ofRoot = append(ofRoot, p)
			continue
		}
		if p.NoDevice == nil {
			if err := p.checkVirtual(root); err != nil {
				return nil, nil, err
			}
		}
		virtual = slices.DeleteFunc(virtual, func(d device) bool { return d.Name == p.DeviceName })
		if p.NoDevice == nil {
			virtual = append(virtual, device{Name: p.DeviceName, Virtual: p.VirtualName})
		}
	}
	return ofRoot, virtual, nil
}

// checkVirtual is for a device that is not the root.
func (p deviceParam) checkVirtual(root string) error {
	switch {
	case p.Ebs != nil && p.VirtualName != "":
		return fail("InvalidBlockDeviceMapping", "The mapping of %s has both an EBS volume and the virtual name %s", p.DeviceName, p.VirtualName)
	case p.Ebs != nil:
		return onlyRoot(p.DeviceName, root)
	case !virtualName().MatchString(p.VirtualName):
		return fail("InvalidBlockDeviceMapping", "The mapping of %s needs an EBS volume, NoDevice, or a virtual name from ephemeral0 to ephemeral23, not '%s'", p.DeviceName, p.VirtualName)
	}
	return nil
}

// virtualDevices are the image's devices of the instance store.
func (i *imageRow) virtualDevices() []device {
	return slices.DeleteFunc(slices.Clone(i.Devices), func(d device) bool { return d.Virtual == "" })
}

// deviceNames are those of all the image's devices.
func (i *imageRow) deviceNames() (names []string) {
	for _, d := range i.Devices {
		names = append(names, d.Name)
	}
	return names
}
