package roles

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/stretchr/testify/require"
)

// TestMergeBaseLikeGit compares with `git merge-base --all` over all pairs of a random history with many merges.
func TestMergeBaseLikeGit(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	const commits = 48
	random := rand.New(rand.NewPCG(1, 2))
	var stream strings.Builder
	for i := 1; i <= commits; i++ {
		fmt.Fprintf(&stream, "commit refs/heads/c%d\nmark :%d\ncommitter t <t@example.com> %d +0000\ndata 0\n", i, i, 1_700_000_000+60*i)
		for n, parent := range random.Perm(i)[:min(i, 1+random.IntN(3))] {
			if parent > 0 && parent > i-9 { // 0 is a root of its own; old ones are rarely merged
				fmt.Fprintf(&stream, "%s :%d\n", []string{"from", "merge", "merge"}[n], parent)
			}
		}
		fmt.Fprintf(&stream, "M 100644 inline f%d\ndata 1\nx\n", i)
	}
	text := strings.ReplaceAll(stream.String(), "data 0\nmerge", "data 0\nfrom") // a first parent that was left out
	load := exec.Command("git", "-C", r.dir, "fast-import", "--quiet")
	load.Stdin = strings.NewReader(text)
	out, err := load.CombinedOutput()
	require.NoError(t, err, string(out))
	repo := r.open()
	id := func(n int) plumbing.Hash {
		got, err := repo.Resolve(t.Context(), fmt.Sprintf("c%d", n))
		require.NoError(t, err)
		return plumbing.NewHash(got)
	}
	for a := 1; a <= commits; a += 3 {
		for b := 1; b <= commits; b += 2 {
			found, err := repo.commonAncestors(t.Context(), id(a), id(b))
			require.NoError(t, err)
			var got []string
			for _, c := range found {
				got = append(got, c.Hash.String())
			}
			cmd := exec.Command("git", "-C", r.dir, "merge-base", "--all", id(a).String(), id(b).String())
			out, _ := cmd.Output() // 1 when there is none
			want := strings.Fields(string(out))
			slices.Sort(got)
			slices.Sort(want)
			require.Equal(t, strings.Join(want, " "), strings.Join(got, " "), "c%d c%d", a, b)
		}
	}
}
