package images_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

func (c *clients) holds(t *testing.T) *images.Holds {
	t.Helper()
	holds, err := images.OpenHolds(t.Context(), c, buildAt, "acme")
	require.NoError(t, err)
	return holds
}

func TestHold(t *testing.T) {
	t.Parallel()
	c := newClients(t)
	holds := c.holds(t)
	none, err := holds.Of(t.Context(), "web")
	require.NoError(t, err)
	require.Empty(t, none)
	_, ok, err := holds.Release(t.Context(), "web")
	require.NoError(t, err)
	require.False(t, ok)

	want := images.Hold{Role: "web", Reason: "it leaks", Who: "ann", When: time.Date(2026, 3, 1, 12, 0, 0, 7, time.UTC), Commit: "c1", Image: "ami-1"}
	require.NoError(t, holds.Create(t.Context(), want))
	want.When = want.When.Truncate(time.Second)
	var held *images.HeldError
	require.ErrorAs(t, holds.Create(t.Context(), images.Hold{Role: "web", Reason: "other"}), &held)
	require.Equal(t, want, held.Hold)
	require.EqualError(t, held, "role web is held by ann since 2026-03-01T12:00:00Z: it leaks (rolled back to ami-1); to let it go: imgops release web")
	found, err := holds.Of(t.Context(), "db", "web")
	require.NoError(t, err)
	require.Equal(t, map[string]images.Hold{"web": want}, found)
	found, err = holds.Of(t.Context(), "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "web")
	require.NoError(t, err)
	require.Equal(t, map[string]images.Hold{"web": want}, found)

	want.Reason = "it still leaks"
	require.NoError(t, holds.Replace(t.Context(), want))
	old, ok, err := holds.Release(t.Context(), "web")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, want, old)
	require.NoError(t, holds.Create(t.Context(), images.Hold{Role: "web", Reason: "anew"}))
}

// TestAHoldThatCannotBeRead holds all the same.
func TestAHoldThatCannotBeRead(t *testing.T) {
	t.Parallel()
	c := newClients(t)
	api, err := c.SSM(t.Context(), buildAt)
	require.NoError(t, err)
	_, err = api.PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String(images.HoldName("acme", "web")), Value: aws.String("freeze!"), Type: types.ParameterTypeString,
	})
	require.NoError(t, err)
	found, err := c.holds(t).Of(t.Context(), "web")
	require.NoError(t, err)
	require.Equal(t, "freeze!", found["web"].Reason)
	require.False(t, found["web"].When.IsZero())
}

// TestHeldDefaults has holds in a build location that is a target, and in one that is not.
func TestHeldDefaults(t *testing.T) {
	t.Parallel()
	c := newClients(t)
	img := c.register(t, web("d1"), targetA)
	c.point(t, targetA, "web", img.ID)
	require.NoError(t, c.holds(t).Create(t.Context(), images.Hold{Role: "web", Reason: "freeze", Who: "ann", When: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}))
	for _, locations := range [][]images.Location{{targetA, targetB}, {targetA, targetB, buildAt}} {
		list, err := images.Defaults(t.Context(), c, images.Query{Fleet: "acme", Build: buildAt, Want: []images.Wanted{
			{Role: "db", Locations: locations}, {Role: "web", Digest: "sha256:d2", Locations: locations},
		}})
		require.NoError(t, err)
		notes := map[string]string{}
		for _, d := range list {
			if d.Role == "db" {
				require.Equal(t, images.StatusMissing, d.Status)
				continue
			}
			require.Equal(t, images.StatusHeld, d.Status)
			notes[d.Account] = d.Note
		}
		require.Equal(t, "held by ann since 2026-03-01T00:00:00Z: freeze", notes[targetA.Account])
		require.Equal(t, "held by ann since 2026-03-01T00:00:00Z: freeze; the pointer is missing", notes[targetB.Account])
	}
	list, err := images.Defaults(t.Context(), c, images.Query{Fleet: "acme", Build: buildAt, Want: []images.Wanted{{Role: "db", Locations: []images.Location{targetA}}}})
	require.NoError(t, err)
	require.Equal(t, images.StatusOrphan, list[1].Status, "it is to be seen that main has it no more")
	require.Contains(t, list[1].Note, "held by ann")
}

// TestOneOfManyGetsTheLease has runs take the same lease at once, again and again.
func TestOneOfManyGetsTheLease(t *testing.T) {
	t.Parallel()
	c := newClients(t)
	leases, err := images.OpenLeases(t.Context(), c, buildAt, time.Now)
	require.NoError(t, err)
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		inside int
		turns  []string
	)
	for _, run := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			lease, err := leases.Take(t.Context(), "/imgops/acme/promoting", run, "c-"+run, time.Minute, nil)
			if err != nil {
				t.Errorf("run %s: %v", run, err)
				return
			}
			mu.Lock()
			if inside++; inside > 1 {
				t.Errorf("run %s came in while another one was", run)
			}
			turns = append(turns, run)
			mu.Unlock()
			_, err = leases.Take(t.Context(), "/imgops/acme/promoting", run, "c-"+run, time.Minute, nil)
			if err != nil {
				t.Errorf("run %s, which has it: %v", run, err)
			}
			mu.Lock()
			inside--
			mu.Unlock()
			if err := leases.Return(t.Context(), lease); err != nil {
				t.Errorf("run %s: %v", run, err)
			}
		})
	}
	wg.Wait()
	require.Len(t, turns, 4)
}

func contextWithCause(t *testing.T) (context.Context, context.CancelCauseFunc) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, cancel
}

// TestTwoTakeAnExpiredLeaseOver at the same time: one has it, and the other one knows.
func TestTwoTakeAnExpiredLeaseOver(t *testing.T) {
	t.Parallel()
	c := newClients(t)
	now := time.Now()
	at := func(later time.Duration) *images.Leases {
		leases, err := images.OpenLeases(t.Context(), c, buildAt, func() time.Time { return now.Add(later) })
		require.NoError(t, err)
		return leases
	}
	const name = "/imgops/acme/promoting"
	dead, err := at(0).Take(t.Context(), name, "dead", "c1", time.Minute, nil)
	require.NoError(t, err)
	require.False(t, at(time.Hour).Has(dead))

	errStop := errors.New("it is another run's")
	var wg sync.WaitGroup
	won := make(chan string, 8)
	for _, run := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			ctx, cancel := contextWithCause(t)
			_, err := at(time.Hour).Take(ctx, name, run, "c2", time.Minute, func(images.Lease) { cancel(errStop) })
			switch {
			case err == nil:
				won <- run
			case !errors.Is(err, errStop):
				t.Errorf("run %s: %v", run, err)
			}
		})
	}
	wg.Wait()
	close(won)
	var winners []string
	for run := range won {
		winners = append(winners, run)
	}
	require.Len(t, winners, 1)
	require.NoError(t, at(time.Hour).Return(t.Context(), dead), "what has expired is not this run's to return")
	ctx, cancel := contextWithCause(t)
	_, err = at(time.Hour).Take(ctx, name, "late", "c3", time.Minute, func(images.Lease) { cancel(errStop) })
	require.ErrorIs(t, err, errStop)
}
