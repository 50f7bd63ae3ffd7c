package sandbox_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/images/sandbox/disk"
)

func ebs(name string, e types.EbsBlockDevice) types.BlockDeviceMapping {
	return types.BlockDeviceMapping{DeviceName: &name, Ebs: &e}
}

func gib(n int32) types.EbsBlockDevice { return types.EbsBlockDevice{VolumeSize: &n} }

// devicesOf are an instance's volumes by device name.
func devicesOf(i types.Instance) map[string]types.EbsInstanceBlockDevice {
	m := map[string]types.EbsInstanceBlockDevice{}
	for _, d := range i.BlockDeviceMappings {
		m[*d.DeviceName] = *d.Ebs
	}
	return m
}

// mappingOf is an image's mapping by device name.
func mappingOf(i types.Image) map[string]types.EbsBlockDevice {
	m := map[string]types.EbsBlockDevice{}
	for _, d := range i.BlockDeviceMappings {
		if d.Ebs != nil {
			m[*d.DeviceName] = *d.Ebs
		}
	}
	return m
}

func (w *world) volumes(c *ec2.Client, filters ...types.Filter) map[string]types.Volume {
	w.t.Helper()
	out, err := c.DescribeVolumes(w.ctx, &ec2.DescribeVolumesInput{Filters: filters})
	require.NoError(w.t, err)
	m := map[string]types.Volume{}
	for _, v := range out.Volumes {
		m[*v.VolumeId] = v
	}
	return m
}

func (w *world) snapshot(c *ec2.Client, volume string) string {
	w.t.Helper()
	s, err := c.CreateSnapshot(w.ctx, &ec2.CreateSnapshotInput{VolumeId: &volume})
	require.NoError(w.t, err)
	w.await(func() bool {
		out, err := c.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*s.SnapshotId}})
		return err == nil && out.Snapshots[0].State == "completed"
	})
	return *s.SnapshotId
}

func (w *world) terminate(c *ec2.Client, id string) {
	w.t.Helper()
	_, err := c.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
	require.NoError(w.t, err)
	w.awaitInstance(c, id, types.InstanceStateNameTerminated)
}

// A launch adds volumes, empty and of snapshots; they are shown, go or stay with the instance, and can be told to.
// EC2 user guide, block-device-mapping-concepts.html and preserving-volumes-on-termination.html: a volume that a request adds stays.
func TestVolumesOfALaunch(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	first := w.run(c, func(in *ec2.RunInstancesInput) {
		in.BlockDeviceMappings = []types.BlockDeviceMapping{ebs("/dev/sdf", types.EbsBlockDevice{VolumeSize: aws.Int32(3), VolumeType: "gp2", DeleteOnTermination: aws.Bool(true)})}
		in.TagSpecifications = []types.TagSpecification{tagged("volume", "of", "launch")}
	})
	snapshot := w.snapshot(c, *devicesOf(first)["/dev/sdf"].VolumeId)
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.BlockDeviceMappings = []types.BlockDeviceMapping{
			ebs("/dev/sdg", types.EbsBlockDevice{SnapshotId: &snapshot}), ebs("/dev/sda1", types.EbsBlockDevice{VolumeSize: aws.Int32(1), Encrypted: aws.Bool(true)}),
		}
	})
	devices := devicesOf(i)
	require.ElementsMatch(t, []string{"/dev/xvda", "/dev/sda1", "/dev/sdg"}, slices.Collect(maps.Keys(devices)), "a wrong name of the root is another volume (1.26)")
	require.Equal(t, "/dev/xvda", *i.BlockDeviceMappings[0].DeviceName)
	volumes := w.volumes(c, filter("attachment.instance-id", *i.InstanceId))
	require.Len(t, volumes, 3)
	g := volumes[*devices["/dev/sdg"].VolumeId]
	require.Equal(t, []any{int32(3), snapshot, types.VolumeStateInUse, "/dev/sdg", false, types.VolumeAttachmentStateAttached},
		[]any{*g.Size, *g.SnapshotId, g.State, *g.Attachments[0].Device, *g.Attachments[0].DeleteOnTermination, g.Attachments[0].State})
	require.True(t, *volumes[*devices["/dev/sda1"].VolumeId].Encrypted)
	require.Len(t, w.volumes(c, filter("tag:of", "launch")), 2)
	for name, value := range map[string]string{"device-name": "/dev/sdg", "volume-id": *g.VolumeId, "delete-on-termination": "false"} {
		found, err := c.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{Filters: []types.Filter{filter("block-device-mapping."+name, value)}})
		require.NoError(t, err)
		require.Len(t, found.Reservations, 1, name)
		require.Equal(t, *i.InstanceId, *found.Reservations[0].Instances[0].InstanceId)
	}

	goes := func(device string, goes bool) string {
		_, err := c.ModifyInstanceAttribute(w.ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: i.InstanceId, BlockDeviceMappings: []types.InstanceBlockDeviceMappingSpecification{
			{DeviceName: &device, Ebs: &types.EbsInstanceBlockDeviceSpecification{DeleteOnTermination: &goes}}}})
		return code(err)
	}
	require.Equal(t, "InvalidInstanceAttributeValue", goes("/dev/sdz", true))
	require.Empty(t, goes("/dev/sda1", true))
	require.Empty(t, goes("/dev/xvda", false))
	shown, err := c.DescribeInstanceAttribute(w.ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: i.InstanceId, Attribute: "blockDeviceMapping"})
	require.NoError(t, err)
	require.Len(t, shown.BlockDeviceMappings, 3)

	w.terminate(c, *first.InstanceId)
	w.terminate(c, *i.InstanceId)
	w.await(func() bool { return len(w.volumes(c)) == 2 })
	for id, v := range w.volumes(c) {
		require.Contains(t, []string{*devices["/dev/xvda"].VolumeId, *devices["/dev/sdg"].VolumeId}, id)
		require.Equal(t, types.VolumeStateAvailable, v.State)
		require.Empty(t, v.Attachments)
	}
}

