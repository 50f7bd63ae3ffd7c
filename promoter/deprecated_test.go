package promoter_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/promoter"
)

// deprecate does to the images of a digest, in each location that has one, what gc does; byHand leaves no mark.
func (c *cloud) deprecate(t *testing.T, digest string, byHand bool) {
	t.Helper()
	at := time.Now().Add(2 * time.Minute)
	for _, img := range c.everywhere(t, digest) {
		api, err := c.EC2(t.Context(), img.Location)
		require.NoError(t, err)
		if !byHand {
			require.NoError(t, images.NewCatalogue(img.Location, api).TagImages(t.Context(), []string{img.ID}, map[string]string{images.TagDeprecated: at.Format(time.RFC3339)}))
		}
		_, err = api.EnableImageDeprecation(t.Context(), &ec2.EnableImageDeprecationInput{ImageId: &img.ID, DeprecateAt: &at})
		require.NoError(t, err)
	}
}

// everywhere lists the images of a digest, in all locations.
func (c *cloud) everywhere(t *testing.T, digest string) []images.Image {
	t.Helper()
	var list []images.Image
	for _, loc := range []images.Location{buildAt, {Account: buildAt.Account, Region: "eu-west-1"}, {Account: "444444444444", Region: "eu-west-1"}} {
		catalogue, err := images.Open(t.Context(), c, loc)
		require.NoError(t, err)
		found, err := catalogue.ByDigest(t.Context(), "acme", "web", "sha256:"+digest)
		require.NoError(t, err)
		list = append(list, found...)
	}
	return list
}

func (c *cloud) requireFresh(t *testing.T, digest string) {
	t.Helper()
	list := c.everywhere(t, digest)
	require.Len(t, list, 3, "here, in the other Region, and the own copy")
	for _, img := range list {
		require.True(t, img.Deprecated.IsZero(), img.Location)
		require.False(t, img.DeprecatedByUs(), img.Location)
		require.True(t, img.Default, img.Location)
	}
}

// TestPromotedAgain: what gc has deprecated is not deprecated any more when it is the default again, by a revert, by a
// rollback, by a run that was killed in between, and where gc came between the plan and its application.
func TestPromotedAgain(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	one, two := c.candidate(t, "d1"), c.candidate(t, "d2")
	require.NoError(t, c.promote(t, "m1", one, shared, owned))
	require.NoError(t, c.promote(t, "m2", two, shared, owned))
	c.deprecate(t, "d1", false)
	require.NoError(t, c.promote(t, "m3", one, shared, owned))
	c.requireFresh(t, "d1")
	c.Forget(0)
	require.NoError(t, c.promote(t, "m3", one, shared, owned))
	require.Zero(t, c.Changes())

	c.deprecate(t, "d2", false)
	p := promoter.New(c, promoter.Options{Fleet: "acme", Build: buildAt, Run: "run-8", History: straight{}})
	plan, err := p.PlanRollback(t.Context(), promoter.RollbackRequest{Role: "web", To: two.ID, Reason: "night", Commit: "m3", Targets: []promoter.Target{shared, owned}}, nil)
	require.NoError(t, err)
	require.Contains(t, plan.Lines(), "  111111111111/us-east-1: take back the deprecation of "+two.ID)
	_, err = p.Apply(t.Context(), plan, nil)
	require.NoError(t, err)
	c.requireFresh(t, "d2")

	plan, err = p.Plan(t.Context(), []promoter.Request{{
		Role: "web", Image: one, TestsDigest: "sha256:t1", Commit: "m4", OnMain: true, Targets: []promoter.Target{shared, owned},
	}}, nil)
	require.NoError(t, err)
	c.deprecate(t, "d1", false)
	_, err = p.Apply(t.Context(), plan, nil)
	require.NoError(t, err)
	c.requireFresh(t, "d1")

	c.deprecate(t, "d1", false)
	for cut := 1; ; cut++ {
		c.Forget(cut)
		if c.promote(t, "m4", one, shared, owned) == nil {
			require.Greater(t, cut, 3)
			break
		}
	}
	c.Forget(0)
	c.requireFresh(t, "d1")
}

