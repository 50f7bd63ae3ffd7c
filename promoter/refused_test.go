package promoter

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

const (
	buildAccount = "111111111111"
	staging      = "222222222222"
	production   = "333333333333"
	east, west   = "us-east-1", "eu-west-1"
)

var buildAt = images.Location{Account: buildAccount, Region: east}

// noClients fails every test that asks for a client.
type noClients struct{ t *testing.T }

func (n noClients) EC2(_ context.Context, loc images.Location) (*ec2.Client, error) {
	n.t.Errorf("EC2 of %s was asked for", loc)
	return nil, errors.New("no client")
}

func (n noClients) SSM(_ context.Context, loc images.Location) (*ssm.Client, error) {
	n.t.Errorf("SSM of %s was asked for", loc)
	return nil, errors.New("no client")
}

// history says of a pair "a<b" that commit a is an ancestor of b.
type history map[string]bool

func (h history) IsAncestor(_ context.Context, a, b string) (bool, error) {
	if h == nil {
		return false, errors.New("no such commit")
	}
	return a == b || h[a+"<"+b], nil
}

func webImage() images.Image {
	img := images.Image{
		ID: "ami-1", Name: "acme-web-1", Location: buildAt, Owner: buildAccount, State: "available", Snapshots: []string{"snap-1"},
		Fleet: "acme", Role: "web", Digest: "sha256:d1", Commit: "b1", Verified: "sha256:t1",
	}
	img.Tags = img.BuildTags()
	img.Tags[images.TagVerified] = img.Verified
	return img
}

func webRequest() Request {
	return Request{
		Role: "web", Image: webImage(), TestsDigest: "sha256:t1", Commit: "m1", OnMain: true,
		Targets: []Target{{Name: "all", Accounts: []string{staging, production}, Regions: []string{east, west}}},
	}
}

func refusals(err error) []RefusedError {
	var list []RefusedError
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) { //nolint:errorlint // walks the tree itself
		case *RefusedError:
			list = append(list, *e)
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		}
	}
	walk(err)
	return list
}

func TestRefusals(t *testing.T) {
	for rule, c := range map[string]struct {
		change func(*Request)
		text   string
	}{
		RuleNotOnMain:  {func(r *Request) { r.OnMain = false }, "promotion of web refused (not on main): commit m1 is not on branch main; merge it, or run this on main: git switch main"},
		RuleDirtyTree:  {func(r *Request) { r.Dirty = true }, "promotion of web refused (dirty tree): files that decide the role differ from commit m1; commit or undo them: git status"},
		RuleDirtyImage: {func(r *Request) { r.Image.Commit += images.DirtySuffix }, "promotion of web refused (dirty image): image ami-1 was built from a tree with uncommitted changes; build it from a commit: imgops build web"},
		RuleRejected:   {func(r *Request) { r.Image.Rejected = "leaks" }, "promotion of web refused (rejected): image ami-1 is rejected: leaks; change the role and build again, or revert to a digest that is not rejected"},
	} {
		t.Run(rule, func(t *testing.T) {
			r := webRequest()
			c.change(&r)
			plan, err := New(noClients{t}, Options{Fleet: "acme", Build: buildAt}).Plan(t.Context(), []Request{r}, nil)
			var refused *RefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, rule, refused.Rule)
			require.EqualError(t, err, c.text)
			require.True(t, plan.Empty())
		})
	}
}

// TestUnverified has a request that thinks otherwise: what counts is the image as it is now.
func TestUnverified(t *testing.T) {
	for _, c := range []struct{ verified, tests, text string }{
		{"", "", "image ami-1 has passed no verification; verify it: imgops verify web"},
		{"", "sha256:t1", "image ami-1 has passed no verification"},
		{"sha256:t1", "sha256:t2", "promotion of web refused (unverified): image ami-1 was verified with tests t1, and they are t2 now; verify it: imgops verify web"},
	} {
		cloud := newCloud()
		img := webImage()
		img.Tags[images.TagVerified] = c.verified
		cloud.seed(img)
		r := webRequest()
		r.TestsDigest, r.Image.Verified = c.tests, c.tests
		_, err := promoterOf(cloud).Plan(t.Context(), []Request{r}, nil)
		require.ErrorContains(t, err, c.text)
		require.Equal(t, RuleUnverified, refusals(err)[0].Rule)
	}
}

func TestVerifiedSinceTheRequest(t *testing.T) {
	cloud := newCloud()
	cloud.seed(webImage())
	r := webRequest()
	r.Image.Verified = ""
	_, err := promoterOf(cloud).Plan(t.Context(), []Request{r}, nil)
	require.NoError(t, err)
}

func TestEmptySelection(t *testing.T) {
	_, err := New(noClients{t}, Options{Fleet: "acme", Build: buildAt}).Plan(t.Context(), nil, nil)
	require.EqualError(t, err, "promotion refused (no role matched): the selection matched no role; name a role of the fleet: imgops plan lists them")
}

