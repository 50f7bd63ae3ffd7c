package promoter

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

// scene is a world in the making.
type scene struct {
	*world
	opts Options
}

// blank is a world in which only the candidate exists.
func blank() scene {
	return scene{&world{
		own:      map[images.Location][]images.Image{buildAt: {webImage()}},
		pointers: map[images.Location]map[string]images.Pointer{}, seen: map[images.Location]map[string]images.Image{},
		granted: map[permission][]string{},
	}, Options{Fleet: "acme", Build: buildAt}}
}

// promoted is the world after webRequest has been promoted.
func promoted() scene {
	s := blank()
	src := webImage()
	src.Default, src.Promoted = true, images.Promoted{Commit: "m1"}
	s.own[buildAt] = []images.Image{src}
	copied := src
	copied.ID, copied.Location.Region, copied.SourceID, copied.SourceRegion, copied.Snapshots = "ami-w", west, "ami-1", east, []string{"snap-w"}
	copied.Tags = maps.Clone(src.Tags)
	s.own[copied.Location] = []images.Image{copied}
	for _, account := range []string{staging, production} {
		s.point(account, east, "ami-1")
		s.point(account, west, "ami-w")
	}
	s.granted[permission{buildAt, "ami-1"}] = []string{staging, production}
	s.granted[permission{copied.Location, "ami-w"}] = []string{staging, production}
	return s
}

func (s scene) point(account, region, id string) {
	loc := images.Location{Account: account, Region: region}
	s.pointers[loc] = map[string]images.Pointer{"web": {Role: "web", Location: loc, Image: id, DataType: images.PointerDataType}}
	s.seen[loc] = map[string]images.Image{id: {ID: id, State: "available", Owner: buildAccount}}
}

func (s scene) decide(t *testing.T, r Request) RolePlan {
	t.Helper()
	p := New(noClients{t}, s.opts)
	now := s.own[buildAt][0] // as fresh does
	r.Image.Default, r.Image.Promoted, r.Image.Confirmed = now.Default, now.Promoted, now.Confirmed
	places, err := p.places(r)
	require.NoError(t, err)
	return p.decide(r, places, s.world)
}

func (s scene) lines(t *testing.T, r Request) []string {
	t.Helper()
	return Plan{Roles: []RolePlan{s.decide(t, r)}}.Lines()[1:]
}

var westHome = images.Location{Account: buildAccount, Region: west}

func TestFirstPromotion(t *testing.T) {
	require.Equal(t, []string{
		"  111111111111/eu-west-1: copy ami-1 from us-east-1",
		"  111111111111/eu-west-1: share the snapshots of the copy with 222222222222 333333333333",
		"  111111111111/us-east-1: share the snapshots of ami-1 with 222222222222 333333333333",
		"  111111111111/eu-west-1: share the copy with 222222222222 333333333333",
		"  111111111111/us-east-1: share ami-1 with 222222222222 333333333333",
		"  222222222222/eu-west-1: move the pointer from nothing to the copy",
		"  222222222222/us-east-1: move the pointer from nothing to ami-1",
		"  333333333333/eu-west-1: move the pointer from nothing to the copy",
		"  333333333333/us-east-1: move the pointer from nothing to ami-1",
		"  111111111111/eu-west-1: tag the copy as the default",
		"  111111111111/us-east-1: tag ami-1 as the default",
	}, blank().lines(t, webRequest()))
}

func TestOwnCopies(t *testing.T) {
	r := webRequest()
	r.Targets = []Target{{
		Name: "own", Accounts: []string{staging, buildAccount}, Regions: []string{west}, Mode: ModeCopy, KMSKey: map[string]string{west: "alias/images"},
	}}
	require.Equal(t, []string{
		"  111111111111/eu-west-1: copy ami-1 from us-east-1",
		"  111111111111/eu-west-1: share the snapshots of the copy with 222222222222",
		"  111111111111/eu-west-1: share the copy with 222222222222",
		"  222222222222/eu-west-1: copy the shared image from eu-west-1, encrypted with alias/images",
		"  111111111111/eu-west-1: move the pointer from nothing to the copy",
		"  222222222222/eu-west-1: move the pointer from nothing to the copy",
		"  111111111111/eu-west-1: tag the copy as the default",
		"  111111111111/us-east-1: tag ami-1 as the default",
		"  222222222222/eu-west-1: tag the copy as the default",
	}, blank().lines(t, r))
}

func TestNothingToDo(t *testing.T) {
	plan := Plan{Roles: []RolePlan{promoted().decide(t, webRequest())}}
	require.True(t, plan.Empty())
	require.Equal(t, []string{"web: image ami-1, digest d1, 4 locations", "  nothing to do"}, plan.Lines())
	got, err := json.Marshal(plan)
	require.NoError(t, err)
	require.JSONEq(t, `{"roles":[{"role":"web","digest":"sha256:d1","commit":"m1","image":"ami-1","locations":[
		{"account":"222222222222","region":"eu-west-1"},{"account":"222222222222","region":"us-east-1"},
		{"account":"333333333333","region":"eu-west-1"},{"account":"333333333333","region":"us-east-1"}],"steps":[]}]}`, string(got))
}

func TestANewerCommitOfTheSameDigestIsNoted(t *testing.T) {
	r := webRequest()
	r.Commit = "m7"
	s := promoted()
	require.Equal(t, []string{"  111111111111/us-east-1: note on ami-1 that main commit m7 wants it"}, s.lines(t, r))
	s.own[buildAt][0].Confirmed = images.Promoted{Commit: "m7", At: noon()}
	require.Equal(t, []string{"  nothing to do"}, s.lines(t, r))
}

