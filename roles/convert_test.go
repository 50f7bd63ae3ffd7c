package roles

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rot13 is a filter as git-crypt and others are: its settings are the user's own, and not committed.
const (
	rotClean  = "tr a-z n-za-m"
	rotSmudge = "tr n-za-m a-z"
)

// convertedFleet is a fleet with files that a checkout converts, in a recipe, in tests and in a shared role.
func convertedFleet(t *testing.T) *sandboxRepo {
	files := fleetFiles()
	files[".gitattributes"] = "* text=auto\n*.key filter=rot\n*.ini text eol=crlf\n*.utf text working-tree-encoding=UTF-16LE-BOM eol=lf\n*.c ident\n*.sh text eol=lf\n*.bin binary\n"
	files["roles/web/files/.gitattributes"] = "auto* text=auto eol=crlf\nplain.ini -text\n\"with \\\"space *.ini\" !eol\n"
	for name, content := range map[string]string{
		"s.key": "secret\n", "w.ini": "a=b\r\nc=d\r\n", "u.utf": "\xff\xfeh\x00\xe9\x00\n\x00", "v.c": "$Id$\n", "auto.txt": "x\r\n", "auto.bin2": "x\n\x00", "plain.ini": "p\n",
		`with "space a.ini`: "q\n", "deep/er/é [x]*.key": "deep\n", "run.sh": "#!/bin/sh\n",
	} {
		files["roles/web/files/"+name] = content
	}
	files["roles/web/tests/default/t.key"] = "testsecret\n"
	files["roles/certs/files/c.key"] = "shared\n"
	r := newSandboxRepo(t, files)
	homeOfTest(t)
	r.rot()
	r.commit()
	return r
}

// rot sets the filter up, as each clone has to.
func (r *sandboxRepo) rot() {
	r.git("config", "filter.rot.clean", rotClean)
	r.git("config", "filter.rot.smudge", rotSmudge)
}

// checkedOut is what Git checks out of a commit in another clone.
func (r *sandboxRepo) checkedOut(setUp bool) *sandboxRepo {
	r.t.Helper()
	clone := &sandboxRepo{r.t, filepath.Join(r.t.TempDir(), "clone")}
	gitIn(r.t, r.dir, "clone", "-q", "--no-checkout", r.dir, clone.dir)
	if setUp {
		clone.rot()
	}
	clone.git("checkout", "-q", "HEAD")
	return clone
}

// requireCheckout has what is built be what git checkout gives, byte for byte.
func requireCheckout(t *testing.T, f *Fleet, checkout *sandboxRepo) {
	t.Helper()
	require.NoError(t, f.Complete(t.Context(), f.Roles))
	out, tests := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "tests")
	require.NoError(t, f.Materialize(t.Context(), roleOf(t, f, "web"), out))
	require.NoError(t, f.MaterializeTests(t.Context(), roleOf(t, f, "web"), tests))
	for _, dir := range []string{out, tests} {
		for name, got := range listing(t, dir) {
			info, err := os.Lstat(checkout.path(name))
			require.NoError(t, err)
			data, err := readDisk(checkout.path(name))
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("%v %q", info.Mode(), data), fmt.Sprintf("%s%q", got[:11], got[11:]), name)
		}
	}
	require.Contains(t, listing(t, out), "roles/web/files/s.key")
	require.Contains(t, listing(t, tests), "roles/web/tests/default/t.key")
}

