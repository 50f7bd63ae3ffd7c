package machines

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/imgops/imgops/images/sandbox/baseimage"
	"github.com/imgops/imgops/images/sandbox/disk"
	"github.com/imgops/imgops/images/sandbox/imds"
)

// lab is a sandbox without an API: a driver, its metadata, and a key that the machines let in.
type lab struct {
	t      *testing.T
	dir    string
	open   func() testDriver // as a server does that starts
	driver testDriver
	signer ssh.Signer

	mu   sync.Mutex
	docs map[netip.Addr]imds.Document
}

type testDriver interface {
	Driver
	common() *keeper
}

func (k *keeper) common() *keeper { return k }

// newLab skips the test where nspawn machines cannot run.
func newLab(t *testing.T) *lab {
	t.Helper()
	return makeLab(t, Probe(), func(l *lab) testDriver {
		d, err := NewNspawn(t.Context(), l.options())
		require.NoError(t, err)
		return d
	})
}

func makeLab(t *testing.T, probe error, open func(*lab) testDriver) *lab {
	t.Helper()
	if testing.Short() {
		t.Skip("starts machines")
	}
	if probe != nil {
		t.Skip(probe)
	}
	if err := baseimage.Probe(); err != nil {
		t.Skip(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	l := &lab{t: t, dir: t.TempDir(), docs: map[netip.Addr]imds.Document{}}
	l.signer, err = ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	l.open = func() testDriver { return open(l) }
	l.driver = l.open()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		require.NoError(t, l.driver.Down(ctx))
		require.NoError(t, l.driver.Close())
		require.Empty(t, l.footprint(), "Down leaves nothing")
	})
	return l
}

func (l *lab) options() Options {
	return Options{
		Dir: filepath.Join(l.dir, "driver"), Name: "test", Metadata: imds.Handler(l.lookup), Log: slog.New(slog.NewTextHandler(l.t.Output(), nil)),
	}
}

func (l *lab) lookup(a netip.Addr) (imds.Document, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	doc, ok := l.docs[a]
	return doc, ok
}

// baseImage is the path of the base image, from the cache that imgops uses.
func (l *lab) baseImage() string {
	l.t.Helper()
	dir, err := os.UserCacheDir()
	require.NoError(l.t, err)
	img, err := baseimage.Make(l.t.Context(), baseimage.Options{Dir: filepath.Join(dir, "imgops", "base")})
	require.NoError(l.t, err)
	return img.Path
}

// baseDisk is a fresh copy of the base image.
func (l *lab) baseDisk(name string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	out, err := exec.Command("cp", "--sparse=always", l.baseImage(), path).CombinedOutput()
	require.NoError(l.t, err, string(out))
	return path
}

func (l *lab) restore(store *disk.Store, snapshot, name string) string {
	l.t.Helper()
	began := time.Now()
	path := filepath.Join(l.dir, name)
	require.NoError(l.t, store.Restore(l.t.Context(), snapshot, path, 0))
	l.t.Logf("restored %s in %v", snapshot, time.Since(began).Round(time.Millisecond))
	return path
}

// machine describes the n-th machine of the lab, and its metadata with the user data given.
func (l *lab) machine(n int, disk, userData string) Machine {
	addr := l.driver.Prefix().Addr()
	for range n + 10 {
		addr = addr.Next()
	}
	m := Machine{ID: fmt.Sprintf("i-%017x", n), Disk: disk, Address: addr, Name: "ip-" + strings.ReplaceAll(addr.String(), ".", "-")}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.docs[addr] = imds.Document{
		InstanceID: m.ID, ImageID: "ami-0123456789abcdef0", AccountID: "111111111111", Region: "us-east-1", AvailabilityZone: "us-east-1a",
		InstanceType: "t3.small", Architecture: "x86_64", PrivateIP: addr.String(), MAC: MAC(addr), LocalHostname: m.Name + ".ec2.internal",
		PublicKeys: []imds.PublicKey{{Name: "imgops", OpenSSH: string(ssh.MarshalAuthorizedKey(l.signer.PublicKey()))}},
		UserData:   []byte(userData), HTTPTokensRequired: true, HopLimit: 1, LaunchTime: time.Now(), SecurityGroups: []string{"default"},
		ReservationID: "r-0123456789abcdef0",
	}
	return m
}

func (l *lab) dial(m Machine) (*ssh.Client, error) {
	return ssh.Dial("tcp", netip.AddrPortFrom(m.Address, 22).String(), &ssh.ClientConfig{
		User: "admin", Auth: []ssh.AuthMethod{ssh.PublicKeys(l.signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: time.Second,
	})
}

// loginPatience is for an emulated machine on a busy computer.
const loginPatience = 8 * time.Minute

// login waits for SSH.
func (l *lab) login(m Machine) *ssh.Client {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), loginPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := l.dial(m)
		if err == nil {
			l.t.Cleanup(func() { _ = c.Close() })
			return c
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			console, _ := l.driver.Console(m.ID)
			require.NoError(l.t, err, "logging in to %s; console:\n%s", m.ID, console)
		}
	}
}

func sh(t *testing.T, c *ssh.Client, command string) string {
	t.Helper()
	s, err := c.NewSession()
	require.NoError(t, err)
	defer s.Close()
	out, err := s.CombinedOutput(command)
	require.NoError(t, err, "%s: %s", command, out)
	return strings.TrimSpace(string(out))
}

// footprint is all that the sandbox has on this computer: mounts, links, namespaces, routes, loop devices, cgroups and processes.
func (l *lab) footprint() []string {
	l.t.Helper()
	// Of a mount only where it is and how: the kernel gives peer groups new numbers.
	out, err := exec.Command("sh", "-c", `cut -d' ' -f5,6 /proc/self/mountinfo; ip -o link | cut -d: -f2; ls /run/netns 2>/dev/null
		ip route; cat /sys/block/loop*/loop/backing_file 2>/dev/null; find /sys/fs/cgroup -name 'imgops*'
		ps -eo stat,args | grep -v '^Z' | cut -d' ' -f2-; true`).Output()
	require.NoError(l.t, err)
	var mine []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, l.driver.common().id) || strings.Contains(line, l.dir+"/") {
			mine = append(mine, strings.Join(strings.Fields(line), " "))
		}
	}
	slices.Sort(mine)
	return mine
}
