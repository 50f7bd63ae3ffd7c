package sandboxtest

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

// Register makes an available image in a location, with a snapshot of its own for the root and each of img.Volumes, and the tags of a build; where img.Verified
// is set, also with those of a verification. It returns the image as EC2 shows it. img.Tags are set, too.
func (c *Cloud) Register(t *testing.T, at images.Location, img images.Image) images.Image {
	t.Helper()
	return c.RegisterAll(t, at, img)[0]
}

// RegisterAll makes many images of the snapshots of the first: quick, but none of them is the only one of its snapshot.
func (c *Cloud) RegisterAll(t *testing.T, at images.Location, list ...images.Image) []images.Image {
	t.Helper()
	ctx := t.Context()
	api, err := c.EC2(ctx, at)
	require.NoError(t, err)
	devices := []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: aws.String(c.snapshot(t, api, at.Region, list[0]))}}}
	for _, v := range list[0].Volumes {
		devices = append(devices, types.BlockDeviceMapping{DeviceName: aws.String(v.Device),
			Ebs: &types.EbsBlockDevice{SnapshotId: aws.String(c.snapshot(t, api, at.Region, list[0])), DeleteOnTermination: aws.Bool(v.DeleteOnTermination)}})
	}
	var ids []string
	for _, img := range list {
		in := &ec2.RegisterImageInput{
			Name: aws.String(img.Name), RootDeviceName: aws.String("/dev/xvda"), Architecture: types.ArchitectureValuesX8664,
			BlockDeviceMappings: devices,
			TagSpecifications:   []types.TagSpecification{{ResourceType: types.ResourceTypeImage, Tags: images.EC2Tags(tags(img))}},
		}
		eventually(t, func(ctx context.Context) error {
			out, err := api.RegisterImage(ctx, in)
			if err == nil {
				ids = append(ids, *out.ImageId)
			}
			return err
		})
	}
	waited := images.NewCatalogue(at, api).WaitAll(ctx, ids, time.Minute, nil)
	made := make([]images.Image, len(ids))
	for i, id := range ids {
		require.NoError(t, waited[id].Err)
		made[i] = waited[id].Image
	}
	return made
}

func (c *Cloud) snapshot(t *testing.T, api *ec2.Client, region string, img images.Image) string {
	t.Helper()
	ctx := t.Context()
	volume, err := api.CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String(region + "a"), Size: aws.Int32(1)})
	require.NoError(t, err)
	in := &ec2.CreateSnapshotInput{VolumeId: volume.VolumeId, TagSpecifications: []types.TagSpecification{
		{ResourceType: types.ResourceTypeSnapshot, Tags: images.EC2Tags(tags(img))},
	}}
	var snapshot string
	eventually(t, func(ctx context.Context) error {
		out, err := api.CreateSnapshot(ctx, in)
		if err == nil {
			snapshot = *out.SnapshotId
		}
		return err
	})
	eventually(t, func(ctx context.Context) error {
		out, err := api.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{snapshot}})
		if err == nil && out.Snapshots[0].State != types.SnapshotStateCompleted {
			return errNotYet
		}
		return err
	})
	return snapshot
}

var errNotYet = errors.New("not yet")

// eventually does a call again until the sandbox knows what it refers to, and that is ready.
func eventually(t *testing.T, call func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, images.Poll(ctx, func(ctx context.Context) (bool, error) {
		err := call(ctx)
		code := images.Code(err)
		if errors.Is(err, errNotYet) || strings.HasSuffix(code, ".NotFound") || code == "IncorrectState" {
			return false, nil
		}
		return err == nil, err
	}))
}

func tags(img images.Image) map[string]string {
	tags := img.BuildTags()
	if img.Verified != "" {
		tags[images.TagVerified], tags[images.TagVerifiedAt] = img.Verified, "2026-03-01T00:00:00Z"
	}
	maps.Copy(tags, img.Tags)
	return tags
}

// Share lets other accounts launch an image.
func (c *Cloud) Share(t *testing.T, img images.Image, accounts ...string) {
	t.Helper()
	api, err := c.EC2(t.Context(), img.Location)
	require.NoError(t, err)
	for _, account := range accounts {
		_, err := api.ModifyImageAttribute(t.Context(), &ec2.ModifyImageAttributeInput{ImageId: aws.String(img.ID), LaunchPermission: &types.LaunchPermissionModifications{
			Add: []types.LaunchPermission{{UserId: aws.String(account)}},
		}})
		require.NoError(t, err)
	}
}
