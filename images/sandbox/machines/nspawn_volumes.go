package machines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

var _ Plugger = (*Nspawn)(nil)

// A volume of an nspawn machine is a loop device that is held open by a process of its own, in the machine's PID namespace: with the machine
// it ends, and the kernel frees the device. The machine has the device under the volume's names, from its start by systemd-nspawn's
// --bind, and later by mknod in its /dev.

// holder is what holds a loop device, on descriptor 3, as long as the machine lives. Its argument is holderMark.
const holder = `sleep infinity 3>&-; :`

// holderMark is by what a volume's holder is found.
func holderMark(disk string) string { return "imgops-volume:" + disk }

// prepareVolumes opens the loop devices of the machine's volumes and writes down for the script of its start which ones to hold
// and under which names to bind them. The files are to be kept open until the machine has started.
func (d *Nspawn) prepareVolumes(m *machine) (loops []*os.File, err error) {
	var hold, binds strings.Builder
	for _, v := range m.Machine.Volumes {
		loop, err := openLoop(v.Disk)
		if err != nil {
			closeAll(loops)
			return nil, fmt.Errorf("volume %s: %w", v.ID, err)
		}
		loops = append(loops, loop)
		fmt.Fprintf(&hold, "%s %s\n", loop.Name(), v.Disk)
		binds.WriteString(bindLine(loop.Name(), v))
	}
	id := m.Machine.ID
	if err := errors.Join(writeFile(d.file(id, ".volumes"), []byte(hold.String())), writeFile(d.file(id, ".binds"), []byte(binds.String()))); err != nil {
		closeAll(loops)
		return nil, err
	}
	return loops, nil
}

