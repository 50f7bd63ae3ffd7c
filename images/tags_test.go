package images

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

var here = Location{"111111111111", "us-east-1"}

func TestBuildTagsRoundTrip(t *testing.T) {
	built := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	want := Image{
		Name: "acme-web-1a2b", Fleet: "acme", Role: "web", Digest: "sha256:1a2b", Commit: "c0ffee", Branch: "topic",
		Base: "ami-0", Run: "run-1", BuiltAt: built,
	}
	got := fromEC2(here, types.Image{Tags: EC2Tags(want.BuildTags())})
	require.Equal(t, "acme-web-1a2b", got.Tags[TagName])
	got.Name, got.Tags, got.Location = want.Name, nil, Location{}
	require.Equal(t, want, got)
}

func TestEC2TagsAreAlwaysTheSame(t *testing.T) {
	m := map[string]string{"b": "2", "a": "1", "gone": "", "c": "3"}
	for range 20 {
		require.Equal(t, []types.Tag{
			{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("b"), Value: aws.String("2")}, {Key: aws.String("c"), Value: aws.String("3")},
		}, EC2Tags(m))
	}
}

func TestLongBranchFitsATag(t *testing.T) {
	tags := Image{Branch: strings.Repeat("ü", 300)}.BuildTags()
	require.Equal(t, strings.Repeat("ü", 256), tags[TagBranch])
}

func TestFromEC2(t *testing.T) {
	img := fromEC2(here, types.Image{
		ImageId: aws.String("ami-1"), OwnerId: aws.String(here.Account), State: types.ImageStateFailed,
		StateReason:  &types.StateReason{Code: aws.String("Client.InternalError"), Message: aws.String("the key is disabled")},
		CreationDate: aws.String("2026-05-04T03:02:01.500Z"), RootDeviceName: aws.String("/dev/xvda"),
		SourceImageId: aws.String("ami-0"), SourceImageRegion: aws.String("eu-west-1"),
		BlockDeviceMappings: []types.BlockDeviceMapping{
			{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: aws.String("snap-1"), VolumeSize: aws.Int32(8)}},
			{DeviceName: aws.String("/dev/sdb"), Ebs: &types.EbsBlockDevice{SnapshotId: aws.String("snap-2"), VolumeSize: aws.Int32(9)}},
			{DeviceName: aws.String("/dev/sdc"), VirtualName: aws.String("ephemeral0")},
		},
		Tags: []types.Tag{
			{Key: aws.String(TagVerified), Value: aws.String("sha256:77")}, {Key: aws.String(TagVerifiedAt), Value: aws.String("2026-05-05T00:00:00Z")},
			{Key: aws.String(TagRejected), Value: aws.String("leaks memory")}, {Key: aws.String(TagDefault), Value: aws.String("true")},
			{Key: aws.String(TagPromoted), Value: aws.String("abc 2026-05-06T00:00:00Z")},
		},
	})
	require.Equal(t, []string{"snap-1", "snap-2"}, img.Snapshots)
	require.Equal(t, int32(8), img.DiskGiB)
	require.Equal(t, "Client.InternalError the key is disabled", img.StateReason)
	require.Equal(t, time.Date(2026, 5, 4, 3, 2, 1, 5e8, time.UTC), img.Created)
	require.Equal(t, Location{"", "eu-west-1"}, Location{"", img.SourceRegion})
	require.True(t, img.Default)
	require.Equal(t, "sha256:77", img.Verified)
	require.Equal(t, "leaks memory", img.Rejected)
	require.Equal(t, Promoted{"abc", time.Date(2026, 5, 6, 0, 0, 0, 0, time.UTC)}, img.Promoted)
}

func TestDirty(t *testing.T) {
	require.True(t, Image{Commit: "abc" + DirtySuffix}.Dirty())
	require.False(t, Image{Commit: "abc"}.Dirty())
}

func FuzzParsePromoted(f *testing.F) {
	for _, s := range []string{"", "abc", "abc 2026-05-06T00:00:00Z", " 2026-05-06T00:00:00Z", "a b c", "abc 9999-99-99"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := parsePromoted(s)
		if p.Commit == "" || p.At.IsZero() || p.At.Nanosecond() != 0 || p.At.Year() > 9999 || p.At.Year() < 0 {
			return
		}
		require.Equal(t, p, parsePromoted(p.String()))
	})
}
