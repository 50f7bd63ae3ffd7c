package machines

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/imgops/imgops/images/sandbox/disk"
)

// cloudInitDone waits for the end of the first boot and requires that it went without a warning.
func cloudInitDone(t *testing.T, c *ssh.Client) {
	t.Helper()
	require.Contains(t, sh(t, c, "cloud-init status --wait"), "status: done")
	require.Equal(t, "running", sh(t, c, "systemctl is-system-running --wait"))
	require.Empty(t, sh(t, c, "sudo grep -E 'WARNING|ERROR|CRITICAL' /var/log/cloud-init.log || true"))
}

const userData = "#!/bin/sh\ncloud-init query instance_id > /var/tmp/first-boot\n"

// A machine boots, tells and is told what an EC2 instance does, is captured, and the capture boots as another instance.
func TestLife(t *testing.T) {
	l := newLab(t)
	store, err := disk.Open(filepath.Join(l.dir, "store"))
	require.NoError(t, err)
	require.NoError(t, store.Import(t.Context(), l.baseImage(), "snap-base"))

	first := l.machine(1, l.restore(store, "snap-base", "disk1"), userData)
	began := time.Now()
	require.NoError(t, l.driver.Start(t.Context(), first))
	c := l.login(first)
	t.Logf("SSH %v after the start", time.Since(began).Round(time.Millisecond))
	cloudInitDone(t, c)
	t.Logf("cloud-init done %v after the start", time.Since(began).Round(time.Millisecond))

	require.Equal(t, first.ID, sh(t, c, "cat /var/tmp/first-boot"), "user data ran")
	require.Equal(t, first.Name, sh(t, c, "hostname"))
	require.Contains(t, hostKeys(t, l, first), sh(t, c, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub"), "the console tells the host key")
	checkMetadata(t, c, first)
	checkOutside(t, c)

	sh(t, c, "echo kept | sudo tee /opt/kept")
	began = time.Now()
	require.NoError(t, l.driver.Stop(t.Context(), first.ID, false))
	t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
	running, err := l.driver.Running(t.Context())
	require.NoError(t, err)
	require.Empty(t, running)
	began = time.Now()
	require.NoError(t, store.Capture(t.Context(), first.Disk, "snap-1", "snap-base"))
	_, stored, err := store.Size("snap-1")
	require.NoError(t, err)
	t.Logf("captured %d MiB in %v", stored>>20, time.Since(began).Round(time.Millisecond))

	second := l.machine(2, l.restore(store, "snap-1", "disk2"), userData)
	require.NoError(t, l.driver.Start(t.Context(), second))
	c = l.login(second)
	cloudInitDone(t, c)
	require.Equal(t, second.ID, sh(t, c, "cat /var/tmp/first-boot"), "the first boot of another instance")
	require.Equal(t, "kept", sh(t, c, "cat /opt/kept"))
	require.NotEqual(t, hostKeys(t, l, first), hostKeys(t, l, second))
	require.NoError(t, l.driver.Forget(first.ID))
	console, err := l.driver.Console(first.ID)
	require.NoError(t, err)
	require.Empty(t, console)
}

// hostKeys is what the console says between cloud-init's marks, as a client of GetConsoleOutput reads it.
func hostKeys(t *testing.T, l *lab, m Machine) string {
	t.Helper()
	console, err := l.driver.Console(m.ID)
	require.NoError(t, err)
	_, after, ok := strings.Cut(string(console), "-----BEGIN SSH HOST KEY KEYS-----")
	require.True(t, ok, string(console))
	keys, _, ok := strings.Cut(after, "-----END SSH HOST KEY KEYS-----")
	require.True(t, ok)
	return keys
}

func checkMetadata(t *testing.T, c *ssh.Client, m Machine) {
	t.Helper()
	const get = `token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token) &&
		curl -sf -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/`
	require.Equal(t, m.ID, sh(t, c, get+"meta-data/instance-id"))
	require.Equal(t, userData, sh(t, c, get+"user-data")+"\n")
	require.Equal(t, MAC(m.Address), sh(t, c, get+"meta-data/mac"))
	require.Equal(t, MAC(m.Address), sh(t, c, "cat /sys/class/net/ens5/address"))
	require.Equal(t, "401", sh(t, c, "curl -s -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/"), "version 1 is refused")
	require.Contains(t, sh(t, c, "cloud-id"), "aws")
}

// checkOutside needs the package mirror, as making the base image does.
func checkOutside(t *testing.T, c *ssh.Client) {
	t.Helper()
	require.NotEmpty(t, sh(t, c, "getent hosts deb.debian.org"))
	began := time.Now()
	sh(t, c, "sudo apt-get update --error-on=any")
	t.Logf("apt-get update in %v", time.Since(began).Round(time.Millisecond))
}

// Machines of one sandbox reach each other; those of another one are out of reach, and so is the host's loopback.
func TestIsolation(t *testing.T) {
	a, b := newLab(t), newLab(t)
	require.False(t, a.driver.Prefix().Overlaps(b.driver.Prefix()))
	a1, a2, b1 := a.machine(1, a.baseDisk("disk1"), ""), a.machine(2, a.baseDisk("disk2"), ""), b.machine(1, b.baseDisk("disk"), "")
	require.NoError(t, a.driver.Start(t.Context(), a1))
	require.NoError(t, a.driver.Start(t.Context(), a2))
	require.NoError(t, b.driver.Start(t.Context(), b1))
	a.login(a2)
	b.login(b1)
	c := a.login(a1)
	const knock = "timeout 3 nc -z -w 2 %s 22 && echo open || echo closed"
	require.Equal(t, "open", sh(t, c, strings.Replace(knock, "%s", a2.Address.String(), 1)))
	require.Equal(t, "closed", sh(t, c, strings.Replace(knock, "%s", b1.Address.String(), 1)))
	host, _ := linkPair(b.driver.Prefix())
	require.Equal(t, "closed", sh(t, c, strings.Replace(knock, "%s", host.String(), 1)))
	require.Equal(t, "i-00000000000000002", sh(t, a.login(a2), "cloud-init query instance_id"))
}
