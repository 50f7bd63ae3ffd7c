package roles

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpenRepo(t *testing.T) {
	t.Run("not a repository", func(t *testing.T) {
		_, err := OpenRepo(t.Context(), t.TempDir())
		require.ErrorIs(t, err, ErrNotRepository)
		require.ErrorContains(t, err, "git init")
	})
	t.Run("missing directory", func(t *testing.T) {
		_, err := OpenRepo(t.Context(), filepath.Join(t.TempDir(), "x"))
		require.ErrorIs(t, err, os.ErrNotExist)
	})
	t.Run("unborn branch", func(t *testing.T) {
		r := newSandboxRepo(t, fleetFiles())
		_, err := OpenRepo(t.Context(), r.dir)
		require.ErrorIs(t, err, ErrUnbornBranch)
		require.ErrorContains(t, err, "git commit")

		repo, err := OpenWorktree(t.Context(), r.dir)
		require.NoError(t, err)
		f, err := repo.LoadWorktree(t.Context())
		require.NoError(t, err, "the files can be checked before they are committed")
		require.NoError(t, f.Resolve(testPins))
		require.Empty(t, f.Revision)
		require.True(t, f.Dirty)
		require.Contains(t, f.DirtyFiles, "shared/web.yml")
		require.Equal(t, []string{"arm", "base", "web", "worker"}, dirtyRoles(f))
		_, err = repo.Load(t.Context(), "HEAD")
		require.Error(t, err)
		want := digests(f)
		r.commit()
		require.Equal(t, want, digests(r.load()), "the first commit has the same digests")
	})
	t.Run("no fleet", func(t *testing.T) {
		r := newSandboxRepo(t, map[string]string{"README.md": "x"})
		r.commit()
		_, err := r.open().Load(t.Context(), "HEAD")
		require.ErrorIs(t, err, ErrNoFleet)
		require.ErrorContains(t, err, "imgops init")
		require.Regexp(t, "^imgops.yaml:1:1: no imgops.yaml in ", err.Error())
		_, err = r.open().LoadWorktree(t.Context())
		require.ErrorIs(t, err, ErrNoFleet)
	})
	t.Run("from a directory below", func(t *testing.T) {
		r := newSandboxRepo(t, fleetFiles())
		r.commit()
		repo, err := OpenRepo(t.Context(), r.path("roles/web/tasks"))
		require.NoError(t, err)
		require.Equal(t, r.dir, repo.Root())
	})
}

func TestFleetInSubdirectory(t *testing.T) {
	files := map[string]string{"README.md": "x", "app/main.go": "package main"}
	for name, content := range fleetFiles() {
		files["ops/images/"+name] = content
	}
	r := newSandboxRepo(t, files)
	r.commit()
	top := newSandboxRepo(t, fleetFiles())
	top.commit()
	want := digests(top.load())

	for _, dir := range []string{"ops/images", "ops/images/roles/web"} {
		repo, err := OpenRepo(t.Context(), r.path(dir))
		require.NoError(t, err)
		require.Equal(t, r.path("ops/images"), repo.Root())
		f, err := repo.Load(t.Context(), "main")
		require.NoError(t, err)
		require.NoError(t, f.Resolve(testPins))
		require.Equal(t, want, digests(f), "the digest does not depend on where the fleet is")
	}
	r.write("app/main.go", "package other")
	r.write("ops/images/roles/web/new", "x")
	repo, err := OpenRepo(t.Context(), r.path("ops/images"))
	require.NoError(t, err)
	f, err := repo.LoadWorktree(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"roles/web/new"}, f.DirtyFiles, "what is outside the fleet does not count")
}