func TestEveryRefusalIsReported(t *testing.T) {
	db, web := webRequest(), webRequest()
	db.Role, db.Image.Role, db.OnMain, db.Dirty = "db", "db", false, true
	web.Image.Rejected = "leaks"
	_, err := New(noClients{t}, Options{Fleet: "acme", Build: buildAt}).Plan(t.Context(), []Request{web, db}, nil)
	var got []string
	for _, r := range refusals(err) {
		got = append(got, r.Role+": "+r.Rule)
	}
	require.Equal(t, []string{"db: not on main", "db: dirty tree", "web: rejected"}, got)
}

func TestNoImage(t *testing.T) {
	r := webRequest()
	r.Image, r.OnMain = images.Image{}, false
	_, err := New(noClients{t}, Options{Fleet: "acme", Build: buildAt}).Plan(t.Context(), []Request{r}, nil)
	require.Len(t, refusals(err), 2)
	require.ErrorContains(t, err, "promotion of web refused (unverified): no image of its digest exists; build and verify it: imgops build web && imgops verify web")
}

func TestBadRequests(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Request)
		text   string
	}{
		"another role's image":  {func(r *Request) { r.Image.Role = "db" }, `image "ami-1" (fleet "acme", role "db") is not one of role web in fleet acme`},
		"another fleet's image": {func(r *Request) { r.Image.Fleet = "evil" }, `is not one of role web in fleet acme`},
		"no target":             {func(r *Request) { r.Targets = nil }, "role web has no location to be promoted to"},
		"unknown mode":          {func(r *Request) { r.Targets[0].Mode = "clone" }, `target all of role web: mode "clone" is neither share nor copy`},
		"two modes": {func(r *Request) {
			r.Targets = append(r.Targets, Target{Name: "own", Accounts: []string{staging}, Regions: []string{west}, Mode: ModeCopy})
		}, "target own of role web: 222222222222/eu-west-1 is in another target too, with another mode or key"},
	} {
		t.Run(name, func(t *testing.T) {
			r := webRequest()
			c.change(&r)
			_, err := New(noClients{t}, Options{Fleet: "acme", Build: buildAt}).Plan(t.Context(), []Request{r}, nil)
			require.ErrorContains(t, err, c.text)
			require.Empty(t, refusals(err))
		})
	}
	t.Run("twice", func(t *testing.T) {
		_, err := New(noClients{t}, Options{Fleet: "acme", Build: buildAt}).Plan(t.Context(), []Request{webRequest(), webRequest()}, nil)
		require.ErrorContains(t, err, "role web is in the request twice")
	})
}

func TestBackwards(t *testing.T) {
	for name, c := range map[string]struct {
		history  History
		promoted []string
		text     string // "" is allowed
		refused  bool
	}{
		"never promoted":   {nil, nil, "", false},
		"the same commit":  {history{}, []string{"m1"}, "", false},
		"newer":            {history{"m0<m1": true}, []string{"m0"}, "", false},
		"unrelated":        {history{}, []string{"m9"}, "", false},
		"older":            {history{"m1<m2": true}, []string{"m2"}, "commit m1 is older than m2, at which the present default was promoted; promote the newest commit of main", true},
		"older in one":     {history{"m1<m2": true, "m0<m1": true}, []string{"m0", "m2"}, "commit m1 is older than m2", true},
		"no history":       {nil, []string{"m2"}, "there is no history to tell whether m1 is older", false},
		"unknown commit":   {history(nil), []string{"m2"}, "git fetch --unshallow", false},
		"none is promoted": {history{}, []string{}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(noClients{t}, Options{Fleet: "acme", Build: buildAt, History: c.history})
			r := webRequest()
			r.Main = "main"
			err := p.backwards(t.Context(), r, promotedAt(c.promoted))
			require.Equal(t, c.refused, len(refusals(err)) == 1)
			if c.text == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.text)
		})
	}
}

func promotedAt(commits []string) (list []images.Promoted) {
	for _, commit := range commits {
		list = append(list, images.Promoted{Commit: commit})
	}
	return list
}

// rewritten is a history that has lost a commit.
type rewritten string

func (h rewritten) IsAncestor(_ context.Context, _, b string) (bool, error) {
	if b == string(h) {
		return false, ErrLostCommit
	}
	return false, nil
}

// TestLostCommit: a promoted commit that is in no history any more counts until a later one is known.
func TestLostCommit(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	lost := images.Promoted{Commit: "gone", At: now}
	before, after := images.Promoted{Commit: "m2", At: now.Add(-time.Hour)}, images.Promoted{Commit: "m3", At: now.Add(time.Second)}
	for name, c := range map[string]struct {
		records   []images.Promoted
		vouched   bool
		forbidden bool
	}{
		"it is the last":      {[]images.Promoted{lost, before}, false, true},
		"a later one is here": {[]images.Promoted{after, lost}, false, false},
		"somebody vouches":    {[]images.Promoted{lost, before}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(noClients{t}, Options{Fleet: "acme", Build: buildAt, History: rewritten("gone"), Rewritten: c.vouched})
			err := p.backwards(t.Context(), webRequest(), c.records)
			if !c.forbidden {
				require.NoError(t, err)
				return
			}
			requireBackwards(t, err)
			require.ErrorContains(t, err, "--rewritten-history")
		})
	}
}
