package promoter_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
	"github.com/imgops/imgops/promoter"
)

func (c *cloud) promoter() *promoter.Promoter {
	return promoter.New(c, promoter.Options{Fleet: "acme", Build: buildAt, Run: "run-8", History: straight{}})
}

func (c *cloud) rollback(t *testing.T, to string, targets ...promoter.Target) (promoter.Result, error) {
	t.Helper()
	p := c.promoter()
	plan, err := p.PlanRollback(t.Context(), promoter.RollbackRequest{Role: "web", To: to, Reason: "it leaks", Commit: "m9", Targets: targets}, nil)
	if err != nil {
		return promoter.Result{}, err
	}
	return p.Apply(t.Context(), plan, nil)
}

func (c *cloud) requireAt(t *testing.T, digest string, targets ...promoter.Target) {
	t.Helper()
	for _, d := range c.defaults(t, digest, targets...) {
		require.Equal(t, images.StatusCurrent, d.Status, d)
	}
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		for _, img := range c.ownImages(t, images.Location{Account: buildAt.Account, Region: region}) {
			require.Equal(t, img.Digest == "sha256:"+digest, img.Default, "%s in %s", img.Digest, region)
		}
	}
}

func (c *cloud) ownImages(t *testing.T, loc images.Location) []images.Image {
	t.Helper()
	api, err := c.EC2(t.Context(), loc)
	require.NoError(t, err)
	list, err := images.NewCatalogue(loc, api).OfFleet(t.Context(), "acme")
	require.NoError(t, err)
	return list
}

func refusal(t *testing.T, err error) *promoter.RefusedError {
	t.Helper()
	var refused *promoter.RefusedError
	require.ErrorAs(t, err, &refused)
	return refused
}

// TestRollbackOnTheSandbox goes back one image, and another, in shared and own copies.
func TestRollbackOnTheSandbox(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	targets := []promoter.Target{shared, owned}
	_, err := c.rollback(t, "", targets...)
	require.Equal(t, promoter.RuleNothingBefore, refusal(t, err).Rule)
	require.ErrorContains(t, err, "rollback of web refused (nothing before)")

	one, two, three := c.candidate(t, "d1"), c.candidate(t, "d2"), c.candidate(t, "d3")
	for i, img := range []images.Image{one, two, three} {
		require.NoError(t, c.promote(t, "m"+string(rune('1'+i)), img, targets...))
	}
	c.Forget(0)
	result, err := c.rollback(t, "", targets...)
	require.NoError(t, err)
	require.Zero(t, c.Calls()["CopyImage"], "the copies are still there")
	require.Equal(t, 5, count(result, promoter.ActionPointer))
	c.requireAt(t, "d2", targets...)
	for _, img := range c.ownImages(t, buildAt) {
		require.Equal(t, map[string]string{"sha256:d1": "m1", "sha256:d2": "m2", "sha256:d3": "m3"}[img.Digest], img.Promoted.Commit, "the record of promotions stays")
	}

	// What is older than the last promotion is refused although no pointer names it; main's last commit is not.
	require.Equal(t, promoter.RuleBackwards, refusal(t, c.promote(t, "m1", one, targets...)).Rule)

	// The next one goes further back, not to what was left.
	_, err = c.rollback(t, "", targets...)
	require.NoError(t, err)
	c.requireAt(t, "d1", targets...)
	_, err = c.rollback(t, "", targets...)
	require.Equal(t, promoter.RuleNothingBefore, refusal(t, err).Rule)
	require.ErrorContains(t, err, "imgops rollback web --to "+three.ID+" (digest d3)")

	c.Forget(0)
	_, err = c.rollback(t, one.ID, targets...)
	require.NoError(t, err)
	require.Zero(t, c.Changes(), "it is there already")
	require.NoError(t, c.promote(t, "m4", three, targets...))
	c.requireAt(t, "d3", targets...)
}

