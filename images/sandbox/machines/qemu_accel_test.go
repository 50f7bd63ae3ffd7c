package machines

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The trial that decides about KVM tells a guest that boots from one that does not.
func TestQEMUTrial(t *testing.T) {
	l := newQEMULab(t)
	why, err := accel{}.try(t.Context(), loginPatience, l.dir, l.baseImage())
	require.NoError(t, err)
	require.Empty(t, why)
	why, err = accel{}.try(t.Context(), loginPatience, l.dir, fakeBoot(t, l.dir))
	require.NoError(t, err)
	require.NotEmpty(t, why)
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

// The choice is made by a guest that boots or does not, is remembered while the host runs, and is made again after its next boot.
func TestChooseAccel(t *testing.T) {
	if err := ProbeQEMU(); err != nil {
		t.Skip(err)
	}
	const (
		crashes = "echo 'KVM: entry failed, hardware error 0x80000021' >&2; exit 1"
		boots   = "echo " + trialMark
		hangs   = "exec sleep 60"
	)
	dir := t.TempDir()
	host, err := hostBoot()
	require.NoError(t, err)
	disk := fakeBoot(t, dir)
	for name, tc := range map[string]struct {
		device, known, qemu string
		want                accel
		why                 string
	}{
		"the guest crashes":              {qemu: crashes, want: accel{Host: host}, why: "opens, but a guest did not boot with it: KVM: entry failed, hardware error 0x80000021"},
		"the guest hangs":                {qemu: hangs, want: accel{Host: host}, why: "opens, but a guest did not boot with it in"},
		"the guest boots":                {qemu: boots, want: accel{KVM: true, Host: host}},
		"no device":                      {device: filepath.Join(dir, "none"), qemu: boots, why: "no KVM: open"},
		"it is known that it works":      {known: `{"kvm":true,"host":"` + host + `"}`, qemu: crashes, want: accel{KVM: true, Host: host}},
		"it is known that it does not":   {known: `{"why":"so","host":"` + host + `"}`, qemu: boots, want: accel{Host: host}, why: "so"},
		"what was known before the boot": {known: `{"kvm":true,"host":"another"}`, qemu: crashes, want: accel{Host: host}, why: "hardware error"},
		"what is kept is not to be read": {known: `{`, qemu: boots, want: accel{KVM: true, Host: host}},
	} {
		t.Run(name, func(t *testing.T) {
			c := fakeChooser(t, tc.qemu)
			if tc.qemu == hangs {
				c.bound = 50 * time.Millisecond
			}
			c.device = cmp.Or(tc.device, c.device)
			if tc.known != "" {
				require.NoError(t, os.MkdirAll(filepath.Dir(c.memory), 0o700))
				require.NoError(t, os.WriteFile(c.memory, []byte(tc.known), 0o600))
			}
			got, err := c.choose(t.Context(), disk)
			require.NoError(t, err)
			require.Contains(t, got.Why, tc.why)
			require.Equal(t, tc.why == "", got.Why == "")
			got.Why = ""
			require.Equal(t, tc.want, got)
			if tc.want.Host != "" {
				require.Equal(t, host, c.remembered().Host)
				require.Equal(t, tc.want.KVM, c.remembered().KVM)
			}
			left, err := filepath.Glob(filepath.Join(c.dir, "trial-*"))
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// What has not been tried is not used, and a trial that was broken off decides nothing.
func TestChooseAccelLater(t *testing.T) {
	if err := ProbeQEMU(); err != nil {
		t.Skip(err)
	}
	c := fakeChooser(t, "echo "+trialMark)
	got, err := c.choose(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, accel{Why: "KVM has not been tried"}, got)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.choose(ctx, fakeBoot(t, c.dir))
	require.ErrorIs(t, err, context.Canceled)
	_, err = c.choose(t.Context(), c.device)
	require.ErrorContains(t, err, "trying KVM with the kernel of")
	require.NoFileExists(t, c.memory)
}

// The real QEMU and the real device: what was chosen because a guest booted boots again, and anything else has its reason.
func TestChooseAccelHere(t *testing.T) {
	onRequest(t)
	l := newQEMULab(t)
	c := chooser{device: "/dev/kvm", memory: filepath.Join(l.dir, "kvm.json"), dir: l.dir, bound: kvmBound, log: slog.New(slog.DiscardHandler)}
	got, err := c.choose(t.Context(), l.baseImage())
	require.NoError(t, err)
	t.Log(got)
	if got.KVM {
		why, err := got.try(t.Context(), kvmBound, l.dir, l.baseImage())
		require.NoError(t, err)
		require.Empty(t, why)
	} else {
		require.Regexp(t, "^no KVM: |a guest did not boot with it", got.Why)
	}
}

// fakeChooser has a qemu-system-x86_64 that is a shell script, and a file for a device that opens.
func fakeChooser(t *testing.T, script string) chooser {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "qemu-system-x86_64"), []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	c := chooser{device: filepath.Join(dir, "kvm"), memory: filepath.Join(dir, "cache", "kvm.json"), dir: dir, bound: 10 * time.Second, log: slog.New(slog.DiscardHandler)}
	require.NoError(t, os.WriteFile(c.device, nil, 0o600))
	return c
}
