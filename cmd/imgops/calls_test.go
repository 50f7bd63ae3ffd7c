package main

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

// rolesFleet makes the API world's fleet one of n roles, each with a verified image, in two accounts and two Regions.
func (w *apiWorld) rolesFleet(n int) {
	w.t.Helper()
	w.write("imgops.yaml", `version: 1
fleet: acme
main: main
build: {account: "111111111111", region: us-east-1}
targets:
  - name: production
    accounts: ["222222222222", "333333333333"]
    regions: [us-east-1, eu-west-1]
    role_arn: "arn:aws:iam::{account}:role/imgops"
`)
	for i := range n - 1 {
		role := fmt.Sprintf("roles/web%03d/", i)
		w.write(role+"image.yaml", "base: {role: web}\nverify: [{suite: default}]\n")
		w.write(role+"tasks/main.yml", "- ansible.builtin.ping:\n")
		w.write(role+"tests/default/true.sh", "#!/bin/sh\ntrue\n")
	}
	w.commit("many roles")
	repo, err := roles.OpenRepo(w.t.Context(), w.fleet)
	require.NoError(w.t, err)
	fleet, err := repo.Load(w.t.Context(), "HEAD")
	require.NoError(w.t, err)
	require.NoError(w.t, fleet.Resolve(nil))
	require.Len(w.t, fleet.Roles, n)
	var list []images.Image
	for _, r := range fleet.Roles {
		list = append(list, images.Image{
			Name: "acme-" + r.Name, Fleet: "acme", Role: r.Name, Digest: r.Digest, Commit: fleet.Revision.Commit, Run: "run-1", BuiltAt: time.Now(), Verified: r.TestsDigest,
		})
	}
	w.box.RegisterAll(w.t, apiHome, list...)
}

// calls counts the API calls of a command, by name, as --debug tells them; "" is their sum.
func (w *apiWorld) calls(args ...string) map[string]int {
	w.t.Helper()
	_, errs := w.do(exitDone, append(args, "--debug")...)
	count := map[string]int{}
	for _, m := range regexp.MustCompile(`([a-z0-9]+:[A-Za-z]+) (\d+)`).FindAllStringSubmatch(lastCalls(errs), -1) {
		n, err := strconv.Atoi(m[2])
		require.NoError(w.t, err)
		count[m[1]], count[""] = n, count[""]+n
	}
	require.NotZero(w.t, count[""], errs)
	return count
}

// TestCallsDoNotGrow counts the calls of runs that find nothing to do: only the pages of SSM, of ten parameters, are
// more where there are more roles. One look is all there is.
func TestCallsDoNotGrow(t *testing.T) {
	for _, n := range []int{2, 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newAPIWorld(t)
			w.rolesFleet(n)
			w.do(exitDone, "ci", "--event", "push")
			pages := (n + 9) / 10
			look := map[string]int{
				"ec2:DescribeImages":      4 + 2,       // each location's; the build account's in each Region
				"ssm:GetParametersByPath": 4*pages + 1, // each location's pointers; the holds
				"sts:AssumeRole":          2,
				"sts:GetCallerIdentity":   1,
				"":                        9 + 4*pages + 1,
			}
			for _, command := range [][]string{{"ci", "--event", "push"}, {"promote"}, {"list"}} {
				require.Equal(t, look, w.calls(command...), command)
			}
			look["ec2:DescribeImages"], look[""] = look["ec2:DescribeImages"]+1, look[""]+1 // the external bases
			require.Equal(t, look, w.calls("plan"))

			// A merge that touches nothing is noted on the images, in turn and after another look.
			w.git("commit", "-q", "--allow-empty", "-m", "Nothing")
			merge := w.calls("ci", "--event", "push")
			require.Equal(t, 6+2+1, merge["ec2:DescribeImages"])
			require.Equal(t, 1, merge["ec2:CreateTags"])
			require.Zero(t, merge["ec2:DescribeImageAttribute"])
		})
	}
}

// figureCalls counts the calls of a ci on main that finds nothing to do.
func figureCalls(t *testing.T) {
	for _, n := range []int{2, 20, 200} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newAPIWorld(t)
			w.rolesFleet(n)
			w.do(exitDone, "ci", "--event", "push")
			count := w.calls("ci", "--event", "push")
			t.Logf("FIGURE API calls of ci on main, nothing to do, 2 accounts x 2 Regions, %d roles: %d, of which %d are SSM's pages of ten parameters",
				n, count[""], count["ssm:GetParametersByPath"])
		})
	}
}
