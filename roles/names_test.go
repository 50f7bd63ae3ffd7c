package roles

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPrintable(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "roles/web/files/a b": "roles/web/files/a b", "é/日本": "é/日本", `a\x2db.mount`: `a\x2db.mount`,
		"a\n::error::x": `a\n::error::x`, "\x1b[31mred": `\x1b[31mred`, "a\r": `a\r`, "\xff": `\xff`, "a\u202eb": `a\u202eb`, "\u009b": `\u009b`, "\x7f": `\x7f`, "\ufffd": `�`,
	} {
		require.Equal(t, strings.ReplaceAll(want, "�", "\ufffd"), Printable(name), "%q", name)
	}
}

// TestShellWord: a shell reads the words as they are.
func TestShellWord(t *testing.T) {
	for _, name := range []string{"", "roles/web", "a b", "it's", `a\x2db`, "$HOME", "`id`", "a\nb", "'\n\\n", "é", "\x1b[0m", "-n"} {
		out, err := exec.Command("bash", "-c", "printf %s "+shellWord(name)+"x").Output()
		require.NoError(t, err)
		require.Equal(t, name+"x", string(out))
		require.Equal(t, Printable(shellWord(name)), shellWord(name))
	}
}

// TestBackslash: a backslash is a letter of a name, in the index and in trees, and is written as one.
func TestBackslash(t *testing.T) {
	const unit = `roles/web/files/var-lib\x2dfoo.mount`
	r := newSandboxRepo(t, fleetFiles())
	r.writeAll(map[string]string{unit: "[Mount]\n", `docs\new/a\2.md`: "x", `roles/web/files/..\..\x`: "dots\n"})
	r.commit()
	for _, f := range []*Fleet{r.load(), r.worktree()} {
		require.False(t, f.Dirty)
		out := filepath.Join(t.TempDir(), "out")
		require.NoError(t, f.Materialize(t.Context(), roleOf(t, f, "web"), out))
		got := listing(t, out)
		require.Equal(t, "-rw-r--r-- [Mount]\n", got[unit])
		require.Equal(t, "-rw-r--r-- dots\n", got[`roles/web/files/..\..\x`])
	}
	before := digests(r.load())
	r.write(unit, "[Mount]\nWhat=/dev/x\n")
	require.Equal(t, []string{"web"}, changed(before, digests(r.worktree())))
	require.Equal(t, []string{unit}, r.worktree().DirtyFiles)
}

// TestSubmoduleAdvice: the command that is told works, from another directory, for a fleet below the top of its repository,
// and for a submodule of a submodule.
func TestSubmoduleAdvice(t *testing.T) {
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
	t.Setenv("GIT_CONFIG_VALUE_0", "always")
	inner := newSandboxRepo(t, map[string]string{"x": "inner\n"})
	inner.commit()
	lib := newSandboxRepo(t, map[string]string{"y": "lib\n"})
	lib.git("submodule", "add", "-q", inner.dir, "deep in")
	lib.commit()
	files := map[string]string{}
	for name, content := range withSuites(fleetFiles()) {
		files["sub fleet/"+name] = content
	}
	r := newSandboxRepo(t, files)
	r.git("submodule", "add", "-q", lib.dir, "sub fleet/roles/web/files/lib")
	r.commit()
	clone := filepath.Join(t.TempDir(), "clone")
	gitIn(t, r.dir, "clone", "-q", r.dir, clone)
	complete := func() error {
		repo, err := OpenRepo(t.Context(), filepath.Join(clone, "sub fleet"))
		require.NoError(t, err)
		f, err := repo.LoadWorktree(t.Context())
		require.NoError(t, err)
		return f.Complete(t.Context(), f.Roles)
	}
	follow := func(missing string) {
		err := complete()
		require.ErrorIs(t, err, ErrIncomplete)
		require.ErrorContains(t, err, "submodule "+missing+" is not checked out")
		parts := strings.Split(err.Error(), "`")
		require.Len(t, parts, 3)
		command := exec.Command("bash", "-c", strings.Replace(parts[1], " --recursive", "", 1)) // one level, to ask again
		command.Dir = t.TempDir()
		out, err := command.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	follow("roles/web/files/lib")
	follow("roles/web/files/lib/deep in")
	require.NoError(t, complete())
}
