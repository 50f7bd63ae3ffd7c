package sandbox_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/images/sandbox/disk"
)

// requireExt4 skips where disks with a file system cannot be made.
func requireExt4(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"mkfs.ext4", "resize2fs"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing: apt-get install e2fsprogs", tool)
		}
	}
}

// ext4Base is a base image with a file system, at base.raw in the directory.
func ext4Base(t *testing.T, dir string) sandbox.Base {
	t.Helper()
	raw := filepath.Join(dir, "base.raw")
	require.NoError(t, exec.CommandContext(t.Context(), "mkfs.ext4", "-q", raw, "64M").Run())
	return sandbox.Base{Owner: debian, Name: "debian-12-whole", Architecture: "x86_64", RawPath: raw, SizeBytes: 64 << 20, Created: time.Now()}
}

// named is the one image of that name.
func (w *world) named(c *ec2.Client, name string) types.Image {
	w.t.Helper()
	out, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{filter("name", name)}})
	require.NoError(w.t, err)
	require.Len(w.t, out.Images, 1)
	return out.Images[0]
}

// A disk that was cut off makes no image, a base that was makes none either, and an instance of a snapshot that was does not start: each says so, and what was
// whole before stays.
func TestTruncatedDisk(t *testing.T) {
	requireExt4(t)
	dir := t.TempDir()
	base := ext4Base(t, dir)
	raw := base.RawPath
	store, err := disk.Open(filepath.Join(dir, "disks"))
	require.NoError(t, err)
	w := openWorld(t, sandbox.Options{Dir: dir, Driver: newFakeMachines(), Disks: store})
	c := w.ec2(build, home)
	named := func(name string) []types.Image {
		out, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{filter("name", name)}})
		require.NoError(t, err)
		return out.Images
	}
	require.NoError(t, w.cloud.RegisterBase(w.ctx, base))
	require.NoError(t, os.Truncate(raw, 40<<20))
	base.Name = "debian-12-cut-off"
	require.ErrorContains(t, w.cloud.RegisterBase(w.ctx, base), "truncated")
	require.Empty(t, named("debian-12-cut-off"))

	launch := func(image *string) types.Instance {
		return w.run(c, func(in *ec2.RunInstancesInput) { in.ImageId = image })
	}
	create := func(i types.Instance, name string) types.Image {
		_, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: &name})
		require.NoError(t, err)
		w.await(func() bool { return named(name)[0].State != types.ImageStatePending })
		return named(name)[0]
	}
	inst := launch(named("debian-12-whole")[0].ImageId)
	whole := create(inst, "whole")
	require.Equal(t, types.ImageStateAvailable, whole.State)
	require.NoError(t, os.Truncate(filepath.Join(dir, "volumes", *inst.BlockDeviceMappings[0].Ebs.VolumeId+".raw"), 50<<20))
	failed := create(inst, "failed")
	require.Equal(t, types.ImageStateFailed, failed.State)
	require.Contains(t, *failed.StateReason.Message, "truncated")
	require.Equal(t, types.ImageStateAvailable, named("whole")[0].State)
	launch(whole.ImageId)

	data, err := filepath.Glob(filepath.Join(dir, "disks", "*.data"))
	require.NoError(t, err)
	require.NotEmpty(t, data)
	for _, file := range data {
		require.NoError(t, os.Truncate(file, 0))
	}
	out, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: whole.ImageId, InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.NoError(t, err)
	id := *out.Instances[0].InstanceId
	w.awaitInstance(c, id, types.InstanceStateNameTerminated)
	require.Equal(t, "Server.InternalError", *w.instance(c, id).StateReason.Code)
	require.Contains(t, *w.instance(c, id).StateReason.Message, "truncated")
	require.Equal(t, types.ImageStateAvailable, named("whole")[0].State)
}

// Copies share the data of their source, so a copy in whatever Region of data that was cut off, or is gone, fails and says so.
func TestCopyOfTruncatedSnapshot(t *testing.T) {
	requireExt4(t)
	dir := t.TempDir()
	base := ext4Base(t, dir)
	store, err := disk.Open(filepath.Join(dir, "disks"))
	require.NoError(t, err)
	w := openWorld(t, sandbox.Options{Dir: dir, Driver: newFakeMachines(), Disks: store})
	require.NoError(t, w.cloud.RegisterBase(w.ctx, base))
	here := w.ec2(build, home)
	inst := w.run(here, func(in *ec2.RunInstancesInput) { in.ImageId = w.named(here, base.Name).ImageId })
	_, err = here.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: inst.InstanceId, Name: aws.String("source")})
	require.NoError(t, err)
	w.await(func() bool { return w.named(here, "source").State == types.ImageStateAvailable })
	source := w.named(here, "source")
	snapshot := source.BlockDeviceMappings[0].Ebs.SnapshotId

	copies := func(name string) (image types.Image, snap types.Snapshot) {
		for _, region := range []string{home, away} {
			c := w.ec2(build, region)
			made, err := c.CopyImage(w.ctx, &ec2.CopyImageInput{Name: &name, SourceImageId: source.ImageId, SourceRegion: aws.String(home)})
			require.NoError(t, err)
			w.await(func() bool { return w.named(c, name).State != types.ImageStatePending })
			image = w.named(c, name)
			require.Equal(t, *made.ImageId, *image.ImageId)
			copied, err := c.CopySnapshot(w.ctx, &ec2.CopySnapshotInput{SourceSnapshotId: snapshot, SourceRegion: aws.String(home)})
			require.NoError(t, err)
			w.await(func() bool {
				out, err := c.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*copied.SnapshotId}})
				require.NoError(t, err)
				snap = out.Snapshots[0]
				return snap.State != types.SnapshotStatePending
			})
			if image.State == types.ImageStateFailed {
				require.Equal(t, types.SnapshotStateError, snap.State, region)
			}
		}
		return image, snap
	}
	image, snap := copies("whole")
	require.Equal(t, types.ImageStateAvailable, image.State)
	require.Equal(t, types.SnapshotStateCompleted, snap.State)
	require.Nil(t, image.StateReason)

	data, err := filepath.Glob(filepath.Join(dir, "disks", "*.data"))
	require.NoError(t, err)
	for _, file := range data {
		require.NoError(t, os.Truncate(file, 1<<20))
	}
	image, snap = copies("cut-off")
	require.Equal(t, types.ImageStateFailed, image.State)
	require.Equal(t, "Server.InternalError", *image.StateReason.Code)
	require.Contains(t, *image.StateReason.Message, "truncated")
	require.Contains(t, *snap.StateMessage, "truncated")
	require.Equal(t, types.ImageStateAvailable, w.named(here, "source").State)
	require.Equal(t, types.ImageStateAvailable, w.named(here, "whole").State)
	for _, file := range data {
		require.NoError(t, os.Remove(file))
	}
	image, _ = copies("gone")
	require.Equal(t, types.ImageStateFailed, image.State)
	require.Contains(t, *image.StateReason.Message, "no such file")
}
