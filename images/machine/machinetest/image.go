package machinetest

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// CreateImage is EC2's: of a stopped instance; names are unique.
func (c *Cloud) CreateImage(ctx context.Context, in *ec2.CreateImageInput, _ ...func(*ec2.Options)) (*ec2.CreateImageOutput, error) {
	return call(ctx, c, "CreateImage", func() (*ec2.CreateImageOutput, error) {
		i, ok := c.instances[aws.ToString(in.InstanceId)]
		if !ok || i.State.Name != types.InstanceStateNameStopped {
			return nil, Error("IncorrectInstanceState")
		}
		for _, img := range c.images {
			if aws.ToString(img.Name) == aws.ToString(in.Name) {
				return nil, Error("InvalidAMIName.Duplicate")
			}
		}
		id, snap := c.id("ami"), c.id("snap")
		c.snapshots[snap] = types.Snapshot{SnapshotId: &snap, Tags: tagsOf(in.TagSpecifications, types.ResourceTypeSnapshot)}
		c.images[id] = &types.Image{
			ImageId: &id, Name: in.Name, State: types.ImageStatePending, SourceInstanceId: in.InstanceId, OwnerId: aws.String("111111111111"),
			Architecture: types.ArchitectureValuesX8664, RootDeviceName: aws.String("/dev/xvda"),
			Tags: tagsOf(in.TagSpecifications, types.ResourceTypeImage),
			BlockDeviceMappings: append([]types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: &snap, VolumeSize: aws.Int32(8)}}},
				in.BlockDeviceMappings...),
		}
		return &ec2.CreateImageOutput{ImageId: &id}, nil
	})
}

// DescribeImages is EC2's. A pending image shows no snapshots, and has become Cloud.ImageState at the next look.
func (c *Cloud) DescribeImages(ctx context.Context, in *ec2.DescribeImagesInput, _ ...func(*ec2.Options)) (*ec2.DescribeImagesOutput, error) {
	return call(ctx, c, "DescribeImages", func() (*ec2.DescribeImagesOutput, error) {
		out := &ec2.DescribeImagesOutput{}
		for id, img := range c.images {
			own := map[string]string{
				"image-id": id, "name": aws.ToString(img.Name), "state": string(img.State), "architecture": string(img.Architecture),
			}
			if !matches(in.Filters, img.Tags, own) {
				continue
			}
			seen := *img
			if img.State == types.ImageStatePending {
				seen.BlockDeviceMappings = nil
				img.State = c.ImageState
				if img.State != types.ImageStateAvailable {
					img.StateReason = &types.StateReason{Code: aws.String("Server.InternalError"), Message: aws.String("the snapshot failed")}
				}
			}
			out.Images = append(out.Images, seen)
		}
		return out, nil
	})
}

// DeregisterImage is EC2's; the snapshots stay.
func (c *Cloud) DeregisterImage(ctx context.Context, in *ec2.DeregisterImageInput, _ ...func(*ec2.Options)) (*ec2.DeregisterImageOutput, error) {
	return call(ctx, c, "DeregisterImage", func() (*ec2.DeregisterImageOutput, error) {
		id := aws.ToString(in.ImageId)
		if _, ok := c.images[id]; !ok {
			return nil, Error("InvalidAMIID.NotFound")
		}
		delete(c.images, id)
		return &ec2.DeregisterImageOutput{}, nil
	})
}

// DescribeSnapshots is EC2's, with tag filters.
func (c *Cloud) DescribeSnapshots(ctx context.Context, in *ec2.DescribeSnapshotsInput, _ ...func(*ec2.Options)) (*ec2.DescribeSnapshotsOutput, error) {
	return call(ctx, c, "DescribeSnapshots", func() (*ec2.DescribeSnapshotsOutput, error) {
		out := &ec2.DescribeSnapshotsOutput{}
		for _, s := range c.snapshots {
			if matches(in.Filters, s.Tags, nil) {
				out.Snapshots = append(out.Snapshots, s)
			}
		}
		return out, nil
	})
}

// DeleteSnapshot is EC2's: it refuses while an image uses the snapshot.
func (c *Cloud) DeleteSnapshot(ctx context.Context, in *ec2.DeleteSnapshotInput, _ ...func(*ec2.Options)) (*ec2.DeleteSnapshotOutput, error) {
	return call(ctx, c, "DeleteSnapshot", func() (*ec2.DeleteSnapshotOutput, error) {
		id := aws.ToString(in.SnapshotId)
		for _, img := range c.images {
			for _, m := range img.BlockDeviceMappings {
				if aws.ToString(m.Ebs.SnapshotId) == id {
					return nil, Error("InvalidSnapshot.InUse")
				}
			}
		}
		delete(c.snapshots, id)
		return &ec2.DeleteSnapshotOutput{}, nil
	})
}

// CreateTags is EC2's, on images.
func (c *Cloud) CreateTags(ctx context.Context, in *ec2.CreateTagsInput, _ ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error) {
	return call(ctx, c, "CreateTags", func() (*ec2.CreateTagsOutput, error) {
		for _, id := range in.Resources {
			if img, ok := c.images[id]; ok {
				img.Tags = append(img.Tags, in.Tags...)
			}
		}
		return &ec2.CreateTagsOutput{}, nil
	})
}

// DeleteTags is EC2's; nothing here needs it.
func (c *Cloud) DeleteTags(ctx context.Context, _ *ec2.DeleteTagsInput, _ ...func(*ec2.Options)) (*ec2.DeleteTagsOutput, error) {
	return call(ctx, c, "DeleteTags", func() (*ec2.DeleteTagsOutput, error) { return nil, Error("InvalidAction") })
}

// SetImageState gives an image another state.
func (c *Cloud) SetImageState(id string, state types.ImageState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.images[id].State = state
}
