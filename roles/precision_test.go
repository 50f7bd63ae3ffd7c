package roles

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/stretchr/testify/require"
)

// history writes the states as commits, all in one process, and gives their ids.
func history(t *testing.T, r *sandboxRepo, states []map[string]grownFile) []string {
	t.Helper()
	var in strings.Builder
	last := map[string]grownFile{}
	for i, state := range states {
		fmt.Fprintf(&in, "commit refs/heads/main\nmark :%d\ncommitter t <t@example.com> %d +0000\ndata 1\nx\n", i+1, 1_700_000_000+i)
		for p := range last {
			if _, ok := state[p]; !ok {
				fmt.Fprintf(&in, "D %s\n", p)
			}
		}
		for p, f := range state {
			switch old, ok := last[p]; {
			case ok && old.mode == f.mode && old.content == f.content:
			case f.mode == "160000":
				fmt.Fprintf(&in, "M 160000 %s %s\n", f.content, p)
			default:
				fmt.Fprintf(&in, "M %s inline %s\ndata %d\n%s\n", f.mode, p, len(f.content), f.content)
			}
		}
		last = state
	}
	marks := r.path(".git/marks")
	cmd := exec.Command("git", "-C", r.dir, "fast-import", "--quiet", "--export-marks="+marks)
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	ids := make([]string, len(states))
	data, err := os.ReadFile(marks)
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		var n int
		var id string
		_, err := fmt.Sscanf(line, ":%d %s", &n, &id)
		require.NoError(t, err)
		ids[n-1] = id
	}
	return ids
}

// TestAffectedPrecision makes 200 changes to a fleet: no role that a change truly affects may be missed. How many are
// rebuilt needlessly is a figure of make bench.
func TestAffectedPrecision(t *testing.T) {
	const n = 200
	g := newGrown(20261121)
	states, changes := []map[string]grownFile{maps.Clone(g.files)}, []grownChange{}
	for i := range n {
		c := g.change(i)
		c.recipe = g.withChildren(c.recipe)
		changes = append(changes, c)
		states = append(states, maps.Clone(g.files))
	}
	r := newSandboxRepo(t, nil)
	ids := history(t, r, states)
	repo := r.open()
	load := func(id string) *Fleet {
		f, err := repo.Load(t.Context(), id)
		require.NoError(t, err)
		require.NoError(t, f.Resolve(testPins))
		return f
	}
	before := load(ids[0])
	truly, needless, rebuilt, verified, exact := 0, 0, 0, 0, 0
	for i, c := range changes {
		after := load(ids[i+1])
		near, err := repo.LoadNear(t.Context(), ids[i+1], before)
		require.NoError(t, err)
		requireSame(t, after, near)
		got := changed(digests(before), digests(after))
		gotTests := changed(testsDigests(before), testsDigests(after))
		require.Subset(t, got, c.recipe, "%s: a changed role is missed", c.what)
		require.Subset(t, gotTests, c.verify, "%s: changed tests are missed", c.what)
		extra := len(got) - len(c.recipe)
		if extra == 0 {
			exact++
		}
		truly, needless, rebuilt, verified = truly+len(c.recipe), needless+extra, rebuilt+len(got), verified+len(c.verify)
		before = after
	}
	require.Greater(t, truly, 200, "the changes affect too little to say anything")
	require.Greater(t, verified, 3)
	t.Logf("FIGURE affected roles, %d generated changes: 0 missed of %d; %d of %d rebuilds are needless (%.0f%%), in %d of %d changes the set is exact",
		n, truly, needless, rebuilt, 100*float64(needless)/float64(rebuilt), exact, n)
}

// TestUntouchedRolesAreNotRead plans in a clone that has no file of any role: the digests come from the trees, and what
// the definitions and the files say from what an earlier run has found out.
func TestUntouchedRolesAreNotRead(t *testing.T) {
	r := newSandboxRepo(t, bigFleet(20))
	r.commit()
	r.load() // what this finds out about the roles is remembered
	r.write("roles/role-007/files/data-1", "changed\n")
	r.commit()
	r.load()
	r.git("config", "uploadpack.allowFilter", "true")
	bare := filepath.Join(t.TempDir(), "bare.git")
	gitIn(t, r.dir, "clone", "-q", "--bare", "--filter=blob:none", "file://"+r.dir, bare)
	require.NoError(t, os.CopyFS(filepath.Join(bare, "imgops"), os.DirFS(r.path(".git/imgops"))))
	others := []string{"fetch", "-q", "--no-tags", "--filter=blob:none", "origin"}
	for line := range strings.Lines(r.git("ls-tree", "-r", "HEAD")) {
		if fields := strings.Fields(line); !strings.HasPrefix(fields[3], "roles/") {
			others = append(others, fields[2])
		}
	}
	gitIn(t, bare, others...)

	repo, err := OpenRepo(t.Context(), bare)
	require.NoError(t, err)
	var fleets []*Fleet
	for _, rev := range []string{"HEAD", "HEAD~1"} {
		f, err := repo.Load(t.Context(), rev)
		require.NoError(t, err)
		require.NoError(t, f.Resolve(testPins))
		fleets = append(fleets, f)
	}
	require.Equal(t, digests(r.load()), digests(fleets[0]))
	changes := Explain(roleOf(t, fleets[1], "role-007"), roleOf(t, fleets[0], "role-007"))
	require.Len(t, changes, 1)
	require.Equal(t, "file roles/role-007/files/data-1", changes[0].Component)
	require.Equal(t, "role-007", fleets[0].Affected(fleets[1])[0].Name)
	err = fleets[0].Materialize(t.Context(), roleOf(t, fleets[0], "role-003"), filepath.Join(t.TempDir(), "out"))
	require.ErrorIs(t, err, plumbing.ErrObjectNotFound, "the files are not here")
}
