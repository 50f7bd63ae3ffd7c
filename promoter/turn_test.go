package promoter

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

// line is a straight history: m1 to m9.
func line() history {
	h := history{}
	for a := '1'; a <= '9'; a++ {
		for b := a + 1; b <= '9'; b++ {
			h["m"+string(a)+"<m"+string(b)] = true
		}
	}
	return h
}

// run is a run of its own, at its own main commit.
func (c *cloud) run(name string, change ...func(*Options)) *Promoter {
	return promoterOf(c, append([]func(*Options){func(o *Options) { o.Run, o.History = name, line() }}, change...)...)
}

// requestOf asks for image number n at a main commit; the image is there.
func (c *cloud) requestOf(n, commit string) Request {
	r := webRequest()
	r.Image.ID, r.Image.Name, r.Image.Digest, r.Commit = "ami-"+n, "acme-web-"+n, "sha256:d"+n, commit
	r.Image.Tags[images.TagDigest] = r.Image.Digest
	if _, ok := c.images[r.Image.ID]; !ok {
		c.seed(r.Image)
	}
	return r
}

func (c *cloud) plan(t *testing.T, p *Promoter, r Request) Plan {
	t.Helper()
	plan, err := p.Plan(t.Context(), []Request{r}, nil)
	require.NoError(t, err)
	return plan
}

// requireDefault checks that image number n is the default in all locations, and the only one with the tag.
func (c *cloud) requireDefault(t *testing.T, n string) {
	t.Helper()
	for _, account := range []string{staging, production} {
		require.Equal(t, "ami-"+n, c.pointer(account, east, "web"))
		at := c.images[c.pointer(account, west, "web")]
		require.Equal(t, "sha256:d"+n, at.tags[buildAccount][images.TagDigest])
	}
	for id, f := range c.images {
		require.Equal(t, f.tags[buildAccount][images.TagDigest] == "sha256:d"+n, f.tags[buildAccount][images.TagDefault] == "true", id)
	}
	require.NotContains(t, c.params[buildAt], turnName("acme"), "the turn was given back")
}

func requireBackwards(t *testing.T, err error) {
	t.Helper()
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, RuleBackwards, refused.Rule)
}

// TestTheOlderMergeEndsLater has the newer pipeline run between the older one's plan and its application.
func TestTheOlderMergeEndsLater(t *testing.T) {
	c := newCloud()
	_, err := promote(t, c.run("first"), c.requestOf("1", "m1"))
	require.NoError(t, err)
	older := c.run("older")
	plan := c.plan(t, older, c.requestOf("2", "m2"))
	_, err = promote(t, c.run("newer"), c.requestOf("3", "m3"))
	require.NoError(t, err)
	result, err := older.Apply(t.Context(), plan, nil)
	requireBackwards(t, err)
	require.ErrorContains(t, err, "commit m2 is older than m3")
	require.NotEmpty(t, result.Left)
	c.requireDefault(t, "3")
}

// TestAReversalOvertakesWhatItReverts has a revert find its image in place, since the reverted one was never promoted.
func TestAReversalOvertakesWhatItReverts(t *testing.T) {
	c := newCloud()
	_, err := promote(t, c.run("first"), c.requestOf("1", "m1"))
	require.NoError(t, err)
	older := c.run("older")
	plan := c.plan(t, older, c.requestOf("2", "m2"))
	result, err := promote(t, c.run("newer"), c.requestOf("1", "m3"))
	require.NoError(t, err)
	require.Len(t, result.Done, 1)
	require.Equal(t, ActionConfirm, result.Done[0].Action)
	_, err = older.Apply(t.Context(), plan, nil)
	requireBackwards(t, err)
	_, err = promote(t, c.run("rerun"), c.requestOf("2", "m2"))
	requireBackwards(t, err)
	c.requireDefault(t, "1")
	require.Equal(t, "m1 2026-03-01T12:00:00Z", c.images["ami-1"].tags[buildAccount][images.TagPromoted], "it was promoted then")
}

