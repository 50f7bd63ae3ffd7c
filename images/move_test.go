package images

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMove(t *testing.T) {
	for text, m := range map[string]Move{
		"imgops: default image of role web in fleet acme, digest sha256:d1, main commit c1":                      {Fleet: "acme", Role: "web", Digest: "sha256:d1", Commit: "c1"},
		"imgops: default image of role web in fleet acme, digest sha256:d1, main commit c1, run r-1":             {Fleet: "acme", Role: "web", Digest: "sha256:d1", Commit: "c1", Run: "r-1"},
		"imgops: rollback of role web in fleet acme, digest sha256:d1, main commit c1, run r-1: it leaks: badly": {Fleet: "acme", Role: "web", Digest: "sha256:d1", Commit: "c1", Run: "r-1", Rollback: true, Reason: "it leaks: badly"},
		"imgops: rollback of role web in fleet acme, digest sha256:d1, main commit c1: why, run away":            {Fleet: "acme", Role: "web", Digest: "sha256:d1", Commit: "c1", Rollback: true, Reason: "why, run away"},
	} {
		require.Equal(t, text, m.String())
		got, ok := ParseMove(text)
		require.True(t, ok, text)
		require.Equal(t, m, got)
	}
	for _, text := range []string{"", "by hand", "imgops: default image of role web", "imgops: hold of role web in fleet acme, digest d, main commit c"} {
		_, ok := ParseMove(text)
		require.False(t, ok, text)
	}
	long := Move{Fleet: "acme", Role: "web", Rollback: true, Reason: strings.Repeat("é", 2000)}
	require.Len(t, []rune(long.String()), 1024)
}

func FuzzParseMove(f *testing.F) {
	f.Add("imgops: rollback of role web in fleet acme, digest sha256:d1, main commit c1, run r-1: why")
	f.Add("imgops: default image of role web in fleet acme, digest , main commit ")
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := ParseMove(text)
		if !ok {
			require.Zero(t, m)
			return
		}
		again, ok := ParseMove(m.String())
		require.True(t, ok || len([]rune(m.String())) == 1024, m.String())
		require.Equal(t, m.Role, again.Role)
	})
}

func TestTaint(t *testing.T) {
	list := []Image{
		{ID: "ami-1", Rejected: "leaks"}, {ID: "ami-2", Base: "ami-1"}, {ID: "ami-3", Base: "ami-2"}, {ID: "ami-4", Base: "ami-9"},
		{ID: "ami-5", Base: "ami-6"}, {ID: "ami-6", Base: "ami-5"}, {ID: "ami-7", Base: "ami-2", Rejected: "slow"},
	}
	Taint(list)
	got := map[string]string{}
	for _, img := range list {
		got[img.ID] = img.Rejected
	}
	require.Equal(t, map[string]string{
		"ami-1": "leaks", "ami-2": "base ami-1 is rejected: leaks", "ami-3": "base ami-1 is rejected: leaks", "ami-4": "",
		"ami-5": "", "ami-6": "", "ami-7": "slow",
	}, got)
}
