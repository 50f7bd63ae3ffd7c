package baseimage

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"
)

// formatVersion is raised when the code that makes the image changes what comes out.
const formatVersion = 2

// diskSize is that of Debian's EC2 images.
const diskSize = 8 << 30

// packages is what a user of Debian's cloud image expects and what the sandbox needs.
var packages = []string{
	"systemd", "systemd-sysv", "dbus", "libpam-systemd", "udev", "kmod", "e2fsprogs", // the system
	"cloud-init", "cloud-guest-utils", "openssh-server", "sudo", "python3", "python3-apt", // what bakes and boots rest on
	"iproute2", "libnss-myhostname", "iputils-ping", "netbase", "ca-certificates", "curl", "wget", "netcat-openbsd", // the network
	"initramfs-tools", // for virtual machines, with the kernel of kernel()
	"procps", "psmisc", "lsof", "less", "file", "vim-tiny", "gnupg", "lsb-release", "tzdata", "xz-utils", "bzip2",
}

// masked are units that make no sense in a machine that lives for a bake or a test.
var masked = []string{
	"apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "fstrim.timer", "e2scrub_reap.service",
	"console-getty.service", "getty@.service", "serial-getty@.service",
}

// kernel is Debian's for virtual machines of all clouds: a third of the size of the one with drivers for hardware.
func (o Options) kernel() string { return "linux-image-cloud-" + o.Arch }

// early are files of one word a line that have to be there before packages are installed. The initial RAM disk holds what a virtual machine's root needs
// and no more: emulated (TCG), each of its megabytes costs a tenth of a second at every boot.
var early = map[string]string{
	"etc/initramfs-tools/conf.d/imgops":          "MODULES=list COMPRESS=gzip RESUME=none",
	"usr/share/initramfs-tools/modules.d/imgops": "virtio_pci virtio_blk ext4",
}

// enabled maps a link below /etc/systemd/system to the unit it starts.
var enabled = map[string]string{
	"multi-user.target.wants/systemd-networkd.service":                 "/lib/systemd/system/systemd-networkd.service",
	"network-online.target.wants/systemd-networkd-wait-online.service": "/lib/systemd/system/systemd-networkd-wait-online.service",
}

// removed must differ between machines, or is rubbish of the package installation.
var removed = []string{
	"etc/ssh/ssh_host_*", "var/lib/dbus/machine-id", "var/log/*.log", "var/log/apt/*", "var/cache/apt/*.bin", "var/cache/ldconfig/aux-cache",
	"var/lib/systemd/random-seed", "root/.bash_history", "var/lib/dpkg/*-old", "etc/*-",
}

//go:embed all:overlay
var overlay embed.FS

// versions are the release numbers in the names of Debian's images.
var versions = map[string]string{"bullseye": "11", "bookworm": "12", "trixie": "13"}

// sources are the lines of apt's sources.list.
func (o Options) sources() []string {
	return []string{
		fmt.Sprintf("deb %s %s main", o.Mirror, o.Suite),
		fmt.Sprintf("deb %s %s-updates main", o.Mirror, o.Suite),
		fmt.Sprintf("deb %s %s-security main", o.securityMirror(), o.Suite),
	}
}

// securityMirror lies beside the main one on Debian's own servers and on all full mirrors.
func (o Options) securityMirror() string {
	return strings.TrimSuffix(o.Mirror, "/debian") + "/debian-security"
}

// key identifies what the recipe makes: 12 hex digits.
func (o Options) key() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, formatVersion, diskSize, o.Arch, o.sources(), packages, o.kernel(), early, masked, enabled, removed)
	err := fs.WalkDir(overlay, "overlay", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := overlay.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(data), data)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("reading the base image's files: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}
