package sandbox_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
)

// A sandbox whose background work hangs is closed and opened again: what was begun is finished, machines that run on are
// found, those that do not run are reported stopped, or started if they were running when the sandbox was taken down.
func TestRecovery(t *testing.T) {
	dir, driver, disks := t.TempDir(), newFakeMachines(), newFakeDisks()
	c, err := sandbox.New(context.Background(), sandbox.Options{Dir: dir, Driver: driver, Disks: disks})
	require.NoError(t, err)
	var kept, lost, resumed, starting, image, snap string
	t.Run("before", func(t *testing.T) {
		w := serve(t, c)
		ec := w.ec2(build, home)
		kept, lost, resumed = *w.run(ec, nil).InstanceId, *w.run(ec, nil).InstanceId, *w.run(ec, nil).InstanceId
		_, e := w.put(w.ssm(build, home), "/p", "v", func(in *ssm.PutParameterInput) { in.Type = ssmtypes.ParameterTypeString })
		require.Empty(t, e)
		driver.set(nil, true)
		out, err := ec.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
		require.NoError(t, err)
		starting = *out.Instances[0].InstanceId
		disks.set(nil, true)
		img, err := ec.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: &kept, Name: aws.String("web-1"), NoReboot: aws.Bool(true)})
		require.NoError(t, err)
		image = *img.ImageId
		s, err := ec.CreateSnapshot(w.ctx, &ec2.CreateSnapshotInput{VolumeId: w.instance(ec, kept).BlockDeviceMappings[0].Ebs.VolumeId})
		require.NoError(t, err)
		snap = *s.SnapshotId
		w.await(func() bool { return driver.starts(starting) == 1 })
	})
	require.NoError(t, c.Close())
	driver.set(nil, false)
	disks.set(nil, false)
	require.NoError(t, driver.Stop(context.Background(), lost, true))
	require.NoError(t, driver.Stop(context.Background(), resumed, true))

	w := openWorld(t, sandbox.Options{Dir: dir, Driver: driver, Disks: disks, Resume: []string{kept, resumed, "i-0123456789abcdef0"}})
	ec := w.ec2(build, home)
	require.Equal(t, types.InstanceStateNameRunning, w.instance(ec, kept).State.Name)
	gone := w.instance(ec, lost)
	require.Equal(t, types.InstanceStateNameStopped, gone.State.Name)
	require.Equal(t, "Server.InternalError", *gone.StateReason.Code)
	w.awaitInstance(ec, resumed, types.InstanceStateNameRunning)
	require.Equal(t, []int{1, 2}, []int{driver.starts(kept), driver.starts(resumed)}, "what runs is left alone")
	w.awaitInstance(ec, starting, types.InstanceStateNameRunning)
	w.awaitImage(ec, image, types.ImageStateAvailable)
	w.await(func() bool {
		out, err := ec.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{snap}})
		return err == nil && out.Snapshots[0].State == types.SnapshotStateCompleted
	})
	p, err := w.ssm(build, home).GetParameter(w.ctx, &ssm.GetParameterInput{Name: aws.String("/p")})
	require.NoError(t, err)
	require.Equal(t, "v", *p.Parameter.Value)
}

// A capture that had stopped the machine starts it again, whichever process ends it.
func TestRecoveryOfARebootingCapture(t *testing.T) {
	dir, driver, disks := t.TempDir(), newFakeMachines(), newFakeDisks()
	c, err := sandbox.New(context.Background(), sandbox.Options{Dir: dir, Driver: driver, Disks: disks})
	require.NoError(t, err)
	var id, image string
	t.Run("before", func(t *testing.T) {
		w := serve(t, c)
		ec := w.ec2(build, home)
		id = *w.run(ec, nil).InstanceId
		disks.set(nil, true)
		img, err := ec.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: &id, Name: aws.String("web-1")})
		require.NoError(t, err)
		image = *img.ImageId
		w.await(func() bool { return driver.stops(id) == 1 })
	})
	require.NoError(t, c.Close())
	disks.set(nil, false)
	w := openWorld(t, sandbox.Options{Dir: dir, Driver: driver, Disks: disks})
	w.awaitImage(w.ec2(build, home), image, types.ImageStateAvailable)
	require.Equal(t, types.InstanceStateNameRunning, w.instance(w.ec2(build, home), id).State.Name)
	running, err := driver.Running(w.ctx)
	require.NoError(t, err)
	require.Contains(t, running, id)
}

