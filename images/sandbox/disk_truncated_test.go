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

// A disk that was cut off makes no image, a base that was makes none either, and an instance of a snapshot that was does not start: each says so, and what was
// whole before stays.
func TestTruncatedDisk(t *testing.T) {
	for _, tool := range []string{"mkfs.ext4", "resize2fs"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing: apt-get install e2fsprogs", tool)
		}
	}
	dir := t.TempDir()
	raw := filepath.Join(dir, "base.raw")
	require.NoError(t, exec.CommandContext(t.Context(), "mkfs.ext4", "-q", raw, "64M").Run())
	store, err := disk.Open(filepath.Join(dir, "disks"))
	require.NoError(t, err)
	w := openWorld(t, sandbox.Options{Dir: dir, Driver: newFakeMachines(), Disks: store})
	c := w.ec2(build, home)
	named := func(name string) []types.Image {
		out, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{filter("name", name)}})
		require.NoError(t, err)
		return out.Images
	}
	base := sandbox.Base{Owner: debian, Name: "debian-12-whole", Architecture: "x86_64", RawPath: raw, SizeBytes: 64 << 20, Created: time.Now()}
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
