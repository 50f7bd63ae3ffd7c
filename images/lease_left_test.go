package images_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
)

// TestLeasesOfAKilledRun checks that only the leases of the named run are found and dropped, and nothing else of the fleet.
func TestLeasesOfAKilledRun(t *testing.T) {
	cloud := sandboxtest.New(t)
	home := images.Location{Account: "111111111111", Region: "us-east-1"}
	leases, err := images.OpenLeases(t.Context(), cloud, home, time.Now)
	require.NoError(t, err)
	for name, run := range map[string]string{"/imgops/acme/web/building/0123": "killed", "/imgops/acme/promoting": "killed", "/imgops/acme/db/building/4567": "alive", "/imgops/other/promoting": "killed"} {
		_, err := leases.Take(t.Context(), name, run, "c0ffee", time.Hour, nil)
		require.NoError(t, err)
	}
	found, err := images.LeasesOf(t.Context(), cloud, home, "acme", "killed")
	require.NoError(t, err)
	require.Equal(t, []string{"/imgops/acme/promoting", "/imgops/acme/web/building/0123"}, found)
	for _, name := range found {
		require.NoError(t, images.DropLease(t.Context(), cloud, home, name))
		require.NoError(t, images.DropLease(t.Context(), cloud, home, name), "again")
	}
	found, err = images.LeasesOf(t.Context(), cloud, home, "acme", "killed")
	require.NoError(t, err)
	require.Empty(t, found)
	found, err = images.LeasesOf(t.Context(), cloud, home, "acme", "alive")
	require.NoError(t, err)
	require.Len(t, found, 1)
}
