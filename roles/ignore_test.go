package roles

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ignoreNames are for the files and directories of the trees, and the patterns, of TestIgnoresLikeGit.
var ignoreNames = []string{
	"a", "b", "abc", "Abc", "a.yml", "b.yml", "x.pyc", "foo", "foo bar", "foo ", "#c", "!d", `e\f`, "é", "[a]", "a*b", "build", ".hid", "-", "a-b", "9", "Makefile",
}

// pattern makes one line of an ignore file.
func ignorePattern(r *rand.Rand) string {
	some := func(list ...string) string { return list[r.IntN(len(list))] }
	piece := func() string {
		name := ignoreNames[r.IntN(len(ignoreNames))]
		switch r.IntN(12) {
		case 0:
			return "*" + path.Ext(name)
		case 1:
			return some("*", "**", "***", "?", "??", "*.y?l", "a*", "*b*", "a**", "**a", "f*o*", `\*`, `\a`, `a\*b`)
		case 2:
			return some("[a-c]", "[!a]*", "[^a]*", "[[:upper:]]*", "[[:lower:][:digit:]]", "[]a]", "[!]a]*", "[a-]*", "[-a]", "[a-c-z]*", `[\]a]`, `[\[]a[]]`,
				"[[:alpha:]", "[[:nope:]]*", "[a", "[", "[]", "[!", "[c-a]", "[[:space:]a]", "*[[:punct:]]*", "[[:alnum:]]??", "[[:]]", "[[::]]", "[a-[:digit:]]", "[--a]*")
		case 3:
			return quoteGlob(name)
		case 4:
			return some("#", `\#`, "!", `\!`) + name[1:]
		}
		return name
	}
	parts := []string{piece()}
	for r.IntN(3) == 0 {
		parts = append(parts, piece())
	}
	line := strings.Join(parts, "/")
	line = some("", "", "", "", "/", "**/", "!", "!", "!/", "!**/", `\!`) + line
	return line + some("", "", "", "/", "/**", "/*", "/**/", " ", "  ", `\ `, `\  `, "\r", "\t", `\`, "**", "/**/*.yml")
}

func ignoreFile(r *rand.Rand) string {
	lines := []string{}
	switch r.IntN(4) {
	case 0: // a list of what is wanted
		lines = append(lines, "*", "!*/", "!*.yml", "!.gitignore")
	case 1:
		lines = append(lines, "/**", "!/**/")
	}
	for range r.IntN(6) {
		lines = append(lines, ignorePattern(r))
	}
	text := strings.Join(lines, "\n")
	if r.IntN(8) == 0 {
		text = "\ufeff" + text
	}
	if r.IntN(3) > 0 {
		text += "\n"
	}
	return text
}

// ignoreTree makes files, some of them tracked; it gives the directories, and the files that are not tracked.
func ignoreTree(r *rand.Rand, repo *sandboxRepo) (dirs, files []string) {
	dirs = []string{""}
	for range 12 {
		dirs = append(dirs, join(dirs[r.IntN(len(dirs))], ignoreNames[r.IntN(len(ignoreNames))]))
	}
	slices.Sort(dirs)
	dirs = slices.Compact(dirs)
	tracked := []string{"add", "-f", "--"}
	for _, dir := range dirs {
		for range 6 {
			p := join(dir, ignoreNames[r.IntN(len(ignoreNames))])
			if slices.Contains(dirs, p) || slices.Contains(files, p) || slices.Contains(tracked, ":(literal)"+p) {
				continue
			}
			repo.write(p, "x")
			if r.IntN(10) == 0 {
				tracked = append(tracked, ":(literal)"+p)
			} else {
				files = append(files, p)
			}
		}
	}
	if len(tracked) > 3 {
		repo.git(tracked...)
	}
	slices.Sort(files)
	return dirs, files
}

// TestIgnoresLikeGit holds the files that Git calls untracked against ours, for random patterns in all places where Git looks
// for some.
func TestIgnoresLikeGit(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 4)) //nolint:gosec // the same each time
		repo := newSandboxRepo(t, map[string]string{})
		_, write := homeOfTest(t)
		dirs, files := ignoreTree(r, repo)
		for round := range 20 {
			said := map[string]string{".git/info/exclude": "", "~": ""}
			for _, dir := range dirs {
				repo.remove(join(dir, ".gitignore"))
			}
			places := append([]string{"", "", dirs[r.IntN(len(dirs))], dirs[r.IntN(len(dirs))]}, dirs[len(dirs)-1])
			for _, dir := range places[:1+r.IntN(len(places))] {
				said[join(dir, ".gitignore")] = ignoreFile(r)
			}
			if r.IntN(3) == 0 {
				said[".git/info/exclude"] = ignoreFile(r)
			}
			if r.IntN(3) == 0 {
				said["~"] = ignoreFile(r)
			}
			for name, text := range said {
				if name == "~" {
					write(".config/git/ignore", text)
				} else {
					repo.write(name, text)
				}
			}
			want := strings.Split(repo.asks("ls-files", "-z", "-o", "--exclude-standard"), "\x00")
			ignores := newIgnores(repo.openAny(), settings{})
			for _, p := range files {
				out, err := ignores.match(p, false)
				require.NoError(t, err)
				require.Equal(t, !slices.Contains(want, p), out, "seed %d, round %d: %q is ignored? %s", seed, round, p, fmt.Sprintf("%q", said))
			}
		}
	}
}

// openAny opens a repository that need not have a commit.
func (r *sandboxRepo) openAny() *Repo {
	r.t.Helper()
	repo, err := OpenWorktree(r.t.Context(), r.dir)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { require.NoError(r.t, repo.Close()) })
	return repo
}

// TestIgnoresWanted: a list of what is wanted, as many fleets have it, keeps the rest out of digests.
func TestIgnoresWanted(t *testing.T) {
	for _, wanted := range []string{"*\n!*/\n!*.yml\n!*.yaml\n!*.j2\n!.gitignore\n", "/**\n!/**/\n!*.y*ml\n", "[!a]*\n!*/\n!*.y*ml\n", "[[:alpha:]]*\n!*/\n!*.y*ml\n"} {
		r := newSandboxRepo(t, fleetFiles())
		r.commit()
		r.write(".gitignore", wanted)
		r.commit()
		before := digests(r.load())
		r.write("roles/web/library/__pycache__/m.pyc", "x")
		require.Empty(t, r.git("status", "--porcelain"))
		f := r.worktree()
		require.Empty(t, f.DirtyFiles, wanted)
		require.Equal(t, before, digests(f))
		r.write("roles/web/tasks/other.yml", "[]\n")
		require.Equal(t, []string{"roles/web/tasks/other.yml"}, r.worktree().DirtyFiles, wanted)
	}
}

func TestIgnoresSettings(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	_, write := homeOfTest(t)
	r.write("roles/web/files/KEEP.txt", "x")
	for _, set := range []string{"ignorecase = true\nexcludesFile = lists/mine", "excludesFile = ~/mine"} {
		write(".gitconfig", "[core]\n"+set+"\n")
		write("mine", "keep.txt\n")
		r.write("lists/mine", "keep.txt\n")
		require.Equal(t, strings.Contains(r.asks("status", "--porcelain", "-uall"), "KEEP.txt"), r.worktree().Dirty, set)
	}
	r.write("lists/other", "*\n")
	require.NoError(t, os.Symlink("../../lists/other", r.path("roles/web/.gitignore")))
	require.Contains(t, r.asks("status", "--porcelain", "-uall"), "KEEP.txt")
	require.Contains(t, r.worktree().DirtyFiles, "roles/web/files/KEEP.txt", "a symlink is not followed")
}
