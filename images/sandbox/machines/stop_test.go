package machines

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// start boots a machine of the base image and logs in.
func (l *lab) start(n int) (Machine, *ssh.Client) {
	l.t.Helper()
	m := l.machine(n, l.baseDisk("disk"), "")
	require.NoError(l.t, l.driver.Start(l.t.Context(), m))
	return m, l.login(m)
}

func awaitExit(t *testing.T, d Driver, id string) {
	t.Helper()
	select {
	case got := <-d.Exited():
		require.Equal(t, id, got)
	case <-time.After(5 * time.Minute):
		require.Fail(t, "no word of the machine's end")
	}
}

func TestShutdownFromInside(t *testing.T) {
	l := newLab(t)
	m, c := l.start(1)
	boot := sh(t, c, "cat /proc/sys/kernel/random/boot_id")
	sh(t, c, "sudo systemd-run --on-active=0 systemctl reboot")
	require.Eventually(t, func() bool {
		s, err := l.dial(m)
		if err != nil {
			return false
		}
		defer s.Close()
		return sh(t, s, "cat /proc/sys/kernel/random/boot_id") != boot
	}, time.Minute, 100*time.Millisecond, "it comes back after a reboot from inside")

	require.NoError(t, l.driver.Reboot(t.Context(), m.ID))
	c = l.login(m)
	sh(t, c, "sudo systemd-run --on-active=0 systemctl poweroff")
	awaitExit(t, l.driver, m.ID)
	running, err := l.driver.Running(t.Context())
	require.NoError(t, err)
	require.Empty(t, running)

	require.NoError(t, l.driver.Start(t.Context(), m), "it can be started again")
	require.ErrorContains(t, l.driver.Start(t.Context(), m), "running")
	require.NoError(t, l.driver.Stop(t.Context(), m.ID, true))
	require.NoError(t, l.driver.Stop(t.Context(), m.ID, true), "stopping what is stopped")
	require.NoError(t, l.driver.Down(t.Context()))
	require.NoError(t, l.driver.Start(t.Context(), m), "after Down the network is made anew")
	l.login(m)
}

func TestStartRollsBack(t *testing.T) {
	l := newLab(t)
	before := l.footprint()
	rubbish := filepath.Join(l.dir, "rubbish")
	require.NoError(t, os.WriteFile(rubbish, make([]byte, 1<<20), 0o600))
	m := l.machine(1, rubbish, "")
	require.ErrorContains(t, l.driver.Start(t.Context(), m), "ended at once")
	require.Equal(t, before, l.footprint())

	for name, bad := range map[string]func(*Machine){
		"no such disk": func(m *Machine) { m.Disk = filepath.Join(l.dir, "none") },
		"a path as id": func(m *Machine) { m.ID = "../x" },
		"foreign address": func(m *Machine) {
			m.Address = l.driver.Prefix().Addr().Prev()
		},
		"the gateway": func(m *Machine) { m.Address = gateway(l.driver.Prefix()) },
	} {
		m := l.machine(1, rubbish, "")
		bad(&m)
		require.Error(t, l.driver.Start(t.Context(), m), name)
		require.Equal(t, before, l.footprint(), name)
	}
}
