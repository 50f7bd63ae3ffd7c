package roles

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUser is who Git itself says, wherever that is written.
func TestUser(t *testing.T) {
	for name, c := range map[string]struct {
		global, local, environment string
		want                       string
	}{
		"global":      {global: "[user]\n\tname = Ann\n\temail = ann@example.com\n", want: "Ann <ann@example.com>"},
		"local":       {global: "[user]\n\tname = Ann\n\temail = ann@example.com\n", local: "Bob", want: "Bob <ann@example.com>"},
		"environment": {global: "[user]\n\tname = Ann\n", local: "Bob", environment: "Eve", want: "Eve"},
		"nobody":      {},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			global := filepath.Join(t.TempDir(), "gitconfig")
			require.NoError(t, os.WriteFile(global, []byte(c.global), 0o600))
			t.Setenv("GIT_CONFIG_GLOBAL", global)
			t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			t.Setenv("HOME", t.TempDir())
			git := func(args ...string) {
				out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...).CombinedOutput()
				require.NoError(t, err, "%s", out)
			}
			git("init", "-q")
			if c.local != "" {
				git("config", "user.name", c.local)
			}
			repo, err := OpenWorktree(t.Context(), dir)
			require.NoError(t, err)
			require.Equal(t, c.want, repo.User(func(name string) string {
				if strings.HasSuffix(name, "_NAME") {
					return c.environment
				}
				return ""
			}))
		})
	}
}
