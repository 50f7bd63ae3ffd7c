package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// removalAPI is what removing an image needs of EC2.
type removalAPI interface {
	CreateTags(context.Context, *ec2.CreateTagsInput, ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error)
	DeregisterImage(context.Context, *ec2.DeregisterImageInput, ...func(*ec2.Options)) (*ec2.DeregisterImageOutput, error)
	DeleteSnapshot(context.Context, *ec2.DeleteSnapshotInput, ...func(*ec2.Options)) (*ec2.DeleteSnapshotOutput, error)
}

// removeImage deregisters an image and deletes its snapshots. They are marked first: those that a killed process leaves
// are found by the mark. A snapshot that another image uses stays.
func removeImage(ctx context.Context, api removalAPI, img Image, now time.Time) error {
	_, err := api.CreateTags(ctx, &ec2.CreateTagsInput{
		Resources: append([]string{img.ID}, img.Snapshots...), Tags: EC2Tags(map[string]string{TagRemoving: formatTime(now)}),
	})
	if err != nil && !imageGone(err) {
		return fmt.Errorf("marking it: %w", err)
	}
	out, err := api.DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: aws.String(img.ID), DeleteAssociatedSnapshots: aws.Bool(true)})
	if imageGone(err) {
		return nil // what its snapshots are is told by the mark
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range out.DeleteSnapshotResults { // the image is deregistered whatever they say (EC2 API, DeregisterImage)
		switch r.ReturnCode {
		case types.SnapshotReturnCodesSuccess, types.SnapshotReturnCodesWarnSkipped:
		default:
			errs = append(errs, fmt.Errorf("its snapshot %s was not deleted (%s); run it again", aws.ToString(r.SnapshotId), r.ReturnCode))
		}
	}
	return errors.Join(errs...)
}

func imageGone(err error) bool {
	return slices.Contains([]string{"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"}, Code(err))
}

func removeSnapshot(ctx context.Context, api removalAPI, id string) error {
	_, err := api.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: aws.String(id)})
	if slices.Contains([]string{"InvalidSnapshot.NotFound", "InvalidSnapshot.InUse"}, Code(err)) {
		return nil
	}
	return err
}

// orphans lists the snapshots that are marked, and that no image uses any more.
func (c *Cleaner) orphans(ctx context.Context, places []Location) ([]Old, error) {
	found := make([][]Old, len(places))
	var mu sync.Mutex
	err := each(ctx, len(places), func(ctx context.Context, i int) error {
		api, err := c.Clients.EC2(ctx, places[i])
		if err != nil {
			return fmt.Errorf("connecting to EC2 of %s: %w", places[i], err)
		}
		list, err := orphansOf(ctx, api, c.Query.Fleet, places[i])
		mu.Lock()
		defer mu.Unlock()
		found[i] = list
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

func orphansOf(ctx context.Context, api *ec2.Client, fleet string, at Location) ([]Old, error) {
	if fleet == "" {
		return nil, errors.New("looking for snapshots: no fleet is named, and an empty selector would match everything")
	}
	var list []Old
	in := &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, MaxResults: aws.Int32(1000), Filters: []types.Filter{tagFilter(TagFleet, fleet), filter("tag-key", TagRemoving)}}
	for p := ec2.NewDescribeSnapshotsPaginator(api, in); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing snapshots in %s: %w", at, err)
		}
		for _, s := range page.Snapshots {
			o := Old{Snapshot: aws.ToString(s.SnapshotId), Location: at, Action: CleanRemove, Why: "left of an image that was removed"}
			for _, t := range s.Tags {
				if aws.ToString(t.Key) == TagRole {
					o.Role = aws.ToString(t.Value)
				}
			}
			list = append(list, o)
		}
	}
	var unused []Old
	for chunk := range slices.Chunk(list, maxFilterValues) {
		used, err := backing(ctx, api, chunk)
		if err != nil {
			return nil, fmt.Errorf("asking which images use snapshots in %s: %w", at, err)
		}
		for _, o := range chunk {
			if !used[o.Snapshot] {
				unused = append(unused, o)
			}
		}
	}
	return unused, nil
}

// backing finds those of the snapshots that images use, disabled and deprecated ones, too.
func backing(ctx context.Context, api *ec2.Client, list []Old) (map[string]bool, error) {
	var ids []string
	for _, o := range list {
		ids = append(ids, o.Snapshot)
	}
	used := map[string]bool{}
	in := &ec2.DescribeImagesInput{
		Owners: []string{"self"}, Filters: []types.Filter{filter("block-device-mapping.snapshot-id", ids...)},
		IncludeDeprecated: aws.Bool(true), IncludeDisabled: aws.Bool(true), MaxResults: aws.Int32(1000),
	}
	for p := ec2.NewDescribeImagesPaginator(api, in); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Images {
			for _, id := range fromEC2(Location{}, e).Snapshots {
				used[id] = true
			}
		}
	}
	return used, nil
}
