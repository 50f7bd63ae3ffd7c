package images

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDecideUnderRejected: what a rejection does to the roles below it. Everything else is Next's.
func TestDecideUnderRejected(t *testing.T) {
	want := []Wanted{
		{Role: "web", Digest: "d1", TestsDigest: "t"}, {Role: "child", Parent: "web", Digest: "d2", TestsDigest: "t"},
		{Role: "shop", Parent: "child", Digest: "d3", TestsDigest: "t", Locations: wantWeb.Locations},
	}
	rejected := Image{ID: "ami-web", Role: "web", Digest: "d1", State: "available", Rejected: "CVE"}
	child := Image{ID: "ami-child", Role: "child", Digest: "d2", State: "available", Verified: "t"}
	shop := Image{ID: "ami-shop", Role: "shop", Digest: "d3", State: "available", Verified: "t"}
	hold := []Default{{Role: "web", Status: StatusHeld}}
	const skipped = "skipped: role web, which it is built on, is rejected: CVE (ami-web); change the recipe, or have it built anew: imgops update --refresh web"
	for name, c := range map[string]struct {
		own      []Image
		defaults []Default
		force    map[string]bool
		want     [3]string // actions
		reason   string    // of shop
	}{
		"nothing below it is built":         {own: []Image{rejected}, want: [3]string{"none", "none", "none"}, reason: skipped},
		"or promoted":                       {own: []Image{rejected, child, shop}, want: [3]string{"none", "none", "none"}, reason: skipped},
		"held, and nothing has to be built": {own: []Image{rejected, child, shop}, defaults: hold, want: [3]string{"none", "none", "promote"}, reason: "2 of 2 locations are behind: 222222222222/us-east-1 (missing), 333333333333/us-east-1 (missing)"},
		"held, and a child has to be built": {own: []Image{rejected, shop}, defaults: hold, want: [3]string{"none", "none", "none"}, reason: skipped},
		"built on purpose":                  {own: []Image{rejected}, force: map[string]bool{"web": true}, want: [3]string{"build", "build", "build"}, reason: "no image of digest d3 exists"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Decide(want, c.own, c.defaults, c.force)
			require.Equal(t, c.want, [3]string{got["web"].Action, got["child"].Action, got["shop"].Action})
			require.Equal(t, c.reason, got["shop"].Reason)
		})
	}
}

// TestOriginal: a default in any location counts as the candidate's only where it is the candidate, or a copy of it.
func TestOriginal(t *testing.T) {
	home, far := Location{"111111111111", "us-east-1"}, Location{"111111111111", "eu-west-1"}
	at := Location{"222222222222", "eu-west-1"}
	q := Query{Fleet: "acme", Build: home, Want: []Wanted{{Role: "web", Digest: "d", Locations: []Location{at}}}}
	own := func(id string, loc Location, source string) Image {
		img := Image{ID: id, Location: loc, Owner: loc.Account, Fleet: "acme", Role: "web", Digest: "d", State: "available", Verified: "t", SourceID: source, SourceRegion: home.Region}
		if loc == at {
			img.SourceRegion = at.Region
		}
		return img
	}
	one, two := own("ami-1", home, ""), own("ami-2", home, "")
	shared := own("ami-1b", far, "ami-1")
	view := func(named Image) View {
		return View{
			Own: map[Location][]Image{home: {one, two}, far: {shared}}, Seen: map[Location]map[string]Image{at: {named.ID: named}},
			Pointers: map[Location]map[string]Pointer{at: {"web": {Role: "web", Location: at, Image: named.ID, DataType: PointerDataType}}},
		}
	}
	for name, named := range map[string]Image{"shared": shared, "an own copy": own("ami-1c", at, "ami-1b")} {
		t.Run(name, func(t *testing.T) {
			want := Wanted{Role: "web", Digest: "d", TestsDigest: "t", Locations: []Location{at}}
			defaults := view(named).Defaults(q)
			require.Equal(t, ActionNone, Next(want, []Image{one}, defaults).Action)
			require.Equal(t, "1 of 1 locations are behind: 222222222222/eu-west-1 (another image of this digest)", Next(want, []Image{two}, defaults).Reason)
		})
	}
	lost := own("ami-1c", at, "ami-gone")
	require.Equal(t, ActionNone, Next(Wanted{Role: "web", Digest: "d", TestsDigest: "t", Locations: []Location{at}}, []Image{two}, view(lost).Defaults(q)).Action, "nothing is known against it")
}
