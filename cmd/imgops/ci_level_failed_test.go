package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
	"github.com/imgops/imgops/verifier"
)

// failing is papers whose verifications fail. What it does is recorded, as it is of real machines.
type failing struct{ papers }

func (f failing) build(ctx context.Context, r *roles.Role, base images.Image) (images.Image, error) {
	img, err := f.papers.build(ctx, r, base)
	f.s.recordImage(ctx, r, base, img, nil, nil)
	return img, err
}

func (f failing) verify(ctx context.Context, r *roles.Role, img images.Image) (images.Image, error) {
	report := verifier.Report{Role: r.Name, Image: img.ID, TestsDigest: r.TestsDigest, Counts: verifier.Counts{Tests: 2, Failed: 1}, Suites: []verifier.SuiteReport{{
		Name: "default", Results: []verifier.Result{
			{Suite: "default", Kind: "sh", Name: "true.sh", Status: verifier.Passed}, {Suite: "default", Kind: "sh", Name: "moon.sh", Status: verifier.Failed},
		},
	}}}
	f.s.recordVerification(ctx, r, img, report)
	return img, &verifier.FailedError{Report: report}
}

// TestAChildOfAParentThatFailed: the job of level 0 has failed its tests. That of level 1, on another runner, says so, and where
// the report is; without a ledger it says what can be known.
func TestAChildOfAParentThatFailed(t *testing.T) {
	w := newAPIWorld(t)
	w.write("roles/child/image.yaml", "base: {role: web}\nverify: [{suite: default}]\n")
	w.write("roles/child/tests/default/true.sh", "#!/bin/sh\ntrue\n")
	w.write("roles/child/tasks/main.yml", "- ansible.builtin.ping:\n")
	w.write("roles/web/image.yaml", "base: {image: "+w.box.Register(t, apiHome, images.Image{Name: "debian"}).ID+"}\nverify: [{suite: default}]\n")
	w.commit("one")
	w.git("clone", "-q", "--bare", w.fleet, w.fleet+".git")
	runner := func() *apiWorld {
		return (&apiWorld{t: t, fleet: w.fleet + ".git", box: w.box}).clone("runner")
	}
	first := runner()
	var out, errs bytes.Buffer
	a := &app{
		world:   world{Args: []string{"-C", first.fleet, "ci", "--event", "push", "--level", "0", "-o", "json"}, Getenv: w.getenv, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs},
		workers: func(s *session) (imageBuilder, imageVerifier) { f := failing{papers{first, s}}; return f, f },
	}
	require.Equal(t, exitVerify, a.execute(t.Context()), errs.String())
	image := decode[[]done](t, out.String())[0].Image

	child := runner()
	said, told := child.do(exitError, "ci", "--event", "push", "--level", "1", "-o", "json")
	require.Contains(t, told, "role child: image "+image+" of its parent web failed its verification: at ")
	require.Regexp(t, `\(default/sh moon\.sh\), by run \S+; the report: imgops show `+image+` -o json; correct role web or its tests`, told)
	require.Equal(t, "failed", decode[[]done](t, said)[0].Result)
	report, _ := child.do(exitDone, "show", image, "-o", "json")
	require.Contains(t, report, "moon.sh", "what the message names has it")

	w.edit("imgops.yaml", "version: 1\n", "version: 1\nledger: off\n")
	w.git("commit", "-qam", "no ledger")
	_, told = w.do(exitError, "ci", "--event", "push", "--role", "child", "--level", "1")
	require.Contains(t, told, "image "+image+" of its parent web is not verified; level 0 has to run first: imgops ci --role web --level 0; where it has run, its verification failed")
}
