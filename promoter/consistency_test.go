package promoter_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
	"github.com/imgops/imgops/promoter"
)

// TestEventuallyConsistent promotes where reads lag behind as on AWS: an image that was copied or registered a moment ago
// is listed, and unknown to the call that tells its permissions.
func TestEventuallyConsistent(t *testing.T) {
	t.Parallel()
	c := &cloud{sandboxtest.New(t, func(o *sandbox.Options) {
		o.Conditions = sandbox.Conditions{Consistency: 1, Seed: 3}
		o.Sleep = func(context.Context, time.Duration) error { return nil }
	})}
	asks := func(commit string, img images.Image) {
		t.Helper()
		p := promoter.New(c, promoter.Options{
			Fleet: "acme", Build: buildAt, Run: "run-" + commit, History: straight{}, Accounts: shared.Accounts, // so that permissions are read
		})
		plan, err := p.Plan(t.Context(), []promoter.Request{{
			Role: "web", Image: img, TestsDigest: "sha256:t1", Commit: commit, OnMain: true, Targets: []promoter.Target{shared},
		}}, nil)
		require.NoError(t, err)
		_, err = p.Apply(t.Context(), plan, nil)
		require.NoError(t, err)
	}
	for i, digest := range []string{"d1", "d2"} {
		img := c.candidate(t, digest)
		commit := "m" + string(rune('1'+i))
		asks(commit, img)
		c.Forget(0)
		asks(commit, img)
		require.NotZero(t, c.Calls()["DescribeImageAttribute"])
		require.NoError(t, images.Poll(t.Context(), func(context.Context) (bool, error) { // what an account sees lags behind, too
			return !slices.ContainsFunc(c.defaults(t, digest, shared), func(d images.Default) bool { return d.Status != images.StatusCurrent }), nil
		}))
	}
}
