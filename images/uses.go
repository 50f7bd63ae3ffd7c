package images

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// maxReferenceImages is how many images one DescribeImageReferences takes (EC2 API).
const maxReferenceImages = 10

// usesAPI is what asking for the uses of images needs of EC2.
type usesAPI interface {
	ec2.DescribeInstancesAPIClient
	ec2.DescribeImageReferencesAPIClient
}

// liveStates are those of instances that can start again from their image's disk, or be replaced by its like.
var liveStates = []string{"pending", "running", "stopping", "stopped"}

// Used finds those of the images that something in the account and Region uses: an instance that is not terminated, one
// of the ten newest versions of a launch template, or a parameter. An account that may not be asked for all of it is
// asked for its instances.
func Used(ctx context.Context, api usesAPI, ids []string) ([]string, error) {
	used, err := referenced(ctx, api, ids)
	if isDenied(err) || slices.Contains([]string{"InvalidAction", "UnsupportedOperation"}, Code(err)) {
		used, err = launched(ctx, api, ids)
	}
	slices.Sort(used)
	return slices.Compact(used), err
}

func referenced(ctx context.Context, api usesAPI, ids []string) ([]string, error) {
	var used []string
	for chunk := range slices.Chunk(ids, maxReferenceImages) {
		in := &ec2.DescribeImageReferencesInput{ImageIds: chunk, ResourceTypes: []types.ResourceTypeRequest{
			{
				ResourceType:        types.ImageReferenceResourceTypeEc2Instance,
				ResourceTypeOptions: []types.ResourceTypeOption{{OptionName: types.ImageReferenceOptionNameStateName, OptionValues: liveStates}},
			},
			{ResourceType: types.ImageReferenceResourceTypeEc2LaunchTemplate}, {ResourceType: types.ImageReferenceResourceTypeSsmParameter},
		}}
		for p := ec2.NewDescribeImageReferencesPaginator(api, in); p.HasMorePages(); {
			page, err := p.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, r := range page.ImageReferences {
				used = append(used, aws.ToString(r.ImageId))
			}
		}
	}
	return used, nil
}

func launched(ctx context.Context, api usesAPI, ids []string) ([]string, error) {
	var used []string
	for chunk := range slices.Chunk(ids, maxFilterValues) {
		err := eachInstance(ctx, api, []types.Filter{filter("image-id", chunk...)}, func(i types.Instance) { used = append(used, aws.ToString(i.ImageId)) })
		if err != nil {
			return nil, err
		}
	}
	return used, nil
}

// isDenied says that the caller lacks a permission.
func isDenied(err error) bool {
	return slices.Contains([]string{"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}, Code(err))
}
