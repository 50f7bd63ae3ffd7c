package roles

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// origin is a bare repository with a main of twenty commits, a branch that changes web and forks off after the tenth, and
// the merge of both that a CI makes for pull request 7.
type origin struct {
	t                       *testing.T
	dir, url                string
	fork, main, head, merge string // commits
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	for i := range 9 {
		r.write("roles/worker/files/worker.conf", fmt.Sprintf("queue=%d\n", i+2))
		r.commit()
	}
	o := &origin{t: t, dir: filepath.Join(filepath.Dir(r.dir), "origin.git"), fork: r.git("rev-parse", "HEAD")}
	o.url = "file://" + o.dir
	for i := range 10 {
		r.write("README.md", fmt.Sprintf("%d\n", i))
		o.main = r.commit()
	}
	r.git("switch", "-q", "-c", "feature", o.fork)
	r.write("roles/web/templates/site.conf", "listen 1\n")
	o.head = r.commit()
	r.git("switch", "-q", "--detach", "main")
	r.git("merge", "-q", "--no-ff", "-m", "merge", "feature")
	o.merge = r.git("rev-parse", "HEAD")
	r.git("update-ref", "refs/pull/7/merge", o.merge)
	r.git("switch", "-q", "main")
	gitIn(t, r.dir, "clone", "-q", "--mirror", r.dir, o.dir)
	gitIn(t, o.dir, "config", "uploadpack.allowFilter", "true")
	return o
}

// clone makes a clone by running git with each of the argument lists in it.
func (o *origin) clone(commands ...[]string) *sandboxRepo {
	o.t.Helper()
	c := &sandboxRepo{o.t, filepath.Join(o.t.TempDir(), "clone")}
	require.NoError(o.t, os.Mkdir(c.dir, 0o755))
	c.git("init", "-q", "-b", "main")
	c.git("remote", "add", "origin", o.url)
	for _, args := range commands {
		c.git(args...)
	}
	return c
}

// fetching opens a clone and lets it fetch; the lines that it says are added to what is returned.
func (r *sandboxRepo) fetching() (*Repo, *[]string) {
	r.t.Helper()
	repo, said := r.open(), &[]string{}
	repo.AllowFetch(func(line string) { *said = append(*said, line) })
	return repo, said
}

// TestClonesOfCI finds the roles that a pull request affects in every kind of clone that CI systems make.
func TestClonesOfCI(t *testing.T) {
	o := newOrigin(t)
	for name, commands := range map[string][][]string{
		"merge commit, depth 1 (GitHub)": {
			{"fetch", "-q", "--no-tags", "--depth=1", "origin", "+" + o.merge + ":refs/remotes/pull/7/merge"}, {"checkout", "-q", "--force", "refs/remotes/pull/7/merge"},
		},
		"branch, depth 1, no other branch (GitLab)": {
			{"fetch", "-q", "--depth=1", "origin", "+refs/heads/feature:refs/remotes/origin/feature"}, {"checkout", "-q", "--detach", "origin/feature"},
		},
		"both branches, depth 1": {
			{"fetch", "-q", "--depth=1", "origin", "+refs/heads/*:refs/remotes/origin/*"}, {"checkout", "-q", "feature"},
		},
		"single branch, whole": {{"fetch", "-q", "origin", "feature"}, {"update-ref", "-d", "refs/remotes/origin/main"}, {"checkout", "-q", "FETCH_HEAD"}},
		"without blobs":        {{"fetch", "-q", "--filter=blob:none", "origin"}, {"checkout", "-q", "feature"}},
		"without trees":        {{"fetch", "-q", "--filter=tree:0", "origin"}, {"checkout", "-q", "--detach", "origin/feature"}},
		"without blobs, depth 1": {
			{"fetch", "-q", "--filter=blob:none", "--depth=1", "origin", "feature"}, {"checkout", "-q", "FETCH_HEAD"},
		},
		"without blobs, sparse": {
			{"fetch", "-q", "--filter=blob:none", "origin"}, {"sparse-checkout", "set", "roles/base"}, {"checkout", "-q", "feature"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := o.clone(commands...)
			before := c.git("rev-parse", "HEAD") + c.git("status", "--porcelain") + c.git("branch")
			repo, said := c.fetching()
			base, err := newestBase(t.Context(), repo, "HEAD", "origin/main")
			require.NoError(t, err, *said)
			require.Contains(t, []string{o.fork, o.main}, base)
			old, err := repo.Load(t.Context(), base)
			require.NoError(t, err, *said)
			require.NoError(t, old.Resolve(testPins))
			f, err := repo.LoadWorktree(t.Context())
			require.NoError(t, err, *said)
			require.NoError(t, f.Resolve(testPins))
			require.False(t, f.Dirty, f.DirtyFiles)
			require.Equal(t, []string{"web"}, roleNames(f.Affected(old)))
			for _, r := range f.Roles {
				require.NotEmpty(t, r.Inputs())
			}
			require.NoError(t, f.Complete(t.Context(), f.Roles))
			for _, fleet := range []*Fleet{f, old} {
				require.NoError(t, fleet.Materialize(t.Context(), roleOf(t, fleet, "web"), filepath.Join(t.TempDir(), "out")), *said)
			}
			require.Equal(t, before, c.git("rev-parse", "HEAD")+c.git("status", "--porcelain")+c.git("branch"), "the clone is as it was")
			require.NotEmpty(t, *said)
		})
	}
}

