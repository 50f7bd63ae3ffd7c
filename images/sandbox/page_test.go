package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"
)

// pager is an SDK's paginator of a call.
type pager struct {
	more func() bool
	next func(context.Context) (ids []string, token bool, err error)
}

func paged[O any](more func() bool, next func(context.Context) (*O, error), ids func(*O) []string, token func(*O) *string) pager {
	return pager{more, func(ctx context.Context) ([]string, bool, error) {
		out, err := next(ctx)
		if err != nil {
			return nil, false, err
		}
		return ids(out), token(out) != nil, nil
	}}
}

func each[T any](list []T, id func(T) *string) (out []string) {
	for _, v := range list {
		out = append(out, *id(v))
	}
	return out
}

// pagers are paginators of what fill has made, several to a page.
func (w *world) pagers() map[string]pager {
	c, s := w.ec2(build, home), w.ssm(build, home)
	images := ec2.NewDescribeImagesPaginator(c, &ec2.DescribeImagesInput{Owners: []string{"self"}, MaxResults: aws.Int32(2)})
	groups := ec2.NewDescribeSecurityGroupsPaginator(c, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{filter("group-name", "g*")}, MaxResults: aws.Int32(5)})
	snapshots := ec2.NewDescribeSnapshotsPaginator(c, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, MaxResults: aws.Int32(5)})
	tags := ec2.NewDescribeTagsPaginator(c, &ec2.DescribeTagsInput{MaxResults: aws.Int32(5)})
	kinds := ec2.NewDescribeInstanceTypesPaginator(c, &ec2.DescribeInstanceTypesInput{MaxResults: aws.Int32(10), Filters: []types.Filter{filter("instance-type", "t3.*")}})
	byPath := ssm.NewGetParametersByPathPaginator(s, &ssm.GetParametersByPathInput{Path: aws.String("/p"), MaxResults: aws.Int32(3)})
	return map[string]pager{
		"images": paged(images.HasMorePages, func(ctx context.Context) (*ec2.DescribeImagesOutput, error) { return images.NextPage(ctx) },
			func(o *ec2.DescribeImagesOutput) []string {
				return each(o.Images, func(i types.Image) *string { return i.ImageId })
			}, func(o *ec2.DescribeImagesOutput) *string { return o.NextToken }),
		"groups": paged(groups.HasMorePages, func(ctx context.Context) (*ec2.DescribeSecurityGroupsOutput, error) { return groups.NextPage(ctx) },
			func(o *ec2.DescribeSecurityGroupsOutput) []string {
				return each(o.SecurityGroups, func(g types.SecurityGroup) *string { return g.GroupId })
			}, func(o *ec2.DescribeSecurityGroupsOutput) *string { return o.NextToken }),
		"snapshots": paged(snapshots.HasMorePages, func(ctx context.Context) (*ec2.DescribeSnapshotsOutput, error) { return snapshots.NextPage(ctx) },
			func(o *ec2.DescribeSnapshotsOutput) []string {
				return each(o.Snapshots, func(s types.Snapshot) *string { return s.SnapshotId })
			}, func(o *ec2.DescribeSnapshotsOutput) *string { return o.NextToken }),
		"tags": paged(tags.HasMorePages, func(ctx context.Context) (*ec2.DescribeTagsOutput, error) { return tags.NextPage(ctx) },
			func(o *ec2.DescribeTagsOutput) []string {
				return each(o.Tags, func(t types.TagDescription) *string { return t.ResourceId })
			}, func(o *ec2.DescribeTagsOutput) *string { return o.NextToken }),
		"types": paged(kinds.HasMorePages, func(ctx context.Context) (*ec2.DescribeInstanceTypesOutput, error) { return kinds.NextPage(ctx) },
			func(o *ec2.DescribeInstanceTypesOutput) []string {
				return each(o.InstanceTypes, func(i types.InstanceTypeInfo) *string { return aws.String(string(i.InstanceType)) })
			}, func(o *ec2.DescribeInstanceTypesOutput) *string { return o.NextToken }),
		"parameters": paged(byPath.HasMorePages, func(ctx context.Context) (*ssm.GetParametersByPathOutput, error) { return byPath.NextPage(ctx) },
			func(o *ssm.GetParametersByPathOutput) (ids []string) {
				for _, p := range o.Parameters {
					ids = append(ids, *p.Name)
				}
				return ids
			}, func(o *ssm.GetParametersByPathOutput) *string { return o.NextToken }),
	}
}

