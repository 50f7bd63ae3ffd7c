package images

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var wantWeb = Wanted{
	Role: "web", Digest: "sha256:1a2b3c4d5e6f", TestsDigest: "sha256:77777777aa", Commit: "c0ffee",
	Locations: []Location{{"222222222222", "us-east-1"}, {"333333333333", "us-east-1"}},
}

// candidate is a verified, available image of wantWeb.
func candidate(id string, change ...func(*Image)) Image {
	img := Image{ID: id, Role: "web", Digest: wantWeb.Digest, State: "available", Verified: wantWeb.TestsDigest, Commit: "c0ffee"}
	for _, c := range change {
		c(&img)
	}
	return img
}

// rejected says on which day an image was rejected.
func rejected(day int) func(*Image) {
	return func(i *Image) { i.Rejected, i.RejectedAt = "slow", time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC) }
}

func defaultsOf(status ...Status) []Default {
	var list []Default
	for i, s := range status {
		list = append(list, Default{Role: "web", Account: wantWeb.Locations[i].Account, Region: wantWeb.Locations[i].Region, Status: s})
	}
	return list
}

func TestNext(t *testing.T) {
	state := func(s string) func(*Image) { return func(i *Image) { i.State = s } }
	verified := func(d string) func(*Image) { return func(i *Image) { i.Verified = d } }
	dirtyTree := wantWeb
	dirtyTree.Commit += DirtySuffix
	untested := wantWeb
	untested.TestsDigest = ""
	for name, c := range map[string]struct {
		want       Wanted
		candidates []Image
		defaults   []Default
		action     string
		image      string
		reason     string

		noCandidate bool
	}{
		"no image": {want: wantWeb, action: "build", reason: "no image of digest 1a2b3c4d exists"},
		"other role and digest": {
			want: wantWeb, action: "build", reason: "no image of digest 1a2b3c4d exists",
			candidates: []Image{candidate("ami-1", func(i *Image) { i.Role = "db" }), candidate("ami-2", func(i *Image) { i.Digest = "sha256:99" })},
		},
		"unusable": {
			want: wantWeb, action: "build",
			candidates: []Image{
				candidate("ami-2", func(i *Image) { i.Commit += DirtySuffix }), candidate("ami-3", state("failed")),
			},
			reason: "no image of digest 1a2b3c4d exists (ami-2 was built from uncommitted changes, ami-3 is failed)",
		},
		"rejected": {
			want: wantWeb, action: "none", image: "ami-2", noCandidate: true,
			candidates: []Image{
				candidate("ami-1", created(1), func(i *Image) { i.Rejected = "slow" }), candidate("ami-2", created(2), func(i *Image) { i.Rejected = "leaks" }),
				candidate("ami-3", func(i *Image) { i.Rejected, i.Role = "x", "db" }), candidate("ami-4", func(i *Image) { i.Rejected, i.Digest = "x", "sha256:99" }),
			},
			reason: "rejected: leaks (ami-2); change the recipe, or have it built anew: imgops update --refresh web",
		},
		"built on a rejected one": {
			want: wantWeb, action: "none", image: "ami-1", noCandidate: true,
			candidates: []Image{candidate("ami-1", func(i *Image) { i.Rejected = RejectedBase("ami-0", "CVE") })},
			reason:     "rejected: base ami-0 is rejected: CVE (ami-1); change the role that it is built on, or have that one built anew: imgops update --refresh",
		},
		"rejected, and built again on purpose": {
			want: wantWeb, action: "promote", image: "ami-2", candidates: []Image{candidate("ami-1", func(i *Image) { i.Rejected = "slow" }), candidate("ami-2")},
			reason: "2 of 2 locations are behind: 222222222222/us-east-1 (missing), 333333333333/us-east-1 (missing)",
		},
		"rejected, and another one is older than that": {
			want: wantWeb, action: "none", image: "ami-1", noCandidate: true,
			candidates: []Image{candidate("ami-1", created(1), rejected(3)), candidate("ami-2", created(2))},
			reason:     "rejected: slow (ami-1); change the recipe, or have it built anew: imgops update --refresh web",
		},
		"rejected, and another one was made after that": {
			want: wantWeb, action: "promote", image: "ami-3", candidates: []Image{candidate("ami-1", created(1), rejected(3)), candidate("ami-2", created(2)), candidate("ami-3", created(4))},
			reason: "2 of 2 locations are behind: 222222222222/us-east-1 (missing), 333333333333/us-east-1 (missing)",
		},
		"pending":        {want: wantWeb, candidates: []Image{candidate("ami-1", state("pending"), verified(""))}, action: "verify", image: "ami-1", reason: "not verified yet"},
		"other tests":    {want: wantWeb, candidates: []Image{candidate("ami-1", verified("sha256:88888888aa"))}, action: "verify", image: "ami-1", reason: "verified by other tests (88888888, now 77777777)"},
		"no tests known": {want: untested, candidates: []Image{candidate("ami-1", verified(""))}, action: "verify", image: "ami-1", reason: "not verified yet"},
		"promote": {
			want: wantWeb, candidates: []Image{candidate("ami-1", verified("")), candidate("ami-2")}, defaults: defaultsOf(StatusCurrent, StatusBehind),
			action: "promote", image: "ami-2", reason: "1 of 2 locations are behind: 333333333333/us-east-1 (behind)",
		},
		"never promoted": {
			want: wantWeb, candidates: []Image{candidate("ami-1")},
			action: "promote", image: "ami-1", reason: "2 of 2 locations are behind: 222222222222/us-east-1 (missing), 333333333333/us-east-1 (missing)",
		},
		"drift": {want: wantWeb, candidates: []Image{candidate("ami-1")}, defaults: defaultsOf(StatusDrifted, StatusCurrent), action: "promote", image: "ami-1", reason: "1 of 2 locations are behind: 222222222222/us-east-1 (drifted)"},
		"none":  {want: wantWeb, candidates: []Image{candidate("ami-1")}, defaults: defaultsOf(StatusCurrent, StatusCurrent), action: "none", image: "ami-1", reason: "default in all 2 locations"},
		"held":  {want: wantWeb, candidates: []Image{candidate("ami-1")}, defaults: defaultsOf(StatusCurrent, StatusHeld), action: "none", image: "ami-1", reason: "default in 1 of 2 locations; held in 333333333333/us-east-1"},
		"all held": {
			want: wantWeb, candidates: []Image{candidate("ami-1")},
			defaults: []Default{{Role: "web", Account: "222222222222", Region: "us-east-1", Status: StatusHeld, Note: "held by ann"}, {Role: "web", Account: "333333333333", Region: "us-east-1", Status: StatusHeld}},
			action:   "none", image: "ami-1", reason: "verified, and not promoted: held by ann; let it go with: imgops release web",
		},
		"a reverted digest": { // of two images of the role, the older one's digest is wanted again
			want: wantWeb, candidates: []Image{
				candidate("ami-9", created(9), func(i *Image) { i.Digest, i.Default = "sha256:99", true }),
				candidate("ami-1", created(1), func(i *Image) { i.Promoted = Promoted{Commit: "old"} }),
			},
			defaults: defaultsOf(StatusBehind, StatusBehind), action: "promote", image: "ami-1",
			reason: "2 of 2 locations are behind: 222222222222/us-east-1 (behind), 333333333333/us-east-1 (behind)",
		},
		"present": {want: wantWeb, candidates: []Image{candidate("ami-2", created(2)), candidate("ami-1", created(1), func(i *Image) { i.Default = true })}, defaults: defaultsOf(StatusCurrent, StatusMissing), action: "promote", image: "ami-1", reason: "1 of 2 locations are behind: 333333333333/us-east-1 (missing)"},
		"newest":  {want: wantWeb, candidates: []Image{candidate("ami-1", created(1)), candidate("ami-2", created(2))}, defaults: defaultsOf(StatusCurrent, StatusCurrent), action: "none", image: "ami-2", reason: "default in all 2 locations"},
		"dirty tree": {
			want: dirtyTree, candidates: []Image{candidate("ami-1", func(i *Image) { i.Commit += DirtySuffix })},
			action: "none", image: "ami-1", reason: "verified; a tree with uncommitted changes is not promoted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := Next(c.want, c.candidates, c.defaults)
			require.Equal(t, []string{c.action, c.image, c.reason}, []string{d.Action, d.Image, d.Reason})
			if c.noCandidate {
				require.Empty(t, d.Candidate.ID)
				return
			}
			require.Equal(t, c.image, d.Candidate.ID)
		})
	}
}

func created(day int) func(*Image) {
	return func(i *Image) { i.Created = time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC) }
}

func TestDecisionJSON(t *testing.T) {
	got, err := json.Marshal(Next(wantWeb, nil, nil))
	require.NoError(t, err)
	require.JSONEq(t, `{"role":"web","digest":"sha256:1a2b3c4d5e6f","action":"build","reason":"no image of digest 1a2b3c4d exists","image":""}`, string(got))
}