// TestMainGoesOnWithoutARecord asks in turn whether main still lets the pointers move, and by what they name then.
func TestMainGoesOnWithoutARecord(t *testing.T) {
	c := newCloud()
	_, err := promote(t, c.run("first"), c.requestOf("1", "m1"))
	require.NoError(t, err)
	var asked [][]PointerMove
	older := c.run("older", func(o *Options) {
		o.Overtaken = func(_ context.Context, moves []PointerMove) (map[string]error, error) {
			asked = append(asked, moves)
			return map[string]error{"web": &RefusedError{Rule: RuleBackwards, Role: "web", Message: "main went on"}}, nil
		}
	})
	plan := c.plan(t, older, c.requestOf("2", "m2"))
	require.Empty(t, asked)
	require.Len(t, plan.Moves(), len(plan.Roles[0].Locations))
	_, err = older.Apply(t.Context(), plan, nil)
	requireBackwards(t, err)
	require.Len(t, asked, 1)
	require.Equal(t, plan.Moves(), asked[0])
	for _, m := range asked[0] {
		require.Equal(t, []string{"web", "sha256:d1", "sha256:d2"}, []string{m.Role, m.From, m.To})
	}
	c.requireDefault(t, "1")
}

// TestThePointersMoveWhileThePlanHasNothingToDo is the same the other way round: the older one moves in between.
func TestThePointersMoveWhileThePlanHasNothingToDo(t *testing.T) {
	c := newCloud()
	_, err := promote(t, c.run("first"), c.requestOf("1", "m1"))
	require.NoError(t, err)
	newer := c.run("newer")
	plan := c.plan(t, newer, c.requestOf("1", "m3"))
	_, err = promote(t, c.run("older"), c.requestOf("2", "m2"))
	require.NoError(t, err)
	c.requireDefault(t, "2")
	_, err = newer.Apply(t.Context(), plan, nil)
	require.NoError(t, err)
	c.requireDefault(t, "1")
}

// TestOneMovesAtATime has the newer promotion come while the older one moves its pointers: it waits.
func TestOneMovesAtATime(t *testing.T) {
	c := newCloud()
	older, newer := c.requestOf("2", "m2"), c.requestOf("3", "m3")
	waits, ended := make(chan struct{}), make(chan error, 1)
	var wait, begin sync.Once
	follow := func() {
		p := c.run("newer")
		plan, err := p.Plan(t.Context(), []Request{newer}, nil)
		if err == nil {
			_, err = p.Apply(t.Context(), plan, func(step, _ string) {
				if step == "wait for the turn" {
					wait.Do(func() { close(waits) })
				}
			})
		}
		wait.Do(func() { close(waits) }) // it went ahead: the last word is the older one's then, and the test fails
		ended <- err
	}
	p := c.run("older", func(o *Options) { o.Parallel = 1 })
	_, err := p.Apply(t.Context(), c.plan(t, p, older), func(step, _ string) {
		if step == "web: pointer" {
			begin.Do(func() {
				go follow()
				<-waits
			})
		}
	})
	require.NoError(t, err)
	require.NoError(t, <-ended)
	c.requireDefault(t, "3")
}

func TestOldCommitThatWouldChangeNothing(t *testing.T) {
	c := newCloud()
	for _, commit := range []string{"m1", "m2"} {
		_, err := promote(t, c.run(commit), c.requestOf("1", commit))
		require.NoError(t, err)
	}
	plan := c.plan(t, c.run("rerun"), c.requestOf("1", "m1"))
	require.True(t, plan.Empty(), plan.Lines())
	delete(c.params[images.Location{Account: staging, Region: east}], images.PointerName("acme", "web"))
	_, err := promote(t, c.run("rerun"), c.requestOf("1", "m1"))
	requireBackwards(t, err)
}

