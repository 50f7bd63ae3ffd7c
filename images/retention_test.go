package images

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestExpired(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	// old is an image of role web with a recipe of its own, as many days old.
	old := func(id string, days int, change ...func(*Image)) Image {
		img := Image{
			ID: id, Role: "web", Digest: "sha256:" + id, State: "available", Location: Location{"111111111111", "us-east-1"},
			Created: now.Add(-time.Duration(days) * day), BuiltAt: now.Add(-time.Duration(days) * day),
		}
		for _, do := range change {
			do(&img)
		}
		return img
	}
	policy := Retention{Keep: 2, MinAge: 30 * day}
	for name, c := range map[string]struct {
		all   []Image
		inUse []string
		want  []string
	}{
		"few":             {all: []Image{old("a", 900), old("b", 800)}},
		"old ones":        {all: []Image{old("a", 900), old("b", 800), old("c", 90), old("d", 80)}, want: []string{"a", "b"}},
		"young":           {all: []Image{old("a", 29), old("b", 3), old("c", 2), old("d", 1)}},
		"in use":          {all: []Image{old("a", 900), old("b", 800), old("c", 90), old("d", 80)}, inUse: []string{"a"}, want: []string{"b"}},
		"the default":     {all: []Image{old("a", 900, func(i *Image) { i.Default = true }), old("b", 800), old("c", 90), old("d", 80)}, want: []string{"b"}},
		"wanted again":    {all: []Image{old("a", 900, func(i *Image) { i.Promoted.At = now.Add(-40 * day) }), old("b", 800), old("c", 90), old("d", 80)}, want: []string{"b", "c"}},
		"wanted lately":   {all: []Image{old("a", 900, func(i *Image) { i.Confirmed.At = now.Add(-day) }), old("c", 90), old("d", 80)}, want: []string{"c"}},
		"on its way":      {all: []Image{old("a", 900, func(i *Image) { i.State = "pending" }), old("c", 90), old("d", 80)}},
		"launched lately": {all: []Image{old("a", 900, func(i *Image) { i.LastLaunched = now.Add(-day) }), old("c", 90), old("d", 80)}, want: []string{"c"}},
		"a rollback's goal": {
			all: []Image{
				old("a", 900, func(i *Image) { i.Promoted.At = now.Add(-700 * day) }), old("b", 800, func(i *Image) { i.Promoted.At = now.Add(-600 * day) }),
				old("c", 700, func(i *Image) { i.Promoted.At, i.Default = now.Add(-500*day), true }), old("d", 80), old("e", 70),
			},
			want: []string{"a"},
		},
		"not ours":     {all: []Image{old("a", 900, func(i *Image) { i.Digest = "" }), old("c", 90), old("d", 80)}},
		"another role": {all: []Image{old("a", 900, func(i *Image) { i.Role = "db" }), old("c", 90), old("d", 80)}},
		"rejected": {
			all:  []Image{old("a", 900), old("b", 90), old("c", 80, func(i *Image) { i.Rejected = "leaks" })},
			want: []string{"c"},
		},
		"two of one recipe": {
			all:  []Image{old("a", 900), old("b", 100), old("b2", 99, func(i *Image) { i.Digest = "sha256:b" }), old("c", 90)},
			want: []string{"a"},
		},
		"a copy in use keeps its source, and a child its base": {
			all: []Image{
				old("a", 900), old("aw", 900, func(i *Image) { i.SourceID, i.Digest, i.Location.Region = "a", "sha256:a", "eu-west-1" }),
				old("base", 999, func(i *Image) { i.Role = "base" }), old("base2", 998, func(i *Image) { i.Role = "base" }),
				old("base3", 90, func(i *Image) { i.Role = "base" }), old("base4", 80, func(i *Image) { i.Role = "base" }),
				old("b", 800, func(i *Image) { i.Base = "base" }), old("c", 90), old("d", 80),
			},
			inUse: []string{"aw", "b"}, want: []string{"base2"},
		},
		"children go first": {
			all: []Image{
				old("a", 900), old("b", 950, func(i *Image) { i.Base = "a" }), old("bw", 700, func(i *Image) { i.SourceID, i.Base, i.Digest = "b", "a", "sha256:b" }),
				old("c", 90), old("d", 80),
			},
			want: []string{"bw", "b", "a"},
		},
		"a circle": {
			all:  []Image{old("a", 900, func(i *Image) { i.Base = "b" }), old("b", 900, func(i *Image) { i.Base = "a" }), old("c", 90), old("d", 80)},
			want: []string{"a", "b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inUse := map[string]bool{}
			for _, id := range c.inUse {
				inUse[id] = true
			}
			var got []string
			for _, img := range Expired(now, c.all, policy, inUse) {
				got = append(got, img.ID)
			}
			require.Equal(t, c.want, got)
			require.Empty(t, Expired(now, c.all, policy, nil), "nobody has looked what is in use")
		})
	}
}
