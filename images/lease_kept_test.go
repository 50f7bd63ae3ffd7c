package images_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
)

// TestLeaseThatIsKept outlives its time while it is renewed, is not taken back once it was another's, and is given back.
func TestLeaseThatIsKept(t *testing.T) {
	cloud := sandboxtest.New(t)
	home := images.Location{Account: "111111111111", Region: "us-east-1"}
	began, later := time.Now(), atomic.Int64{} // what the lease's clock shows; it is renewed by another one
	clock := func() time.Time { return began.Add(time.Duration(later.Load())) }
	leases, err := images.OpenLeases(t.Context(), cloud, home, clock)
	require.NoError(t, err)
	api, err := cloud.SSM(t.Context(), home)
	require.NoError(t, err)
	const name, lasts = "/imgops/acme/promoting", 300 * time.Millisecond
	take := func(run string) images.Lease {
		lease, err := leases.Take(t.Context(), name, run, "c0ffee", lasts, nil)
		require.NoError(t, err)
		return lease
	}
	until := func(is func() bool) {
		t.Helper()
		require.NoError(t, images.Poll(t.Context(), func(context.Context) (bool, error) { return is(), nil }))
	}

	first := take("first")
	kept := leases.Keep(t.Context(), first, lasts)
	later.Store(int64(lasts / 2))
	until(func() bool { // it is renewed
		out, err := api.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String(name)})
		require.NoError(t, err)
		var now images.Lease
		require.NoError(t, json.Unmarshal([]byte(aws.ToString(out.Parameter.Value)), &now))
		return now.Until.After(first.Until)
	})
	later.Store(int64(lasts + lasts/4))
	require.False(t, leases.Has(first))
	until(kept.Has)

	require.NoError(t, images.DropLease(t.Context(), cloud, home, name)) // imgops gc --run
	second := take("second")
	until(func() bool { return !kept.Has() })
	require.NoError(t, kept.Return(t.Context()))
	found, err := images.LeasesOf(t.Context(), cloud, home, "acme", "second")
	require.NoError(t, err)
	require.Equal(t, []string{name}, found, "it was not the first run's to give back")

	again := leases.Keep(t.Context(), second, lasts)
	require.NoError(t, again.Return(t.Context()))
	found, err = images.LeasesOf(t.Context(), cloud, home, "acme", "second")
	require.NoError(t, err)
	require.Empty(t, found)
}
