package roles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGitBool(t *testing.T) {
	for value, want := range map[string]bool{
		"true": true, "Yes": true, "ON": true, "1": true, "2k": true, "-1": true,
		"false": false, "No": false, "oFF": false, "0": false, "0k": false, "0x0": false,
	} {
		on, known := gitBool(value)
		require.True(t, known, value)
		require.Equal(t, want, on, value)
	}
	for _, value := range []string{"", "maybe", "k", "1.5"} {
		_, known := gitBool(value)
		require.False(t, known, value)
	}
}

// TestWorktreeFileMode: what Git's settings say of the executable bit counts as it does for git status.
func TestWorktreeFileMode(t *testing.T) {
	const file = "roles/web/tasks/main.yml"
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	require.NoError(t, os.Chmod(r.path(file), 0o755))
	for value, dirty := range map[string]bool{
		"false": false, "False": false, "no": false, "off": false, "0": false, "true": true, "yes": true, "1": true, "On": true,
	} {
		r.git("config", "core.filemode", value)
		require.Equal(t, dirty, r.git("status", "--porcelain") != "", value)
		require.Equal(t, dirty, r.worktree().Dirty, value)
	}
	r.git("config", "--unset-all", "core.filemode")
	require.True(t, r.worktree().Dirty, "it is on where nothing is said")

	home := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(home, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(home, name), []byte(content), 0o600))
	}
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	t.Setenv("GIT_CONFIG_GLOBAL", "")
	require.NoError(t, os.Unsetenv("GIT_CONFIG_GLOBAL"))
	write(".config/git/config", "[core]\n\tfileMode = no\n")
	require.False(t, r.worktree().Dirty, "of the user")
	write(".gitconfig", "[core]\n\tfilemode\n")
	require.True(t, r.worktree().Dirty, "the user's other file counts more")
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(home, "other"))
	write("other", "[CORE]\n\tFileMode = off\n")
	require.False(t, r.worktree().Dirty)
	r.git("config", "core.filemode", "true")
	require.True(t, r.worktree().Dirty, "the repository counts more than the user")
	r.git("config", "extensions.worktreeConfig", "true")
	r.git("config", "--worktree", "core.filemode", "false")
	require.False(t, r.worktree().Dirty, "and the working tree most")
}

// TestWorktreeNoSymlinks has a checkout on a file system without symlinks, as Git makes it.
func TestWorktreeNoSymlinks(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	require.NoError(t, os.Symlink("main.yml", r.path("roles/web/tasks/link.yml")))
	r.commit()
	want := digests(r.load())
	r.remove("roles/web/tasks/link.yml")
	r.git("config", "core.symlinks", "No")
	r.git("checkout", "-q", "roles/web")
	info, err := os.Lstat(r.path("roles/web/tasks/link.yml"))
	require.NoError(t, err)
	require.True(t, info.Mode().IsRegular())
	f := r.worktree()
	require.Empty(t, f.DirtyFiles)
	require.Equal(t, want, digests(f))
	r.write("roles/web/tasks/link.yml", "../tasks/main.yml")
	require.Equal(t, []string{"roles/web/tasks/link.yml"}, r.worktree().DirtyFiles)
}

// TestUnwatched: a change that Git was told not to look at makes the fleet dirty, and it is told why Git is silent.
func TestUnwatched(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	r.git("update-index", "--assume-unchanged", "roles/web/tasks/main.yml")
	r.git("update-index", "--skip-worktree", "roles/base/tasks/main.yml")
	for _, p := range []string{"roles/web/tasks/main.yml", "roles/base/tasks/main.yml", "roles/web/image.yaml"} {
		r.write(p, "# other\n"+fleetFiles()[p])
	}
	require.Equal(t, "M roles/web/image.yaml", r.git("status", "--porcelain"))
	repo := r.open()
	f, err := repo.LoadWorktree(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"roles/base/tasks/main.yml", "roles/web/image.yaml", "roles/web/tasks/main.yml"}, f.DirtyFiles)
	files := repo.Unwatched(f.DirtyFiles)
	require.Equal(t, []string{"roles/base/tasks/main.yml", "roles/web/tasks/main.yml"}, files)
	require.Contains(t, UnwatchedHint(files), "git update-index --no-assume-unchanged "+strings.Join(files, " ")+" && git update-index --no-skip-worktree "+strings.Join(files, " "))
	require.Empty(t, UnwatchedHint(nil))
	r.git("update-index", "--no-assume-unchanged", files[0], files[1])
	r.git("update-index", "--no-skip-worktree", files[0], files[1])
	for _, file := range files {
		require.Contains(t, r.git("status", "--porcelain"), file, "the commands that are named do it")
	}
}
