package images

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

// scripted answers the n-th DescribeImages with the n-th list, and the last one from then on.
type scripted struct {
	EC2API
	answers [][]types.Image
	err     error
	asked   []*ec2.DescribeImagesInput
}

func (s *scripted) DescribeImages(_ context.Context, in *ec2.DescribeImagesInput, _ ...func(*ec2.Options)) (*ec2.DescribeImagesOutput, error) {
	s.asked = append(s.asked, in)
	if s.err != nil {
		return nil, s.err
	}
	n := min(len(s.asked), len(s.answers)) - 1
	return &ec2.DescribeImagesOutput{Images: s.answers[n]}, nil
}

func image(id string, state types.ImageState) types.Image {
	img := types.Image{ImageId: aws.String(id), State: state}
	if state == types.ImageStateFailed {
		img.StateReason = &types.StateReason{Message: aws.String("the disk is gone")}
	}
	return img
}

func TestWaitAll(t *testing.T) {
	api := &scripted{answers: [][]types.Image{
		{image("ami-2", types.ImageStatePending)},
		{image("ami-1", types.ImageStatePending), image("ami-2", types.ImageStateFailed)},
		{image("ami-1", types.ImageStateAvailable)},
	}}
	var states []string
	got := NewCatalogue(here, api).WaitAll(t.Context(), []string{"ami-1", "ami-2"}, time.Minute, func(id, state string) {
		states = append(states, id+" "+state)
	})
	require.NoError(t, got["ami-1"].Err)
	require.Equal(t, "available", got["ami-1"].Image.State)
	require.EqualError(t, got["ami-2"].Err, "image ami-2 in 111111111111/us-east-1 is failed: the disk is gone")
	require.Equal(t, []string{
		"ami-1 not visible yet", "ami-2 pending", "ami-1 pending", "ami-2 failed", "ami-1 available",
	}, states)
	require.Len(t, api.asked, 3, "one call for all images at each poll")
	require.Equal(t, []string{"ami-1"}, api.asked[2].Filters[0].Values, "what has ended is not asked for again")
}

func TestWaitEnds(t *testing.T) {
	t.Run("with the cause of the context", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		api := &scripted{answers: [][]types.Image{{image("ami-1", types.ImageStatePending)}}}
		_, err := NewCatalogue(here, api).Wait(ctx, "ami-1", func(string) { cancel(errors.New("the user has gone")) })
		require.EqualError(t, err, `waiting for image ami-1 in 111111111111/us-east-1 (last state "pending"): the user has gone`)
	})
	t.Run("when the image stays out of sight", func(t *testing.T) {
		got := NewCatalogue(here, &scripted{answers: [][]types.Image{nil}}).WaitAll(t.Context(), []string{"ami-1"}, 0, nil)
		require.ErrorIs(t, got["ami-1"].Err, ErrNotFound)
	})
	t.Run("when EC2 does not answer", func(t *testing.T) {
		broken := errors.New("broken")
		_, err := NewCatalogue(here, &scripted{err: broken}).Wait(t.Context(), "ami-1", nil)
		require.ErrorIs(t, err, broken)
	})
}

func TestGetAsksForManyAtOnce(t *testing.T) {
	api := &scripted{answers: [][]types.Image{nil}}
	var ids []string
	for i := range 450 {
		ids = append(ids, "ami-"+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	_, err := NewCatalogue(here, api).Get(t.Context(), append(ids, ids...)...)
	require.NoError(t, err)
	var asked []string
	for _, in := range api.asked {
		require.LessOrEqual(t, len(in.Filters[0].Values), 200)
		require.Nil(t, in.MaxResults)
		asked = append(asked, in.Filters[0].Values...)
	}
	slices.Sort(ids)
	require.Equal(t, ids, asked)
	require.Len(t, api.asked, 3)
}

func TestGetOfNothingAsksNothing(t *testing.T) {
	got, err := NewCatalogue(here, &scripted{err: errors.New("asked")}).Get(t.Context())
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestNewest(t *testing.T) {
	named := func(id, name, created string) types.Image {
		img := image(id, "available")
		img.Name, img.CreationDate, img.Architecture = aws.String(name), aws.String(created), types.ArchitectureValuesX8664
		return img
	}
	api := &scripted{answers: [][]types.Image{{
		named("ami-1", "debian-12-1", "2026-01-01T00:00:00.000Z"), named("ami-2", "debian-12-2", "2026-02-01T00:00:00.000Z"),
		named("ami-3", "debian-12-3", "2026-02-01T00:00:00.000Z"), named("ami-4", "debian-13-1", "2026-03-01T00:00:00.000Z"),
	}}}
	twelve, thirteen := BaseName{"136693071363", "debian-12-*", "x86_64"}, BaseName{"136693071363", "debian-1?-1", "x86_64"}
	got, err := NewCatalogue(here, api).Newest(t.Context(), twelve, thirteen, BaseName{"136693071363", "debian-12-*", "arm64"})
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, "ami-3", got[twelve].ID, "ties are broken by id")
	require.Equal(t, "ami-4", got[thirteen].ID)
	require.Len(t, api.asked, 1, "one call for all names of an owner")
	require.Equal(t, []string{"136693071363"}, api.asked[0].Owners)
}

func TestBaseNameMatches(t *testing.T) {
	for pattern, c := range map[string]struct{ yes, no string }{
		"debian-12-*":      {"debian-12-amd64-2026", "my-debian-12-"},
		"a?c":              {"abc", "abbc"},
		"a(b)/[c].*":       {"a(b)/[c].d", "ab/c.d"},
		Exactly(`a*b?c\d`): {`a*b?c\d`, "axbxc\\d"},
		"*":                {"", ""},
	} {
		require.True(t, BaseName{Pattern: pattern}.matches(Image{Name: c.yes}), pattern)
		if c.no != c.yes {
			require.False(t, BaseName{Pattern: pattern}.matches(Image{Name: c.no}), pattern)
		}
	}
	require.False(t, BaseName{Pattern: "*", Architecture: "arm64"}.matches(Image{Architecture: "x86_64"}))
}

func TestBaseWarning(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	base := func(change func(*Image)) Image {
		img := Image{ID: "ami-1", State: "available", Created: now.Add(-40 * day)}
		change(&img)
		return img
	}
	for want, c := range map[string]struct {
		img    Image
		gone   bool
		maxAge time.Duration
	}{
		"": {img: base(func(i *Image) { i.Deprecated = now.Add(day) }), maxAge: 40 * day},
		"is gone, or no longer shared with the build account":                {gone: true},
		"is disabled, not available":                                         {img: base(func(i *Image) { i.State = "disabled" })},
		"is deprecated since 2026-05-31":                                     {img: base(func(i *Image) { i.Deprecated = now.Add(-day) })},
		"is 40 days old (made on 2026-04-22), and max_base_age is 30 days":   {img: base(func(*Image) {}), maxAge: 30 * day},
		"is 30 hours old (made on 2026-05-30), and max_base_age is 1h0m0s":   {img: base(func(i *Image) { i.Created = now.Add(-30 * time.Hour) }), maxAge: time.Hour},
		"is 90 minutes old (made on 2026-05-31), and max_base_age is 1h0m0s": {img: base(func(i *Image) { i.Created = now.Add(-90 * time.Minute) }), maxAge: time.Hour},
		"is 7 seconds old (made on 2026-05-31), and max_base_age is 1ns":     {img: base(func(i *Image) { i.Created = now.Add(-7 * time.Second) }), maxAge: 1},
	} {
		require.Equal(t, want, BaseWarning(c.img, !c.gone, now, c.maxAge))
	}
}
