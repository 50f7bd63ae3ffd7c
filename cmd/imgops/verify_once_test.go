package main

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/verifier"
)

// heard is standard error that can be listened to.
type heard struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(p)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// TestTwoRunsVerifyOnce: the run that comes second waits, and launches nothing when the image is verified by then.
func TestTwoRunsVerifyOnce(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	id := w.bake()
	catalogue, err := images.Open(t.Context(), w.box, apiHome)
	require.NoError(t, err)
	found, err := catalogue.Get(t.Context(), id)
	require.NoError(t, err)
	img := found[id]
	require.NoError(t, catalogue.Tag(t.Context(), img, map[string]string{images.TagVerified: ""}))
	leases, err := images.OpenLeases(t.Context(), w.box, apiHome, time.Now)
	require.NoError(t, err)
	name := "/imgops/acme/web/verifying/" + id + "-" + short(img.Verified)
	lease, err := leases.Take(t.Context(), name, "the-first", "c0ffee", time.Minute, nil)
	require.NoError(t, err)

	var out, errs heard
	code := make(chan int)
	go func() {
		code <- run(t.Context(), world{Args: []string{"-C", w.fleet, "verify", "web", "-o", "json"}, Getenv: w.getenv, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, images.Poll(ctx, func(context.Context) (bool, error) {
		return strings.Contains(errs.String(), "run the-first, which verifies the same image"), nil
	}))
	require.NoError(t, catalogue.Tag(t.Context(), img, map[string]string{images.TagVerified: img.Verified}))
	require.NoError(t, leases.Return(t.Context(), lease))
	require.Equal(t, exitDone, <-code, errs.String())
	require.Equal(t, []string{"verified", id}, []string{decode[[]done](t, out.String())[0].Result, decode[[]done](t, out.String())[0].Image})
	require.Contains(t, errs.String(), "image "+id+" was verified by another run meanwhile")
	_, err = leases.Take(ctx, name, "the-next", "c0ffee", time.Minute, nil)
	require.NoError(t, err, "it was given back")
}

// judged is a machine on which every script exits with the same status.
type judged struct{ status int }

func (j judged) Run(_ context.Context, command string, _ io.Reader, stdout, _ io.Writer) error {
	if strings.Contains(command, "system=") { // what kind of machine it is
		_, err := io.WriteString(stdout, "dir=/tmp/imgops\nsystem=Linux\narch=x86_64\nbash=/bin/bash\n")
		return err
	}
	if j.status != 0 && strings.Contains(command, "true.sh") {
		return &machine.ExitError{Command: command, Status: j.status}
	}
	return nil
}
func (judged) Upload(context.Context, io.Reader, string, os.FileMode) error { return nil }
func (judged) UploadDir(context.Context, string, string) error              { return nil }
func (judged) WaitBooted(context.Context, string, images.Progress) error    { return nil }
func (judged) Close(context.Context) error                                  { return nil }

// verifying is a run of imgops whose machines are given by launch.
func (w *apiWorld) verifying(launch verifier.LaunchFunc) (code chan int, errs *heard) {
	code, errs = make(chan int, 1), &heard{}
	a := &app{
		world: world{Args: []string{"-C", w.fleet, "ci", "--event", "push"}, Getenv: w.getenv, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: errs},
		workers: func(s *session) (imageBuilder, imageVerifier) {
			return nil, &tester{session: s, verifier: verifier.New(launch, verifier.Options{})}
		},
	}
	go func() { code <- a.execute(w.t.Context()) }()
	return code, errs
}

// TestVerifiedAfterAFailure: the run that waits for another's verification, which fails, verifies by itself, once; one that
// comes later launches nothing.
func TestVerifiedAfterAFailure(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	id := w.bake()
	catalogue, err := images.Open(t.Context(), w.box, apiHome)
	require.NoError(t, err)
	found, err := catalogue.Get(t.Context(), id)
	require.NoError(t, err)
	tests := found[id].Verified
	require.NoError(t, catalogue.Tag(t.Context(), found[id], map[string]string{images.TagVerified: ""}))

	begun, goOn := make(chan struct{}), make(chan struct{})
	first, firstErrs := w.verifying(func(context.Context, machine.Spec, images.Progress) (*verifier.Host, error) {
		close(begun)
		<-goOn
		return &verifier.Host{Conn: judged{status: 1}, ID: "i-1"}, nil
	})
	<-begun
	var launched atomic.Int32
	good := func(context.Context, machine.Spec, images.Progress) (*verifier.Host, error) {
		launched.Add(1)
		return &verifier.Host{Conn: judged{}, ID: "i-2"}, nil
	}
	second, secondErrs := w.verifying(good)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, images.Poll(ctx, func(context.Context) (bool, error) {
		return strings.Contains(secondErrs.String(), "which verifies the same image"), nil
	}))
	require.Zero(t, launched.Load())
	close(goOn)
	require.Equal(t, exitVerify, <-first, firstErrs.String())
	require.Equal(t, exitDone, <-second, secondErrs.String())
	require.EqualValues(t, 1, launched.Load())
	found, err = catalogue.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, tests, found[id].Verified)
	w.requireDefaults(id, "current")

	third, thirdErrs := w.verifying(good)
	require.Equal(t, exitDone, <-third, thirdErrs.String())
	require.EqualValues(t, 1, launched.Load())
}
