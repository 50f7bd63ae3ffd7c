package machines

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

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

// The files of a trial whose process was killed go when the next one opens the directory; nothing else does.
func TestTrialLeftovers(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "trial-123", "deep"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kvm.json"), nil, 0o600))
	require.NoError(t, removeTrials(dir))
	require.NoDirExists(t, filepath.Join(dir, "trial-123"))
	require.FileExists(t, filepath.Join(dir, "kvm.json"))
}