// TestConverted: what a build gets is what git checkout gives, from a working tree, a commit and a bare repository, and
// the digest is the same whatever the settings of a clone.
func TestConverted(t *testing.T) {
	r := convertedFleet(t)
	clone := r.checkedOut(true)
	require.Equal(t, "secret\n", readFile(t, clone.path("roles/web/files/s.key")))
	require.Equal(t, "frperg", r.git("cat-file", "blob", "HEAD:roles/web/files/s.key"), "what is stored is another")
	require.Contains(t, readFile(t, clone.path("roles/web/files/v.c")), "$Id: ")
	want, wantTests := digests(r.load()), testsDigests(r.load())

	for _, f := range []*Fleet{clone.load(), clone.worktree()} {
		require.Empty(t, f.DirtyFiles)
		require.Equal(t, want, digests(f))
		require.Equal(t, wantTests, testsDigests(f))
		requireCheckout(t, f, clone)
	}
	bare := &sandboxRepo{t, filepath.Join(t.TempDir(), "bare.git")}
	gitIn(t, r.dir, "clone", "-q", "--bare", r.dir, bare.dir)
	bare.rot()
	requireCheckout(t, bare.load(), clone)
	linked := &sandboxRepo{t, filepath.Join(t.TempDir(), "linked")}
	clone.git("worktree", "add", "-q", "--detach", linked.dir)
	requireCheckout(t, linked.worktree(), clone)

	t.Run("local settings", func(t *testing.T) {
		other := r.checkedOut(true)
		other.git("config", "core.autocrlf", "true")
		other.git("config", "core.eol", "crlf")
		other.write(".git/info/attributes", "*.ini -text -eol\n*.key -filter\n*.conf eol=crlf\n")
		f := other.load()
		require.Equal(t, want, digests(f))
		requireCheckout(t, f, clone)
	})
	t.Run("touched and copied", func(t *testing.T) {
		copied := &sandboxRepo{t, filepath.Join(t.TempDir(), "copied")}
		require.NoError(t, exec.Command("cp", "-r", clone.dir, copied.dir).Run())
		for range 2 {
			f := copied.worktree()
			require.Empty(t, f.DirtyFiles)
			require.Equal(t, want, digests(f))
			requireCheckout(t, f, clone)
			old := time.Now().Add(-time.Hour)
			require.NoError(t, os.Chtimes(copied.path("roles/web/files/s.key"), old, old))
		}
	})
	t.Run("changed", func(t *testing.T) {
		clone.write("roles/web/files/s.key", "another\n")
		clone.write("roles/web/files/new.key", "new\n")
		clone.write("roles/web/files/w.ini", "a=c\r\n")
		f := clone.worktree()
		require.Equal(t, []string{"roles/web/files/new.key", "roles/web/files/s.key", "roles/web/files/w.ini"}, f.DirtyFiles)
		requireCheckout(t, f, clone)
		dirty := digests(f)
		require.Equal(t, []string{"web"}, changed(want, dirty))
		clone.git("config", "core.autocrlf", "false")
		clone.commit()
		require.Equal(t, dirty, digests(clone.load()), "of what Git stores of it")
		require.False(t, clone.worktree().Dirty)
	})
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(data)
}

// TestFilterMissing: where a filter is not set up, or fails, the build is refused; never the stored form baked.
func TestFilterMissing(t *testing.T) {
	r := convertedFleet(t)
	want := digests(r.load())
	clone := r.checkedOut(false)
	f := clone.worktree()
	require.Equal(t, want, digests(f))
	refused := func(parts ...string) {
		t.Helper()
		for _, f := range []*Fleet{clone.load(), clone.worktree()} {
			err := f.Complete(t.Context(), f.Roles)
			require.ErrorIs(t, err, ErrIncomplete)
			out := filepath.Join(t.TempDir(), "out")
			baking := f.Materialize(t.Context(), roleOf(t, f, "web"), out)
			require.ErrorIs(t, baking, ErrIncomplete)
			require.NoFileExists(t, filepath.Join(out, "roles/web/files/s.key"))
			for _, part := range parts {
				require.ErrorContains(t, err, part)
			}
			require.NoError(t, f.Complete(t.Context(), []*Role{roleOf(t, f, "worker")}), "other roles do not need it")
		}
	}
	refused("roles/web/files/s.key", "passed through the filter rot, which is not set up here; run `git config filter.rot.smudge COMMAND`")
	clone.git("config", "filter.rot.smudge", "false")
	refused("roles/web/files/", "smudge filter rot failed")
	clone.git("config", "filter.rot.smudge", "./gone %f")
	refused("roles/web/files/", "smudge filter rot failed")
	clone.git("config", "filter.rot.smudge", "cat")
	require.NoError(t, f.Complete(t.Context(), f.Roles), "as the advice says")
	clone.git("config", "--unset", "filter.rot.smudge")
	clone.git("config", "filter.rot.clean", "cat")
	requireCheckout(t, clone.load(), clone) // a filter that only cleans gives what is stored
	require.Contains(t, filterAdvice("git-crypt-ops"), "`git-crypt unlock`")
}