func TestHistory(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	first := r.commit()
	r.git("tag", "-a", "v1", "-m", "v1")
	r.git("branch", "old")
	second := r.commit()
	r.git("switch", "-q", "-c", "feature/x@1", first)
	r.write("side", "x")
	side := r.commit()
	r.git("update-ref", "refs/remotes/origin/main", second)
	r.git("switch", "-q", "--detach")
	repo, ctx := r.open(), t.Context()

	for rev, want := range map[string]string{
		"main": second, "origin/main": second, "v1": first, "old": first, "HEAD": side, "HEAD~1": first, "main^": first,
		first: first, first[:12]: first, "feature/x@1": side,
	} {
		got, err := repo.Resolve(ctx, rev)
		require.NoError(t, err, rev)
		require.Equal(t, want, got, rev)
	}
	for _, rev := range []string{"nothing", "", "HEAD~99", "~~~", "@{", "0123456789012345678901234567890123456789", "main:web.yml"} {
		_, err := repo.Resolve(ctx, rev)
		require.ErrorIs(t, err, ErrUnknownRevision, rev)
	}
	head, err := repo.Head(ctx)
	require.NoError(t, err)
	require.Equal(t, side, head.Commit)
	require.Empty(t, head.Branch, "detached")
	require.Equal(t, r.git("rev-parse", "HEAD^{tree}"), head.Tree)

	for _, c := range []struct {
		a, d string
		want bool
	}{{first, second, true}, {second, first, false}, {first, first, true}, {"main", "feature/x@1", false}, {"v1", "feature/x@1", true}} {
		got, err := repo.IsAncestor(ctx, c.a, c.d)
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%s in %s", c.a, c.d)
	}
	base, err := newestBase(ctx, repo, "main", "HEAD")
	require.NoError(t, err)
	require.Equal(t, first, base)

	on, err := repo.OnMain(ctx, "main", "HEAD")
	require.NoError(t, err)
	require.False(t, on)
	r.git("update-ref", "refs/remotes/origin/main", side)
	on, err = repo.OnMain(ctx, "main", side)
	require.NoError(t, err)
	require.True(t, on, "origin/main decides, not the local branch")
	on, err = repo.OnMain(ctx, "old", second)
	require.NoError(t, err)
	require.False(t, on, "without a remote branch the local one decides")
	_, err = repo.OnMain(ctx, "trunk", second)
	require.ErrorIs(t, err, ErrUnknownRevision)
}

func TestUnrelatedHistories(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	r.git("switch", "-q", "--orphan", "other")
	r.write("x", "x")
	r.commit()
	_, err := r.open().MergeBases(t.Context(), "main", "other")
	require.ErrorContains(t, err, "no merge base")
}

func TestShallowClone(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	first := r.commit()
	r.commit()
	third := r.commit()
	clone := &sandboxRepo{t, filepath.Join(t.TempDir(), "clone")}
	gitIn(t, r.dir, "clone", "-q", "--depth=2", "file://"+r.dir, clone.dir)
	repo, ctx := clone.open(), t.Context()

	on, err := repo.OnMain(ctx, "main", third)
	require.NoError(t, err)
	require.True(t, on, "what is there is found")
	yes, err := repo.IsAncestor(ctx, "HEAD~1", "HEAD")
	require.NoError(t, err)
	require.True(t, yes)
	yes, err = repo.IsAncestor(ctx, "HEAD", "HEAD~1")
	require.NoError(t, err)
	require.False(t, yes, "the other way round is here, and there are no circles")
	clone.git("switch", "-q", "--orphan", "other")
	clone.write("x", "x")
	clone.commit()
	_, err = repo.IsAncestor(ctx, "HEAD", "main")
	require.ErrorIs(t, err, ErrShallow, "the history that could hold it is cut off")
	require.ErrorContains(t, err, "--unshallow")
	_, err = repo.Resolve(ctx, "main~2")
	require.ErrorIs(t, err, ErrShallow)
	_, err = repo.Resolve(ctx, first)
	require.ErrorIs(t, err, ErrUnknownRevision)
	_, err = repo.Load(ctx, "main")
	require.NoError(t, err)
}

func TestBareRepository(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	want := digests(r.load())
	bare := filepath.Join(t.TempDir(), "bare.git")
	gitIn(t, r.dir, "clone", "-q", "--bare", r.dir, bare)
	repo, err := OpenRepo(t.Context(), bare)
	require.NoError(t, err)
	require.Equal(t, bare, repo.Root())
	f, err := repo.Load(t.Context(), "HEAD")
	require.NoError(t, err)
	require.NoError(t, f.Resolve(testPins))
	require.Equal(t, want, digests(f))
	require.NoError(t, f.Materialize(t.Context(), roleOf(t, f, "web"), filepath.Join(t.TempDir(), "out")))
	_, err = repo.LoadWorktree(t.Context())
	require.ErrorIs(t, err, ErrNoWorktree)
}

func TestLinkedWorktree(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	want := digests(r.load())
	linked := &sandboxRepo{t, filepath.Join(filepath.Dir(r.dir), "linked")}
	r.git("worktree", "add", "-q", "-b", "topic", linked.dir)
	f := linked.worktree()
	require.Equal(t, want, digests(f))
	require.False(t, f.Dirty)
	require.Equal(t, "topic", f.Revision.Branch)
	linked.write("roles/web/new", "x")
	require.Equal(t, []string{"roles/web/new"}, linked.worktree().DirtyFiles)
	require.False(t, r.worktree().Dirty, "the first working tree is another one")
}
