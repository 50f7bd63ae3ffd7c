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

var _ sandbox.Disks = (*disk.Store)(nil)

// The bytes of a base image reach the instance's disk, and what is written there reaches the instances of its image.
func TestDisksOfInstances(t *testing.T) {
	for _, tool := range []string{"mkfs.ext4", "debugfs", "resize2fs"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing: apt-get install e2fsprogs", tool)
		}
	}
	dir := t.TempDir()
	raw := filepath.Join(dir, "base.raw")
	require.NoError(t, exec.CommandContext(t.Context(), "mkfs.ext4", "-q", "-b", "4096", raw, "64M").Run())
	store, err := disk.Open(filepath.Join(dir, "disks"))
	require.NoError(t, err)
	w := openWorld(t, sandbox.Options{Dir: dir, Driver: newFakeMachines(), Disks: store})
	base := sandbox.Base{Owner: debian, Name: "debian-12-amd64-real", Architecture: "x86_64", RawPath: raw, SizeBytes: 64 << 20, Created: time.Now()}
	require.NoError(t, w.cloud.RegisterBase(w.ctx, base))
	require.NoError(t, w.cloud.RegisterBase(w.ctx, base), "a second time does nothing")
	c := w.ec2(build, home)
	out, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Owners: []string{debian}, Filters: []types.Filter{filter("name", "*-real")}})
	require.NoError(t, err)
	file := func(i types.Instance) string {
		return filepath.Join(dir, "volumes", *i.BlockDeviceMappings[0].Ebs.VolumeId+".raw")
	}
	first := w.run(c, func(in *ec2.RunInstancesInput) { in.ImageId = out.Images[0].ImageId })
	info, err := os.Stat(file(first))
	require.NoError(t, err)
	require.Equal(t, int64(1<<30), info.Size(), "rounded up to a GiB")
	require.NoError(t, exec.CommandContext(t.Context(), "debugfs", "-w", "-R", "mkdir provisioned", file(first)).Run())
	image, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: first.InstanceId, Name: aws.String("provisioned")})
	require.NoError(t, err)
	w.awaitImage(c, *image.ImageId, types.ImageStateAvailable)
	second := w.run(c, func(in *ec2.RunInstancesInput) { in.ImageId = image.ImageId })
	listing, err := exec.CommandContext(t.Context(), "debugfs", "-R", "ls -p /", file(second)).Output()
	require.NoError(t, err)
	require.Contains(t, string(listing), "/provisioned/")

	snapshot := w.see(c, *image.ImageId).BlockDeviceMappings[0].Ebs.SnapshotId
	third := w.run(c, func(in *ec2.RunInstancesInput) {
		in.ImageId = image.ImageId
		in.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(2)}},
			{DeviceName: aws.String("/dev/sdf"), Ebs: &types.EbsBlockDevice{SnapshotId: snapshot, VolumeSize: aws.Int32(2)}}}
	})
	for _, d := range third.BlockDeviceMappings {
		stats, err := exec.CommandContext(t.Context(), "debugfs", "-R", "show_super_stats -h", filepath.Join(dir, "volumes", *d.Ebs.VolumeId+".raw")).Output()
		require.NoError(t, err)
		blocks := map[string]string{"/dev/xvda": "524288", "/dev/sdf": "262144"}[*d.DeviceName] // of 4 KiB: the root's file system fills 2 GiB, the other's stays
		require.Regexp(t, `Block count: +`+blocks+`\n`, string(stats), *d.DeviceName)
	}

	_, err = c.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{*first.InstanceId}})
	require.NoError(t, err)
	w.awaitInstance(c, *first.InstanceId, types.InstanceStateNameTerminated)
	w.await(func() bool { _, err := os.Stat(file(first)); return os.IsNotExist(err) })
}
