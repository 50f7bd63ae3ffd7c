package main

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
	"github.com/imgops/imgops/verifier"
)

// session opens the fleet as a command does.
func (w *apiWorld) session() *session {
	w.t.Helper()
	a := &app{world: world{Getenv: w.getenv, Stdout: io.Discard, Stderr: io.Discard}, log: newProgress(io.Discard, true)}
	a.set = settings{Dir: w.fleet, Output: "table", Parallel: 1}
	s, err := a.open(w.t.Context(), "HEAD")
	require.NoError(w.t, err)
	return s
}

// TestUnmark takes the mark from an image that fails tests which it has passed, and leaves it in any other case.
func TestUnmark(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	id := w.bake()
	s := w.session()
	role, ok := s.fleet.Role("web")
	require.True(t, ok)
	failed := &verifier.FailedError{}
	mark := func() (images.Image, string) {
		img := w.images()[0]
		require.Equal(t, id, img.ID)
		return img, img.Verified
	}
	unmark := func(r *roles.Role, err error) {
		t.Helper()
		img, _ := mark()
		ended, end := context.WithCancel(t.Context())
		end() // also after an interrupt
		require.NoError(t, (&tester{session: s}).unmark(ended, r, img, err))
	}
	unmark(role, errors.New("no machine could be launched"))
	_, verified := mark()
	require.Equal(t, role.TestsDigest, verified, "an error is no verdict")
	others := *role
	others.TestsDigest = "sha256:other"
	unmark(&others, failed)
	_, verified = mark()
	require.Equal(t, role.TestsDigest, verified, "other tests have failed than those that it passed")

	unmark(role, failed)
	img, verified := mark()
	require.Empty(t, verified)
	require.True(t, img.VerifiedAt.IsZero())
	_, errs := w.do(exitRefused, "promote")
	require.Contains(t, errs, "has passed no verification")
}

// TestWithdraw takes the images away from an account that no target names any more, only when that is asked for.
func TestWithdraw(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	id := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	left := images.Location{Account: "333333333333", Region: "us-east-1"}
	sees := func(loc images.Location) bool {
		t.Helper()
		catalogue, err := images.Open(t.Context(), w.box, loc)
		require.NoError(t, err)
		found, err := catalogue.Get(t.Context(), id)
		require.NoError(t, err)
		return found[id].ID == id
	}
	w.write("imgops.yaml", `version: 1
fleet: acme
main: main
build: {account: "111111111111", region: us-east-1}
targets:
  - name: production
    accounts: ["222222222222"]
    regions: [us-east-1]
    role_arn: "arn:aws:iam::{account}:role/imgops"
`)
	w.commit("one")
	w.do(exitDone, "ci", "--event", "push")
	w.do(exitDone, "promote")
	require.True(t, sees(left), "what still points to it there would break")
	out, _ := w.do(exitDone, "promote", "--withdraw", "--plan")
	require.Contains(t, out, "no longer share "+id+" with 333333333333")
	require.True(t, sees(left))
	w.do(exitDone, "promote", "--withdraw")
	require.False(t, sees(left))
	require.True(t, sees(images.Location{Account: "222222222222", Region: "us-east-1"}))
	require.WithinDuration(t, time.Now(), w.images()[0].Promoted.At, time.Hour)
}
