package machines

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// volumeArgs are the machine's disks besides its root: virtio disks whose serial number is the volume's id, as EC2's have it. What EC2's udev
// rules make of it there, the links with the volume's names, systemd-tmpfiles makes here: its line comes with the firmware tables as
// a credential (systemd.system-credentials(7)), so that any image with systemd 252 or newer has them.
func volumeArgs(volumes []Volume) []string {
	var args []string
	var links strings.Builder
	for n, v := range volumes {
		args = append(args,
			"-drive", fmt.Sprintf("if=none,id=volume%d,format=raw,cache=unsafe,discard=unmap,detect-zeroes=unmap,file=%s", n, optArg(v.Disk)),
			"-device", fmt.Sprintf("virtio-blk-pci,drive=volume%d,serial=%s", n, v.serial()))
		for _, name := range v.names() {
			fmt.Fprintf(&links, "L %s - - - - /dev/disk/by-id/virtio-%s\n", name, v.serial())
		}
	}
	if links.Len() > 0 {
		args = append(args, "-smbios", "type=11,value=io.systemd.credential.binary:tmpfiles.extra="+optArg(base64.StdEncoding.EncodeToString([]byte(links.String()))))
	}
	return args
}