// TestRollbackAfterARevert: the revert on main made the older image the default anew, so the one before is the reverted one.
func TestRollbackAfterARevert(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	one, two := c.candidate(t, "d1"), c.candidate(t, "d2")
	for i, img := range []images.Image{one, two, one} {
		require.NoError(t, c.promote(t, "m"+string(rune('1'+i)), img, shared, owned))
	}
	_, err := c.rollback(t, "", shared, owned)
	require.NoError(t, err)
	c.requireAt(t, "d2", shared, owned)

	// The first image is before that one, and what the rollback left: it is not brought back by itself.
	_, err = c.rollback(t, "", shared, owned)
	refused := refusal(t, err)
	require.Equal(t, promoter.RuleNothingBefore, refused.Rule)
	require.Contains(t, refused.Message, "not what an earlier rollback left")
	require.Contains(t, refused.Fix, "imgops rollback web --to "+one.ID)

	// Main has it again: it is one to go back to.
	require.NoError(t, c.promote(t, "m4", one, shared, owned))
	require.NoError(t, c.promote(t, "m5", two, shared, owned))
	_, err = c.rollback(t, "", shared, owned)
	require.NoError(t, err)
	c.requireAt(t, "d1", shared, owned)
}

// TestInterruptedRollbackAfterARevert has one location that is back already.
func TestInterruptedRollbackAfterARevert(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	one, two := c.candidate(t, "d1"), c.candidate(t, "d2")
	for i, img := range []images.Image{one, two, one} {
		require.NoError(t, c.promote(t, "m"+string(rune('1'+i)), img, shared))
	}
	east := shared
	east.Regions = []string{"us-east-1"}
	_, err := c.rollback(t, "", east)
	require.NoError(t, err)
	_, err = c.rollback(t, "", shared)
	require.NoError(t, err)
	c.requireAt(t, "d2", shared)
}

func count(r promoter.Result, a promoter.Action) (n int) {
	for _, s := range r.Done {
		if s.Action == a {
			n++
		}
	}
	return n
}

func TestRollbackToAName(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	digest := func(first string) string { return first + "0123456789abcdef" }
	one, two := c.candidate(t, digest("aaaaaa")), c.candidate(t, digest("aabbbb"))
	unverified := c.register(t, images.Image{Name: "untested", Fleet: "acme", Role: "web", Digest: "sha256:" + digest("cccccc"), Commit: "b1"})
	dirty := c.register(t, images.Image{Name: "dirty", Fleet: "acme", Role: "web", Digest: "sha256:" + digest("dddddd"), Commit: "b1" + images.DirtySuffix, Verified: "sha256:t1"})
	db := c.register(t, images.Image{Name: "acme-db", Fleet: "acme", Role: "db", Digest: "sha256:" + digest("eeeeee"), Commit: "b1", Verified: "sha256:t1"})
	require.NoError(t, c.promote(t, "m1", one, shared))
	require.NoError(t, c.promote(t, "m2", two, shared))
	inWest := c.ownImages(t, images.Location{Account: buildAt.Account, Region: "eu-west-1"})
	at := slices.IndexFunc(inWest, func(img images.Image) bool { return img.Digest == one.Digest })

	for _, to := range []string{one.ID, inWest[at].ID, "aaaaaa", "SHA256:" + digest("aaaaaa")} {
		_, err := c.rollback(t, to, shared)
		require.NoError(t, err, to)
		c.requireAt(t, digest("aaaaaa"), shared)
		_, err = c.rollback(t, two.ID, shared)
		require.NoError(t, err)
	}
	for to, text := range map[string]string{
		"ami-0123456789abcdef0": "image not found: ami-0123456789abcdef0 is no image of role web",
		db.ID:                   "is no image of role web",
		"ffffff":                "no image of role web has a digest that begins with ffffff",
		"aa":                    `"aa" is neither an image id (ami-...) nor a recipe digest`,
		"yesterday":             `"yesterday" is neither an image id`,
	} {
		_, err := c.rollback(t, to, shared)
		require.ErrorContains(t, err, text)
	}
	for id, rule := range map[string]string{unverified.ID: promoter.RuleUnverified, dirty.ID: promoter.RuleDirtyImage, "dddddd": promoter.RuleDirtyImage} {
		c.Forget(0)
		_, err := c.rollback(t, id, shared)
		require.Equal(t, rule, refusal(t, err).Rule)
		require.Zero(t, c.Changes())
	}
	c.requireAt(t, digest("aabbbb"), shared)
}

