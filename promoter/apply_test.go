package promoter

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func promoterOf(c *cloud, change ...func(*Options)) *Promoter {
	o := Options{Fleet: "acme", Build: buildAt, Run: "run-7", History: history{}, Clock: noon}
	for _, do := range change {
		do(&o)
	}
	return New(c, o)
}

// oneOfEach has a role whose image is shared, and which staging wants as its own copy in the west.
func oneOfEach() Request {
	r := webRequest()
	r.Targets = []Target{
		{Name: "production", Accounts: []string{production}, Regions: []string{east, west}},
		{Name: "staging", Accounts: []string{staging}, Regions: []string{west}, Mode: ModeCopy, KMSKey: map[string]string{west: "alias/images"}},
	}
	return r
}

func TestPromote(t *testing.T) {
	c := newCloud()
	c.seed(webImage())
	result, err := promote(t, promoterOf(c), oneOfEach())
	require.NoError(t, err)
	require.Empty(t, result.Left)

	copied, own := c.pointer(production, west, "web"), c.pointer(staging, west, "web")
	require.Equal(t, "ami-1", c.pointer(production, east, "web"))
	require.Equal(t, buildAccount, *c.images[copied].OwnerId)
	require.Equal(t, staging, *c.images[own].OwnerId)
	require.Equal(t, "encrypted alias/images", *c.images[own].Description)
	require.Equal(t, copied, *c.images[own].SourceImageId)
	for id, account := range map[string]string{"ami-1": buildAccount, copied: buildAccount, own: staging} {
		tags := c.images[id].tags[account]
		require.Equal(t, "sha256:t1", tags[images.TagVerified])
		require.Equal(t, "true", tags[images.TagDefault])
		require.Equal(t, "m1 2026-03-01T12:00:00Z", tags[images.TagPromoted])
	}
	require.Equal(t, []string{staging, production}, slices.Sorted(slices.Values(c.images[copied].users)))
	for _, s := range result.Done {
		require.NotEmpty(t, s.Image, s.Action)
	}
	pointers := slices.IndexFunc(c.calls, func(call string) bool { return strings.HasPrefix(call, "PutParameter") })
	for _, call := range c.calls[pointers:] {
		require.NotContains(t, call, "Modify", "permissions come before the first pointer")
		require.NotContains(t, call, "CopyImage", "and so do copies")
	}
}

func TestPlanChangesNothing(t *testing.T) {
	c := newCloud()
	c.seed(webImage())
	plan, err := promoterOf(c).Plan(t.Context(), []Request{oneOfEach()}, nil)
	require.NoError(t, err)
	require.False(t, plan.Empty())
	require.Empty(t, c.mutations())
}

func TestAgainDoesNothing(t *testing.T) {
	c := newCloud()
	c.seed(webImage())
	_, err := promote(t, promoterOf(c), oneOfEach())
	require.NoError(t, err)
	before := len(c.mutations())
	plan, err := promoterOf(c).Plan(t.Context(), []Request{oneOfEach()}, nil)
	require.NoError(t, err)
	require.True(t, plan.Empty(), plan.Lines())
	reads := len(c.calls)
	_, err = promoterOf(c).Apply(t.Context(), plan, nil)
	require.NoError(t, err)
	require.Len(t, c.mutations(), before)
	require.Len(t, c.calls, reads, "an empty plan makes no call at all")
}

// TestInterruptedAnywhere kills the process with the answer of each mutating call, and runs it again.
func TestInterruptedAnywhere(t *testing.T) {
	whole := newCloud()
	whole.seed(webImage())
	_, err := promote(t, promoterOf(whole), oneOfEach())
	require.NoError(t, err)
	total := len(whole.mutations())
	require.Greater(t, total, 10)

	for _, parallel := range []int{1, 16} {
		for n := range total + 1 {
			t.Run(fmt.Sprintf("%d of %d, %d parallel", n, total, parallel), func(t *testing.T) {
				t.Parallel()
				c := newCloud()
				c.seed(webImage())
				c.cutAfter = n
				p := promoterOf(c, func(o *Options) { o.Parallel = parallel })
				_, err := promote(t, p, oneOfEach())
				if n < total { // the last call gives the turn back, and the promotion is done whatever it answers
					require.ErrorIs(t, err, errCut)
				}
				c.cut, c.cutAfter = false, -1
				_, err = promote(t, p, oneOfEach())
				require.NoError(t, err)
				sameOutcome(t, whole, c)

				made := len(c.mutations())
				_, err = promote(t, p, oneOfEach())
				require.NoError(t, err)
				require.Len(t, c.mutations(), made, "the third run changes nothing")
			})
		}
	}
}

