package promoter

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"github.com/imgops/imgops/images"
)

func (c *cloud) describe(loc images.Location, in *ec2.DescribeImagesInput) *ec2.DescribeImagesOutput {
	out := &ec2.DescribeImagesOutput{}
	for id, f := range c.images {
		own := *f.OwnerId == loc.Account
		match := f.region == loc.Region && (own || slices.Contains(f.users, loc.Account)) && (own || !slices.Contains(in.Owners, "self"))
		for _, filter := range in.Filters {
			value := id
			if tag, ok := strings.CutPrefix(*filter.Name, "tag:"); ok {
				value = f.tags[loc.Account][tag]
			}
			match = match && slices.Contains(filter.Values, value)
		}
		if !match {
			continue
		}
		img := f.Image
		img.State, img.Tags = "pending", images.EC2Tags(f.tags[loc.Account])
		if f.looks > 0 {
			img.State = f.ready
			img.StateReason = &ec2types.StateReason{Message: aws.String("the key is disabled")}
			img.BlockDeviceMappings = []ec2types.BlockDeviceMapping{{
				DeviceName: img.RootDeviceName, Ebs: &ec2types.EbsBlockDevice{SnapshotId: aws.String(snapshotOf(id))},
			}}
		}
		f.looks++
		out.Images = append(out.Images, img)
	}
	return out
}

func snapshotOf(id string) string { return strings.Replace(id, "ami-", "snap-", 1) }

func (c *cloud) mine(loc images.Location, id string) (*fakeImage, error) {
	f, ok := c.images[strings.Replace(id, "snap-", "ami-", 1)]
	if !ok || f.region != loc.Region || *f.OwnerId != loc.Account {
		return nil, &smithy.GenericAPIError{Code: "AuthFailure", Message: id + " is not yours"}
	}
	return f, nil
}

func (c *cloud) copy(loc images.Location, in *ec2.CopyImageInput) (any, error) {
	source, ok := c.images[*in.SourceImageId]
	switch {
	case !ok || source.region != *in.SourceRegion || *source.OwnerId != loc.Account && !slices.Contains(source.users, loc.Account):
		return nil, &smithy.GenericAPIError{Code: "InvalidAMIID.NotFound", Message: *in.SourceImageId}
	case *source.OwnerId != loc.Account && !slices.Contains(source.copyUsers, loc.Account):
		return nil, &smithy.GenericAPIError{Code: "InvalidRequest", Message: "no access to the storage of " + *in.SourceImageId}
	case source.looks == 0:
		return nil, &smithy.GenericAPIError{Code: "InvalidAMIID.Unavailable", Message: *in.SourceImageId}
	}
	token := loc.String() + *in.ClientToken
	text, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	if old := c.requests[token]; old != "" && old != string(text) {
		return nil, &smithy.GenericAPIError{Code: "IdempotentParameterMismatch", Message: old}
	}
	c.requests[token] = string(text)
	if c.tokens[token] == "" {
		c.copies++
		id := fmt.Sprintf("ami-c%d", c.copies)
		f := c.add(loc, id, *in.Name, *in.SourceImageId, *in.SourceRegion)
		for _, t := range in.TagSpecifications[0].Tags {
			f.tags[loc.Account][*t.Key] = *t.Value
		}
		if aws.ToBool(in.Encrypted) {
			f.Description = aws.String("encrypted " + aws.ToString(in.KmsKeyId))
		}
		c.tokens[token] = id
	}
	return &ec2.CopyImageOutput{ImageId: aws.String(c.tokens[token])}, nil
}

func (c *cloud) tag(loc images.Location, ids []string, tags []ec2types.Tag, remove bool) error {
	for _, id := range ids {
		f, err := c.mine(loc, id)
		if err != nil {
			return err
		}
		for _, t := range tags {
			f.tags[loc.Account][*t.Key] = aws.ToString(t.Value)
			if remove {
				delete(f.tags[loc.Account], *t.Key)
			}
		}
	}
	return nil
}

func (c *cloud) launchPermission(loc images.Location, in *ec2.ModifyImageAttributeInput) (any, error) {
	f, err := c.mine(loc, *in.ImageId)
	if err != nil {
		return nil, err
	}
	for _, e := range in.LaunchPermission.Add {
		f.users = with(f.users, *e.UserId)
	}
	for _, e := range in.LaunchPermission.Remove {
		f.users = slices.DeleteFunc(f.users, func(u string) bool { return u == *e.UserId })
	}
	return &ec2.ModifyImageAttributeOutput{}, nil
}

func (c *cloud) copyPermission(loc images.Location, in *ec2.ModifySnapshotAttributeInput) (any, error) {
	f, err := c.mine(loc, *in.SnapshotId)
	if err != nil {
		return nil, err
	}
	for _, e := range in.CreateVolumePermission.Add {
		f.copyUsers = with(f.copyUsers, *e.UserId)
	}
	for _, e := range in.CreateVolumePermission.Remove {
		f.copyUsers = slices.DeleteFunc(f.copyUsers, func(u string) bool { return u == *e.UserId })
	}
	return &ec2.ModifySnapshotAttributeOutput{}, nil
}

func with(list []string, s string) []string {
	if !slices.Contains(list, s) {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}
