package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

// smallState gives the sandbox a state directory on a file system of its own, in a mount namespace of its own, in which
// all commands then run. Both go with the process that holds them.
func (w *realWorld) smallState(t *testing.T, size string) {
	t.Helper()
	state := filepath.Join(w.dir, "state")
	require.NoError(t, os.MkdirAll(state, 0o700))
	holder := exec.Command("unshare", "--mount", "--propagation", "slave", "sh", "-c",
		fmt.Sprintf("mount -t tmpfs -o size=%s,mode=700 tmpfs %s && echo mounted && exec cat", size, state))
	out, err := holder.StdoutPipe()
	require.NoError(t, err)
	in, err := holder.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = holder.Wait()
	})
	word, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || word != "mounted\n" {
		t.Skipf("a tmpfs cannot be mounted here: %q, %v", word, err)
	}
	w.inside = []string{"nsenter", fmt.Sprintf("--target=%d", holder.Process.Pid), "--mount", "--wd=" + w.dir, "--"}
}

// A full disk is told through the API by what it keeps from being made, and nothing that was there is lost.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("boots real machines; run without -short")
	}
	w := newRealWorld(t)
	w.smallState(t, "4g")
	w.sandboxUp(t, "nspawn")
	t.Cleanup(func() { _ = w.command(w.dir, w.binary, "sandbox", "reset", "--name", w.sandbox).Run() })
	id := w.launch(t)
	w.reachable(t, id)
	kept := w.createImage(t, id, "kept", false)
	w.settled(t)
	w.stop(t, id)
	w.settled(t)

	ballast := filepath.Join(w.dir, "state", "ballast")
	fill := w.command(w.dir, "dd", "if=/dev/zero", "of="+ballast, "bs=1M")
	full, err := fill.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(full), "No space left on device")

	refused := w.createImage(t, id, "refused", false)
	launched := w.launch(t)
	snapshot, err := w.ec2(t, durableHome).CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: w.volume(t, id)})
	require.NoError(t, err)
	w.settled(t)
	img := w.image(t, refused)
	require.Equal(t, types.ImageStateFailed, img.State)
	require.Contains(t, *img.StateReason.Message, "no space left on device")
	disks, err := w.ec2(t, durableHome).DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*snapshot.SnapshotId}})
	require.NoError(t, err)
	require.Equal(t, types.SnapshotStateError, disks.Snapshots[0].State)
	require.Contains(t, *disks.Snapshots[0].StateMessage, "no space left on device")
	for _, i := range w.instances(t) {
		if *i.InstanceId == launched {
			require.Equal(t, types.InstanceStateNameTerminated, i.State.Name)
			require.Equal(t, "Server.InternalError", *i.StateReason.Code)
			require.Contains(t, *i.StateReason.Message, "no space left on device")
		}
	}
	require.Equal(t, types.ImageStateAvailable, w.image(t, kept).State)

	require.NoError(t, w.command(w.dir, "rm", ballast).Run())
	again := w.createImage(t, id, "again", false)
	w.start(t, id)
	w.settled(t)
	require.Equal(t, types.ImageStateAvailable, w.image(t, again).State)
	w.reachable(t, id)
	w.reachable(t, w.run(t, kept))
}

func (w *realWorld) image(t *testing.T, id string) types.Image {
	t.Helper()
	out, err := w.ec2(t, durableHome).DescribeImages(t.Context(), &ec2.DescribeImagesInput{ImageIds: []string{id}})
	require.NoError(t, err)
	require.Len(t, out.Images, 1)
	return out.Images[0]
}

func (w *realWorld) volume(t *testing.T, instance string) *string {
	t.Helper()
	for _, i := range w.instances(t) {
		if *i.InstanceId == instance {
			return i.BlockDeviceMappings[0].Ebs.VolumeId
		}
	}
	require.Fail(t, "no instance "+instance)
	return nil
}

// A base image that cannot be made is a clear error of the command that needs it, and leaves nothing half-made: the next
// attempt begins anew.
func TestBaseImageCannotBeMade(t *testing.T) {
	if testing.Short() {
		t.Skip("runs mmdebstrap; run without -short")
	}
	w := newRealWorld(t)
	cache := filepath.Join(w.dir, "cache")
	w.env = append(w.env, "XDG_CACHE_HOME="+cache)
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	mirror := "http://" + l.Addr().String() + "/debian"
	require.NoError(t, l.Close())
	code, out, errs := w.try(t, w.dir, "sandbox", "up", "--name", w.sandbox, "--machines", "nspawn", "--mirror", mirror)
	require.Equal(t, exitError, code)
	require.Empty(t, out)
	require.Contains(t, errs, "the mirror "+mirror+" (is it reachable?")
	left, err := filepath.Glob(filepath.Join(cache, "imgops", "base", "*.[itj]*"))
	require.NoError(t, err)
	require.Empty(t, left, "no image, description or working directory")

	w.env = append(w.env, "PATH="+pathWithout(t, "mmdebstrap"))
	code, _, errs = w.try(t, w.dir, "sandbox", "up", "--name", w.sandbox, "--machines", "nspawn")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "missing mmdebstrap: apt-get install mmdebstrap")
	code, out, _ = w.try(t, w.dir, "sandbox", "status", "--name", w.sandbox)
	require.Zero(t, code)
	require.Contains(t, out, "false", "nothing runs")
}

// pathWithout is a directory with all programs of PATH but some.
func pathWithout(t *testing.T, programs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range strings.Split(os.Getenv("PATH")+":/usr/sbin:/sbin", ":") {
		entries, err := os.ReadDir(from)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if !slices.Contains(programs, e.Name()) {
				_ = os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name())) // the first of a name wins, as in PATH
			}
		}
	}
	return dir
}
