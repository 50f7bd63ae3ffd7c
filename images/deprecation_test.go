package images_test

import (
	"cmp"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
)

const week = 7 * 24 * time.Hour

// actions are what a cleaner would do, by image.
func actions(t *testing.T, c *images.Cleaner) map[string]string {
	t.Helper()
	list, err := c.Find(t.Context())
	require.NoError(t, err)
	by := map[string]string{}
	for _, o := range list {
		require.NotEmpty(t, o.Why)
		require.Equal(t, o.Action == images.CleanDeprecate || o.Action == images.CleanWait, !o.Removable.IsZero(), o.Action)
		by[o.ID()] = o.Action
	}
	return by
}

// clean does what is due, and says how many changing calls that took.
func (c *clients) clean(t *testing.T, cleaner *images.Cleaner) int {
	t.Helper()
	list, err := cleaner.Find(t.Context())
	require.NoError(t, err)
	c.Forget(0)
	done, err := cleaner.Clean(t.Context(), list, func() error { return nil }, nil)
	require.NoError(t, err)
	for _, o := range done {
		require.NotEqual(t, images.CleanWait, o.Action)
	}
	return c.Changes()
}

// image is an image as its owner sees it now.
func (c *clients) image(t *testing.T, at images.Image) images.Image {
	t.Helper()
	catalogue, err := images.Open(t.Context(), c, at.Location)
	require.NoError(t, err)
	found, err := catalogue.Get(t.Context(), at.ID)
	require.NoError(t, err)
	return found[at.ID]
}

// deprecating is a cleaner whose clock a test turns, which deprecates for a week.
func (c *clients) deprecating(keep int, now *time.Time) *images.Cleaner {
	cleaner := c.cleaner(keep)
	cleaner.Policy.DeprecateFor, cleaner.Clock = week, func() time.Time { return *now }
	return cleaner
}

// TestOldImagesAreDeprecatedFirst follows an image with its copies in another Region and in another account, and what was
// built on it, to the end.
func TestOldImagesAreDeprecatedFirst(t *testing.T) {
	c := newClients(t)
	west, vault := images.Location{Account: buildAt.Account, Region: "eu-west-1"}, images.Location{Account: "444444444444", Region: "us-east-1"}
	old, child := c.register(t, web("old")), web("child")
	child.Base = old.ID
	child = c.register(t, child)
	copyOf := func(at images.Location) images.Image {
		img := web("old")
		img.SourceID = old.ID // it is registered, not copied: only tags and ids matter here
		return c.Register(t, at, img)
	}
	all := []images.Image{old, child, copyOf(west), copyOf(vault)}
	newest := c.register(t, web("newest"))

	now := time.Now().AddDate(1, 0, 0)
	cleaner := c.deprecating(1, &now)
	cleaner.Query.Copies = []images.Location{vault, west}
	want := func(action string) {
		t.Helper()
		by := map[string]string{}
		for _, img := range all {
			if action != "" {
				by[img.ID] = action
			}
		}
		require.Equal(t, by, actions(t, cleaner))
	}
	want(images.CleanDeprecate)
	require.Equal(t, 2*len(all), c.clean(t, cleaner), "a mark and a deprecation each")
	begins := now.UTC().Truncate(time.Minute).Add(2 * time.Minute)
	for _, img := range all {
		seen := c.image(t, img)
		require.Equal(t, begins, seen.Deprecated.UTC())
		require.True(t, seen.DeprecatedByUs())
		require.Equal(t, "available", seen.State)
	}
	require.True(t, c.image(t, newest).Deprecated.IsZero())

	for _, now = range []time.Time{now, begins, begins.Add(week - time.Second)} {
		want(images.CleanWait)
		require.Zero(t, c.clean(t, cleaner))
	}
	now = begins.Add(week)
	want(images.CleanRemove)
	c.clean(t, cleaner)
	want("")
	require.Equal(t, "available", c.image(t, newest).State)
}

// TestDeprecationOfOthers: what a person has deprecated counts, a moment that is far away does not; and what was built on
// an image keeps it.
func TestDeprecationOfOthers(t *testing.T) {
	c := newClients(t)
	now := time.Now().AddDate(1, 0, 0)
	api, err := c.EC2(t.Context(), buildAt)
	require.NoError(t, err)
	deprecated := func(digest, base string, at time.Time) string {
		img := web(digest)
		img.Base = base
		img = c.register(t, img)
		if !at.IsZero() {
			_, err := api.EnableImageDeprecation(t.Context(), &ec2.EnableImageDeprecationInput{ImageId: &img.ID, DeprecateAt: &at})
			require.NoError(t, err)
		}
		return img.ID
	}
	long, lately, planned := now.Add(-2*week), now.Add(-time.Hour), now.Add(10*week)
	byHand, soon, recent := deprecated("by-hand", "", long), deprecated("planned", "", planned), deprecated("recent", "", lately)
	parent := deprecated("parent", "", long)
	child := deprecated("child", parent, lately)
	c.register(t, web("newest"))
	cleaner := c.deprecating(1, &now)
	require.Equal(t, map[string]string{
		byHand: images.CleanRemove, soon: images.CleanDeprecate, recent: images.CleanWait, parent: images.CleanWait, child: images.CleanWait,
	}, actions(t, cleaner))
	cleaner.Policy.DeprecateFor = 0
	for id, action := range actions(t, cleaner) {
		require.Equal(t, images.CleanRemove, action, id)
	}
	cleaner.Policy.Keep = 9
	require.Empty(t, actions(t, cleaner), "what a person has deprecated, only a person takes back")
}

