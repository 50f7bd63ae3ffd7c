package images_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
)

var (
	buildAt = images.Location{Account: "111111111111", Region: "us-east-1"}
	targetA = images.Location{Account: "222222222222", Region: "us-east-1"}
	targetB = images.Location{Account: "333333333333", Region: "us-east-1"}
)

// clients lead to a sandbox without machines. The account that is closed has none.
type clients struct{ url, closed string }

func newClients(t *testing.T) *clients {
	t.Helper()
	box, err := sandbox.New(t.Context(), sandbox.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	server := httptest.NewServer(box.Handler())
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, box.Close())
	})
	return &clients{url: server.URL}
}

var errClosed = errors.New("the account is closed")

func (c *clients) config(loc images.Location) (aws.Config, error) {
	if loc.Account == c.closed {
		return aws.Config{}, errClosed
	}
	return aws.Config{
		Region: loc.Region, BaseEndpoint: aws.String(c.url),
		Credentials: credentials.NewStaticCredentialsProvider("SANDBOX"+loc.Account, "sandbox", ""),
	}, nil
}

func (c *clients) EC2(_ context.Context, loc images.Location) (*ec2.Client, error) {
	cfg, err := c.config(loc)
	return ec2.NewFromConfig(cfg), err
}

func (c *clients) SSM(_ context.Context, loc images.Location) (*ssm.Client, error) {
	cfg, err := c.config(loc)
	return ssm.NewFromConfig(cfg), err
}

// register makes an available image of the build account with tags, and shares it.
func (c *clients) register(t *testing.T, img images.Image, with ...images.Location) images.Image {
	t.Helper()
	ctx := t.Context()
	api, err := c.EC2(ctx, buildAt)
	require.NoError(t, err)
	volume, err := api.CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1a"), Size: aws.Int32(1)})
	require.NoError(t, err)
	require.NoError(t, ec2.NewVolumeAvailableWaiter(api, func(o *ec2.VolumeAvailableWaiterOptions) { o.MinDelay = 10 * time.Millisecond }).
		Wait(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{*volume.VolumeId}}, time.Minute))
	snapshot, err := api.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: volume.VolumeId})
	require.NoError(t, err)
	require.NoError(t, ec2.NewSnapshotCompletedWaiter(api, func(o *ec2.SnapshotCompletedWaiterOptions) { o.MinDelay = 10 * time.Millisecond }).
		Wait(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*snapshot.SnapshotId}}, time.Minute))
	out, err := api.RegisterImage(ctx, &ec2.RegisterImageInput{
		Name: aws.String(img.Name), RootDeviceName: aws.String("/dev/xvda"), Architecture: types.ArchitectureValuesX8664,
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: snapshot.SnapshotId}}},
		TagSpecifications:   []types.TagSpecification{{ResourceType: types.ResourceTypeImage, Tags: images.EC2Tags(img.BuildTags())}},
	})
	require.NoError(t, err)
	for _, loc := range with {
		_, err := api.ModifyImageAttribute(ctx, &ec2.ModifyImageAttributeInput{ImageId: out.ImageId, LaunchPermission: &types.LaunchPermissionModifications{
			Add: []types.LaunchPermission{{UserId: aws.String(loc.Account)}},
		}})
		require.NoError(t, err)
	}
	found, err := images.NewCatalogue(buildAt, api).Wait(ctx, *out.ImageId, nil)
	require.NoError(t, err)
	return found
}

// web is an image of role web of fleet acme.
func web(digest string) images.Image {
	return images.Image{Name: "acme-web-" + digest, Fleet: "acme", Role: "web", Digest: "sha256:" + digest, Commit: "c0ffee", Run: "run-1"}
}

func (c *clients) point(t *testing.T, loc images.Location, role, image string) images.Pointer {
	t.Helper()
	pointers, err := images.OpenPointers(t.Context(), c, loc, "acme")
	require.NoError(t, err)
	ptr, err := pointers.Set(t.Context(), role, image, "for a test")
	require.NoError(t, err)
	return ptr
}
