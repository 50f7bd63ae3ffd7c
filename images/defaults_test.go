package images

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	build    = Location{"111111111111", "us-east-1"}
	consumer = Location{"222222222222", "us-east-1"}
)

// owned is an image of role web of the fleet, as its owner sees it.
func owned(by Location, id, digest string) Image {
	return Image{
		ID: id, Location: by, Owner: by.Account, State: "available", Fleet: "acme", Role: "web", Digest: digest, Commit: "branch",
		VerifiedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Promoted:   Promoted{Commit: "main", At: time.Date(2026, 1, 2, 0, 0, 0, 5, time.UTC)},
	}
}

func TestCompare(t *testing.T) {
	q := Query{Fleet: "acme", Build: build, Want: []Wanted{
		{Role: "web", Digest: "sha256:new", Locations: []Location{consumer}},
		{Role: "elsewhere", Digest: "sha256:x", Locations: []Location{build}},
	}}
	moved := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
	pointer := func(image string) map[string]Pointer {
		return map[string]Pointer{"web": {Role: "web", Location: consumer, Image: image, DataType: PointerDataType, Modified: moved}}
	}
	// shared is what the consumer sees of an image of the build account: no tags.
	shared := func(img Image) map[string]Image {
		return map[string]Image{img.ID: {ID: img.ID, Owner: img.Owner, State: img.State, Location: consumer}}
	}
	good := owned(build, "ami-1", "sha256:new")
	other := func(change func(*Image)) Image {
		img := good
		change(&img)
		return img
	}
	for name, c := range map[string]struct {
		pointers map[string]Pointer
		seen     map[string]Image
		tagged   Image
		want     Status
	}{
		"current":                 {pointer("ami-1"), shared(good), good, StatusCurrent},
		"behind":                  {pointer("ami-0"), shared(owned(build, "ami-0", "sha256:old")), owned(build, "ami-0", "sha256:old"), StatusBehind},
		"an own copy":             {pointer("ami-2"), map[string]Image{"ami-2": owned(consumer, "ami-2", "sha256:new")}, Image{}, StatusCurrent},
		"missing":                 {map[string]Pointer{}, nil, good, StatusMissing},
		"gone or not visible":     {pointer("ami-1"), nil, good, StatusDrifted},
		"not available":           {pointer("ami-1"), shared(other(func(i *Image) { i.State = "disabled" })), good, StatusDrifted},
		"somebody else's":         {pointer("ami-1"), shared(other(func(i *Image) { i.Owner = "136693071363" })), good, StatusDrifted},
		"another fleet's":         {pointer("ami-1"), shared(good), other(func(i *Image) { i.Fleet = "other" }), StatusDrifted},
		"another role's":          {pointer("ami-1"), shared(good), other(func(i *Image) { i.Role = "db" }), StatusDrifted},
		"gone in build account":   {pointer("ami-1"), shared(good), other(func(i *Image) { i.ID = "ami-9" }), StatusDrifted},
		"a pointer of plain text": {map[string]Pointer{"web": {Role: "web", Location: consumer, Image: "ami-1", DataType: "text"}}, shared(good), good, StatusDrifted},
	} {
		t.Run(name, func(t *testing.T) {
			tags := map[Location]map[string]Image{build: {c.tagged.ID: c.tagged}}
			got := q.compare(consumer, view{pointers: c.pointers, seen: c.seen}, tags)
			require.Len(t, got, 1)
			require.Equal(t, c.want, got[0].Status)
			require.Equal(t, consumer, got[0].Location())
			require.Equal(t, c.pointers["web"].Image, got[0].Image)
		})
	}
	for status, holds := range map[Status]map[string]Hold{StatusDrifted: nil, StatusHeld: {"web": {Role: "web", Reason: "night"}}} {
		t.Run("rejected, not visible, "+string(status), func(t *testing.T) {
			rejected := other(func(i *Image) { i.Rejected = "leaks" })
			v := View{
				Own:      map[Location][]Image{build: {rejected}},
				Pointers: map[Location]map[string]Pointer{consumer: pointer("ami-1"), build: {}}, Seen: map[Location]map[string]Image{consumer: {}, build: {}}, Holds: holds,
			}
			got := v.DefaultsOf(q, []string{"web"})
			require.Len(t, got, 1)
			require.Equal(t, status, got[0].Status)
			require.Equal(t, "sha256:new", got[0].Digest)
			require.True(t, strings.HasSuffix(got[0].Note, "rejected: leaks"), got[0].Note)
			require.Equal(t, status == StatusHeld, strings.Contains(got[0].Note, "; the pointer is drifted; "), got[0].Note)
		})
	}
	t.Run("orphan", func(t *testing.T) {
		pointers := map[string]Pointer{}
		for _, role := range []string{"gone", "elsewhere"} {
			pointers[role] = Pointer{Role: role, Location: consumer, Image: "ami-5", DataType: PointerDataType}
		}
		var got []string
		for _, d := range q.compare(consumer, view{pointers: pointers}, nil) {
			got = append(got, d.Role+" "+string(d.Status))
		}
		require.ElementsMatch(t, []string{"gone orphan", "elsewhere orphan", "web missing"}, got)
	})
}

func TestDefaultJSON(t *testing.T) {
	q := Query{Fleet: "acme", Build: build, Want: []Wanted{{Role: "web", Digest: "sha256:new", Locations: []Location{build}}}}
	img := owned(build, "ami-1", "sha256:new")
	pointers := map[string]Pointer{"web": {Role: "web", Location: build, Image: "ami-1", DataType: PointerDataType}}
	got, err := json.Marshal(q.compare(build, view{pointers: pointers, seen: map[string]Image{"ami-1": img}}, nil))
	require.NoError(t, err)
	require.JSONEq(t, `[{"role":"web","digest":"sha256:new","commit":"main","account":"111111111111","region":"us-east-1","image":"ami-1",
		"status":"current","verified_at":"2026-01-01T00:00:00Z","promoted_at":"2026-01-02T00:00:00Z"}]`, string(got))

	got, err = json.Marshal(q.compare(build, view{pointers: map[string]Pointer{}}, nil))
	require.NoError(t, err)
	require.JSONEq(t, `[{"role":"web","digest":"","commit":"","account":"111111111111","region":"us-east-1","image":"",
		"status":"missing","verified_at":null,"promoted_at":null}]`, string(got))
}

func TestWhatIsUnknownIsFilledIn(t *testing.T) {
	q := Query{Fleet: "acme", Build: build}
	img := owned(build, "ami-1", "sha256:new")
	img.Promoted, img.VerifiedAt = Promoted{}, time.Time{}
	moved := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
	ptr := Pointer{Role: "web", Location: build, Image: "ami-1", DataType: PointerDataType, Modified: moved}
	d, good := q.describe(ptr, view{seen: map[string]Image{"ami-1": img}}, nil)
	require.True(t, good)
	require.Equal(t, "branch", d.Commit)
	require.Equal(t, moved, *d.PromotedAt)
	require.Nil(t, d.VerifiedAt)
}