// TestTheTurnOfARunThatWasKilled is waited for until it expires.
func TestTheTurnOfARunThatWasKilled(t *testing.T) {
	c := newCloud()
	c.cutAfter = 8
	r := c.requestOf("1", "m1")
	_, err := promote(t, c.run("killed", func(o *Options) { o.Parallel = 1 }), r)
	require.ErrorIs(t, err, errCut)
	require.Contains(t, c.params[buildAt], turnName("acme"))
	c.cut, c.cutAfter = false, -1

	now, waited := noon(), 0
	var mu sync.Mutex
	p := c.run("next", func(o *Options) {
		o.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	_, err = p.Apply(t.Context(), c.plan(t, p, r), func(step, what string) {
		mu.Lock()
		defer mu.Unlock()
		if step == "wait for the turn" {
			require.Equal(t, "run killed moves pointers (commit m1); if it was killed, its turn ends at 12:01:15 UTC, or with imgops gc --run killed", what)
			waited++
			now = now.Add(2 * time.Minute)
		}
	})
	require.NoError(t, err)
	require.Equal(t, 1, waited)
	c.requireDefault(t, "1")
}

func TestATurnThatTakesTooLong(t *testing.T) {
	c := newCloud()
	var mu sync.Mutex
	now := noon()
	c.fault = func(op string, loc images.Location) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "PutParameter" && loc != buildAt {
			now = now.Add(2 * time.Minute)
		}
		return nil
	}
	p := c.run("slow", func(o *Options) {
		o.Parallel, o.Clock = 1, func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	_, err := promote(t, p, c.requestOf("1", "m1"))
	require.ErrorContains(t, err, "it is another run's turn by now; run it again")
	c.fault = nil
	_, err = promote(t, p, c.requestOf("1", "m1"))
	require.NoError(t, err)
	for _, account := range []string{staging, production} {
		require.Equal(t, "ami-1", c.pointer(account, east, "web"))
	}
}

func (c *cloud) holds(t *testing.T) *images.Holds {
	t.Helper()
	holds, err := images.OpenHolds(t.Context(), c, buildAt, "acme")
	require.NoError(t, err)
	return holds
}

func TestAHeldRoleIsLeftAlone(t *testing.T) {
	c := newCloud()
	_, err := promote(t, c.run("first"), c.requestOf("1", "m1"))
	require.NoError(t, err)
	late := c.run("late")
	early := c.plan(t, late, c.requestOf("2", "m2"))
	require.NoError(t, c.holds(t).Create(t.Context(), images.Hold{Role: "web", Reason: "it leaks", Who: "ann", When: noon()}))
	before := len(c.mutations())

	plan := c.plan(t, c.run("second"), c.requestOf("2", "m2"))
	require.True(t, plan.Empty())
	require.Equal(t, []string{
		"web: image ami-2, digest d2, 4 locations",
		"  held by ann since 2026-03-01T12:00:00Z: it leaks; let it go with: imgops release web",
	}, plan.Lines())
	result, err := c.run("second").Apply(t.Context(), plan, nil)
	require.NoError(t, err)
	require.Equal(t, "it leaks", result.Held[0].Reason)
	require.Len(t, c.mutations(), before)

	// A hold that is made after the plan stops the pointers, too.
	result, err = late.Apply(t.Context(), early, nil)
	require.NoError(t, err)
	require.Equal(t, "web", result.Held[0].Role)
	c.requireDefault(t, "1")

	_, released, err := c.holds(t).Release(t.Context(), "web")
	require.NoError(t, err)
	require.True(t, released)
	_, err = promote(t, c.run("third"), c.requestOf("2", "m2"))
	require.NoError(t, err)
	c.requireDefault(t, "2")
}

func TestRejectedBetweenPlanAndApply(t *testing.T) {
	c := newCloud()
	p := c.run("first")
	plan := c.plan(t, p, c.requestOf("1", "m1"))
	c.images["ami-1"].tags[buildAccount][images.TagRejected] = "leaks"
	_, err := p.Apply(t.Context(), plan, nil)
	require.Equal(t, RuleRejected, refusalIn(t, err).Rule)
	require.Empty(t, c.pointer(staging, east, "web"))
}

// TestARejectedBase has an image that was being built while its base was rejected: it has no tag that says so.
func TestARejectedBase(t *testing.T) {
	c := newCloud()
	base := c.requestOf("8", "m1").Image
	c.images[base.ID].tags[buildAccount][images.TagRole] = "base"
	c.images[base.ID].tags[buildAccount][images.TagRejected] = "leaks"
	c.requestOf("9", "m1")
	c.images["ami-9"].tags[buildAccount][images.TagBase] = base.ID
	r := c.requestOf("1", "m1")
	c.images["ami-1"].tags[buildAccount][images.TagBase] = "ami-9"
	_, err := promote(t, c.run("first"), r)
	require.Equal(t, RuleRejected, refusalIn(t, err).Rule)
	require.ErrorContains(t, err, "image ami-1 was built on ami-8, which is rejected: leaks")
}

func refusalIn(t *testing.T, err error) *RefusedError {
	t.Helper()
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	return refused
}

func TestTheTurnCannotBeTaken(t *testing.T) {
	c := newCloud()
	denied := &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}
	c.fault = func(op string, loc images.Location) error {
		if op == "PutParameter" && loc == buildAt {
			return denied
		}
		return nil
	}
	_, err := promote(t, c.run("first"), c.requestOf("1", "m1"))
	require.ErrorIs(t, err, denied)
	require.ErrorContains(t, err, "taking the lease /imgops/acme/promoting")
	for _, call := range c.mutations() {
		require.False(t, strings.HasPrefix(call, "PutParameter "+staging), call)
	}
	var incomplete *IncompleteError
	require.True(t, errors.As(err, &incomplete))
}
