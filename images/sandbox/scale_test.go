package sandbox_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

// BenchmarkTenThousandImages: DescribeImages by tag, and by id, in an account with 10,000 images.
func BenchmarkTenThousandImages(b *testing.B) {
	w := newWorld(b)
	client := w.ec2(build, home)
	inst, err := client.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.NoError(b, err)
	w.awaitInstance(client, *inst.Instances[0].InstanceId, types.InstanceStateNameRunning)
	vol, err := client.DescribeVolumes(w.ctx, nil)
	require.NoError(b, err)
	s, err := client.CreateSnapshot(w.ctx, &ec2.CreateSnapshotInput{VolumeId: vol.Volumes[0].VolumeId})
	require.NoError(b, err)
	w.await(func() bool {
		out, err := client.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*s.SnapshotId}})
		return err == nil && out.Snapshots[0].State == types.SnapshotStateCompleted
	})
	var last string
	for n := range 10000 {
		out, err := client.RegisterImage(w.ctx, &ec2.RegisterImageInput{Name: aws.String(fmt.Sprint("image-", n)), RootDeviceName: aws.String("/dev/xvda"),
			BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: s.SnapshotId}}},
			TagSpecifications:   []types.TagSpecification{tagged("image", "imgops:role", fmt.Sprint("role", n%100), "imgops:digest", fmt.Sprint(n))}})
		require.NoError(b, err)
		last = *out.ImageId
	}
	for _, c := range []struct {
		name string
		in   ec2.DescribeImagesInput
		want int
	}{
		{"tag", ec2.DescribeImagesInput{Filters: []types.Filter{filter("tag:imgops:digest", "77")}}, 1},
		{"wildcard", ec2.DescribeImagesInput{Filters: []types.Filter{filter("tag:imgops:digest", "77??")}}, 100},
		{"id", ec2.DescribeImagesInput{ImageIds: []string{last}}, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				out, err := client.DescribeImages(w.ctx, &c.in)
				require.NoError(b, err)
				require.Len(b, out.Images, c.want)
			}
		})
	}
}
