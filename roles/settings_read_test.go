package roles

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// asks runs git with the settings of the environment, and says what it answers; "" where it answers nothing.
func (r *sandboxRepo) asks(args ...string) string {
	r.t.Helper()
	out, err := exec.Command("git", append([]string{"-C", r.dir}, args...)...).Output()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 { // 1: a setting that is set nowhere
		require.NoError(r.t, err, args)
	}
	return strings.TrimSpace(string(out))
}

// homeOfTest is a home directory, with the settings that Git and imgops find in it; nothing else of the machine counts.
func homeOfTest(t *testing.T) (home string, write func(name, content string)) {
	t.Helper()
	home = t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": "", "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1", "GIT_CONFIG_COUNT": "", "GIT_CONFIG_GLOBAL": "", "GIT_CONFIG_SYSTEM": "",
	} {
		t.Setenv(name, value)
	}
	require.NoError(t, os.Unsetenv("GIT_CONFIG_GLOBAL")) // t.Setenv puts them back
	require.NoError(t, os.Unsetenv("GIT_CONFIG_SYSTEM"))
	require.NoError(t, os.Unsetenv("GIT_CONFIG_COUNT"))
	return home, func(name, content string) {
		t.Helper()
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(home, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(home, name), []byte(content), 0o600))
	}
}

// TestIncludedSettings holds what imgops takes for Git's settings against what Git says, for settings in files that are
// included.
func TestIncludedSettings(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	home, write := homeOfTest(t)
	require.NoError(t, os.MkdirAll(filepath.Join(home, "work"), 0o755))
	require.NoError(t, os.Symlink("work", filepath.Join(home, "link")))
	require.NoError(t, os.Rename(r.dir, filepath.Join(home, "work/fleet")))
	r.dir = filepath.Join(home, "work/fleet")
	r.git("checkout", "-q", "-B", "topic/a")
	r.git("remote", "add", "origin", "https://git.example.com/acme/fleet.git")
	own, err := os.ReadFile(r.path(".git/config"))
	require.NoError(t, err)
	write("off", "[core]\n\tfileMode = off\n")
	write("on", "[core]\n\tfileMode = on\n")
	write("deep", "[include]\n\tpath = off\n")
	write("loop", "[core]\n\tfileMode = off\n[include]\n\tpath = loop\n")
	write("broken", "[core\n")
	write("work/fleet/.git/beside", "[core]\n\tfileMode = off\n")
	for name, text := range map[string]string{
		"nothing":               "",
		"a file":                "[include]\n\tpath = ~/off\n",
		"in one line":           "[include] path = " + home + "/off\n",
		"in one line, quoted":   "[includeIf \"gitdir:~/[w]ork/\"] path = " + home + "/off ; a remark\n",
		"a header's remark":     "[include] # a remark\n\tpath = " + home + "/off\n",
		"something broken":      "[core] fileMode = off\n[alias]x=y\n",
		"relative":              "[include]\n\tpath = off\n",
		"absolute":              "[include]\n\tpath = " + home + "/off\n",
		"two":                   "[include]\n\tpath = off\n\tpath = on\n",
		"overruled":             "[include]\n\tpath = off\n[core]\n\tfileMode = true\n",
		"overrules":             "[core]\n\tfileMode = true\n[include]\n\tpath = off\n",
		"between":               "[core]\n\tfileMode = no\n[INCLUDE]\n\tPATH = on\n[core]\n\tautocrlf = input\n",
		"deep":                  "[include]\n\tpath = deep\n",
		"missing":               "[include]\n\tpath = nowhere\n[include]\n\tpath = off\n",
		"in a value":            "[alias]\n\tx = !echo \\\n[include]\\\n path = off\n",
		"a directory":           "[includeIf \"gitdir:~/work/\"]\n\tpath = off\n",
		"another":               "[includeIf \"gitdir:~/home/\"]\n\tpath = off\n",
		"a directory's name":    "[includeIf \"gitdir:work/\"]\n\tpath = off\n",
		"the repository":        "[includeIf \"gitdir:fleet/.git\"]\n\tpath = off\n",
		"a part of a name":      "[includeIf \"gitdir:fle\"]\n\tpath = off\n",
		"globs":                 "[includeIf \"gitdir:~/w*/[f-g]l?et/.git\"]\n\tpath = off\n",
		"negated":               "[includeIf \"gitdir:~/work/[!f]leet/\"]\n\tpath = off\n",
		"beside the file":       "[includeIf \"gitdir:./work/\"]\n\tpath = off\n",
		"case":                  "[includeIf \"gitdir:~/Work/\"]\n\tpath = off\n",
		"case folded":           "[includeIf \"gitdir/i:WORK/\"]\n\tpath = off\n",
		"a star and a slash":    "[includeIf \"gitdir:" + filepath.Dir(home) + "/*/fleet/\"]\n\tpath = off\n",
		"two stars":             "[includeIf \"gitdir:/**/fleet/**\"]\n\tpath = off\n",
		"a branch":              "[includeIf \"onbranch:topic/a\"]\n\tpath = off\n",
		"branches":              "[includeIf \"onbranch:topic/\"]\n\tpath = off\n",
		"another branch":        "[includeIf \"onbranch:main\"]\n\tpath = off\n",
		"a star is no slash":    "[includeIf \"onbranch:top*\"]\n\tpath = off\n",
		"a remote":              "[includeIf \"hasconfig:remote.*.url:https://git.example.com/**\"]\n\tpath = off\n",
		"another remote":        "[includeIf \"hasconfig:remote.*.url:https://example.com/**\"]\n\tpath = off\n",
		"a remote's star":       "[includeIf \"hasconfig:remote.*.url:https://git.example.com/*\"]\n\tpath = off\n",
		"no condition":          "[includeIf \"weather:fine\"]\n\tpath = off\n",
		"of the user's in ours": "[includeIf \"gitdir:~/link/\"]\n\tpath = off\n",
	} {
		for file, local := range map[string]bool{".gitconfig": false, ".config/git/config": false, "work/fleet/.git/config": true} {
			t.Run(name+" in "+file, func(t *testing.T) {
				before := strings.Replace(string(own), "filemode = true", "", 1)
				write("work/fleet/.git/config", before)
				if local {
					text = strings.NewReplacer("path = off", "path = ../../../off", "path = on", "path = ../../../on", "path = deep", "path = ../../../deep", "PATH = on", "PATH = ../../../on", "gitdir:./work/", "gitdir:./").Replace(text)
					if strings.Contains(text, "../../../") && name == "relative" {
						text = "[include]\n\tpath = beside\n"
					}
					text = before + text
				}
				write(file, text)
				defer func() { require.NoError(t, os.Remove(filepath.Join(home, file))) }()
				want := "true"
				if said := r.asks("config", "--type=bool", "core.fileMode"); said != "" {
					want = said
				}
				c, err := r.open().git.Config()
				require.NoError(t, err)
				got := r.open().settings(c)
				require.Equal(t, want == "true", got.on("filemode"), "%s\n%v", text, got)
			})
		}
	}
	write("work/fleet/.git/config", string(own)+"[remote \"a]b\"] url = x\n")
	require.False(t, r.worktree().Dirty)
	write("work/fleet/.git/config", string(own)+"[broken\n")
	_, err = OpenRepo(t.Context(), r.dir)
	require.ErrorContains(t, err, "opening the repository of "+r.dir)
	write("work/fleet/.git/config", string(own))
	for _, bad := range []string{"loop", "broken"} { // Git itself gives up; imgops goes on, and ends
		write(".gitconfig", "[include]\n\tpath = "+bad+"\n")
		require.NotNil(t, r.worktree())
	}
}