// TestFilterRuns: filters run where a checkout runs them, with the path of their file, also from a file of settings that
// is included.
func TestFilterRuns(t *testing.T) {
	r := convertedFleet(t)
	r.git("config", "--remove-section", "filter.rot")
	r.write(".git/more/filters", "[filter \"rot\"]\n\tsmudge = ./scripts/smudge %f\n\trequired\n")
	r.git("config", "include.path", "more/filters")
	r.write("scripts/smudge", "#!/bin/sh\ncat >/dev/null\necho \"$1 in $(git rev-parse --git-dir)\"\n")
	require.NoError(t, os.Chmod(r.path("scripts/smudge"), 0o755))
	f := r.load()
	out := filepath.Join(t.TempDir(), "out")
	t.Setenv("TMPDIR", t.TempDir())
	require.NoError(t, f.Materialize(t.Context(), roleOf(t, f, "web"), out))
	require.Equal(t, "roles/web/files/s.key in "+r.path(".git")+"\n", readFile(t, filepath.Join(out, "roles/web/files/s.key")))
	require.NoFileExists(t, r.path(".git/info/attributes"))
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left, "what was made on the way is gone")
}

// TestConversionDigest: a digest changes with what decides how a file of the role is checked out, and with nothing else.
func TestConversionDigest(t *testing.T) {
	r := convertedFleet(t)
	attributes := readFile(t, r.path(".gitattributes"))
	before := r.load()
	for _, c := range []struct {
		what, file, attributes string
		recipe, tests          []string
	}{
		{"what is no conversion", ".gitattributes", attributes + "*.ini diff=x merge=union\n*.key -delta\n# x\n", nil, nil},
		{"what is text", ".gitattributes", attributes + "*.conf text eol=lf\n*.yml text\n", nil, nil},
		{"for no file of a role", ".gitattributes", attributes + "*.nothing eol=crlf filter=rot\nREADME.md ident\n", nil, nil},
		{"line ends", ".gitattributes", strings.Replace(attributes, "*.ini text eol=crlf", "*.ini text", 1), []string{"web"}, nil},
		{"another filter", ".gitattributes", strings.Replace(attributes, "filter=rot", "filter=rotten", 1), []string{"web"}, []string{"web"}},
		{"another encoding", ".gitattributes", strings.Replace(attributes, "UTF-16LE-BOM", "UTF-16BE", 1), []string{"web"}, nil},
		{"by a macro", ".gitattributes", "[attr]conv eol=crlf\n" + attributes + "worker.conf conv\n", []string{"worker"}, nil},
		{"of a directory", "roles/worker/.gitattributes", "files/** ident\n", []string{"worker"}, nil},
		{"of the tests", "roles/base/tests/.gitattributes", "*.yaml eol=crlf\n", nil, []string{"base"}},
		{"of all", ".gitattributes", attributes + "group_vars/** ident\n", []string{"base", "web", "worker"}, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := &sandboxRepo{t, r.dir}
			defer r.git("reset", "-q", "--hard", r.git("rev-parse", "HEAD"))
			r.settled() // what is in the index is clean, by whatever attributes
			r.write(c.file, c.attributes)
			dirty := r.worktree()
			r.git("add", c.file)
			r.git("commit", "-q", "-m", "attributes")
			repo := r.open()
			after, err := repo.LoadWorktree(t.Context())
			require.NoError(t, err)
			require.NoError(t, after.Resolve(testPins))
			base, err := repo.LoadNear(t.Context(), "HEAD~1", after)
			require.NoError(t, err)
			require.NoError(t, base.Resolve(testPins))
			require.Equal(t, digests(before), digests(base))
			require.Equal(t, testsDigests(before), testsDigests(base))
			recipe := changed(digests(before), digests(after))
			if !strings.HasPrefix(c.file, "roles/") { // else the file itself is part of a role
				require.Equal(t, digests(dirty), digests(after))
				want := slices.Clone(c.recipe)
				if slices.Contains(want, "base") {
					want = []string{"base", "web", "worker"}
				}
				require.ElementsMatch(t, want, recipe)
				require.ElementsMatch(t, c.tests, changed(testsDigests(before), testsDigests(after)))
				for _, role := range dirty.Roles {
					require.Equal(t, slices.Contains(want, role.Name) || slices.Contains(c.tests, role.Name), role.Dirty, role.Name)
				}
			}
			for _, name := range slices.Concat(c.recipe, c.tests) {
				changes := Explain(roleOf(t, base, name), roleOf(t, after, name))
				require.True(t, slices.ContainsFunc(changes, func(c Change) bool { return strings.HasPrefix(c.Component, "attributes ") }), changes)
			}
			r.git("reset", "-q", "--hard", "HEAD~1")
		})
	}
}