// fill makes seven of each kind, the images tagged, and lets reads catch up.
func (w *world) fill(s *sleeper) {
	w.t.Helper()
	s.add(5 * time.Second)
	defer s.add(5 * time.Second)
	c, parameters := w.ec2(build, home), w.ssm(build, home)
	for n := range 7 {
		_, err := c.RegisterImage(w.ctx, &ec2.RegisterImageInput{Name: aws.String(fmt.Sprintf("image-%d", n)), RootDeviceName: aws.String("/dev/sda1"), Architecture: "x86_64",
			BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/sda1"), Ebs: &types.EbsBlockDevice{SnapshotId: aws.String(w.copied(s))}}},
			TagSpecifications:   []types.TagSpecification{tagged(types.ResourceTypeImage, "n", fmt.Sprint(n))}})
		require.NoError(w.t, err)
		_, err = c.CreateSecurityGroup(w.ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String(fmt.Sprintf("g-%d", n)), Description: aws.String("d")})
		require.NoError(w.t, err)
		_, err = parameters.PutParameter(w.ctx, &ssm.PutParameterInput{Name: aws.String(fmt.Sprintf("/p/%d", n)), Value: aws.String("v"), Type: "String"})
		require.NoError(w.t, err)
	}
}

// copied is a completed snapshot of this account.
func (w *world) copied(s *sleeper) string {
	w.t.Helper()
	c := w.ec2(build, home)
	source := *w.see(c, w.base(home)).BlockDeviceMappings[0].Ebs.SnapshotId
	out, err := c.CopySnapshot(w.ctx, &ec2.CopySnapshotInput{SourceRegion: aws.String(home), SourceSnapshotId: &source})
	require.NoError(w.t, err)
	w.await(func() bool {
		found, err := c.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*out.SnapshotId}})
		return err == nil && len(found.Snapshots) == 1 && found.Snapshots[0].State == types.SnapshotStateCompleted
	})
	s.add(5 * time.Second)
	return *out.SnapshotId
}

// With the consistency of AWS, pages are empty now and then and have a token all the same, and the last may be empty; paginators get all there
// is, each thing once, and no two tokens in a row are the same. Without it, pages are full.
func TestPagesThatSayLittle(t *testing.T) {
	for consistency, mayBeEmpty := range map[string]bool{"": false, "aws": true} {
		s := newSleeper()
		w := under(t, s, "", consistency, "", 1)
		w.fill(s)
		empty, last := 0, 0
		for range 10 {
			for name, p := range w.pagers() {
				var got []string
				for p.more() {
					ids, token, err := p.next(w.ctx)
					require.NoError(t, err, name)
					if got = append(got, ids...); len(ids) == 0 {
						empty++
						if !token {
							last++
						}
					}
				}
				slices.Sort(got)
				require.Len(t, slices.Compact(got), 7, "%s, consistency %q", name, consistency)
			}
		}
		require.Equal(t, mayBeEmpty, empty > last, "pages that were empty and not the last")
		require.Equal(t, mayBeEmpty, last > 0, "last pages that were empty")
	}
}

// botocore gives up where it gets the same token twice in a row; its paginators go through.
func TestPagesThatSayLittleToBoto3(t *testing.T) {
	python := pythonWith(t, "boto3", "create_image_usage_report")
	s := newSleeper()
	w := under(t, s, "", "aws", "", 1)
	w.fill(s)
	out := w.program(t, python, "-c", `
import boto3, json
ec2, found, empty = boto3.client("ec2"), [], 0
for _ in range(20):
    ids = []
    for page in ec2.get_paginator("describe_images").paginate(Owners=["self"], PaginationConfig={"PageSize": 2}):
        ids += [i["ImageId"] for i in page["Images"]]
        empty += not page["Images"]
    found.append(len(set(ids)))
print(json.dumps({"Found": found, "Empty": empty}))
`)
	var report struct {
		Found []int
		Empty int
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Equal(t, slices.Repeat([]int{7}, 20), report.Found)
	require.NotZero(t, report.Empty)
}
