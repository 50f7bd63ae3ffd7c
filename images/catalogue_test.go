package images_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
)

func TestCatalogue(t *testing.T) {
	c := newClients(t)
	one, two := c.register(t, web("d1"), targetA), c.register(t, web("d2"))
	db := web("d1")
	db.Role, db.Name = "db", "acme-db-d1"
	c.register(t, db)
	strange := web("d1")
	strange.Fleet, strange.Name = "other", "other-web-d1"
	c.register(t, strange)
	require.NotEmpty(t, one.Snapshots)

	own, err := images.Open(t.Context(), c, buildAt)
	require.NoError(t, err)
	ids := func(list []images.Image, err error) []string {
		t.Helper()
		require.NoError(t, err)
		var ids []string
		for _, img := range list {
			ids = append(ids, img.Name)
		}
		return ids
	}
	require.ElementsMatch(t, []string{"acme-web-d1"}, ids(own.ByDigest(t.Context(), "acme", "web", "sha256:d1")))
	require.ElementsMatch(t, []string{"acme-web-d1", "acme-web-d2", "acme-db-d1"}, ids(own.OfFleet(t.Context(), "acme")))
	require.ElementsMatch(t, []string{"acme-web-d1", "acme-web-d2"}, ids(own.OfRoles(t.Context(), "acme", "web", "none")))
	many := []string{"db"}
	for i := range 300 {
		many = append(many, fmt.Sprintf("role-%d", i))
	}
	require.Contains(t, ids(own.OfRoles(t.Context(), "acme", many...)), "acme-db-d1", "more roles than a filter takes")

	consumer, err := images.Open(t.Context(), c, targetA)
	require.NoError(t, err)
	seen, err := consumer.Get(t.Context(), one.ID, two.ID, "ami-0123456789abcdef0")
	require.NoError(t, err)
	require.Len(t, seen, 1, "what is not shared, or is not there, is left out")
	require.Equal(t, buildAt.Account, seen[one.ID].Owner)
	require.Empty(t, seen[one.ID].Digest, "tags are invisible to others")
	require.Empty(t, ids(consumer.OfFleet(t.Context(), "acme")), "only own images are of the fleet")
}

func TestTag(t *testing.T) {
	c := newClients(t)
	img := c.register(t, web("d1"))
	own, err := images.Open(t.Context(), c, buildAt)
	require.NoError(t, err)
	require.NoError(t, own.Tag(t.Context(), img, map[string]string{images.TagDefault: "true", images.TagVerified: "sha256:t1"}))
	require.NoError(t, own.Tag(t.Context(), img, map[string]string{images.TagDefault: ""}))
	found, err := own.Get(t.Context(), img.ID)
	require.NoError(t, err)
	require.False(t, found[img.ID].Default)
	require.Equal(t, "sha256:t1", found[img.ID].Verified)
	img.ID = "ami-0123456789abcdef0"
	require.ErrorContains(t, own.Tag(t.Context(), img, map[string]string{"a": "b"}), "tagging image ami-0123456789abcdef0 in 111111111111/us-east-1: ")
}

func TestPointers(t *testing.T) {
	c := newClients(t)
	one, two := c.register(t, web("d1"), targetA), c.register(t, web("d2"), targetA)
	pointers, err := images.OpenPointers(t.Context(), c, targetA, "acme")
	require.NoError(t, err)
	_, ok, err := pointers.Get(t.Context(), "web")
	require.NoError(t, err)
	require.False(t, ok)
	for i := range 12 { // more than a page
		c.point(t, targetA, fmt.Sprintf("role-%d", i), one.ID)
	}
	c.point(t, targetA, "web", one.ID)
	moved := c.point(t, targetA, "web", two.ID)
	all, err := pointers.All(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 13)
	require.Equal(t, moved, all["web"])
	some, err := pointers.Of(t.Context(), "web", "none")
	require.NoError(t, err)
	require.Equal(t, map[string]images.Pointer{"web": moved}, some)
	require.Equal(t, two.ID, moved.Image)
	require.Equal(t, images.PointerDataType, moved.DataType)
	require.Equal(t, int64(2), moved.Version)
}

func TestDefaults(t *testing.T) {
	c := newClients(t)
	img := c.register(t, web("d1"), targetA, targetB)
	for _, loc := range []images.Location{targetB, targetA, buildAt} {
		c.point(t, loc, "web", img.ID)
	}
	c.point(t, targetA, "old", img.ID)
	q := images.Query{Fleet: "acme", Build: buildAt, Want: []images.Wanted{
		{Role: "web", Digest: "sha256:d1", Locations: []images.Location{targetB, targetA, buildAt}}, {Role: "db", Locations: []images.Location{targetA}},
	}}
	list := func(wantErr error) []string {
		t.Helper()
		defaults, err := images.Defaults(t.Context(), c, q)
		require.ErrorIs(t, err, wantErr)
		var lines []string
		for _, d := range defaults {
			lines = append(lines, fmt.Sprint(d.Role, " ", d.Account, " ", d.Status))
		}
		return lines
	}
	require.Equal(t, []string{
		"db 222222222222 missing", "old 222222222222 orphan",
		"web 111111111111 current", "web 222222222222 current", "web 333333333333 current",
	}, list(nil))
	c.Close(targetA.Account)
	require.Equal(t, []string{"web 111111111111 current", "web 333333333333 current"}, list(sandboxtest.ErrClosed), "the others are listed all the same")
	c.Close(buildAt.Account)
	require.Empty(t, list(sandboxtest.ErrClosed), "without the build account's tags nothing is known of a shared image")
}
