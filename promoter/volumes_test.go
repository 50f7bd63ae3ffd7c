package promoter_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

// An image with a volume besides its root is promoted with all its snapshots: they are shared with those who copy, copied with
// their tags to each Region and account, and gone with the image.
func TestSeveralSnapshotsOnTheSandbox(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	data := []images.Volume{{Device: "/dev/sdf"}}
	img := c.register(t, images.Image{
		Name: "acme-web-d1", Fleet: "acme", Role: "web", Digest: "sha256:d1", Commit: "b1", Run: "run-1", Verified: "sha256:t1", Volumes: data,
	})
	require.Len(t, img.Snapshots, 2)
	require.NoError(t, c.promote(t, "m1", img, shared, owned))
	for _, d := range c.defaults(t, "d1", shared, owned) {
		require.Equal(t, images.StatusCurrent, d.Status, d)
	}
	seen := map[string]bool{}
	for _, at := range []images.Location{buildAt, {Account: buildAt.Account, Region: "eu-west-1"}, {Account: "444444444444", Region: "eu-west-1"}} {
		api, err := c.EC2(t.Context(), at)
		require.NoError(t, err)
		made, err := images.NewCatalogue(at, api).OfRoles(t.Context(), "acme", "web")
		require.NoError(t, err)
		require.Len(t, made, 1)
		require.Equal(t, data, made[0].Volumes)
		require.Len(t, made[0].Snapshots, 2)
		out, err := api.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: made[0].Snapshots, Filters: []types.Filter{
			{Name: aws.String("tag:" + images.TagDigest), Values: []string{"sha256:d1"}}}})
		require.NoError(t, err)
		require.Len(t, out.Snapshots, 2, "tagged in %s", at)
		for _, s := range out.Snapshots {
			require.False(t, seen[*s.SnapshotId], "%s is its own copy", at)
			seen[*s.SnapshotId] = true
		}
	}
	requireLaunches(t, c, images.Location{Account: "444444444444", Region: "eu-west-1"})
}

// requireLaunches: the default of role web has both volumes in an instance.
func requireLaunches(t *testing.T, c *cloud, at images.Location) {
	t.Helper()
	pointers, err := images.OpenPointers(t.Context(), c, at, "acme")
	require.NoError(t, err)
	pointer, found, err := pointers.Get(t.Context(), "web")
	require.NoError(t, err)
	require.True(t, found)
	api, err := c.EC2(t.Context(), at)
	require.NoError(t, err)
	out, err := api.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: aws.String(pointer.Image), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.NoError(t, err)
	require.Len(t, out.Instances[0].BlockDeviceMappings, 2)
}
