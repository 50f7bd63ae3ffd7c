package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

var (
	durableHome = images.Location{Account: "111111111111", Region: "us-east-1"}
	durableAway = images.Location{Account: "111111111111", Region: "eu-west-1"}
)

// TestServerKilled kills the server at random moments of what takes time, with real machines and disks, and starts it
// again: what was begun is finished or said to have failed, what runs is reachable, and in the end nothing is left.
// A second sandbox beside it is not touched.
func TestServerKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("boots real machines; run without -short")
	}
	w := newRealWorld(t)
	w.sandboxUp(t, "nspawn")
	neighbour := &realWorld{dir: w.dir, binary: w.binary, sandbox: w.sandbox + "-b", env: w.env}
	neighbour.sandboxUp(t, "nspawn")
	beside := neighbour.launch(t)

	first := w.launch(t)
	base := w.createImage(t, first, "base", false)
	w.settled(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	luck := rand.New(rand.NewPCG(seed, 0))
	for n, begin := range []func(name string){
		func(string) { w.launch(t) },
		func(name string) { w.createImage(t, first, name, false) },
		func(name string) { w.createImage(t, first, name, true) },
		func(name string) { w.copyImage(t, base, name) },
		func(string) { w.stop(t, first) },
		func(string) { w.start(t, first) },
		func(string) { w.launch(t) },
		func(name string) { w.createImage(t, first, name, false) },
		func(string) { w.terminate(t, w.launch(t)) },
	} {
		begin(fmt.Sprintf("round-%d", n))
		after := time.Duration(luck.Int64N(int64(1200 * time.Millisecond)))
		<-time.After(after)
		t.Logf("round %d: killed after %v", n, after)
		w.kill(t)
		w.imgops(t, w.dir, "sandbox", "up", "--name", w.sandbox, "--machines", "nspawn")
		w.settled(t)
		w.requireNoLeftovers(t)
	}
	for _, img := range w.images(t, durableHome) {
		if img.State == types.ImageStateAvailable && *img.OwnerId == durableHome.Account {
			w.reachable(t, w.run(t, *img.ImageId))
		}
	}
	neighbour.reachable(t, beside)

	w.kill(t) // also without a server, down finds what runs
	w.requireNoTrace(t, "down")
	neighbour.reachable(t, beside)
	neighbour.requireNoTrace(t, "reset")
	require.NoDirExists(t, filepath.Join(w.dir, "state", "imgops", "sandbox", neighbour.sandbox))
}

// requireNoLeftovers: no disk is half-made, and each whole one is a volume's.
func (w *realWorld) requireNoLeftovers(t *testing.T) {
	t.Helper()
	out, err := w.ec2(t, durableHome).DescribeVolumes(t.Context(), nil)
	require.NoError(t, err)
	known := map[string]bool{}
	for _, v := range out.Volumes {
		known[*v.VolumeId+".raw"] = true
	}
	disks, err := os.ReadDir(filepath.Join(w.dir, "state", "imgops", "sandbox", w.sandbox, "cloud", "volumes"))
	require.NoError(t, err)
	for _, d := range disks {
		require.True(t, known[d.Name()], d.Name())
	}
}

// kill ends the server with SIGKILL and waits until it is gone.
func (w *realWorld) kill(t *testing.T) {
	t.Helper()
	out, _ := w.imgops(t, w.dir, "sandbox", "status", "--name", w.sandbox, "-o", "json")
	pid := decode[struct{ PID int }](t, out).PID
	w.killProcess(t, pid)
}

func (w *realWorld) killProcess(t *testing.T, pid int) {
	t.Helper()
	require.Positive(t, pid)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	w.poll(t, "the process's end", func(context.Context) (bool, error) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z "), nil //nolint:nilerr // no such process: it has ended
	})
}

func (w *realWorld) poll(t *testing.T, what string, done func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(w.patience, 2*time.Minute))
	defer cancel()
	require.NoError(t, images.Poll(ctx, done), what)
}

func (w *realWorld) launch(t *testing.T) string {
	t.Helper()
	return w.run(t, *w.debian(t).ImageId)
}

// debian is the base image.
func (w *realWorld) debian(t *testing.T) types.Image {
	t.Helper()
	found, err := w.ec2(t, durableHome).DescribeImages(t.Context(), &ec2.DescribeImagesInput{Owners: []string{debianOwner}})
	require.NoError(t, err)
	require.NotEmpty(t, found.Images)
	return found.Images[0]
}

func (w *realWorld) run(t *testing.T, image string) string {
	t.Helper()
	out, err := w.ec2(t, durableHome).RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: &image, InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.NoError(t, err)
	return *out.Instances[0].InstanceId
}

// createImage begins an image; a refusal because the instance is just changing is no matter.
func (w *realWorld) createImage(t *testing.T, instance, name string, noReboot bool) string {
	t.Helper()
	var id string
	w.poll(t, "CreateImage", func(ctx context.Context) (bool, error) {
		out, err := w.ec2(t, durableHome).CreateImage(ctx, &ec2.CreateImageInput{InstanceId: &instance, Name: &name, NoReboot: &noReboot})
		if images.Code(err) == "InvalidParameterValue" { // not running yet
			return false, nil
		}
		if err == nil {
			id = *out.ImageId
		}
		return true, err
	})
	return id
}

func (w *realWorld) copyImage(t *testing.T, image, name string) {
	t.Helper()
	_, err := w.ec2(t, durableAway).CopyImage(t.Context(), &ec2.CopyImageInput{Name: &name, SourceImageId: &image, SourceRegion: &durableHome.Region})
	require.NoError(t, err)
}

