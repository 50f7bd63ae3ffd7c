package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
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

// TestTwoRunsVerifyOnce: the run that comes second waits, and launches nothing when the image is verified by then. (What
// follows a failure of the first is the same as for builds: builder.TestOnce.)
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