// TestWorktreeSettings: the file of one working tree counts where the extension is on, and what the environment says most.
func TestWorktreeSettings(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	_, write := homeOfTest(t)
	write("off", "[core]\n\tfileMode = off\n")
	require.NoError(t, os.Chmod(r.path("roles/web/tasks/main.yml"), 0o755))
	same := func(dirty bool) {
		t.Helper()
		require.Equal(t, dirty, r.asks("status", "--porcelain") != "")
		require.Equal(t, dirty, r.worktree().Dirty)
	}
	same(true)
	require.NoError(t, os.WriteFile(r.path(".git/config.worktree"), []byte("[include]\n\tpath = ~/off\n"), 0o600))
	same(true)
	r.git("config", "extensions.worktreeConfig", "true")
	same(false)
	t.Setenv("GIT_CONFIG_COUNT", "2")
	t.Setenv("GIT_CONFIG_KEY_0", "core.fileMode")
	t.Setenv("GIT_CONFIG_VALUE_0", "true")
	t.Setenv("GIT_CONFIG_KEY_1", "user.name")
	t.Setenv("GIT_CONFIG_VALUE_1", "x")
	same(true)
}

// TestIncludedExcludes: what a file that is included keeps out of Git's sight does not make the fleet dirty.
func TestIncludedExcludes(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	_, write := homeOfTest(t)
	r.write("roles/web/files/notes.swp", "x")
	require.True(t, r.worktree().Dirty)
	write("ours", "[core]\n\texcludesFile = ~/patterns\n")
	write("patterns", "*.swp\n")
	write(".gitconfig", "[includeIf \"gitdir:**/.git\"]\n\tpath = ours\n")
	require.Empty(t, r.asks("status", "--porcelain"))
	require.False(t, r.worktree().Dirty)
	r.git("config", "core.excludesFile", "")
	require.NotEmpty(t, r.asks("status", "--porcelain"))
	require.True(t, r.worktree().Dirty, "the repository says that there is none")
}