// TestNewCopiesAreNotDeprecated: a copy is made of an image that is marked.
func TestNewCopiesAreNotDeprecated(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	one := c.candidate(t, "d1")
	c.deprecate(t, "d1", false)
	require.NoError(t, c.promote(t, "m1", one, shared, owned))
	c.requireFresh(t, "d1")
}

// TestDeprecatedByAPerson: a promotion of an image that a person has deprecated from later on leaves that alone.
func TestDeprecatedByAPerson(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	one := c.candidate(t, "d1")
	c.deprecate(t, "d1", true)
	require.NoError(t, c.promote(t, "m1", one, shared, owned))
	for _, img := range c.everywhere(t, "d1") {
		require.Equal(t, img.Location == buildAt, !img.Deprecated.IsZero(), "copies do not inherit it")
	}
	later := promoter.New(c, promoter.Options{Fleet: "acme", Build: buildAt, Run: "run-8", History: straight{}, Clock: func() time.Time { return time.Now().Add(time.Hour) }})
	promote := func(commit string, img images.Image) {
		plan, err := later.Plan(t.Context(), []promoter.Request{{Role: "web", Image: img, TestsDigest: "sha256:t1", Commit: commit, OnMain: true, Targets: []promoter.Target{shared, owned}}}, nil)
		require.NoError(t, err)
		_, err = later.Apply(t.Context(), plan, nil)
		require.NoError(t, err)
	}
	promote("m1", one)
	require.False(t, c.everywhere(t, "d1")[0].Deprecated.IsZero(), "it is the default already, and was deprecated on purpose")
	promote("m2", c.candidate(t, "d2"))
	promote("m3", one)
	c.requireFresh(t, "d1")
}

// noUndeprecation is clients that may not take deprecations back.
type noUndeprecation struct{ *cloud }

var errForbidden = errors.New("forbidden")

func (n noUndeprecation) EC2(ctx context.Context, loc images.Location) (*ec2.Client, error) {
	api, err := n.cloud.EC2(ctx, loc)
	if err != nil {
		return nil, err
	}
	return ec2.New(api.Options(), func(o *ec2.Options) {
		o.APIOptions = append(slices.Clone(o.APIOptions), func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("forbid",
				func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					if middleware.GetOperationName(ctx) == "DisableImageDeprecation" {
						return middleware.InitializeOutput{}, middleware.Metadata{}, errForbidden
					}
					return next.HandleInitialize(ctx, in)
				}), middleware.Before)
		})
	}), nil
}

// TestUndeprecationFails: pointers do not wait for it, and what is left is told.
func TestUndeprecationFails(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	one, two := c.candidate(t, "d1"), c.candidate(t, "d2")
	require.NoError(t, c.promote(t, "m1", one, shared, owned))
	require.NoError(t, c.promote(t, "m2", two, shared, owned))
	c.deprecate(t, "d1", false)
	p := promoter.New(noUndeprecation{c}, promoter.Options{Fleet: "acme", Build: buildAt, Run: "run-8", History: straight{}})
	plan, err := p.PlanRollback(t.Context(), promoter.RollbackRequest{Role: "web", Reason: "night", Commit: "m2", Targets: []promoter.Target{shared, owned}}, nil)
	require.NoError(t, err)
	result, err := p.Apply(t.Context(), plan, nil)
	var incomplete *promoter.IncompleteError
	require.ErrorAs(t, err, &incomplete)
	require.ErrorContains(t, err, "taking back the deprecation of image "+one.ID)
	require.Len(t, result.Left, 3)
	for _, d := range c.defaults(t, "d1", shared, owned) {
		require.Equal(t, images.StatusCurrent, d.Status, d)
	}
	require.NoError(t, c.promote(t, "m3", one, shared, owned), "the next run does it")
	c.requireFresh(t, "d1")
}
