package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
)

// figureSandbox measures the sandbox itself with nspawn machines: how soon an instance can be used, what an image costs in
// time, and what ten images cost in disk.
func (w *realWorld) figureSandbox(t *testing.T) {
	w.sandboxUp(t, "nspawn")
	defer w.imgops(t, w.dir, "sandbox", "reset", "--name", w.sandbox)
	var launches []time.Duration
	var m *machine.Machine
	for n := range 5 {
		if m != nil {
			require.NoError(t, m.Close(t.Context()))
		}
		var took time.Duration
		m, took = w.bootMachine(t, n)
		launches = append(launches, took)
	}
	t.Logf("FIGURE sandbox: launch to SSH with cloud-init done: %v (median of %d; under 3.5s)", median(launches).Round(10*time.Millisecond), len(launches))

	disks := filepath.Join(w.dir, "state", "imgops", "sandbox", w.sandbox, "disks")
	before := diskUse(t, disks)
	require.NoError(t, m.Stop(t.Context()))
	first := w.timedImage(t, m.ID, "figure-0")
	t.Logf("FIGURE sandbox: CreateImage of the %d GiB base disk with %d MiB in it, the difference to the base stored: %v (under 1.5s)",
		*w.debian(t).BlockDeviceMappings[0].Ebs.VolumeSize, before>>20, first.Round(10*time.Millisecond))
	for n := range 9 {
		w.timedImage(t, m.ID, fmt.Sprintf("figure-%d", n+1))
	}
	after := diskUse(t, disks)
	t.Logf("FIGURE sandbox: disk use of ten images of one base: base %d MiB, ten images %d MiB more, %d MiB each", before>>20, (after-before)>>20, (after-before)/10>>20)

	w.start(t, m.ID)
	w.settled(t)
	require.NoError(t, m.Close(t.Context()))
	w.figureNewData(t)
}

// figureNewData captures a disk with 400 MB that no other image has: nothing can be shared.
func (w *realWorld) figureNewData(t *testing.T) {
	m, _ := w.bootMachine(t, 9)
	defer func() { require.NoError(t, m.Close(t.Context())) }()
	out, err := w.command(w.dir, "ssh", "-F", m.SSHConfig, "-l", "admin", m.Address, "sudo dd if=/dev/urandom of=/var/data bs=1M count=400 && sync").CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, m.Stop(t.Context()))
	took := w.timedImage(t, m.ID, "figure-data")
	t.Logf("FIGURE sandbox: CreateImage with 400 MiB that the base has not: %v", took.Round(10*time.Millisecond))
}

// bootMachine launches Debian's image with imgops' launcher and waits until cloud-init is done.
func (w *realWorld) bootMachine(t *testing.T, n int) (*machine.Machine, time.Duration) {
	t.Helper()
	began := time.Now()
	api := w.ec2(t, durableHome)
	img := w.debian(t)
	m, err := machine.NewLauncher(api).Launch(t.Context(), machine.Spec{
		Location: durableHome, Image: images.Image{ID: *img.ImageId, RootDevice: *img.RootDeviceName, DiskGiB: *img.BlockDeviceMappings[0].Ebs.VolumeSize},
		Purpose: "bench", Fleet: "acme", Role: "base", Run: fmt.Sprintf("figure-%d", n), InstanceTypes: []string{"t3.small"}, SSHUser: "admin",
		Lifetime: time.Hour, WorkDir: filepath.Join(w.dir, fmt.Sprintf("figure-%d", n)),
	}, nil)
	require.NoError(t, err)
	require.NoError(t, m.WaitBooted(t.Context(), "cloud-init", nil))
	return m, time.Since(began)
}

// timedImage makes an image of a stopped instance and returns how long it took to be available.
func (w *realWorld) timedImage(t *testing.T, instance, name string) time.Duration {
	t.Helper()
	began := time.Now()
	id := w.createImage(t, instance, name, true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for string(w.image(t, id).State) != "available" {
		select {
		case <-tick.C:
		case <-ctx.Done():
			require.NoError(t, ctx.Err(), "image %s", id)
		}
	}
	return time.Since(began)
}

// diskUse is what a directory takes on the disk, in bytes: holes are not counted.
func diskUse(t *testing.T, dir string) int64 {
	t.Helper()
	out, err := exec.Command("du", "-s", "-B1", dir).Output()
	require.NoError(t, err)
	word, _, _ := strings.Cut(string(out), "\t")
	n, err := strconv.ParseInt(word, 10, 64)
	require.NoError(t, err)
	return n
}
