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

func TestNewestOf(t *testing.T) {
	old, newer, twin := image("ami-1", "available"), image("ami-2", "available"), image("ami-3", "available")
	old.CreationDate, newer.CreationDate, twin.CreationDate = aws.String("2026-01-01T00:00:00.000Z"), aws.String("2026-02-01T00:00:00.000Z"), aws.String("2026-02-01T00:00:00.000Z")
	api := &scripted{answers: [][]types.Image{{old, newer, twin}}}
	got, err := NewCatalogue(here, api).NewestOf(t.Context(), "136693071363", "debian-12-*", "x86_64")
	require.NoError(t, err)
	require.Equal(t, "ami-3", got.ID, "ties are broken by id")
	require.Equal(t, []string{"136693071363"}, api.asked[0].Owners)

	_, err = NewCatalogue(here, &scripted{answers: [][]types.Image{nil}}).NewestOf(t.Context(), "136693071363", "debian-12-*", "x86_64")
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, `owner 136693071363 has no x86_64 image named "debian-12-*" in 111111111111/us-east-1`)
}
