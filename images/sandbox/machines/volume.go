package machines

import (
	"path/filepath"
	"slices"
	"strings"
)

// names are where a machine finds the volume, all the same block device: the name that the clients gave; for /dev/sdf also /dev/xvdf, as the
// kernel of a Xen instance calls it; and the name by the volume's id that every Linux on a Nitro instance has.
func (v Volume) names() []string {
	device := "/dev/" + strings.TrimPrefix(v.Device, "/dev/")
	names := []string{device}
	if letters, ok := strings.CutPrefix(device, "/dev/sd"); ok {
		names = append(names, "/dev/xvd"+letters)
	}
	return append(names, "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"+v.serial())
}

// serial is that of the disk on EC2: the volume's id without its hyphen.
func (v Volume) serial() string { return strings.ReplaceAll(v.ID, "-", "") }

// volumes are those that the machine has now.
func (k *keeper) volumes(m *machine) []Volume {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(m.Machine.Volumes)
}

// staying are the volumes that the machine's next boot is to have.
func (k *keeper) staying(m *machine) []Volume {
	return slices.DeleteFunc(k.volumes(m), func(v Volume) bool { return v.Leaving })
}

// setVolumes records the volumes of a machine that runs, for those who boot it again or clean up after it.
func (k *keeper) setVolumes(m *machine, volumes []Volume) error {
	k.mu.Lock()
	m.Machine.Volumes = volumes
	r := m.record
	k.mu.Unlock()
	return k.save(r)
}

// without is the list without the volume; found is false when it was not there.
func without(volumes []Volume, id string) (rest []Volume, v Volume, found bool) {
	at := slices.IndexFunc(volumes, func(v Volume) bool { return v.ID == id })
	if at < 0 {
		return volumes, Volume{}, false
	}
	return slices.Delete(slices.Clone(volumes), at, at+1), volumes[at], true
}

// disks are the files of all of the machine's disks, the root's first.
func (k *keeper) disks(m *machine) []string {
	disks := []string{m.Machine.Disk}
	for _, v := range k.volumes(m) {
		disks = append(disks, filepath.Clean(v.Disk))
	}
	return disks
}
