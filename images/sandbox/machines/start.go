package machines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// boot makes the machine's parts in order; clean undoes them all.
func (d *Nspawn) boot(ctx context.Context, m *machine) error {
	if err := d.save(m.record); err != nil {
		return err
	}
	if err := d.plug(ctx, m.Machine); err != nil {
		return err
	}
	cgroupDirs, err := d.host.make(m.Machine.ID)
	if err != nil {
		return err
	}
	for _, dir := range []string{".root", ".nodes"} {
		if err := os.MkdirAll(d.file(m.Machine.ID, dir), 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(d.file(m.Machine.ID, ".uuid"), []byte(hypervisorUUID(m.Machine)), 0o600); err != nil {
		return err
	}
	loops, err := d.prepareVolumes(m)
	if err != nil {
		return err
	}
	defer closeAll(loops) // by then the machine holds them
	if err := d.spawn(m, cgroupDirs); err != nil {
		return err
	}
	if err := errors.Join(d.save(m.record), d.watch(m)); err != nil {
		return err
	}
	return d.awaitInit(ctx, m)
}

// plug makes the machine's network namespace with its address and connects it to the router.
func (d *Nspawn) plug(ctx context.Context, m Machine) error {
	ns := d.namespace(m.ID)
	if err := run(ctx, "", "ip", "netns", "add", ns); err != nil {
		return err
	}
	router, own := d.net.machineBatches(m, ns)
	if err := run(ctx, router, "ip", "-n", d.net.Namespace, "-batch", "-"); err != nil {
		return err
	}
	return run(ctx, own, "ip", "-n", ns, "-batch", "-")
}

// hypervisorUUID is what instances find at /sys/hypervisor/uuid on EC2's Xen hosts; by its first three letters cloud-init knows that it
// is on EC2, which makes it use session tokens (IMDSv2). The other mark, in the DMI tables, it does not look at in a container.
func hypervisorUUID(m Machine) string {
	digits := strings.TrimPrefix(m.ID, "i-") + strings.Repeat("0", 32)
	return fmt.Sprintf("ec2%s-%s-%s-%s-%s\n", digits[:5], digits[5:9], digits[9:13], digits[13:17], digits[17:29])
}

// script is process 1 of a PID namespace, so that nothing below outlives it, and in a mount namespace, where nobody else sees what it mounts. It mounts the disk and
// runs systemd-nspawn on it, again whenever that exits with 133, which is its word for a reboot from inside.
// Arguments: the disk, the mount point, the file of the hypervisor's UUID, those of the volumes' loop devices and of their names, a directory
// for their nodes, the cgroup directories up to "--", the command. A loop device that was freed before it is held is another disk's by now.
// The machine gets nodes of its own, root:disk and 0660 as on EC2, whatever those of this computer have; only here they are not in the way of
// a nodev.
//
// A write barrier would only make the loop device call fsync on the host, and what protects against the host's crash is not needed here.
// dhclient is hidden because cloud-init would wait for its lease on an interface that has its address already; the systemd-networkd of a
// virtual machine does without it.
const script = `disk=$1 root=$2 uuid=$3 volumes=$4 binds=$5 nodes=$6; shift 6
while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs" || exit 1; shift; done; shift
mount -t ext4 -o loop,noatime,barrier=0,discard -- "$disk" "$root" || exit 1
while read -r loop volume; do
	exec 3<>"$loop" || exit 1
	[ "$(cat "/sys/block/${loop##*/}/loop/backing_file")" = "$(readlink -f "$volume")" ] || exit 1
	sh -c '` + holder + `' "imgops-volume:$volume" </dev/null &
	exec 3>&-
done <"$volumes"
mount -t tmpfs -o mode=0700,nosuid,noexec imgops-nodes "$nodes" || exit 1
set -- "$@" --bind-ro="$uuid:/sys/hypervisor/uuid"
while :; do
	(
		[ ! -e "$root/usr/sbin/dhclient" ] || set -- "$@" --bind-ro=/dev/null:/usr/sbin/dhclient
		while read -r loop names; do
			node=$nodes/${loop##*/}
			rm -f "$node" && cp -a "$loop" "$node" && chown 0:6 "$node" && chmod 660 "$node" || exit 1
			for name in $names; do set -- "$@" --bind="$node:$name"; done
		done <"$binds"
		exec "$@"
	)
	code=$?
	[ $code = 133 ] || exit $code
done`

// command is what runs the machine. Its process is that of unshare, which waits for the shell and takes it along when it is killed.
func (d *Nspawn) command(m Machine, cgroupDirs []string) []string {
	var args []string
	if d.host.systemd {
		args = append(args, "systemd-run", "--quiet", "--scope", "--property=Delegate=yes", "--collect", "--unit="+d.namespace(m.ID))
	}
	root := d.file(m.ID, ".root")
	args = append(args, "unshare", "--mount", "--propagation=slave", "--pid", "--fork", "--kill-child", "--mount-proc",
		"sh", "-c", script, "imgops-machine", m.Disk, root, d.file(m.ID, ".uuid"), d.file(m.ID, ".volumes"), d.file(m.ID, ".binds"), d.file(m.ID, ".nodes"))
	args = append(args, cgroupDirs...)
	return append(args, "--", "systemd-nspawn", "--quiet", "--boot", "-D", root, "--machine="+m.ID, "--hostname="+m.Name,
		"--network-namespace-path="+netnsPath(d.namespace(m.ID)), "--capability=CAP_NET_ADMIN",
		"--register=no", "--keep-unit", "--settings=no", "--console=read-only", "--kill-signal=SIGRTMIN+4",
		"--link-journal=no", "--resolv-conf=off", "--timezone=off")
}

// spawn starts the process in a session of its own, its console in a file.
func (d *Nspawn) spawn(m *machine, cgroupDirs []string) error {
	console, err := os.OpenFile(d.file(m.Machine.ID, ".console"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	args := d.command(m.Machine, cgroupDirs)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=vt220",
		"SYSTEMD_NSPAWN_TMPFS_TMP=0",              // /tmp is on the disk, as on Debian 12
		"SYSTEMD_NSPAWN_API_VFS_WRITABLE=network", // the machine's own network may be tuned, and /sys can hold the hypervisor's UUID
	}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting systemd-nspawn: %w", err)
	}
	m.process = newProcess(cmd.Process.Pid)
	go func() { _ = cmd.Wait() }() // the reaper; the end itself is seen by the pidfd
	return nil
}

// awaitInit waits until the container's first process has become its init.
func (d *Nspawn) awaitInit(ctx context.Context, m *machine) error {
	return poll(ctx, "init", func() (bool, error) {
		select {
		case <-m.gone:
			out, _ := d.Console(m.Machine.ID)
			return false, fmt.Errorf("it ended at once: %s", strings.TrimSpace(string(out)))
		default:
			return m.booted(), nil
		}
	})
}