func TestRepairs(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s scene)
		want   []string
	}{
		"a copy that an earlier run began": {
			func(s scene) { s.own[westHome][0].State = "pending" }, []string{"  111111111111/eu-west-1: wait for ami-w"},
		},
		"tags of the copy": {
			func(s scene) { s.own[westHome][0].Tags[images.TagVerified] = "sha256:t0" },
			[]string{"  111111111111/eu-west-1: tag ami-w imgops:verified=sha256:t1"},
		},
		"a lost permission": {
			func(s scene) { s.granted[permission{westHome, "ami-w"}] = []string{production} },
			[]string{"  111111111111/eu-west-1: share the snapshots of ami-w with 222222222222", "  111111111111/eu-west-1: share ami-w with 222222222222"},
		},
		"an image out of sight": {
			func(s scene) { s.seen[images.Location{Account: staging, Region: west}] = nil },
			[]string{"  222222222222/eu-west-1: look at ami-w from the account"},
		},
		"a pointer of the wrong type": {
			func(s scene) {
				loc := images.Location{Account: staging, Region: east}
				s.pointers[loc]["web"] = images.Pointer{Image: "ami-1", DataType: "text"}
			},
			[]string{"  222222222222/us-east-1: write the pointer to ami-1 again", "  111111111111/us-east-1: tag ami-1 as the default"},
		},
		"lost tags of the default": {
			func(s scene) { s.own[buildAt][0].Promoted = images.Promoted{} }, []string{"  111111111111/us-east-1: tag ami-1 as the default"},
		},
		"two defaults": {
			func(s scene) {
				s.own[buildAt] = append(s.own[buildAt],
					images.Image{ID: "ami-0", Role: "web", Digest: "sha256:d0", Default: true}, images.Image{ID: "ami-db", Role: "db", Default: true})
			},
			[]string{"  111111111111/us-east-1: take the default tag from ami-0"},
		},
		"a copy that failed": {
			func(s scene) { s.own[westHome][0].State = "failed" },
			[]string{
				"  111111111111/eu-west-1: copy ami-1 from us-east-1",
				"  111111111111/eu-west-1: share the snapshots of the copy with 222222222222 333333333333",
				"  111111111111/eu-west-1: share the copy with 222222222222 333333333333",
				"  222222222222/eu-west-1: move the pointer from ami-w to the copy",
				"  333333333333/eu-west-1: move the pointer from ami-w to the copy",
				"  111111111111/eu-west-1: tag the copy as the default",
				"  111111111111/eu-west-1: take the default tag from ami-w",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := promoted()
			c.change(s)
			require.Equal(t, c.want, s.lines(t, webRequest()))
		})
	}
}

func TestACopyOfAnotherImageOfTheDigestIsNotAdopted(t *testing.T) {
	s := promoted()
	s.own[westHome][0].SourceID = "ami-9"
	require.Contains(t, s.lines(t, webRequest()), "  111111111111/eu-west-1: copy ami-1 from us-east-1")
}

func TestUnshare(t *testing.T) {
	const gone, sibling, neighbour = "999999999999", "444444444444", "111111111111"
	s := promoted()
	s.granted[permission{buildAt, "ami-1"}] = []string{neighbour, staging, production, sibling, gone}
	require.Equal(t, []string{"  nothing to do"}, s.lines(t, webRequest()), "without the fleet's accounts nothing is withdrawn")
	s.opts.Accounts = []string{staging, production, sibling}
	require.Equal(t, []string{"  111111111111/us-east-1: no longer share ami-1 with 999999999999"}, s.lines(t, webRequest()))
}

func TestTokens(t *testing.T) {
	copyStep := func(s scene) Step {
		for _, step := range s.decide(t, webRequest()).Steps {
			if step.Action == ActionCopy {
				return step
			}
		}
		t.Fatal("no copy is planned")
		return Step{}
	}
	first := token(copyStep(blank()), webImage())
	require.Regexp(t, `^imgops-[0-9a-f]{48}$`, first)
	require.Equal(t, first, token(copyStep(blank()), webImage()), "a second process asks for the same copy")

	failed := promoted()
	failed.own[westHome][0].State = "failed"
	require.NotEqual(t, first, token(copyStep(failed), webImage()), "not for one that failed")

	gone := blank()
	gone.point(staging, west, "ami-gone")
	require.Equal(t, first, token(copyStep(gone), webImage()), "for one that the account sees, and that the list does not show yet, it leads back to it")
	clear(gone.seen[images.Location{Account: staging, Region: west}])
	require.NotEqual(t, first, token(copyStep(gone), webImage()), "nor for one that a pointer names and that is gone")

	other := copyStep(blank())
	other.Location.Account = production
	require.NotEqual(t, first, token(other, webImage()))
}

func TestCopiesCarryNoDefaultTag(t *testing.T) {
	r := webRequest()
	r.Image.Tags[images.TagDefault], r.Image.Tags[images.TagPromoted], r.Image.Tags["aws:x"], r.Image.Tags["team"] = "true", "m0 2026", "y", "core"
	tags := blank().decide(t, r).Steps[0].Tags
	require.Equal(t, "core", tags["team"])
	require.Equal(t, "sha256:t1", tags[images.TagVerified])
	require.NotContains(t, tags, images.TagDefault)
	require.NotContains(t, tags, images.TagPromoted)
	require.NotContains(t, tags, "aws:x")
}