// bindLine names a loop device and where the machine is to have it, for the script of its start.
func bindLine(loop string, v Volume) string {
	return loop + " " + strings.Join(v.names(), " ") + "\n"
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// Attach makes a loop device of the volume, has it held, and makes its nodes in the machine's /dev. What of these is there, from a
// server that was killed at it, stays.
func (d *Nspawn) Attach(ctx context.Context, id string, v Volume) error {
	m := d.find(id)
	if m == nil {
		return fmt.Errorf("attaching volume %s: machine %s is not running", v.ID, id)
	}
	others, _, _ := without(d.volumes(m), v.ID)
	if err := d.setVolumes(m, append(slices.Clone(others), v)); err != nil {
		return err
	}
	err := d.attach(ctx, m, v)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("attaching volume %s to machine %s: %w", v.ID, id, err)
	return errors.Join(err, d.release(context.WithoutCancel(ctx), m, v), d.setVolumes(m, others))
}

func (d *Nspawn) attach(ctx context.Context, m *machine, v Volume) error {
	loop, err := findLoop(v.Disk)
	if err != nil {
		return err
	}
	defer loop.Close()
	if len(findProcesses(holderMark(v.Disk))) == 0 {
		if err := d.hold(ctx, m, loop, v); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(loop.Fd()), &st); err != nil {
		return err
	}
	err = inMachine(m, func() error {
		for _, name := range v.names() {
			if err := makeNode(name, st.Rdev); err != nil {
				return fmt.Errorf("making %s: %w", name, err)
			}
		}
		return nil
	})
	return errors.Join(err, d.rebind(m))
}

// diskGroup is the group disk of Debian, Fedora and their descendants, which has the block devices on EC2 as elsewhere (udev's
// 50-udev-default.rules: root:disk, 0660).
const diskGroup = 6

// makeNode makes a block device's node, whole or not at all, unless it is there. One that leads elsewhere is of a device that is gone.
func makeNode(name string, device uint64) error {
	var st unix.Stat_t
	switch err := unix.Lstat(name, &st); {
	case err == nil && st.Mode&unix.S_IFMT != unix.S_IFBLK:
		return os.ErrExist
	case err == nil && st.Rdev == device:
		return nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	half := name + ".imgops"
	if err := os.Remove(half); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := unix.Mknod(half, unix.S_IFBLK, int(device)); err != nil {
		return err
	}
	return errors.Join(os.Lchown(half, 0, diskGroup), os.Chmod(half, 0o660), os.Rename(half, name)) // chmod: mknod heeds the umask
}

// hold starts the holder of a loop device in the PID namespace of the machine's shell.
func (d *Nspawn) hold(ctx context.Context, m *machine, loop *os.File, v Volume) error {
	shell, err := m.shell()
	if err != nil {
		return err
	}
	cmd := exec.Command("nsenter", "--target", fmt.Sprint(shell), "--pid", "sh", "-c", holder, holderMark(v.Disk))
	cmd.ExtraFiles = []*os.File{loop}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	return poll(ctx, "the volume to be held", func() (bool, error) {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", cmd.Process.Pid))
		return len(children) > 0, err
	})
}

// shell is the process that the script of the machine's start runs in, which is process 1 of its PID namespace.
func (m *machine) shell() (int, error) {
	self, err := readStatus(os.Getpid())
	if err != nil {
		return 0, err
	}
	shell, _ := findInit(m.Pid, self.depth+1)
	if shell == 0 {
		return 0, errors.New("the machine is ending")
	}
	return shell, nil
}

// rebind writes the names down for a reboot from inside.
func (d *Nspawn) rebind(m *machine) error {
	var binds strings.Builder
	for _, v := range d.staying(m) {
		loops, err := loopsOf(v.Disk)
		if err != nil {
			return err
		}
		for _, loop := range loops {
			binds.WriteString(bindLine(loop, v))
		}
	}
	return writeFile(d.file(m.Machine.ID, ".binds"), []byte(binds.String()))
}

// Detach takes the volume away from the machine when that does not use it. One in use is not bound any more at a reboot from inside,
// after which the next Detach takes it.
func (d *Nspawn) Detach(ctx context.Context, id, volume string) error {
	m := d.find(id)
	if m == nil {
		return nil
	}
	rest, v, has := without(d.volumes(m), volume)
	if !has {
		return nil
	}
	loops, err := loopsOf(v.Disk)
	if err != nil {
		return err
	}
	for _, loop := range loops {
		if used, err := inUse(loop); used || err != nil {
			v.Leaving = true
			return errors.Join(err, fmt.Errorf("detaching volume %s from machine %s: %w", volume, id, ErrBusy),
				d.setVolumes(m, append(rest, v)), d.rebind(m))
		}
	}
	if err := d.release(ctx, m, v); err != nil {
		return fmt.Errorf("detaching volume %s from machine %s: %w", volume, id, err)
	}
	return errors.Join(d.setVolumes(m, rest), d.rebind(m))
}

// release takes the nodes of a volume out of the machine, ends its holder and waits for the kernel to free the loop device.
func (d *Nspawn) release(ctx context.Context, m *machine, v Volume) error {
	err := inMachine(m, func() error {
		var errs []error
		for _, name := range v.names() {
			if err := unix.Unmount(name, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, fmt.Errorf("unmounting %s: %w", name, err))
			}
			if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	})
	return errors.Join(err, endHolders(ctx, v.Disk), awaitDetached(ctx, v.Disk))
}

func endHolders(ctx context.Context, disk string) error {
	for {
		holders := findProcesses(holderMark(disk))
		if len(holders) == 0 {
			return nil
		}
		for _, p := range holders {
			if err := p.kill(ctx); err != nil {
				return err
			}
		}
	}
}

// inMachine calls f on a thread that is in the mount namespace of the machine's init, in which paths cannot lead out of the machine.
func inMachine(m *machine, f func() error) error {
	init, _ := leader(m.Pid)
	if init == 0 {
		return errors.New("the machine has no init")
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", init))
	if err != nil {
		return err
	}
	defer ns.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and not unlocked: the thread ends with the goroutine
		done <- visit(int(ns.Fd()), f)
	}()
	return <-done
}

// visit calls f in another mount namespace and returns from there: the first thread of a program does not end, and would keep the
// namespace, and the machine's disk, for ever.
func visit(ns int, f func() error) error {
	home, err := os.Open("/proc/thread-self/ns/mnt")
	if err != nil {
		return err
	}
	defer home.Close()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	if err := unix.Setns(ns, unix.CLONE_NEWNS); err != nil {
		return err
	}
	return errors.Join(f(), unix.Setns(int(home.Fd()), unix.CLONE_NEWNS))
}

// volumeFiles is what the driver keeps of a machine's volumes.
var volumeFiles = []string{".volumes", ".binds"}

// cleanVolumes ends what holds the machine's volumes and waits for its disks to be closed.
func (d *Nspawn) cleanVolumes(ctx context.Context, m *machine) error {
	var errs []error
	for _, v := range d.volumes(m) {
		errs = append(errs, endHolders(ctx, v.Disk))
	}
	for disk := range slices.Values(d.disks(m)) {
		errs = append(errs, awaitDetached(ctx, disk))
	}
	return errors.Join(errs...)
}