// TestRollbackWhereLocationsDiffer has a Region with a past of its own.
func TestRollbackWhereLocationsDiffer(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	east, west := shared, shared
	east.Regions, west.Regions = []string{"us-east-1"}, []string{"eu-west-1"}
	one, two, three := c.candidate(t, "d1"), c.candidate(t, "d2"), c.candidate(t, "d3")
	require.NoError(t, c.promote(t, "m1", one, east))
	require.NoError(t, c.promote(t, "m1", two, west))
	require.NoError(t, c.promote(t, "m3", three, shared))
	_, err := c.rollback(t, "", shared)
	refused := refusal(t, err)
	require.Equal(t, promoter.RuleDiffer, refused.Rule)
	require.Contains(t, refused.Message, "222222222222/eu-west-1: now d3, before d2; 222222222222/us-east-1: now d3, before d1")
	require.Contains(t, refused.Fix, "imgops rollback web --to "+one.ID)
	require.Contains(t, refused.Fix, "imgops rollback web --to "+two.ID)
	c.requireAt(t, "d3", shared)

	_, err = c.rollback(t, "", east)
	require.NoError(t, err, "each target has one past")
	// Half of the locations are back: the rest follows.
	_, err = c.rollback(t, one.ID, shared)
	require.NoError(t, err)
	c.requireAt(t, "d1", shared)
}

// TestInterruptedRollback kills the process with the answer of each call; the same command leads to the same end.
func TestInterruptedRollback(t *testing.T) {
	t.Parallel()
	for n := 1; n < 10; n++ {
		c := newCloud(t)
		for i, digest := range []string{"d0", "d1", "d2"} {
			require.NoError(t, c.promote(t, "m"+string(rune('1'+i)), c.candidate(t, digest), shared))
		}
		c.Forget(n)
		_, err := c.rollback(t, "", shared)
		require.ErrorIs(t, err, sandboxtest.ErrCut)
		c.Forget(0)
		atAll := true
		for _, d := range c.defaults(t, "d1", shared) {
			atAll = atAll && d.Status == images.StatusCurrent
		}
		if atAll { // nothing tells it from a finished one but the hold, which cmd/imgops reads
			continue
		}
		_, err = c.rollback(t, "", shared)
		require.NoError(t, err)
		c.requireAt(t, "d1", shared)
	}
}

