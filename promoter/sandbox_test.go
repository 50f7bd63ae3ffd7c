package promoter_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
	"github.com/imgops/imgops/promoter"
)

type straight struct{}

func (straight) IsAncestor(_ context.Context, a, b string) (bool, error) { return a <= b, nil }

func (c *cloud) promote(t *testing.T, commit string, img images.Image, targets ...promoter.Target) error {
	t.Helper()
	p := promoter.New(c, promoter.Options{Fleet: "acme", Build: buildAt, Run: "run-7", History: straight{}})
	plan, err := p.Plan(t.Context(), []promoter.Request{{
		Role: "web", Image: img, TestsDigest: "sha256:t1", Commit: commit, OnMain: true, Targets: targets,
	}}, nil)
	if err != nil {
		return err
	}
	_, err = p.Apply(t.Context(), plan, nil)
	return err
}

func (c *cloud) defaults(t *testing.T, digest string, targets ...promoter.Target) []images.Default {
	t.Helper()
	w := images.Wanted{Role: "web", Digest: "sha256:" + digest}
	for _, target := range targets {
		for _, account := range target.Accounts {
			for _, region := range target.Regions {
				w.Locations = append(w.Locations, images.Location{Account: account, Region: region})
			}
		}
	}
	list, err := images.Defaults(t.Context(), c, images.Query{Fleet: "acme", Build: buildAt, Want: []images.Wanted{w}})
	require.NoError(t, err)
	require.Len(t, list, len(w.Locations))
	return list
}

func TestPromotionOnTheSandbox(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	one, two := c.candidate(t, "d1"), c.candidate(t, "d2")

	c.Forget(0)
	start := time.Now()
	require.NoError(t, c.promote(t, "m1", one, shared))
	t.Logf("first promotion, 2 accounts in 2 Regions: %s, calls %v", time.Since(start).Round(time.Millisecond), c.Calls())
	for _, d := range c.defaults(t, "d1", shared) {
		require.Equal(t, images.StatusCurrent, d.Status, d)
		require.Equal(t, "m1", d.Commit)
		require.NotNil(t, d.VerifiedAt)
	}

	c.Forget(0)
	start = time.Now()
	require.NoError(t, c.promote(t, "m1", one, shared))
	t.Logf("nothing to do: %s, calls %v", time.Since(start).Round(time.Millisecond), c.Calls())
	require.Zero(t, c.Changes())

	for _, d := range c.defaults(t, "d2", shared) {
		require.Equal(t, images.StatusBehind, d.Status)
	}
	require.NoError(t, c.promote(t, "m2", two, shared, owned))
	for _, d := range c.defaults(t, "d2", shared, owned) {
		require.Equal(t, images.StatusCurrent, d.Status, d)
		require.Equal(t, "m2", d.Commit)
	}
	var refused *promoter.RefusedError
	require.ErrorAs(t, c.promote(t, "m1", one, shared), &refused)
	require.Equal(t, promoter.RuleBackwards, refused.Rule)

	c.Forget(0)
	require.NoError(t, c.promote(t, "m3", one, shared))
	require.Zero(t, c.Calls()["CopyImage"], "a rollback copies nothing")
	for _, d := range c.defaults(t, "d1", shared) {
		require.Equal(t, images.StatusCurrent, d.Status)
		require.Equal(t, "m3", d.Commit)
	}
}

// TestDriftOnTheSandbox takes the images away below the pointers; promoting again heals what can be healed.
func TestDriftOnTheSandbox(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	img := c.candidate(t, "d1")
	require.NoError(t, c.promote(t, "m1", img, shared))

	west := images.Location{Account: buildAt.Account, Region: "eu-west-1"}
	api, err := c.EC2(t.Context(), west)
	require.NoError(t, err)
	copies, err := images.NewCatalogue(west, api).OfRoles(t.Context(), "acme", "web")
	require.NoError(t, err)
	require.Len(t, copies, 1)
	_, err = api.DeregisterImage(t.Context(), &ec2.DeregisterImageInput{ImageId: aws.String(copies[0].ID)})
	require.NoError(t, err)
	east, err := c.EC2(t.Context(), buildAt)
	require.NoError(t, err)
	_, err = east.ModifyImageAttribute(t.Context(), &ec2.ModifyImageAttributeInput{ImageId: aws.String(img.ID), LaunchPermission: &types.LaunchPermissionModifications{
		Remove: []types.LaunchPermission{{UserId: aws.String("222222222222")}},
	}})
	require.NoError(t, err)

	status := map[images.Location]images.Status{}
	for _, d := range c.defaults(t, "d1", shared) {
		status[d.Location()] = d.Status
	}
	require.Equal(t, map[images.Location]images.Status{
		{Account: "222222222222", Region: "us-east-1"}: images.StatusDrifted, {Account: "222222222222", Region: "eu-west-1"}: images.StatusDrifted,
		{Account: "333333333333", Region: "us-east-1"}: images.StatusCurrent, {Account: "333333333333", Region: "eu-west-1"}: images.StatusDrifted,
	}, status)
	require.NoError(t, c.promote(t, "m1", img, shared))
	for _, d := range c.defaults(t, "d1", shared) {
		require.Equal(t, images.StatusCurrent, d.Status, d)
	}
}

// TestInterruptedOnTheSandbox kills the process with the answer of each mutating call.
func TestInterruptedOnTheSandbox(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	targets := []promoter.Target{shared, owned}
	first := c.candidate(t, "d0")
	c.Forget(0)
	require.NoError(t, c.promote(t, "m000", first, targets...))
	total := c.Changes()
	require.Equal(t, 16, total, "2 copies, 2 Regions with 2 permissions each, the turn taken and returned, 5 pointers, 3 defaults")

	for n := 1; n < total; n++ {
		digest := fmt.Sprintf("d%d", n)
		img := c.candidate(t, digest)
		c.Forget(n)
		commit := fmt.Sprintf("m%03d", n)
		require.ErrorIs(t, c.promote(t, commit, img, targets...), sandboxtest.ErrCut)
		c.Forget(0)
		require.NoError(t, c.promote(t, commit, img, targets...))
		for _, d := range c.defaults(t, digest, targets...) {
			require.Equal(t, images.StatusCurrent, d.Status, d)
		}
		for _, at := range []images.Location{{Account: buildAt.Account, Region: "eu-west-1"}, {Account: "444444444444", Region: "eu-west-1"}} {
			catalogue, err := images.Open(t.Context(), c, at)
			require.NoError(t, err)
			made, err := catalogue.ByDigest(t.Context(), "acme", "web", img.Digest)
			require.NoError(t, err)
			require.Len(t, made, 1, "one copy in %s after a cut at %d", at, n)
			all, err := catalogue.OfRoles(t.Context(), "acme", "web")
			require.NoError(t, err)
			for _, other := range all {
				require.Equal(t, other.Digest == img.Digest, other.Default, "the one default in %s after a cut at %d", at, n)
			}
		}
		c.Forget(0)
		require.NoError(t, c.promote(t, commit, img, targets...))
		require.Zero(t, c.Changes())
	}
}
