package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

// A sandbox without machines that is killed or taken down, and started without flags, is as it was: its instances, which
// nothing can have ended, its images, its conditions and its port. What a killed process was writing is gone.
func TestSandboxComesBackAsItWas(t *testing.T) {
	w := newMachinelessWorld(t)
	status := func() (out string) {
		out, _ = w.imgops(t, w.dir, "sandbox", "status", "--name", w.sandbox)
		return out
	}
	t.Cleanup(func() { _ = w.command(w.dir, w.binary, "sandbox", "reset", "--name", w.sandbox).Run() })
	w.imgops(t, w.dir, "sandbox", "up", "--name", w.sandbox, "--machines", "none", "--fault", "ec2:CreateImage:1:lost", "--seed", "5")
	w.sandboxUp(t, "none")
	runs, rests := w.launch(t), w.launch(t)
	w.awaitState(t, runs, types.InstanceStateNameRunning)
	w.awaitState(t, rests, types.InstanceStateNameRunning)
	w.stop(t, rests)
	w.awaitState(t, rests, types.InstanceStateNameStopped)
	before := status()
	require.Contains(t, before, "fault ec2:CreateImage:1:lost")
	require.Contains(t, before, "seed 5")

	home := filepath.Join(w.dir, "state", "imgops", "sandbox", w.sandbox)
	w.kill(t)
	write(t, filepath.Join(home, ".settings.json123"), "half")
	write(t, filepath.Join(home, "cloud", "volumes", "vol-00000000000000001.raw.tmp"), "half")
	_, errs := w.imgops(t, w.dir, "sandbox", "up", "--name", w.sandbox)
	require.Contains(t, errs, "as before: --fault ec2:CreateImage:1:lost --machines none --seed 5 (")
	require.Equal(t, before, status())
	require.NoFileExists(t, filepath.Join(home, ".settings.json123"))
	require.NoFileExists(t, filepath.Join(home, "cloud", "volumes", "vol-00000000000000001.raw.tmp"))

	w.imgops(t, w.dir, "sandbox", "down", "--name", w.sandbox)
	w.imgops(t, w.dir, "sandbox", "up", "--name", w.sandbox)
	require.Equal(t, before, status())
	require.Equal(t, types.InstanceStateNameRunning, w.byID(t, runs).State.Name)
	require.Equal(t, types.InstanceStateNameStopped, w.byID(t, rests).State.Name)

	// a sandbox of a version that noted its driver only
	w.imgops(t, w.dir, "sandbox", "down", "--name", w.sandbox)
	require.NoError(t, os.Remove(filepath.Join(home, "settings.json")))
	_, errs = w.imgops(t, w.dir, "sandbox", "up", "--name", w.sandbox)
	require.Contains(t, errs, "as before: --machines none (")
}