// Copies share a blob; it goes with the last snapshot, and a blob whose difference another one is goes after that one.
func TestBlobs(t *testing.T) {
	disks := newFakeDisks()
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Driver: newFakeMachines(), Disks: disks})
	here, there := w.ec2(build, home), w.ec2(build, away)
	first := w.image(here, "web-1")
	inst := w.run(here, func(in *ec2.RunInstancesInput) { in.ImageId = &first })
	child, err := here.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: inst.InstanceId, Name: aws.String("web-2")})
	require.NoError(t, err)
	w.awaitImage(here, *child.ImageId, types.ImageStateAvailable)
	copied, err := there.CopyImage(w.ctx, &ec2.CopyImageInput{Name: aws.String("web-1"), SourceImageId: &first, SourceRegion: aws.String(home)})
	require.NoError(t, err)
	w.awaitImage(there, *copied.ImageId, types.ImageStateAvailable)
	require.Equal(t, 3, disks.count(), "base, web-1, web-2")
	deregister := func(c *ec2.Client, id string) {
		_, err := c.DeregisterImage(w.ctx, &ec2.DeregisterImageInput{ImageId: &id, DeleteAssociatedSnapshots: aws.Bool(true)})
		require.NoError(t, err)
	}
	deregister(here, first)
	w.run(there, func(in *ec2.RunInstancesInput) { in.ImageId = copied.ImageId })
	deregister(there, *copied.ImageId)
	// a launch of the child shows that nothing it needs is gone
	w.run(here, func(in *ec2.RunInstancesInput) { in.ImageId = child.ImageId })
	require.Equal(t, 3, disks.count())
	deregister(here, *child.ImageId)
	w.await(func() bool { return disks.count() == 1 })
}

func TestSnapshots(t *testing.T) {
	w := newWorld(t)
	c, other := w.ec2(build, home), w.ec2(consumer, home)
	volume := w.run(c, nil).BlockDeviceMappings[0].Ebs.VolumeId
	s, err := c.CreateSnapshot(w.ctx, &ec2.CreateSnapshotInput{VolumeId: volume, TagSpecifications: []types.TagSpecification{tagged("snapshot", "a", "1")}})
	require.NoError(t, err)
	list := func(c *ec2.Client, in ec2.DescribeSnapshotsInput) []types.Snapshot {
		out, err := c.DescribeSnapshots(w.ctx, &in)
		require.NoError(t, err)
		return out.Snapshots
	}
	w.await(func() bool {
		return list(c, ec2.DescribeSnapshotsInput{SnapshotIds: []string{*s.SnapshotId}})[0].State == "completed"
	})
	require.Len(t, list(c, ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}}), 1)
	_, err = other.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*s.SnapshotId}})
	require.Equal(t, "InvalidSnapshot.NotFound", code(err))

	modify := func(in ec2.ModifySnapshotAttributeInput) string {
		in.SnapshotId = s.SnapshotId
		_, err := c.ModifySnapshotAttribute(w.ctx, &in)
		return code(err)
	}
	require.Empty(t, modify(ec2.ModifySnapshotAttributeInput{Attribute: "createVolumePermission", OperationType: "add", UserIds: []string{consumer}}))
	perms, err := c.DescribeSnapshotAttribute(w.ctx, &ec2.DescribeSnapshotAttributeInput{SnapshotId: s.SnapshotId, Attribute: "createVolumePermission"})
	require.NoError(t, err)
	require.Equal(t, consumer, *perms.CreateVolumePermissions[0].UserId)
	require.Len(t, list(other, ec2.DescribeSnapshotsInput{RestorableByUserIds: []string{"self"}}), 1)
	copied, err := other.CopySnapshot(w.ctx, &ec2.CopySnapshotInput{SourceRegion: aws.String(home), SourceSnapshotId: s.SnapshotId, Encrypted: aws.Bool(true)})
	require.NoError(t, err)
	w.await(func() bool {
		return list(other, ec2.DescribeSnapshotsInput{SnapshotIds: []string{*copied.SnapshotId}})[0].State == "completed"
	})
	_, err = other.ModifySnapshotAttribute(w.ctx, &ec2.ModifySnapshotAttributeInput{SnapshotId: copied.SnapshotId, OperationType: "add", UserIds: []string{build}})
	require.Equal(t, "OperationNotPermitted", code(err), "4.7")
	require.Equal(t, "InvalidParameterValue", modify(ec2.ModifySnapshotAttributeInput{OperationType: "add", UserIds: []string{"12"}}), "4.19")
	_, err = other.DeleteSnapshot(w.ctx, &ec2.DeleteSnapshotInput{SnapshotId: s.SnapshotId})
	require.Equal(t, "UnauthorizedOperation", code(err))
	_, err = c.DeleteSnapshot(w.ctx, &ec2.DeleteSnapshotInput{SnapshotId: s.SnapshotId})
	require.NoError(t, err)
	_, err = c.DeleteSnapshot(w.ctx, &ec2.DeleteSnapshotInput{SnapshotId: s.SnapshotId})
	require.Equal(t, "InvalidSnapshot.NotFound", code(err))

	v, err := other.CreateVolume(w.ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1a"), SnapshotId: copied.SnapshotId})
	require.NoError(t, err)
	w.await(func() bool {
		out, err := other.DescribeVolumes(w.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{*v.VolumeId}})
		return err == nil && out.Volumes[0].State == "available"
	})
	_, err = other.DeleteVolume(w.ctx, &ec2.DeleteVolumeInput{VolumeId: v.VolumeId})
	require.NoError(t, err)
	_, err = c.DeleteVolume(w.ctx, &ec2.DeleteVolumeInput{VolumeId: volume})
	require.Equal(t, "VolumeInUse", code(err))
}
