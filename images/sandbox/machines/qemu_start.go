package machines

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// The network that a machine sees: QEMU's user-mode stack with the metadata service in it and the name server where the image's
// resolv.conf looks for it. It has to contain the metadata address, because QEMU forwards addresses of that network only.
const (
	guestNet     = "169.254.169.0/24"
	guestGateway = "169.254.169.1"
	guestAddr    = "169.254.169.16"
)

// kernelArgs: the options of the root are those of an nspawn machine.
const kernelArgs = "root=/dev/vda rw rootflags=noatime,discard console=ttyS0"

// boot starts the machine's process and waits until QEMU has set the machine up and its processors run.
func (d *QEMU) boot(ctx context.Context, m *machine) error {
	id := m.Machine.ID
	if info, err := os.Stat(d.file(id, ".console")); err == nil {
		m.From = info.Size()
	}
	if err := d.save(m.record); err != nil {
		return err
	}
	if err := copyKernel(ctx, m.Machine.Disk, d.file(id, ".kernel"), d.file(id, ".initrd")); err != nil {
		return err
	}
	if err := d.spawn(m); err != nil {
		return err
	}
	if err := d.save(m.record); err != nil {
		return err
	}
	if err := d.watch(m); err != nil {
		return err
	}
	return poll(ctx, "QEMU", func() (bool, error) {
		select {
		case <-m.gone:
			out, _ := d.Console(id)
			return false, fmt.Errorf("it ended at once: %s", strings.TrimSpace(string(out[min(int(m.From), len(out)):])))
		default:
		}
		q, err := d.dialQMP(ctx, id)
		if err != nil {
			return false, nil //nolint:nilerr // it does not listen yet
		}
		return true, q.Close()
	})
}

// spawn starts QEMU in a session of its own, and in the directory of the records, where its control socket has a short name: the path of a socket
// may have 107 characters. The console, and what QEMU complains of, go to a file.
func (d *QEMU) spawn(m *machine) error {
	console, err := os.OpenFile(d.file(m.Machine.ID, ".console"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	args := d.command(m.Machine)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = filepath.Join(d.dir, "machines")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting QEMU: %w", err)
	}
	m.process = newProcess(cmd.Process.Pid)
	go func() { _ = cmd.Wait() }() // the reaper; the end itself is seen by the pidfd
	return nil
}

// command is the machine: its disks, one network interface named ens5 and the marks of EC2 in its firmware tables, by which cloud-init knows where it is. A reset
// ends the process, so that the next boot takes the kernel that is on the disk by then.
func (d *QEMU) command(m Machine) []string {
	uuid := strings.TrimSpace(hypervisorUUID(m))
	args := append(d.accel.command(), "-name", m.ID, "-kernel", d.file(m.ID, ".kernel"), "-initrd", d.file(m.ID, ".initrd"), "-append", kernelArgs)
	args = append(args,
		"-drive", "if=none,id=root,format=raw,cache=unsafe,discard=unmap,detect-zeroes=unmap,file="+optArg(m.Disk),
		"-device", "virtio-blk-pci,drive=root,serial=root",
		"-netdev", d.netdev(m), "-device", "virtio-net-pci,netdev=net,addr=5,romfile=,mac="+MAC(m.Address),
		"-device", "virtio-rng-pci",
		"-smbios", "type=1,manufacturer=Amazon EC2,uuid="+uuid+",serial="+uuid,
		"-smbios", "type=2,manufacturer=Amazon EC2,asset="+m.ID,
		"-smbios", "type=3,manufacturer=Amazon EC2,asset=Amazon EC2",
		"-chardev", "file,id=console,append=on,path="+m.ID+".console", "-serial", "chardev:console",
		"-qmp", "unix:"+m.ID+".qmp,server=on,wait=off",
	)
	return append(args, volumeArgs(m.Volumes)...) // after the network interface, whose place is taken then
}

// netdev forwards port 22 of the machine's address to it, and its connections to the metadata address to the pipe.
func (d *QEMU) netdev(m Machine) string {
	net := fmt.Sprintf("user,id=net,ipv6=off,net=%s,host=%s,dns=%s,dhcpstart=%s,hostfwd=tcp:%s:22-%[4]s:22",
		guestNet, guestGateway, resolverAddr, guestAddr, m.Address)
	if len(d.pipe) == 0 {
		return net
	}
	words := make([]string, 0, len(d.pipe)+2)
	for _, word := range append(append(words, d.pipe...), m.Address.String(), d.metadataAddr().String()) {
		words = append(words, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	return net + ",guestfwd=tcp:" + metadataAddr + ":80-cmd:" + optArg(strings.Join(words, " "))
}

// optArg is a value as QEMU's options want it: with commas doubled.
func optArg(s string) string { return strings.ReplaceAll(s, ",", ",,") }
