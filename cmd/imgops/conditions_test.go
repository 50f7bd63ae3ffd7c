package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
)

// A run of ci on main under what AWS does to its callers: reads that lag behind, empty pages, and the token buckets. Two accounts in two Regions
// get the default, and what was made once is not made again.
func TestCIUnderConditions(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newAPIWorld(t, func(o *sandbox.Options) {
				o.Conditions = sandbox.Conditions{Consistency: 0.05, Latency: 0.001, Throttle: true, Seed: seed}
			})
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
			base := w.box.Register(t, apiHome, images.Image{Name: "somebody's base"})
			w.write("roles/web/image.yaml", "base: {image: "+base.ID+"}\nverify: [{suite: default}]\n")
			w.write("roles/worker/image.yaml", "base: {role: web}\nverify: [{suite: default}]\n")
			w.write("roles/worker/tasks/main.yml", "- ansible.builtin.ping:\n")
			w.write("roles/worker/tests/default/true.sh", "#!/bin/sh\ntrue\n")
			w.commit("one")
			code, _, stderr := w.onPaper("ci", "--event", "push")
			require.Equal(t, exitDone, code, stderr)
			first := w.promoted(8)
			code, _, stderr = w.onPaper("ci", "--event", "push")
			require.Equal(t, exitDone, code, stderr)
			require.Equal(t, first, w.promoted(8), "nothing was built twice")
		})
	}
}

// promoted are the images of so many role defaults, by role and location, when list shows all of them as current: its reads may be behind, too.
func (w *apiWorld) promoted(count int) map[string]string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		list := w.defaults()
		require.Len(w.t, list, count)
		found := map[string]string{}
		for _, d := range list {
			if d.Status == images.StatusCurrent {
				found[d.Role+" "+d.Account+" "+d.Region] = d.Image
			}
		}
		if len(found) == count {
			return found
		}
		require.NoError(w.t, ctx.Err(), "%+v", list)
	}
}