// TestConversionSubdirectory: attributes above the fleet's root count, of the commit.
func TestConversionSubdirectory(t *testing.T) {
	files := map[string]string{".gitattributes": "* text=auto\n", "README": "x"}
	for name, content := range withSuites(fleetFiles()) {
		files["fleets/one/"+name] = content
	}
	r := newSandboxRepo(t, files)
	homeOfTest(t)
	r.commit()
	load := func(rev string, near bool) *Fleet {
		repo, err := OpenRepo(t.Context(), r.path("fleets/one"))
		require.NoError(t, err)
		f, err := repo.LoadWorktree(t.Context())
		if rev != "" && err == nil && near {
			f, err = repo.LoadNear(t.Context(), rev, f)
		} else if rev != "" {
			f, err = repo.Load(t.Context(), rev)
		}
		require.NoError(t, err)
		require.NoError(t, f.Resolve(testPins))
		return f
	}
	before := digests(load("", false))
	r.write("fleets/.gitattributes", "one/roles/worker/files/* eol=crlf\n")
	r.commit()
	for _, f := range []*Fleet{load("", false), load("HEAD", false), load("HEAD", true)} {
		require.Equal(t, []string{"worker"}, changed(before, digests(f)))
		out := filepath.Join(t.TempDir(), "out")
		require.NoError(t, f.Materialize(t.Context(), roleOf(t, f, "worker"), out))
		require.Equal(t, "queue=1\r\n", readFile(t, filepath.Join(out, "roles/worker/files/worker.conf")))
	}
	require.Equal(t, before, digests(load("HEAD~1", true)))
}

// TestConversionSubmodule: the attributes of a submodule are its own.
func TestConversionSubmodule(t *testing.T) {
	lib := newSandboxRepo(t, map[string]string{".gitattributes": "*.ini eol=crlf\n", "a.ini": "a\n", "b.txt": "b\n"})
	lib.commit()
	files := fleetFiles()
	files[".gitattributes"] = "*.txt eol=crlf\n"
	r := newSandboxRepo(t, files)
	r.git("submodule", "add", "-q", lib.dir, "roles/web/files/lib")
	r.commit()
	for _, f := range []*Fleet{r.load(), r.worktree()} {
		require.Empty(t, f.DirtyFiles)
		require.NoError(t, f.Complete(t.Context(), f.Roles))
		out := filepath.Join(t.TempDir(), "out")
		require.NoError(t, f.Materialize(t.Context(), roleOf(t, f, "web"), out))
		require.Equal(t, "a\r\n", readFile(t, filepath.Join(out, "roles/web/files/lib/a.ini")))
		require.Equal(t, "b\n", readFile(t, filepath.Join(out, "roles/web/files/lib/b.txt")))
	}
}

// TestSealed: variables that git-crypt keeps are no syntax error, and may refer to anything.
func TestSealed(t *testing.T) {
	files := fleetFiles()
	files["roles/worker/vars/secret.yml"] = "\x00GITCRYPT\x00\x01\x02{"
	r := newSandboxRepo(t, files)
	r.commit()
	before := digests(r.load())
	r.write("shared/unused.yml", "a: 2\n")
	r.commit()
	require.Equal(t, []string{"worker"}, changed(before, digests(r.load())))
}
