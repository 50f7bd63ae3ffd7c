package machines

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBoot(t *testing.T) {
	l := newLab(t)
	m := l.machine(1, l.baseDisk("disk"), "#!/bin/sh\necho hello > /var/tmp/user-data\n")
	began := time.Now()
	require.NoError(t, l.driver.Start(t.Context(), m))
	t.Log("started after", time.Since(began))
	c := l.login(m)
	t.Log("SSH after", time.Since(began))
	sh(t, c, "cloud-init status --wait")
	t.Log("cloud-init after", time.Since(began))
	t.Log(sh(t, c, "systemctl is-system-running --wait; systemctl --failed; systemd-analyze; systemd-analyze blame | head -20; systemd-analyze critical-chain; cat /run/cloud-init/status.json; sudo grep -n WARN /var/log/cloud-init.log; ip addr; ps ax; true"))
	t.Log(sh(t, c, "sudo grep -v '^$' /var/log/cloud-init.log | cut -c1-150"))
	console, _ := l.driver.Console(m.ID)
	t.Log(string(console))
}
