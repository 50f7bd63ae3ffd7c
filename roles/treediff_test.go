package roles

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/stretchr/testify/require"
)

// TestDiffTrees compares the walk through two sorted directories with two maps of their files.
func TestDiffTrees(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same trees in each run
	for range 3000 {
		before, after := map[string]entry{}, map[string]entry{}
		left, right := randomTree(random, "", 0, before), randomTree(random, "", 0, after)
		want := map[string][2]string{}
		for p, e := range before {
			want[p] = [2]string{e.value(), ""}
		}
		for p, e := range after {
			want[p] = [2]string{want[p][0], e.value()}
		}
		for p, v := range want {
			if v[0] == v[1] {
				delete(want, p)
			}
		}
		got := map[string][2]string{}
		require.NoError(t, diffTrees("", left, right, func(p string, a, b *entry) {
			v := got[p] // a file in place of a directory is told when the names of each are come to
			for i, e := range []*entry{a, b} {
				if e != nil {
					require.Empty(t, v[i], p)
					v[i] = e.value()
				}
			}
			got[p] = v
		}))
		require.Equal(t, want, got)
	}
}

// randomTree makes a directory of a few of these names, which sort otherwise as directories than as files.
func randomTree(random *rand.Rand, at string, depth int, files map[string]entry) *tree {
	var entries []entry
	for _, name := range []string{"a", "a-b", "a.b", "a0", "b", "é"} {
		kind := random.IntN(6)
		switch {
		case kind < 2:
			e := entry{name: name, mode: []filemode.FileMode{filemode.Regular, filemode.Executable, filemode.Symlink}[random.IntN(3)], id: plumbing.Hash{byte(random.IntN(2))}}
			files[join(at, name)] = e
			entries = append(entries, e)
		case kind < 4 && depth < 3:
			if sub := randomTree(random, join(at, name), depth+1, files); len(sub.entries) > 0 {
				entries = append(entries, entry{name: name, mode: filemode.Dir, id: sub.id, sub: sub})
			}
		}
	}
	slices.SortFunc(entries, gitOrder)
	return newTree(entries)
}

// TestGitOrder compares with what git-mktree(1) documents: directories sort as if a slash followed their name.
func TestGitOrder(t *testing.T) {
	dir, file := filemode.Dir, filemode.Regular
	for _, test := range []struct {
		a, b  entry
		order int
	}{
		{entry{name: "a", mode: file}, entry{name: "a", mode: file}, 0},
		{entry{name: "a", mode: dir}, entry{name: "a", mode: dir}, 0},
		{entry{name: "a", mode: file}, entry{name: "a", mode: dir}, -1},
		{entry{name: "a", mode: dir}, entry{name: "a-b", mode: file}, 1},
		{entry{name: "a", mode: dir}, entry{name: "a0", mode: file}, -1},
		{entry{name: "a", mode: file}, entry{name: "a-b", mode: dir}, -1},
		{entry{name: "ab", mode: dir}, entry{name: "a", mode: dir}, 1},
		{entry{name: "", mode: file}, entry{name: "a", mode: file}, -1},
	} {
		require.Equal(t, test.order, gitOrder(test.a, test.b), "%v %v", test.a, test.b)
		require.Equal(t, -test.order, gitOrder(test.b, test.a), "%v %v", test.b, test.a)
	}
}
