package machines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

func (l *lab) volume(n int, device string) Volume {
	l.t.Helper()
	v := Volume{ID: "vol-0000000000000000" + string(rune('0'+n)), Device: device, Disk: filepath.Join(l.dir, "volume"+string(rune('0'+n)))}
	require.NoError(l.t, os.WriteFile(v.Disk, nil, 0o600))
	require.NoError(l.t, os.Truncate(v.Disk, 64<<20))
	return v
}

// requireNames: all names of the volume lead to a block device of its size, whose mode is udev's on EC2.
func requireNames(t *testing.T, c *ssh.Client, v Volume) {
	t.Helper()
	for _, name := range v.names() {
		require.Equal(t, "67108864 660 root:disk", sh(t, c, "echo $(sudo blockdev --getsize64 "+name+") $(stat -c '%a %U:%G' "+name+")"))
	}
}

// A machine has its volumes from its start, also after a reboot from inside and through the death of its server; it gets more while it
// runs and gives them back, but not one that it has mounted; what was written is on the disks; and nothing is left.
func TestVolumes(t *testing.T) {
	l := newLab(t)
	m := l.machine(1, l.baseDisk("disk"), "")
	first, second := l.volume(1, "/dev/sdf"), l.volume(2, "xvdg")
	m.Volumes = []Volume{first}
	l.killedServer(m, "started", 0)
	l.driver = l.open()
	requireRunning(t, l.driver, m.ID)
	c := l.login(m)
	requireNames(t, c, first)
	sh(t, c, "sudo mkfs.ext4 -q /dev/xvdf && sudo mount /dev/sdf /mnt && echo one | sudo tee /mnt/data && sudo umount /mnt")

	plugs := l.driver.(Plugger)
	require.NoError(t, plugs.Attach(t.Context(), m.ID, second))
	require.NoError(t, plugs.Attach(t.Context(), m.ID, second), "again")
	requireNames(t, c, second)
	sh(t, c, "sudo mkfs.ext4 -q /dev/xvdg && sudo mount /dev/xvdg /mnt && echo two | sudo tee /mnt/data")
	require.ErrorIs(t, plugs.Detach(t.Context(), m.ID, second.ID), ErrBusy)
	requireNames(t, c, second)

	require.NoError(t, plugs.Attach(t.Context(), m.ID, second), "it stays")
	c = l.rebootFromInside(m, c)
	requireNames(t, c, first)
	requireNames(t, c, second)

	sh(t, c, "sudo mount /dev/sdf /mnt && sudo mkdir /mnt2 && sudo mount /dev/xvdg /mnt2")
	require.ErrorIs(t, plugs.Detach(t.Context(), m.ID, first.ID), ErrBusy)
	require.ErrorIs(t, plugs.Detach(t.Context(), m.ID, second.ID), ErrBusy)
	sh(t, c, "sudo umount /mnt")
	require.NoError(t, plugs.Detach(t.Context(), m.ID, first.ID), "it is not mounted any more")
	c = l.rebootFromInside(m, c)
	require.NoError(t, plugs.Detach(t.Context(), m.ID, second.ID), "its last boot is over")
	require.NoError(t, plugs.Detach(t.Context(), m.ID, second.ID), "again")
	require.Empty(t, sh(t, c, "ls /dev/sdf /dev/xvd* /dev/disk/by-id/* 2>/dev/null || true"))
	require.Empty(t, loops(t, first.Disk, second.Disk), "the devices are freed while the machine runs")

	other := l.machine(2, l.baseDisk("disk2"), "")
	other.Volumes = []Volume{first, second}
	require.NoError(t, l.driver.Start(t.Context(), other))
	c2 := l.login(other)
	require.Equal(t, "one\ntwo", sh(t, c2, "mkdir /tmp/a /tmp/b; sudo mount /dev/sdf /tmp/a; sudo mount /dev/xvdg /tmp/b; cat /tmp/a/data /tmp/b/data; echo more | sudo tee /tmp/b/more >/dev/null"))
	require.ErrorIs(t, plugs.Detach(t.Context(), other.ID, second.ID), ErrBusy)
	require.NoError(t, l.driver.Reboot(t.Context(), other.ID))
	require.Empty(t, loops(t, second.Disk), "a reboot gives it back")
	require.Len(t, loops(t, first.Disk), 1)
	require.NoError(t, l.driver.Stop(t.Context(), other.ID, true))
	require.Empty(t, loops(t, first.Disk, second.Disk))
	require.NoError(t, l.driver.Start(t.Context(), other))
	require.NoError(t, l.driver.Stop(t.Context(), other.ID, false))
	require.Empty(t, loops(t, first.Disk, second.Disk))
}