func TestRejectOnTheSandbox(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	base := c.register(t, images.Image{Name: "base", Fleet: "acme", Role: "base", Digest: "sha256:b1", Commit: "b1", Verified: "sha256:t1"})
	web := images.Image{Name: "web-1", Fleet: "acme", Role: "web", Digest: "sha256:d1", Commit: "b1", Base: base.ID, Verified: "sha256:t1"}
	one := c.register(t, web)
	web.Name, web.Digest, web.Base = "web-2", "sha256:d2", one.ID
	two := c.register(t, web)
	good := c.candidate(t, "d9")
	targets := []promoter.Target{shared, owned}
	require.NoError(t, c.promote(t, "m0", good, targets...))
	require.NoError(t, c.promote(t, "m1", one, targets...))

	west := images.Location{Account: buildAt.Account, Region: "eu-west-1"}
	own := images.Location{Account: "444444444444", Region: "eu-west-1"}
	places := []images.Location{buildAt, west, own}
	_, err := c.promoter().Reject(t.Context(), "ami-0123456789abcdef0", "why", places, nil)
	require.ErrorIs(t, err, images.ErrNotFound)

	copied := c.ownImages(t, own)
	at := slices.IndexFunc(copied, func(img images.Image) bool { return img.Digest == "sha256:d1" })
	list, err := c.promoter().Reject(t.Context(), copied[at].ID, "it\nleaks", places, nil)
	require.NoError(t, err)
	require.Len(t, list, 4, "the image, its two copies, and the image built on it: %v", list)
	for _, r := range list {
		require.False(t, r.Before)
	}
	for _, loc := range places {
		for _, img := range c.ownImages(t, loc) {
			want := map[string]string{"sha256:d1": "it leaks", "sha256:d2": "base " + one.ID + " is rejected: it leaks"}[img.Digest]
			require.Equal(t, want, img.Rejected, "%s in %s", img.Digest, loc)
		}
	}
	for _, d := range c.defaults(t, "d1", targets...) {
		require.Equal(t, images.StatusCurrent, d.Status, "it stays the default")
		require.Equal(t, "rejected: it leaks", d.Note)
	}
	for _, img := range []images.Image{one, two} {
		require.Equal(t, promoter.RuleRejected, refusal(t, c.promote(t, "m2", img, targets...)).Rule)
	}
	list, err = c.promoter().Reject(t.Context(), one.ID, "another reason", places, nil)
	require.NoError(t, err)
	require.True(t, list[0].Before)
	require.Equal(t, "it leaks", list[slices.IndexFunc(list, func(r promoter.Rejected) bool { return r.Image == one.ID })].Reason)

	// Back to the one before; a rejected one in between is passed over.
	three := c.candidate(t, "d3")
	require.NoError(t, c.promote(t, "m3", three, targets...))
	_, err = c.rollback(t, "", targets...)
	require.NoError(t, err)
	c.requireAt(t, "d9", targets...)
	_, err = c.rollback(t, one.ID, targets...)
	require.Equal(t, promoter.RuleRejected, refusal(t, err).Rule)
}

func TestRetireOnTheSandbox(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	one := c.candidate(t, "d1")
	require.NoError(t, c.promote(t, "m1", one, shared))
	var places []images.Location
	for _, d := range c.defaults(t, "d1", shared) {
		places = append(places, d.Location())
	}
	holds, err := images.OpenHolds(t.Context(), c, buildAt, "acme")
	require.NoError(t, err)
	require.NoError(t, holds.Create(t.Context(), images.Hold{Role: "web", Reason: "wait"}))
	retirement := promoter.Retirement{Role: "web", Commit: "m5", Note: "ann: web is no more", Locations: append(places, images.Location{Account: buildAt.Account, Region: "eu-west-1"})}
	gone, err := c.promoter().Retire(t.Context(), retirement, nil)
	require.NoError(t, err)
	require.Len(t, gone, 4)
	require.Equal(t, "222222222222", gone[0].Account)
	for _, d := range c.defaults(t, "d1", shared) {
		require.Equal(t, images.StatusMissing, d.Status)
	}
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		for _, img := range c.ownImages(t, images.Location{Account: buildAt.Account, Region: region}) {
			require.False(t, img.Default)
			require.Equal(t, "ann: web is no more", img.Tags[images.TagRetired])
		}
	}
	again, err := c.promoter().Retire(t.Context(), retirement, nil)
	require.NoError(t, err)
	require.Empty(t, again)
	require.Equal(t, promoter.RuleBackwards, refusal(t, c.promote(t, "m4", one, shared)).Rule, "a pipeline of a commit that still had the role")
	require.NoError(t, c.promote(t, "m6", one, shared), "main has it again")
}