// TestBranchOfASingleBranchClone: a branch that a clone never fetches is the remote's.
func TestBranchOfASingleBranchClone(t *testing.T) {
	o := newOrigin(t)
	c := &sandboxRepo{t, filepath.Join(t.TempDir(), "clone")}
	gitIn(t, t.TempDir(), "clone", "-q", "--depth=1", "--branch=feature", o.url, c.dir)
	repo, _ := c.fetching()
	_, err := repo.MergeBases(t.Context(), "HEAD", "main")
	require.ErrorIs(t, err, ErrUnknownRevision)
	repo, said := c.fetching()
	atRemote := func(repo *Repo, rev string) string {
		t.Helper()
		at, err := repo.AtRemote(t.Context(), rev)
		require.NoError(t, err)
		return at
	}
	require.Equal(t, "origin/main", atRemote(repo, "main"))
	base, err := newestBase(t.Context(), repo, "HEAD", "origin/main")
	require.NoError(t, err, *said)
	require.Equal(t, o.fork, base)
	for _, rev := range []string{"origin/main", "feature", "mian", "HEAD", "HEAD~1", "main~1", o.fork, "--upload-pack=x", ""} {
		require.Equal(t, rev, atRemote(repo, rev))
	}
	require.Equal(t, "main", atRemote(c.open(), "main"), "nothing may be fetched")
}

// TestBranchOfARemoteThatIsGone: what the clone has of it needs no answer, and for the rest there is one error.
func TestBranchOfARemoteThatIsGone(t *testing.T) {
	o := newOrigin(t)
	gone := []string{"remote", "set-url", "origin", "file:///nowhere/at/all.git"}
	repo, said := o.clone([]string{"fetch", "-q", "origin"}, []string{"checkout", "-q", "feature"}, gone).fetching()
	at, err := repo.AtRemote(t.Context(), "main")
	require.NoError(t, err)
	require.Equal(t, "origin/main", at)
	_, err = repo.AtRemote(t.Context(), "release")
	require.ErrorIs(t, err, ErrUnknownRevision)
	require.ErrorIs(t, err, ErrNotAsked)
	require.ErrorContains(t, err, "git fetch origin +refs/heads/release:refs/remotes/origin/release")
	require.Empty(t, *said)
}

// TestFork has a branch of one remote and the base of another, whose name has a slash in it.
func TestFork(t *testing.T) {
	o := newOrigin(t)
	c := o.clone([]string{"fetch", "-q", "--depth=1", "origin", "+refs/heads/feature:refs/remotes/origin/feature"}, []string{"checkout", "-q", "feature"},
		[]string{"remote", "add", "up/stream", o.url})
	repo, said := c.fetching()
	require.Equal(t, "origin", repo.Remote())
	at, err := repo.AtRemote(t.Context(), "up/stream/main")
	require.NoError(t, err)
	base, err := newestBase(t.Context(), repo, "HEAD", at)
	require.NoError(t, err, *said)
	require.Equal(t, o.fork, base)
	require.Contains(t, (*said)[0], "this clone has no up/stream/main: fetching it")
}

// TestShallowMain asks on main's own shallow clone what a promotion asks: which of two commits is older.
func TestShallowMain(t *testing.T) {
	o := newOrigin(t)
	shallow := [][]string{{"fetch", "-q", "--depth=1", "origin", "+refs/heads/main:refs/remotes/origin/main"}, {"checkout", "-q", "-B", "main", "origin/main"}}
	repo, said := o.clone(shallow...).fetching()
	on, err := repo.OnMain(t.Context(), "main", "HEAD")
	require.NoError(t, err)
	require.True(t, on)
	require.Empty(t, *said, "what the clone knows is not fetched")
	older, err := repo.IsAncestor(t.Context(), o.main, o.fork) // main now, and where the default was promoted
	require.NoError(t, err)
	require.False(t, older)
	older, err = repo.IsAncestor(t.Context(), o.fork, o.main)
	require.NoError(t, err)
	require.True(t, older)

	// A pipeline whose clone is older than what was promoted meanwhile.
	old := o.clone([]string{"fetch", "-q", "--depth=1", "origin", o.fork}, []string{"checkout", "-q", "-B", "main", "FETCH_HEAD"})
	repo, said = old.fetching()
	older, err = repo.IsAncestor(t.Context(), "HEAD", o.main)
	require.NoError(t, err, *said)
	require.True(t, older)
	on, err = repo.OnMain(t.Context(), "main", "HEAD")
	require.NoError(t, err)
	require.True(t, on)
	_, err = repo.IsAncestor(t.Context(), "HEAD", strings.Repeat("1", 40))
	require.ErrorIs(t, err, ErrUnknownRevision, "a commit that the remote does not have either")
	_, err = repo.Resolve(t.Context(), "typo")
	require.ErrorIs(t, err, ErrUnknownRevision)
}

