package roles

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOverlooked: what looks like an image role and is none is told, and what a shared role is is not.
func TestOverlooked(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	require.NoError(t, os.Symlink("web", r.path("roles/web9")))
	r.write("shared/plain/tasks/main.yml", "- debug:\n")
	require.NoError(t, os.Symlink("../shared/plain", r.path("roles/linked")))
	r.write("roles/grp/api/image.yaml", "base: {role: base}\n")
	r.write("roles/plain/tasks/main.yml", "- debug:\n")
	r.commit()
	for _, f := range []*Fleet{r.load(), r.worktree()} {
		found, err := f.Overlooked()
		require.NoError(t, err)
		require.Len(t, found, 2)
		require.Contains(t, found[0], "roles/grp/api/image.yaml is not read")
		require.Contains(t, found[0], "move roles/grp/api to roles/api")
		require.Contains(t, found[1], "roles/web9 is a symlink to image role web, and no image role itself")
	}
}

// TestPatternsThatIgnoreNothing are refused.
func TestPatternsThatIgnoreNothing(t *testing.T) {
	for pattern, want := range map[string]string{
		"**/NOTES.txt": `has a ** which stands for no directories here; write "NOTES.txt"`, "docs/**": "has a **", "!x": "takes nothing back", "../x": "leads out of the role",
		"README.md": "", "docs/*.md": "", "*.md": "", "a..b": "",
	} {
		def := parseDefinition("web", "roles/web/image.yaml", []byte("base: {role: base}\nignore: ['"+pattern+"']\n"))
		if want == "" {
			require.Empty(t, def.source.problems, pattern)
			continue
		}
		require.Len(t, def.source.problems, 1, pattern)
		require.Contains(t, def.source.problems[0].Message+"; "+def.source.problems[0].Fix, want)
	}
}
