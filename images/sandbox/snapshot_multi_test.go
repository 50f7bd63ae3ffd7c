package sandbox_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

// EC2 API Reference, CreateSnapshots: all volumes of an instance, or some, with their tags if asked.
func TestCreateSnapshots(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/sdf"), Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(3)}}}
		in.TagSpecifications = []types.TagSpecification{tagged(types.ResourceTypeVolume, "of", "volume")}
	})
	volume := map[string]string{}
	for _, d := range w.instance(c, *i.InstanceId).BlockDeviceMappings {
		volume[*d.DeviceName] = *d.Ebs.VolumeId
	}
	root, data := volume[*i.RootDeviceName], volume["/dev/sdf"]
	create := func(of types.InstanceSpecification, change func(*ec2.CreateSnapshotsInput)) ([]types.SnapshotInfo, error) {
		of.InstanceId = i.InstanceId
		in := &ec2.CreateSnapshotsInput{InstanceSpecification: &of, Description: aws.String("both")}
		if change != nil {
			change(in)
		}
		out, err := c.CreateSnapshots(w.ctx, in)
		if err != nil {
			return nil, err
		}
		return out.Snapshots, nil
	}
	all, err := create(types.InstanceSpecification{}, func(in *ec2.CreateSnapshotsInput) {
		in.CopyTagsFromSource, in.TagSpecifications = types.CopyTagsFromSourceVolume, []types.TagSpecification{tagged(types.ResourceTypeSnapshot, "more", "1")}
	})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, []string{root, data}, []string{*all[0].VolumeId, *all[1].VolumeId})
	require.EqualValues(t, 3, *all[1].VolumeSize)
	require.ElementsMatch(t, []types.Tag{{Key: aws.String("of"), Value: aws.String("volume")}, {Key: aws.String("more"), Value: aws.String("1")}}, all[1].Tags)
	require.Equal(t, types.SnapshotStatePending, all[0].State)
	w.await(func() bool {
		out, err := c.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*all[0].SnapshotId, *all[1].SnapshotId}, Filters: []types.Filter{filter("status", "completed")}})
		return err == nil && len(out.Snapshots) == 2
	})
	for _, x := range []struct {
		of   types.InstanceSpecification
		want string
	}{{types.InstanceSpecification{ExcludeBootVolume: aws.Bool(true)}, data}, {types.InstanceSpecification{ExcludeDataVolumeIds: []string{data}}, root}} {
		some, err := create(x.of, nil)
		require.NoError(t, err)
		require.Len(t, some, 1)
		require.Equal(t, x.want, *some[0].VolumeId)
		require.Empty(t, some[0].Tags)
	}
	for want, of := range map[string]types.InstanceSpecification{
		"InvalidParameterValue":       {ExcludeDataVolumeIds: []string{"vol-00000000000000000"}},
		"InvalidParameterCombination": {ExcludeBootVolume: aws.Bool(true), ExcludeDataVolumeIds: []string{data}},
	} {
		_, err := create(of, nil)
		require.Equal(t, want, code(err))
	}
	_, err = create(types.InstanceSpecification{}, func(in *ec2.CreateSnapshotsInput) {
		in.InstanceSpecification.InstanceId = aws.String("i-00000000000000000")
	})
	require.Equal(t, "InvalidInstanceID.NotFound", code(err))
}