// TestKeptAgain has gc take back what it has deprecated, and leave alone what it must not touch.
func TestKeptAgain(t *testing.T) {
	c := newClients(t)
	keep := map[string]images.Image{}
	for _, use := range []string{"pointer", "instance", "held", "free"} {
		keep[use] = c.register(t, web(use), targetA, targetB)
	}
	newest := c.register(t, web("newest"))
	now := time.Now().AddDate(1, 0, 0)
	cleaner := c.deprecating(1, &now)
	c.clean(t, cleaner)
	for use, img := range keep {
		require.False(t, c.image(t, img).Deprecated.IsZero(), use)
	}
	require.True(t, c.image(t, newest).Deprecated.IsZero())

	now = now.Add(week + time.Hour)
	c.point(t, targetA, "web", keep["pointer"].ID)
	api, err := c.EC2(t.Context(), targetB)
	require.NoError(t, err)
	_, err = api.RunInstances(t.Context(), &ec2.RunInstancesInput{
		ImageId: aws.String(keep["instance"].ID), InstanceType: types.InstanceTypeT3Small, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
	})
	require.NoError(t, err)
	cleaner.Policy.Wanted = map[string]bool{"sha256:held": true}
	got := actions(t, cleaner)
	require.Equal(t, map[string]string{
		keep["pointer"].ID: images.CleanUndeprecate, keep["instance"].ID: images.CleanUndeprecate, keep["held"].ID: images.CleanUndeprecate, keep["free"].ID: images.CleanRemove,
	}, got)
	require.NoError(t, c.holds(t).Create(t.Context(), images.Hold{Role: "web", Reason: "x"}))
	require.Equal(t, slices.Repeat([]string{images.CleanUndeprecate}, 4), slices.Collect(maps.Values(actions(t, cleaner))), "all of a held role")
	c.clean(t, cleaner)
	for use, img := range keep {
		seen := c.image(t, img)
		require.True(t, seen.Deprecated.IsZero(), use)
		require.False(t, seen.DeprecatedByUs(), use)
	}
	require.Empty(t, actions(t, cleaner))

	_, _, err = c.holds(t).Release(t.Context(), "web")
	require.NoError(t, err)
	require.Equal(t, map[string]string{keep["free"].ID: images.CleanDeprecate}, actions(t, cleaner), "and its time begins anew")
}

// TestDeprecationIsInterrupted kills the process with the answer of each changing call; and a list that is not true any
// more changes nothing.
func TestDeprecationIsInterrupted(t *testing.T) {
	c := newClients(t)
	one, two := c.register(t, web("one")), c.register(t, web("two"))
	c.register(t, web("newest"))
	now := time.Now().AddDate(1, 0, 0)
	always := func() error { return nil }
	for _, keep := range []int{1, 9} { // they are deprecated, and that is taken back
		cleaner := c.deprecating(keep, &now)
		for cut := 1; ; cut++ {
			list, err := cleaner.Find(t.Context())
			require.NoError(t, err)
			c.Forget(cut)
			if _, err = cleaner.Clean(t.Context(), list, always, nil); err == nil {
				require.Greater(t, cut, 2)
				break
			}
			require.ErrorIs(t, err, sandboxtest.ErrCut)
			c.Forget(0)
			other := c.deprecating(cmp.Or(9/keep, 1), &now)
			_, err = other.Clean(t.Context(), list, always, nil)
			require.NoError(t, err)
			require.Zero(t, c.Changes(), "it is to be kept, or not, by now")
		}
		c.Forget(0)
		for _, img := range []images.Image{one, two} {
			seen := c.image(t, img)
			require.Equal(t, keep == 1, seen.DeprecatedByUs())
			require.Equal(t, keep == 1, !seen.Deprecated.IsZero())
		}
		require.Zero(t, c.clean(t, cleaner), "once is enough")
	}
}

// TestNewestIsNotDeprecated: an owner sees its own deprecated images, and they are no bases while there are others.
func TestNewestIsNotDeprecated(t *testing.T) {
	// EC2 lets no deprecation begin in the past. This one's clock is behind.
	c := &clients{sandboxtest.New(t, func(o *sandbox.Options) { o.Clock = func() time.Time { return time.Now().Add(-12 * time.Minute) } })}
	api, err := c.EC2(t.Context(), buildAt)
	require.NoError(t, err)
	name := images.BaseName{Owner: "self", Pattern: "acme-web-*", Architecture: "x86_64"}
	newest := func() string {
		found, err := images.NewCatalogue(buildAt, api).Newest(t.Context(), name)
		require.NoError(t, err)
		return found[name].Name
	}
	at := time.Now().Add(-10 * time.Minute)
	deprecate := func(img images.Image) {
		_, err := api.EnableImageDeprecation(t.Context(), &ec2.EnableImageDeprecationInput{ImageId: &img.ID, DeprecateAt: &at})
		require.NoError(t, err)
	}
	a := c.register(t, web("a"))
	b := c.register(t, web("b"))
	require.Equal(t, "acme-web-b", newest())
	deprecate(b)
	require.Equal(t, "acme-web-a", newest())
	deprecate(a)
	require.Equal(t, "acme-web-b", newest(), "there is no other")
}