// sameOutcome compares what can be seen from outside; ids of copies may differ.
func sameOutcome(t *testing.T, want, got *cloud) {
	t.Helper()
	require.Len(t, got.images, len(want.images), "no copy is made twice")
	for _, at := range [][2]string{{production, east}, {production, west}, {staging, west}} {
		w, g := want.images[want.pointer(at[0], at[1], "web")], got.images[got.pointer(at[0], at[1], "web")]
		require.NotNil(t, g, "the pointer in %s", at)
		require.Equal(t, w.tags, g.tags)
		require.Equal(t, w.users, g.users)
		require.Equal(t, w.copyUsers, g.copyUsers)
		require.Equal(t, w.Description, g.Description)
	}
}

func TestTheNextImageTakesTheDefaultOver(t *testing.T) {
	c := newCloud()
	c.seed(webImage())
	_, err := promote(t, promoterOf(c), webRequest())
	require.NoError(t, err)
	old := c.pointer(staging, west, "web")

	next := webRequest()
	next.Image.ID, next.Image.Digest, next.Commit = "ami-2", "sha256:d2", "m2"
	next.Image.Tags[images.TagDigest] = next.Image.Digest
	c.seed(next.Image)
	p := promoterOf(c, func(o *Options) { o.History = history{"m1<m2": true} })
	_, err = promote(t, p, next)
	require.NoError(t, err)
	require.Equal(t, "ami-2", c.pointer(production, east, "web"))
	for _, id := range []string{"ami-1", old} {
		require.NotContains(t, c.images[id].tags[buildAccount], images.TagDefault)
		require.Equal(t, "m1 2026-03-01T12:00:00Z", c.images[id].tags[buildAccount][images.TagPromoted], "history stays")
		require.Equal(t, []string{staging, production}, c.images[id].users, "what runs can be launched again")
	}

	_, err = promote(t, p, webRequest())
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, RuleBackwards, refused.Rule)
	require.Equal(t, "ami-2", c.pointer(production, east, "web"))

	revert := webRequest()
	revert.Commit = "m3"
	made := len(c.images)
	_, err = promote(t, promoterOf(c), revert)
	require.NoError(t, err)
	require.Equal(t, old, c.pointer(staging, west, "web"))
	require.Len(t, c.images, made, "a rollback copies nothing")
	require.Equal(t, "m3 2026-03-01T12:00:00Z", c.images["ami-1"].tags[buildAccount][images.TagPromoted])
}

func TestTheImageIsReadAgain(t *testing.T) {
	c := newCloud()
	img := webImage()
	img.Tags[images.TagRejected] = "leaks"
	c.seed(img)
	_, err := promote(t, promoterOf(c), webRequest())
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, RuleRejected, refused.Rule)
	delete(c.images, "ami-1")
	_, err = promote(t, promoterOf(c), webRequest())
	require.ErrorIs(t, err, images.ErrNotFound)
}

func TestCallsOfAPromotion(t *testing.T) {
	c := newCloud()
	c.seed(webImage())
	_, err := promote(t, promoterOf(c), webRequest())
	require.NoError(t, err)
	count := map[string]int{}
	for _, call := range c.calls {
		name, _, _ := strings.Cut(call, " ")
		count[name]++
	}
	require.Equal(t, 10, count["GetParameters"], "one for each location, and one for the holds; the same again in turn")
	require.Equal(t, 1, count["CopyImage"])
	require.Equal(t, 2, count["ModifySnapshotAttribute"], "one for each Region")
	require.Equal(t, 2, count["ModifyImageAttribute"])
	require.Equal(t, 5, count["PutParameter"], "the turn, and one for each location")
	require.Equal(t, 1, count["DeleteParameter"], "the turn")
	require.Equal(t, 2, count["CreateTags"])
	require.Equal(t, 1, count["DescribeImageAttribute"], "only of the image that exists")
	t.Log(count)
}