// TestCannotFetch: what a clone lacks cannot be had.
func TestCannotFetch(t *testing.T) {
	o := newOrigin(t)
	gone := []string{"remote", "set-url", "origin", "file:///nowhere/at/all.git"}
	c := o.clone([]string{"fetch", "-q", "--depth=1", "origin", "+refs/heads/*:refs/remotes/origin/*"}, []string{"checkout", "-q", "feature"}, gone)
	repo, _ := c.fetching()
	_, err := repo.MergeBases(t.Context(), "HEAD", "origin/main")
	require.ErrorIs(t, err, ErrShallow)
	require.ErrorContains(t, err, "run `git fetch --unshallow` (in GitHub Actions: fetch-depth: 0; in GitLab CI: GIT_DEPTH: 0)")
	require.ErrorContains(t, err, "fetching it did not work: git fetch --deepen=64 origin")
	_, err = repo.OnMain(t.Context(), "release", "HEAD")
	require.ErrorIs(t, err, ErrUnknownRevision)
	require.ErrorContains(t, err, "nowhere/at/all.git")

	c = o.clone([]string{"fetch", "-q", "--filter=blob:none", "origin"}, []string{"checkout", "-q", "main"}, gone)
	repo, _ = c.fetching()
	_, err = repo.Load(t.Context(), o.head)
	require.ErrorContains(t, err, "it is partial or damaged; run `git fetch --refetch`, or `git fsck` to see what else is missing")
	require.ErrorContains(t, err, "fetching it did not work: ")

	c = o.clone([]string{"fetch", "-q", "--depth=1", "origin", "feature"}, []string{"checkout", "-q", "FETCH_HEAD"}, []string{"remote", "remove", "origin"})
	repo, said := c.fetching()
	require.Empty(t, repo.Remote())
	_, err = repo.Resolve(t.Context(), "HEAD~3")
	require.ErrorIs(t, err, ErrShallow)
	require.Empty(t, *said)
}

// TestForcePushedBranch: the branch was rewritten since the clone was made; its old commits are here and not there.
func TestForcePushedBranch(t *testing.T) {
	o := newOrigin(t)
	c := o.clone([]string{"fetch", "-q", "--depth=1", "origin", "feature"}, []string{"checkout", "-q", "FETCH_HEAD"})
	gitIn(t, o.dir, "update-ref", "refs/heads/feature", o.main)
	gitIn(t, o.dir, "update-ref", "-d", "refs/pull/7/merge")
	repo, said := c.fetching()
	base, err := newestBase(t.Context(), repo, "HEAD", "origin/main")
	require.NoError(t, err, *said)
	require.Equal(t, o.fork, base)
}

// TestExtensions opens repositories of other formats.
func TestExtensions(t *testing.T) {
	for key, value := range map[string]string{"partialClone": "origin", "worktreeConfig": "true", "preciousObjects": "true"} {
		for _, version := range []string{"0", "1"} {
			r := newSandboxRepo(t, fleetFiles())
			r.commit()
			want := digests(r.load())
			r.git("config", "core.repositoryFormatVersion", version)
			r.git("config", "extensions."+key, value)
			require.Equal(t, want, digests(r.load()), key)
			require.Equal(t, want, digests(r.worktree()), key)
		}
	}
	dir := t.TempDir()
	gitIn(t, dir, "init", "-q", "--object-format=sha256")
	_, err := OpenRepo(t.Context(), dir)
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, "SHA-256 (extensions.objectFormat); keep the fleet in a repository made by `git init --object-format=sha1`")

	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	r.git("config", "core.repositoryFormatVersion", "1")
	r.git("config", "extensions.refStorage", "reftable")
	_, err = OpenRepo(t.Context(), r.dir)
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, "git refs migrate --ref-format=files")

	linked := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(linked, ".git"), []byte("gitdir: /nowhere\n"), 0o644))
	_, err = OpenRepo(t.Context(), linked)
	require.ErrorContains(t, err, "git worktree repair")
}