func (w *realWorld) stop(t *testing.T, id string) {
	t.Helper()
	_, err := w.ec2(t, durableHome).StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: []string{id}})
	require.NoError(t, err)
}

func (w *realWorld) start(t *testing.T, id string) {
	t.Helper()
	_, err := w.ec2(t, durableHome).StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: []string{id}})
	require.NoError(t, err)
}

func (w *realWorld) terminate(t *testing.T, id string) {
	t.Helper()
	_, err := w.ec2(t, durableHome).TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
	require.NoError(t, err)
}

func (w *realWorld) images(t *testing.T, loc images.Location) []types.Image {
	t.Helper()
	out, err := w.ec2(t, loc).DescribeImages(t.Context(), &ec2.DescribeImagesInput{Owners: []string{"self"}})
	require.NoError(t, err)
	return out.Images
}

// settled waits until nothing is on its way any more, and requires that what is there is whole: images and their
// snapshots available and completed, or failed and in error with a reason; instances that run answer.
func (w *realWorld) settled(t *testing.T) {
	t.Helper()
	for _, loc := range []images.Location{durableHome, durableAway} {
		w.poll(t, "images and snapshots of "+loc.String(), func(ctx context.Context) (bool, error) {
			out, err := w.ec2(t, loc).DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
			if err != nil {
				return false, err
			}
			waiting := slices.ContainsFunc(out.Snapshots, func(s types.Snapshot) bool { return s.State == types.SnapshotStatePending }) ||
				slices.ContainsFunc(w.images(t, loc), func(i types.Image) bool { return i.State == types.ImageStatePending })
			return !waiting, nil
		})
		for _, img := range w.images(t, loc) {
			w.requireWhole(t, loc, img)
		}
	}
	w.poll(t, "instances", func(context.Context) (bool, error) {
		return !slices.ContainsFunc(w.instances(t), func(i types.Instance) bool {
			return slices.Contains([]types.InstanceStateName{"pending", "stopping", "shutting-down"}, i.State.Name)
		}), nil
	})
	for _, i := range w.instances(t) {
		if i.State.Name == types.InstanceStateNameRunning {
			w.reachable(t, *i.InstanceId)
		}
	}
}

func (w *realWorld) requireWhole(t *testing.T, loc images.Location, img types.Image) {
	t.Helper()
	if img.State == types.ImageStateFailed {
		require.NotEmpty(t, aws.ToString(img.StateReason.Message))
		return
	}
	require.Equal(t, types.ImageStateAvailable, img.State)
	out, err := w.ec2(t, loc).DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*img.BlockDeviceMappings[0].Ebs.SnapshotId}})
	require.NoError(t, err)
	require.Equal(t, types.SnapshotStateCompleted, out.Snapshots[0].State)
}

func (w *realWorld) instances(t *testing.T) []types.Instance {
	t.Helper()
	out, err := w.ec2(t, durableHome).DescribeInstances(t.Context(), nil)
	require.NoError(t, err)
	var all []types.Instance
	for _, r := range out.Reservations {
		all = append(all, r.Instances...)
	}
	return all
}

// reachable waits until the instance's sshd greets.
func (w *realWorld) reachable(t *testing.T, id string) {
	t.Helper()
	address := ""
	w.poll(t, id+" to greet over SSH", func(ctx context.Context) (bool, error) {
		for _, i := range w.instances(t) {
			if *i.InstanceId == id {
				require.Contains(t, []types.InstanceStateName{"pending", "running"}, i.State.Name, "%s: %v", id, i.StateReason)
				address = *i.PrivateIpAddress
			}
		}
		d := net.Dialer{Timeout: time.Second}
		conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(address, "22"))
		if err != nil {
			return false, nil //nolint:nilerr // it is still booting
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		greeting := make([]byte, 4)
		_, err = conn.Read(greeting)
		return err == nil && string(greeting) == "SSH-", nil
	})
}

// requireNoTrace ends the sandbox with down or reset and requires that it has left nothing on this computer but, after
// down, its state.
func (w *realWorld) requireNoTrace(t *testing.T, verb string) {
	t.Helper()
	state := filepath.Join(w.dir, "state", "imgops", "sandbox", w.sandbox)
	network := struct{ Namespace string }{state + "/"} // qemu machines have no network on the host
	if raw, err := os.ReadFile(filepath.Join(state, "machines", "network.json")); err == nil {
		require.NoError(t, json.Unmarshal(raw, &network))
	}
	require.NotEmpty(t, network.Namespace)
	require.NotEmpty(t, w.traces(t, network.Namespace, state), "the search finds what runs")
	w.imgops(t, w.dir, "sandbox", verb, "--name", w.sandbox)
	require.Empty(t, w.traces(t, network.Namespace, state))
}

// traces are the processes, mounts, loop devices, namespaces, links, routes, cgroups and firewall rules of a sandbox.
func (w *realWorld) traces(t *testing.T, namespace, state string) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `cut -d' ' -f5- /proc/self/mountinfo; ip -o link; ls /run/netns 2>/dev/null; ip route; nft list ruleset
		cat /sys/block/loop*/loop/backing_file 2>/dev/null; find /sys/fs/cgroup -name 'imgops*'; ps -eo stat,args | grep -v '^Z'; true`).Output()
	require.NoError(t, err)
	var found []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, namespace) || strings.Contains(line, state+"/") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}