// An image has a snapshot of each volume and passes its mapping on, which a launch and CreateImage may change: API_CreateImage.html,
// API_BlockDeviceMapping.html.
func TestImageOfSeveralVolumes(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.BlockDeviceMappings = []types.BlockDeviceMapping{ebs("/dev/sdf", gib(1)), ebs("/dev/sdg", gib(2)), ebs("/dev/sdh", gib(3))}
	})
	create := func(name string, m ...types.BlockDeviceMapping) (string, string) {
		out, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: &name, BlockDeviceMappings: m,
			TagSpecifications: []types.TagSpecification{tagged("snapshot", "disk", name)}})
		if err != nil {
			return "", code(err)
		}
		return *out.ImageId, ""
	}
	for name, m := range map[string]types.BlockDeviceMapping{
		"size": ebs("/dev/sdf", gib(2)), "encryption": ebs("/dev/sdf", types.EbsBlockDevice{Encrypted: aws.Bool(true)}), "root": without("/dev/xvda"),
	} {
		_, failed := create("bad", m)
		require.Equal(t, "InvalidBlockDeviceMapping", failed, name)
	}
	_, failed := create("bad", ebs("/dev/sdx", types.EbsBlockDevice{VolumeType: "gp3"}))
	require.Equal(t, "MissingParameter", failed)

	id, failed := create("web", ebs("/dev/sdf", types.EbsBlockDevice{DeleteOnTermination: aws.Bool(true)}), without("/dev/sdg"), ebs("/dev/sdi", gib(4)))
	require.Empty(t, failed)
	image := w.awaitImage(c, id, types.ImageStateAvailable)
	m := mappingOf(image)
	require.ElementsMatch(t, []string{"/dev/xvda", "/dev/sdf", "/dev/sdh", "/dev/sdi"}, slices.Collect(maps.Keys(m)))
	require.Equal(t, []any{true, false, int32(4)}, []any{*m["/dev/sdf"].DeleteOnTermination, *m["/dev/sdh"].DeleteOnTermination, *m["/dev/sdi"].VolumeSize})
	require.Nil(t, m["/dev/sdi"].SnapshotId, "an empty volume")
	made, err := c.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("tag:disk", "web"), filter("status", "completed")}})
	require.NoError(t, err)
	require.Len(t, made.Snapshots, 3)
	for _, s := range made.Snapshots {
		require.Equal(t, "Created by CreateImage("+*i.InstanceId+") for "+id, *s.Description)
		found, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{filter("block-device-mapping.snapshot-id", *s.SnapshotId)}})
		require.NoError(t, err)
		require.Len(t, found.Images, 1)
		_, err = c.DeleteSnapshot(w.ctx, &ec2.DeleteSnapshotInput{SnapshotId: s.SnapshotId})
		require.Equal(t, "InvalidSnapshot.InUse", code(err))
	}

	next := w.run(c, func(in *ec2.RunInstancesInput) {
		in.ImageId = &id
		in.BlockDeviceMappings = []types.BlockDeviceMapping{without("/dev/sdh"), ebs("/dev/sdf", types.EbsBlockDevice{VolumeSize: aws.Int32(5), VolumeType: "io1", Iops: aws.Int32(100), Encrypted: aws.Bool(true)})}
	})
	devices, volumes := devicesOf(next), w.volumes(c)
	require.ElementsMatch(t, []string{"/dev/xvda", "/dev/sdf", "/dev/sdi"}, slices.Collect(maps.Keys(devices)))
	f := volumes[*devices["/dev/sdf"].VolumeId]
	require.Equal(t, []any{int32(5), types.VolumeTypeIo1, true, *m["/dev/sdf"].SnapshotId}, []any{*f.Size, f.VolumeType, *f.Encrypted, *f.SnapshotId})
	require.True(t, *devices["/dev/sdf"].DeleteOnTermination, "the image's")
	require.Equal(t, int32(4), *volumes[*devices["/dev/sdi"].VolumeId].Size)
	gone, err := c.DeregisterImage(w.ctx, &ec2.DeregisterImageInput{ImageId: &id, DeleteAssociatedSnapshots: aws.Bool(true)})
	require.NoError(t, err)
	require.Len(t, gone.DeleteSnapshotResults, 3)
	for _, r := range gone.DeleteSnapshotResults {
		require.Equal(t, types.SnapshotReturnCodesSuccess, r.ReturnCode)
	}
}

