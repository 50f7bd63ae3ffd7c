package main

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPlanCalls: a plan over many roles (200 in make bench) with nothing to do makes the same API calls as one over 20, but for the pages of
// what it lists.
func TestPlanCalls(t *testing.T) {
	few, many := 20, 60
	if os.Getenv("IMGOPS_BENCH") != "" {
		many = 200
	}
	calls := map[int]map[string]int{}
	for _, n := range []int{few, many} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			w := newAPIWorld(t)
			w.rolesFleet(n)
			w.do(exitDone, "ci", "--event", "push")
			w.do(exitDone, "plan", "--detailed-exitcode") // there is nothing to do
			calls[n] = w.calls("plan")
			t.Logf("FIGURE API calls of one plan with nothing to do, 2 accounts x 2 Regions, %d roles: %d, of which %d are SSM's pages of ten parameters",
				n, calls[n][""], calls[n]["ssm:GetParametersByPath"])
		})
	}
	pages := 4 * (many/10 - few/10) // in each of four locations
	want := calls[few]
	want["ssm:GetParametersByPath"] += pages
	want[""] += pages
	require.Equal(t, want, calls[many])
}
