package machines

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// qemuTools maps each program that qemu machines need to its Debian package.
var qemuTools = [][2]string{{"qemu-system-x86_64", "qemu-system-x86"}, {"debugfs", "e2fsprogs"}, {"e2fsck", "e2fsprogs"}}

// ProbeQEMU says in one line why this user cannot run qemu machines here and how to change that; nil when it can.
func ProbeQEMU() error {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return errors.New("qemu machines need Linux on amd64")
	}
	var missing, install []string
	for _, t := range qemuTools {
		if _, err := exec.LookPath(t[0]); err != nil {
			missing = append(missing, t[0])
			if !slices.Contains(install, t[1]) { // several programs can be in one package
				install = append(install, t[1])
			}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("qemu machines need %s: apt-get install %s", strings.Join(missing, ", "), strings.Join(install, " "))
	}
	return probePort22("127.213.255.254:22")
}

// probePort22 tries to listen where every client of EC2 expects a machine's SSH.
func probePort22(addr string) error {
	l, err := net.Listen("tcp4", addr)
	switch {
	case err == nil:
		return l.Close()
	case errors.Is(err, unix.EACCES):
		return errors.New("qemu machines listen on port 22 of loopback addresses, which only root may here: sudo sysctl net.ipv4.ip_unprivileged_port_start=22")
	case errors.Is(err, unix.EADDRINUSE):
		return errors.New("qemu machines listen on port 22 of loopback addresses, and somebody (sshd?) has port 22 of all addresses: give sshd a ListenAddress of its own in /etc/ssh/sshd_config")
	default:
		return fmt.Errorf("qemu machines listen on port 22 of loopback addresses: %w", err)
	}
}