// An image of several snapshots is launched by whom it is shared with, and copied by whom all of its snapshots are shared with (4.5, 4.6).
func TestCopyOfSeveralSnapshots(t *testing.T) {
	w := newWorld(t)
	c, other, there := w.ec2(build, home), w.ec2(consumer, home), w.ec2(build, away)
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.BlockDeviceMappings = []types.BlockDeviceMapping{ebs("/dev/sdf", gib(1))}
	})
	out, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: aws.String("web")})
	require.NoError(t, err)
	image := w.awaitImage(c, *out.ImageId, types.ImageStateAvailable)
	m := mappingOf(image)
	w.share(c, *image.ImageId, consumer)
	launched := w.run(other, func(in *ec2.RunInstancesInput) { in.ImageId = image.ImageId })
	require.Equal(t, *m["/dev/sdf"].SnapshotId, *w.volumes(other)[*devicesOf(launched)["/dev/sdf"].VolumeId].SnapshotId)

	copyImage := func(c *ec2.Client, name string, encrypted bool) (string, error) {
		out, err := c.CopyImage(w.ctx, &ec2.CopyImageInput{Name: &name, SourceImageId: image.ImageId, SourceRegion: aws.String(home), Encrypted: &encrypted,
			TagSpecifications: []types.TagSpecification{tagged("snapshot", "disk", name)}})
		if err != nil {
			return "", err
		}
		return *out.ImageId, nil
	}
	for _, device := range []string{"/dev/xvda", "/dev/sdf"} {
		_, err := copyImage(other, "theirs", false)
		require.Equal(t, "InvalidRequest", code(err), "before %s is shared", device)
		_, err = c.ModifySnapshotAttribute(w.ctx, &ec2.ModifySnapshotAttributeInput{SnapshotId: m[device].SnapshotId, OperationType: "add", UserIds: []string{consumer}})
		require.NoError(t, err)
	}
	theirs, err := copyImage(other, "theirs", true)
	require.NoError(t, err)
	for _, d := range mappingOf(w.awaitImage(other, theirs, types.ImageStateAvailable)) {
		require.True(t, *d.Encrypted)
	}
	abroad, err := copyImage(there, "abroad", false)
	require.NoError(t, err)
	copied := mappingOf(w.awaitImage(there, abroad, types.ImageStateAvailable))
	require.Len(t, copied, 2)
	made, err := there.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("tag:disk", "abroad")}})
	require.NoError(t, err)
	require.Len(t, made.Snapshots, 2)
	require.NotEqual(t, *made.Snapshots[0].Description, *made.Snapshots[1].Description, "each says of which snapshot it is a copy")
	_, err = other.ModifyImageAttribute(w.ctx, &ec2.ModifyImageAttributeInput{ImageId: &theirs, OperationType: "add", UserIds: []string{build}})
	require.Equal(t, "OperationNotPermitted", code(err), "on the default key (4.7)")

	registered, err := c.RegisterImage(w.ctx, &ec2.RegisterImageInput{Name: aws.String("registered"), RootDeviceName: aws.String("/dev/xvda"), Architecture: "x86_64",
		TagSpecifications: []types.TagSpecification{tagged("snapshot", "used", "twice")}, BlockDeviceMappings: []types.BlockDeviceMapping{
			ebs("/dev/sdf", types.EbsBlockDevice{SnapshotId: m["/dev/sdf"].SnapshotId, VolumeSize: aws.Int32(7)}), ebs("/dev/sdg", gib(9)),
			ebs("/dev/xvda", types.EbsBlockDevice{SnapshotId: m["/dev/xvda"].SnapshotId})}})
	require.NoError(t, err)
	again := mappingOf(w.see(c, *registered.ImageId))
	require.Equal(t, []any{int32(7), int32(9), false, true}, []any{*again["/dev/sdf"].VolumeSize, *again["/dev/sdg"].VolumeSize, *again["/dev/sdf"].DeleteOnTermination, *again["/dev/xvda"].DeleteOnTermination})
	used, err := c.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("tag:used", "twice")}})
	require.NoError(t, err)
	require.Len(t, used.Snapshots, 2)
	gone, err := c.DeregisterImage(w.ctx, &ec2.DeregisterImageInput{ImageId: registered.ImageId, DeleteAssociatedSnapshots: aws.Bool(true)})
	require.NoError(t, err)
	require.Len(t, gone.DeleteSnapshotResults, 2)
	for _, r := range gone.DeleteSnapshotResults {
		require.Equal(t, types.SnapshotReturnCodesWarnSkipped, r.ReturnCode, "the other image uses it")
	}
}