// A server that was killed at an attachment left any part of it: the next one makes the rest.
func TestAttachGoesOn(t *testing.T) {
	l := newLab(t)
	m := l.machine(1, l.baseDisk("disk"), "")
	require.NoError(t, l.driver.Start(t.Context(), m))
	c := l.login(m)
	binds := l.driver.common().file(m.ID, ".binds")
	for n, undo := range []func(*Nspawn, Volume){
		func(*Nspawn, Volume) {}, // killed at the end
		func(_ *Nspawn, v Volume) { // before the names were written down
			require.NoError(t, os.WriteFile(binds, nil, 0o600))
		},
		func(_ *Nspawn, v Volume) { // between two names
			sh(t, c, "sudo rm "+strings.Join(v.names()[1:], " "))
			require.NoError(t, os.WriteFile(binds, nil, 0o600))
		},
		func(d *Nspawn, v Volume) { // before the device was made
			require.NoError(t, d.release(t.Context(), d.find(m.ID), v))
			require.NoError(t, os.WriteFile(binds, nil, 0o600))
		},
	} {
		v := l.volume(1+n, "/dev/sdf")
		require.NoError(t, l.driver.(Plugger).Attach(t.Context(), m.ID, v))
		undo(l.driver.(*Nspawn), v)
		require.NoError(t, l.driver.Close())
		l.driver = l.open()
		require.NoError(t, l.driver.(Plugger).Attach(t.Context(), m.ID, v))
		requireNames(t, c, v)
		require.Len(t, loops(t, v.Disk), 1)
		require.Len(t, findProcesses(holderMark(v.Disk)), 1)
		data, err := os.ReadFile(binds)
		require.NoError(t, err)
		require.Contains(t, string(data), v.names()[2], "for a reboot from inside")
		require.NoError(t, l.driver.(Plugger).Detach(t.Context(), m.ID, v.ID))
		require.Empty(t, loops(t, v.Disk))
	}
}

// rebootFromInside returns when the machine can be logged in to again. /run is made anew by a boot.
func (l *lab) rebootFromInside(m Machine, c *ssh.Client) *ssh.Client {
	l.t.Helper()
	sh(l.t, c, "sudo touch /run/before; sudo systemd-run --on-active=0 systemctl reboot")
	_ = c.Wait()
	require.Eventually(l.t, func() bool {
		c = l.login(m)
		s, err := c.NewSession()
		if err != nil {
			return false
		}
		defer s.Close()
		return s.Run("test ! -e /run/before") == nil
	}, loginPatience, 50*time.Millisecond)
	return c
}

func loops(t *testing.T, disks ...string) (all []string) {
	t.Helper()
	for _, disk := range disks {
		found, err := loopsOf(disk)
		require.NoError(t, err)
		all = append(all, found...)
	}
	return all
}

// A start that fails, at the second volume or later, leaves no loop device.
func TestVolumesRollBack(t *testing.T) {
	l := newLab(t)
	blank := l.volume(1, "/dev/sdf")
	m := l.machine(1, l.volume(3, "").Disk, "") // no file system
	m.Volumes = []Volume{blank, l.volume(2, "/dev/sdg")}
	require.Error(t, l.driver.Start(t.Context(), m))
	require.Empty(t, loops(t, blank.Disk, m.Volumes[1].Disk))

	m.Volumes[1].Disk = l.dir // no disk
	require.Error(t, l.driver.Start(t.Context(), m))
	require.Empty(t, loops(t, blank.Disk))
	m.Volumes[1].Disk = filepath.Join(l.dir, "none")
	require.ErrorIs(t, l.driver.Start(t.Context(), m), os.ErrNotExist)
	require.Error(t, l.driver.(Plugger).Attach(t.Context(), m.ID, blank), "it does not run")
	require.NoError(t, l.driver.(Plugger).Detach(t.Context(), m.ID, blank.ID))
	requireRunning(t, l.driver)
}

func TestVolumeNames(t *testing.T) {
	const byID = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0"
	for device, want := range map[string][]string{
		"/dev/sdf": {"/dev/sdf", "/dev/xvdf", byID}, "sdh1": {"/dev/sdh1", "/dev/xvdh1", byID}, "/dev/xvdba": {"/dev/xvdba", byID},
	} {
		require.Equal(t, want, Volume{ID: "vol-0123456789abcdef0", Device: device}.names())
	}
}

func TestQEMUVolumes(t *testing.T) {
	args := strings.Join(volumeArgs([]Volume{{ID: "vol-0123456789abcdef0", Device: "/dev/sdf", Disk: "/a,b/v.raw"}}), " ")
	require.Contains(t, args, "file=/a,,b/v.raw -device virtio-blk-pci,drive=volume0,serial=vol0123456789abcdef0")
	require.Contains(t, args, "-smbios type=11,value=io.systemd.credential.binary:tmpfiles.extra=TCAv")
	require.Empty(t, volumeArgs(nil))
}
