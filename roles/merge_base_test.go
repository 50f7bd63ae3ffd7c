package roles

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// newestBase gives the newest of the merge bases.
func newestBase(ctx context.Context, r *Repo, a, b string) (string, error) {
	bases, err := r.MergeBases(ctx, a, b)
	if err != nil {
		return "", err
	}
	return bases[0], nil
}

// TestMergeBaseLikeGit compares with `git merge-base --all` over all pairs of a random history with many merges, with
// clocks that are right and with clocks that are not.
func TestMergeBaseLikeGit(t *testing.T) {
	for name, clock := range map[string]func(i int, random *rand.Rand) int{
		"clocks are right": func(i int, _ *rand.Rand) int { return i },
		"clocks are wrong": func(_ int, random *rand.Rand) int { return random.IntN(100) },
	} {
		t.Run(name, func(t *testing.T) { requireBasesLikeGit(t, clock) })
	}
}

func requireBasesLikeGit(t *testing.T, clock func(i int, random *rand.Rand) int) {
	t.Helper()
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	const commits = 48
	random := rand.New(rand.NewPCG(1, 2))
	var stream strings.Builder
	for i := 1; i <= commits; i++ {
		fmt.Fprintf(&stream, "commit refs/heads/c%d\nmark :%d\ncommitter t <t@example.com> %d +0000\ndata 0\n", i, i, 1_700_000_000+60*clock(i, random))
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
	for a := 1; a <= commits; a += 3 {
		for b := 1; b <= commits; b += 2 {
			left, right := fmt.Sprintf("c%d", a), fmt.Sprintf("c%d", b)
			got, err := repo.MergeBases(t.Context(), left, right)
			if err != nil {
				require.ErrorIs(t, err, ErrUnrelated)
			}
			cmd := exec.Command("git", "-C", r.dir, "merge-base", "--all", left, right)
			out, _ := cmd.Output() // 1 when there is none
			want := strings.Fields(string(out))
			slices.Sort(got)
			slices.Sort(want)
			require.Equal(t, strings.Join(want, " "), strings.Join(got, " "), "%s %s", left, right)
		}
	}
}