// What was written to the volumes of an instance is in those of a launch of its image. No machine is needed to see it.
func TestVolumesKeepTheirData(t *testing.T) {
	requireExt4(t)
	dir := t.TempDir()
	store, err := disk.Open(filepath.Join(dir, "disks"))
	require.NoError(t, err)
	w := openWorld(t, sandbox.Options{Dir: dir, Driver: newFakeMachines(), Disks: store})
	require.NoError(t, w.cloud.RegisterBase(w.ctx, ext4Base(t, dir)))
	c := w.ec2(build, home)
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.ImageId = w.named(c, "debian-12-whole").ImageId
		in.BlockDeviceMappings = []types.BlockDeviceMapping{ebs("/dev/sdf", gib(1)), ebs("/dev/sdg", gib(1))}
	})
	file := func(i types.Instance, device string) string {
		return filepath.Join(dir, "volumes", *devicesOf(i)[device].VolumeId+".raw")
	}
	for _, device := range []string{"/dev/sdf", "/dev/sdg"} {
		f, err := os.OpenFile(file(i, device), os.O_RDWR, 0)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("data of "+device), 300<<20)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	out, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: aws.String("web")})
	require.NoError(t, err)
	w.awaitImage(c, *out.ImageId, types.ImageStateAvailable)
	w.terminate(c, *i.InstanceId)
	next := w.run(c, func(in *ec2.RunInstancesInput) { in.ImageId = out.ImageId })
	for _, device := range []string{"/dev/sdf", "/dev/sdg"} {
		got := make([]byte, len("data of "+device))
		f, err := os.Open(file(next, device))
		require.NoError(t, err)
		_, err = f.ReadAt(got, 300<<20)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Equal(t, "data of "+device, string(got))
	}
}
