package machines

import (
	"bytes"
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

// newQEMULab skips the test where qemu machines cannot run.
func newQEMULab(t *testing.T) *lab {
	t.Helper()
	return makeLab(t, ProbeQEMU(), func(l *lab) testDriver {
		began := time.Now()
		d, err := NewQEMU(t.Context(), QEMUOptions{Options: l.options(), Pipe: testPipe(), Trial: l.baseImage()})
		require.NoError(t, err)
		t.Logf("the processors are %s, opened in %v", d.Detail(), time.Since(began).Round(time.Millisecond))
		return d
	})
}

// A virtual machine lives as TestLife's container does, and through the death of its server. Emulated, it boots a hundred times as slowly, so all
// is in one test with three boots.
func TestQEMULife(t *testing.T) {
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

func TestNewestKernel(t *testing.T) {
	for want, names := range map[string][]string{
		"":                     {".", "..", "config-6.1.0-9-cloud-amd64", "vmlinuz-6.1.0-9-cloud-amd64"},
		"6.1.0-10-cloud-amd64": {"vmlinuz-6.1.0-9-cloud-amd64", "initrd.img-6.1.0-9-cloud-amd64", "vmlinuz-6.1.0-10-cloud-amd64", "initrd.img-6.1.0-10-cloud-amd64"},
		"6.1.0-9-cloud-amd64":  {"vmlinuz-6.1.0-9-cloud-amd64", "initrd.img-6.1.0-9-cloud-amd64", "vmlinuz-6.12.0-1-cloud-amd64"},
		"6.12.1":               {"initrd.img-6.12.1", "vmlinuz-6.12.1", "vmlinuz-6.9.99", "initrd.img-6.9.99", "vmlinuz-6.12", "initrd.img-6.12"},
	} {
		require.Equal(t, want, newestKernel(names))
	}
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("6.1.0-9-amd64", "6.1.0-10-amd64")
	f.Add("", "0")
	f.Fuzz(func(t *testing.T, a, b string) {
		require.Zero(t, compareVersions(a, a))
		require.Equal(t, compareVersions(a, b) > 0, compareVersions(b, a) < 0)
	})
}

func TestQEMUCommand(t *testing.T) {
	d := &QEMU{keeper: &keeper{dir: "/d"}, prefix: netip.MustParsePrefix("127.213.9.0/24"), pipe: []string{"/o'k/a,b", "pipe"}}
	m := Machine{ID: "i-0123456789abcdef0", Disk: "/a,b/disk", Address: netip.MustParseAddr("127.213.9.5")}
	args := d.command(m)
	require.Contains(t, strings.Join(args, " "), "-accel tcg")
	require.Contains(t, args, d.marker(m.ID))
	require.Contains(t, args, "if=none,id=root,format=raw,cache=unsafe,discard=unmap,detect-zeroes=unmap,file=/a,,b/disk")
	require.Contains(t, args, "user,id=net,ipv6=off,net=169.254.169.0/24,host=169.254.169.1,dns=169.254.169.253,dhcpstart=169.254.169.16,"+
		"hostfwd=tcp:127.213.9.5:22-169.254.169.16:22,"+
		`guestfwd=tcp:169.254.169.254:80-cmd:'/o'\''k/a,,b' 'pipe' '127.213.9.5' '127.213.9.1:16925'`)

	d.accel = accel{KVM: true}
	require.Contains(t, strings.Join(d.command(m), " "), "-accel kvm")
	require.Equal(t, "kvm", d.Detail())
}

func TestPickLoopback(t *testing.T) {
	used := []netip.Addr{netip.MustParseAddr("127.213.255.5"), netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("127.0.0.1")}
	p, err := pickLoopback(used, 7)
	require.NoError(t, err)
	require.Equal(t, "127.213.7.0/24", p.String())
	p, err = pickLoopback(used, 255)
	require.NoError(t, err)
	require.Equal(t, "127.213.0.0/24", p.String(), "the next one, around the end")
	var all []netip.Addr
	for i := range 256 {
		all = append(all, netip.AddrFrom4([4]byte{127, 213, byte(i), 1}))
	}
	_, err = pickLoopback(all, 7)
	require.ErrorContains(t, err, "no free")
}

func TestListeners(t *testing.T) {
	l, err := net.Listen("tcp4", "127.213.254.9:0")
	require.NoError(t, err)
	defer l.Close()
	got, err := listeners()
	require.NoError(t, err)
	require.Contains(t, got, netip.MustParseAddr("127.213.254.9"))
}

func FuzzParseListener(f *testing.F) {
	f.Add("   0: 0100007F:0016 00000000:0000 0A 00000000:00000000")
	f.Fuzz(func(_ *testing.T, line string) { parseListener(line) })
}

func TestProbePort22(t *testing.T) {
	l, err := net.Listen("tcp4", "127.213.254.10:0")
	require.NoError(t, err)
	defer l.Close()
	require.ErrorContains(t, probePort22(l.Addr().String()), "ListenAddress")
}

// The service knows the machine by the address from which its pipe connects.
func TestPipe(t *testing.T) {
	l, err := net.Listen("tcp4", "127.213.254.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		asked := new(bytes.Buffer)
		_, _ = asked.ReadFrom(c)
		_, _ = c.Write([]byte(asked.String() + " from " + c.RemoteAddr().(*net.TCPAddr).IP.String()))
	}()
	var out bytes.Buffer
	require.NoError(t, Pipe(t.Context(), "127.213.254.77", l.Addr().String(), strings.NewReader("asked"), &out))
	require.Equal(t, "asked from 127.213.254.77", out.String())
	require.Error(t, Pipe(t.Context(), "nonsense", l.Addr().String(), strings.NewReader(""), &out))
}

// The trial that decides about KVM tells a guest that boots from one that does not.
func TestQEMUTrial(t *testing.T) {
	l := newQEMULab(t)
	require.NoError(t, accel{}.try(t.Context(), l.dir, l.baseImage()))
	fake := fakeBoot(t, l.dir)
	require.ErrorContains(t, accel{}.try(t.Context(), l.dir, fake), "did not boot")
	left, err := filepath.Glob(filepath.Join(l.dir, "trial-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// fakeBoot is a disk whose kernel is none.
func fakeBoot(t *testing.T, dir string) string {
	t.Helper()
	tree, disk := filepath.Join(dir, "tree"), filepath.Join(dir, "fake")
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "boot"), 0o755))
	for _, name := range []string{"vmlinuz-1", "initrd.img-1"} {
		require.NoError(t, os.WriteFile(filepath.Join(tree, "boot", name), []byte("not a kernel"), 0o600))
	}
	require.NoError(t, os.WriteFile(disk, nil, 0o600))
	require.NoError(t, os.Truncate(disk, 8<<20))
	require.NoError(t, run(t.Context(), "", "mkfs.ext4", "-q", "-F", "-d", tree, disk))
	return disk
}

// What was found out about KVM holds until the host's kernel is another one.
func TestAccelIsRemembered(t *testing.T) {
	if f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err != nil {
		t.Skip("without KVM there is nothing to remember: ", err)
	} else {
		f.Close()
	}
	host, err := hostKernel()
	require.NoError(t, err)
	d := &QEMU{keeper: &keeper{dir: t.TempDir()}}
	got, err := d.chooseAccel(t.Context(), "")
	require.NoError(t, err)
	require.False(t, got.KVM, "what has not been tried is not used")
	for file, want := range map[string]accel{
		`{"kvm":true,"host":"` + host + `"}`: {KVM: true, Host: host},
		`{"kvm":true,"host":"another"}`:      {Why: "KVM has not been tried"},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(d.dir, "accel.json"), []byte(file), 0o600))
		got, err = d.chooseAccel(t.Context(), "")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "accel.json"), []byte("{"), 0o600))
	_, err = d.chooseAccel(t.Context(), "")
	require.ErrorContains(t, err, "remove")
}
