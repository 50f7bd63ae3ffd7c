package builder

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
)

// TestOnce has several runs want the same digest at once: one builds it, the others take its image.
func TestOnce(t *testing.T) {
	cloud := sandboxtest.New(t)
	home := images.Location{Account: "111111111111", Region: "us-east-1"}
	turn := func(run string) Turn {
		return Turn{Location: home, Fleet: "acme", Role: "web", Digest: "sha256:0123456789abcdef", Run: run, Commit: "c0ffee"}
	}
	var built atomic.Int32
	var image atomic.Pointer[images.Image]
	made := func(context.Context) (images.Image, error) {
		if img := image.Load(); img != nil {
			return *img, nil
		}
		return images.Image{}, nil
	}
	build := func(context.Context) (images.Image, error) {
		built.Add(1)
		image.Store(&images.Image{ID: "ami-1"})
		return images.Image{ID: "ami-1"}, nil
	}
	failing := errors.New("the bake failed")
	_, err := Once(t.Context(), cloud, turn("r0"), made, func(context.Context) (images.Image, error) { return images.Image{}, failing })
	require.ErrorIs(t, err, failing, "and the lease is given back")

	start, inside := make(chan struct{}), make(chan struct{})
	var runs sync.WaitGroup
	results := make([]images.Image, 3)
	errs := make([]error, 3)
	for i := range results {
		runs.Go(func() {
			if i > 0 {
				<-inside // the first one has the lease
			}
			results[i], errs[i] = Once(t.Context(), cloud, turn("r"+string(rune('1'+i))), made, func(ctx context.Context) (images.Image, error) {
				close(inside)
				<-start
				return build(ctx)
			})
		})
	}
	<-inside
	close(start)
	runs.Wait()
	for i := range results {
		require.NoError(t, errs[i])
		require.Equal(t, "ami-1", results[i].ID)
	}
	require.EqualValues(t, 1, built.Load())

	// A run that comes after all of them takes the image, too, unless it is told to build again.
	late, err := Once(t.Context(), cloud, turn("r4"), made, build)
	require.NoError(t, err)
	require.Equal(t, "ami-1", late.ID)
	require.EqualValues(t, 1, built.Load())
	again := turn("r5")
	again.Again = true
	_, err = Once(t.Context(), cloud, again, made, build)
	require.NoError(t, err)
	require.EqualValues(t, 2, built.Load())

	// Another digest does not wait.
	other := turn("r9")
	other.Digest = "sha256:fedcba9876543210"
	image.Store(nil)
	_, err = Once(t.Context(), cloud, other, made, build)
	require.NoError(t, err)
	require.EqualValues(t, 3, built.Load())
}
