package machines

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/imgops/imgops/images/sandbox/disk"
)

// pipeArg makes the test binary the pipe of a machine's metadata.
const pipeArg = "imgops-test-pipe"

func testPipe() []string { return []string{os.Args[0], pipeArg} }

// onRequest skips tests in which virtual machines boot to the end: emulated, that takes minutes.
func onRequest(t *testing.T) {
	t.Helper()
	if os.Getenv("IMGOPS_TEST_QEMU") == "" {
		t.Skip("boots virtual machines, for minutes where they are emulated; set IMGOPS_TEST_QEMU=1")
	}
}

// newQEMULab skips the test where qemu machines cannot run.
func newQEMULab(t *testing.T) *lab {
	t.Helper()
	return makeLab(t, ProbeQEMU(), func(l *lab) testDriver {
		began := time.Now()
		d, err := NewQEMU(t.Context(), QEMUOptions{Options: l.options(), Pipe: testPipe(), Trial: l.baseImage(), Memory: kvmMemory(t)})
		require.NoError(t, err)
		t.Logf("the processors are %s, opened in %v", d.Detail(), time.Since(began).Round(time.Millisecond))
		return d
	})
}

// A virtual machine lives as TestLife's container does, and through the death of its server. Emulated, it boots a hundred times as slowly, so all
// is in one test with three boots.
func TestQEMULife(t *testing.T) {
	onRequest(t)
	l := newQEMULab(t)
	store, err := disk.Open(filepath.Join(l.dir, "store"))
	require.NoError(t, err)
	require.NoError(t, store.Import(t.Context(), l.baseImage(), "snap-base"))

	first := l.machine(1, l.restore(store, "snap-base", "disk1"), userData)
	began := time.Now()
	l.killedServer(first, "started", 0)
	prefix := l.driver.Prefix()
	l.driver = l.open()
	require.Equal(t, prefix, l.driver.Prefix())
	requireRunning(t, l.driver, first.ID)
	require.ErrorContains(t, l.driver.Start(t.Context(), first), "running")

	c := l.login(first)
	t.Logf("SSH %v after the start", time.Since(began).Round(time.Millisecond))
	cloudInitDone(t, c)
	t.Logf("cloud-init done %v after the start", time.Since(began).Round(time.Millisecond))
	require.Equal(t, first.ID, sh(t, c, "cat /var/tmp/first-boot"), "user data ran")
	require.Equal(t, first.Name, sh(t, c, "hostname"))
	require.Contains(t, hostKeys(t, l, first), sh(t, c, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub"), "the console tells the host key")
	checkMetadata(t, c, first)
	checkVirtual(t, c)
	rebootWithNewKernel(t, l, first, c)

	stopped(t, l.driver, first.ID)
	require.NoError(t, store.Capture(t.Context(), first.Disk, "snap-1", "snap-base"))
	second := l.machine(2, l.restore(store, "snap-1", "disk2"), userData)
	require.NoError(t, l.driver.Start(t.Context(), second))
	c = l.login(second)
	cloudInitDone(t, c)
	require.Equal(t, second.ID, sh(t, c, "cat /var/tmp/first-boot"), "the first boot of another instance")
	require.Equal(t, "kept", sh(t, c, "cat /opt/kept"))
	require.NotEqual(t, hostKeys(t, l, first), hostKeys(t, l, second))

	sh(t, c, "sudo systemd-run --on-active=0 systemctl poweroff")
	awaitExit(t, l.driver, second.ID)
	requireRunning(t, l.driver)
	require.NoError(t, l.driver.Forget(first.ID))
}

// kvmMemory is that of imgops, as the cache of base images is: where guests hang in KVM, a trial takes long.
func kvmMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	require.NoError(t, err)
	return filepath.Join(dir, "imgops", "kvm.json")
}

func requireRunning(t *testing.T, d Driver, want ...string) {
	t.Helper()
	got, err := d.Running(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, want, got)
}

func stopped(t *testing.T, d Driver, id string) {
	t.Helper()
	began := time.Now()
	require.NoError(t, d.Stop(t.Context(), id, false))
	t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
	requireRunning(t, d)
}

// checkVirtual: what a virtual machine has and a container has not, and the way out where this computer has one.
func checkVirtual(t *testing.T, c *ssh.Client) {
	t.Helper()
	require.Equal(t, "Amazon EC2", sh(t, c, "cat /sys/class/dmi/id/sys_vendor"))
	require.Equal(t, "nameserver "+resolverAddr, sh(t, c, "cat /etc/resolv.conf"))
	if _, err := net.DefaultResolver.LookupHost(t.Context(), "deb.debian.org"); err != nil {
		t.Log("the way out is not tested: ", err)
		return
	}
	require.NotEmpty(t, sh(t, c, "getent hosts deb.debian.org"))
	sh(t, c, "curl -sf -o /dev/null http://deb.debian.org/debian/dists/bookworm/Release")
}

// rebootWithNewKernel installs a kernel with a higher version (a byte longer) and reboots from inside: that is the one which boots.
func rebootWithNewKernel(t *testing.T, l *lab, m Machine, c *ssh.Client) {
	t.Helper()
	kernel := l.driver.common().file(m.ID, ".kernel")
	before, err := os.Stat(kernel)
	require.NoError(t, err)
	boot := sh(t, c, "cat /proc/sys/kernel/random/boot_id")
	sh(t, c, `echo kept | sudo tee /opt/kept; cd /boot; v=$(uname -r); sudo cp initrd.img-$v initrd.img-99-test
		sudo cp vmlinuz-$v vmlinuz-99-test; echo | sudo tee -a vmlinuz-99-test; sudo systemd-run --on-active=0 systemctl reboot`)
	_ = c.Wait() // until the boot ends the connection, in whatever way
	c = l.login(m)
	require.NotEqual(t, boot, sh(t, c, "cat /proc/sys/kernel/random/boot_id"), "it comes back after a reboot from inside")
	after, err := os.Stat(kernel)
	require.NoError(t, err)
	require.Equal(t, before.Size()+1, after.Size())
}

func TestQEMUStartRollsBack(t *testing.T) {
	l := newQEMULab(t)
	blank := filepath.Join(l.dir, "blank")
	require.NoError(t, os.WriteFile(blank, make([]byte, 8<<20), 0o600))
	require.ErrorContains(t, l.driver.Start(t.Context(), l.machine(1, blank, "")), "e2fsck")

	m := l.machine(2, l.baseDisk("disk"), "")
	busy, err := net.Listen("tcp4", netip.AddrPortFrom(m.Address, 22).String())
	require.NoError(t, err)
	require.ErrorContains(t, l.driver.Start(t.Context(), m), "Could not set up host forwarding rule")
	require.NoError(t, busy.Close())
	left, err := filepath.Glob(l.driver.common().file("*", ".*"))
	require.NoError(t, err)
	require.Subset(t, []string{l.driver.common().file(m.ID, ".console")}, left)
	require.Empty(t, slices.DeleteFunc(l.footprint(), func(s string) bool { return !strings.Contains(s, m.ID) }))
	require.NoError(t, l.driver.Start(t.Context(), m))
	require.NoError(t, l.driver.Stop(t.Context(), m.ID, true))
	requireRunning(t, l.driver)
}

// A virtual machine has its volumes under their names, and what it writes there is on their disks.
func TestQEMUVolumesBoot(t *testing.T) {
	onRequest(t)
	l := newQEMULab(t)
	m := l.machine(1, l.baseDisk("disk"), "")
	first, second := l.volume(1, "/dev/sdf"), l.volume(2, "xvdg")
	m.Volumes = []Volume{first, second}
	require.NoError(t, l.driver.Start(t.Context(), m))
	c := l.login(m)
	requireNames(t, c, first)
	requireNames(t, c, second)
	sh(t, c, "sudo mkfs.ext4 -q /dev/xvdf && sudo mount /dev/sdf /mnt && echo one | sudo tee /mnt/data && sudo umount /mnt; echo two | sudo dd of=/dev/xvdg conv=fsync")
	stopped(t, l.driver, m.ID)
	data, err := debugfs(t.Context(), first.Disk, "cat /data")
	require.NoError(t, err)
	require.Equal(t, "one\n", data)
	raw, err := os.ReadFile(second.Disk)
	require.NoError(t, err)
	require.Equal(t, "two\n", string(raw[:4]))
}
