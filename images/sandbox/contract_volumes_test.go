package sandbox_test

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

func quickly(o *ec2.VolumeAvailableWaiterOptions) {
	o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Second
}

// volume makes an empty volume of 1 GiB in a zone, and deletes it at the end.
func (e *endpoint) volume(zone string) string {
	e.t.Helper()
	made, err := e.ec2.CreateVolume(e.ctx, &ec2.CreateVolumeInput{AvailabilityZone: &zone, Size: aws.Int32(1), TagSpecifications: []types.TagSpecification{tagged("volume", "Name", e.name)}})
	require.NoError(e.t, err)
	id := *made.VolumeId
	e.undo("volume "+id, func(ctx context.Context) error {
		found, err := e.ec2.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{id}})
		if err != nil {
			return err
		}
		for _, a := range found.Volumes[0].Attachments {
			if _, err := e.ec2.DetachVolume(ctx, &ec2.DetachVolumeInput{VolumeId: &id, InstanceId: a.InstanceId}); err != nil && code(err) != "IncorrectState" {
				return err
			}
		}
		if err := ec2.NewVolumeAvailableWaiter(e.ec2, quickly).Wait(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{id}}, undoAtMost); err != nil {
			return err
		}
		_, err = e.ec2.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: &id})
		return err
	})
	e.volumeAvailable(id)
	return id
}

func (e *endpoint) volumeAvailable(id string) {
	e.t.Helper()
	require.NoError(e.t, ec2.NewVolumeAvailableWaiter(e.ec2, quickly).Wait(e.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{id}}, 5*time.Minute))
}

func (e *endpoint) attached(id string) types.Volume {
	e.t.Helper()
	require.NoError(e.t, ec2.NewVolumeInUseWaiter(e.ec2, func(o *ec2.VolumeInUseWaiterOptions) { o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Second }).
		Wait(e.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{id}}, 5*time.Minute))
	var v types.Volume
	require.Eventually(e.t, func() bool {
		out, err := e.ec2.DescribeVolumes(e.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{id}})
		require.NoError(e.t, err)
		v = out.Volumes[0]
		return v.Attachments[0].State == types.VolumeAttachmentStateAttached
	}, 5*time.Minute, 10*time.Millisecond)
	return v
}

func (e *endpoint) attachments() {
	i := e.launch(nil)
	volume, other := e.volume(*i.Placement.AvailabilityZone), e.volume(*i.Placement.AvailabilityZone)
	attach := func(volume, device string) string {
		_, err := e.ec2.AttachVolume(e.ctx, &ec2.AttachVolumeInput{VolumeId: &volume, InstanceId: i.InstanceId, Device: &device})
		return code(err)
	}
	require.Empty(e.t, attach(volume, "/dev/sdf"))
	v := e.attached(volume)
	require.Equal(e.t, []string{"/dev/sdf", *i.InstanceId}, []string{*v.Attachments[0].Device, *v.Attachments[0].InstanceId})
	require.Equal(e.t, "VolumeInUse", attach(volume, "/dev/sdg"))
	require.Equal(e.t, "InvalidParameterValue", attach(other, "/dev/sdf"))
	_, err := e.ec2.DeleteVolume(e.ctx, &ec2.DeleteVolumeInput{VolumeId: &volume})
	require.Equal(e.t, "VolumeInUse", code(err))
	_, err = e.ec2.DetachVolume(e.ctx, &ec2.DetachVolumeInput{VolumeId: &volume, InstanceId: i.InstanceId})
	require.NoError(e.t, err)
	e.volumeAvailable(volume)
	_, err = e.ec2.DetachVolume(e.ctx, &ec2.DetachVolumeInput{VolumeId: &volume, InstanceId: i.InstanceId})
	require.Equal(e.t, "IncorrectState", code(err))
}

func (e *endpoint) volumeErrors() {
	_, err := e.ec2.DescribeVolumes(e.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{"vol-00000000000000001"}})
	require.Equal(e.t, "InvalidVolume.NotFound", code(err))
	_, err = e.ec2.CreateVolume(e.ctx, &ec2.CreateVolumeInput{AvailabilityZone: &e.zone, SnapshotId: aws.String("snap-00000000000000001")})
	require.Equal(e.t, "InvalidSnapshot.NotFound", code(err))
}

func (e *endpoint) launchVolumes() {
	i := e.launch(func(in *ec2.RunInstancesInput) {
		in.BlockDeviceMappings = []types.BlockDeviceMapping{ebs("/dev/sdf", types.EbsBlockDevice{VolumeSize: aws.Int32(1), DeleteOnTermination: aws.Bool(true)}),
			ebs("/dev/sdg", types.EbsBlockDevice{VolumeSize: aws.Int32(2), VolumeType: "gp3"})}
	})
	var devices map[string]types.EbsInstanceBlockDevice
	require.Eventually(e.t, func() bool {
		out, err := e.ec2.DescribeInstances(e.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{*i.InstanceId}})
		require.NoError(e.t, err)
		devices = devicesOf(out.Reservations[0].Instances[0])
		return len(devices) == 3
	}, time.Minute, 10*time.Millisecond, "besides the root: %v", i.BlockDeviceMappings)
	stays := *devices["/dev/sdg"].VolumeId
	e.undo("volume "+stays, func(ctx context.Context) error { // set again, for the instance goes later
		yes := []types.InstanceBlockDeviceMappingSpecification{{DeviceName: aws.String("/dev/sdg"), Ebs: &types.EbsInstanceBlockDeviceSpecification{DeleteOnTermination: aws.Bool(true)}}}
		_, err := e.ec2.ModifyInstanceAttribute(ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: i.InstanceId, BlockDeviceMappings: yes})
		return err
	})
	require.Equal(e.t, []*bool{aws.Bool(true), aws.Bool(false)}, []*bool{devices["/dev/sdf"].DeleteOnTermination, devices["/dev/sdg"].DeleteOnTermination})
	require.Equal(e.t, int32(2), *e.attached(stays).Size)
}

func (e *endpoint) imageVolumes() {
	first, second := e.snapshot(), e.snapshot()
	in := e.registration(e.name, first)
	in.BlockDeviceMappings = append(in.BlockDeviceMappings, ebs("/dev/sdf", types.EbsBlockDevice{SnapshotId: &second}), ebs("/dev/sdg", types.EbsBlockDevice{VolumeSize: aws.Int32(2)}))
	out, err := e.ec2.RegisterImage(e.ctx, in)
	require.NoError(e.t, err)
	e.forget(*out.ImageId)
	require.NoError(e.t, ec2.NewImageAvailableWaiter(e.ec2, func(o *ec2.ImageAvailableWaiterOptions) { o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Second }).
		Wait(e.ctx, &ec2.DescribeImagesInput{ImageIds: []string{*out.ImageId}}, 5*time.Minute))
	for _, snapshot := range []string{first, second} {
		found, err := e.ec2.DescribeImages(e.ctx, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{filter("block-device-mapping.snapshot-id", snapshot)}})
		require.NoError(e.t, err)
		require.Len(e.t, found.Images, 1)
		m := mappingOf(found.Images[0])
		require.Len(e.t, m, 3)
		require.Nil(e.t, m["/dev/sdg"].SnapshotId)
		_, err = e.ec2.DeleteSnapshot(e.ctx, &ec2.DeleteSnapshotInput{SnapshotId: &snapshot})
		require.Equal(e.t, "InvalidSnapshot.InUse", code(err))
	}
}