// TestHistoryOnTheSandbox joins what SSM keeps with the images' tags.
func TestHistoryOnTheSandbox(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	target := promoter.Target{Name: "one", Accounts: []string{"222222222222"}, Regions: []string{"us-east-1"}}
	loc := images.Location{Account: "222222222222", Region: "us-east-1"}
	one, two := c.candidate(t, "d1"), c.candidate(t, "d2")
	require.NoError(t, c.promote(t, "m1", one, target))
	require.NoError(t, c.promote(t, "m2", two, target))
	_, err := c.rollback(t, "", target)
	require.NoError(t, err)
	holds, err := images.OpenHolds(t.Context(), c, buildAt, "acme")
	require.NoError(t, err)
	pointers, err := images.OpenPointers(t.Context(), c, loc, "acme")
	require.NoError(t, err)
	_, err = pointers.Set(t.Context(), "web", two.ID, "by hand")
	require.NoError(t, err)
	_, err = c.promoter().Reject(t.Context(), two.ID, "slow", []images.Location{buildAt}, nil)
	require.NoError(t, err)
	api, err := c.EC2(t.Context(), buildAt)
	require.NoError(t, err)
	_, err = api.DeregisterImage(t.Context(), &ec2.DeregisterImageInput{ImageId: aws.String(one.ID)})
	require.NoError(t, err)

	events, err := images.History(t.Context(), c, "acme", buildAt, "web", []images.Location{loc})
	require.NoError(t, err)
	require.Len(t, events, 4)
	type row struct{ action, image, digest, commit, reason, run, note string }
	var got []row
	slices.SortFunc(events, func(a, b images.Event) int { return int(b.Version - a.Version) }) // the sandbox is quicker than a clock's tick
	for i, e := range events {
		got = append(got, row{e.Action, e.Image, e.Digest, e.Commit, e.Reason, e.Run, e.Note})
		require.Equal(t, i == 0, e.Current)
		require.Contains(t, e.Who, "222222222222")
		require.False(t, e.At.IsZero())
	}
	require.Equal(t, []row{
		{"other", two.ID, "sha256:d2", "", "", "", "rejected: slow"},
		{"rollback", one.ID, "sha256:d1", "m9", "it leaks", "run-8", "the image is gone"},
		{"promote", two.ID, "sha256:d2", "m2", "", "run-7", "rejected: slow"},
		{"promote", one.ID, "sha256:d1", "m1", "", "run-7", "the image is gone"},
	}, got)

	require.NoError(t, holds.Create(t.Context(), images.Hold{Role: "web", Reason: "wait", Who: "ann", When: events[0].At.AddDate(1, 0, 0)}))
	events, err = images.History(t.Context(), c, "acme", buildAt, "web", []images.Location{loc})
	require.NoError(t, err)
	require.Equal(t, images.EventHold, events[0].Action)
	require.Equal(t, "wait", events[0].Reason)
	events, err = images.History(t.Context(), c, "acme", buildAt, "unknown", []images.Location{loc})
	require.NoError(t, err)
	require.Empty(t, events)
}

// TestRollbackOffMain: an image that no tag calls a former default is one all the same when a pointer has named it.
func TestRollbackOffMain(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	one, two, branch := c.candidate(t, "d1"), c.candidate(t, "d2"), c.candidate(t, "d3")
	require.NoError(t, c.promote(t, "m1", one, shared))
	require.NoError(t, c.promote(t, "m2", two, shared))
	api, err := c.EC2(t.Context(), buildAt)
	require.NoError(t, err)
	_, err = api.DeleteTags(t.Context(), &ec2.DeleteTagsInput{Resources: []string{one.ID}, Tags: []types.Tag{{Key: aws.String(images.TagPromoted)}, {Key: aws.String(images.TagConfirmed)}}})
	require.NoError(t, err)
	_, err = c.rollback(t, branch.ID, shared)
	require.Equal(t, promoter.RuleNotOnMain, refusal(t, err).Rule)
	c.requireAt(t, "d2", shared)
	_, err = c.rollback(t, one.ID, shared)
	require.NoError(t, err)
	c.requireAt(t, "d1", shared)
}
