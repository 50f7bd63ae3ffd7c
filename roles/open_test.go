package roles

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRepositoryOfTheEnvironment: Git's variables name another repository than the directory is in, or, as in a hook, the same.
func TestRepositoryOfTheEnvironment(t *testing.T) {
	o := newOrigin(t)
	c := o.clone([]string{"fetch", "-q", "--depth=1", "origin", "feature"}, []string{"checkout", "-q", "FETCH_HEAD"})
	empty := t.TempDir()
	for name, c := range map[string]struct{ dir, variable, value string }{
		"no repository there":  {empty, "GIT_DIR", filepath.Join(c.dir, ".git")},
		"another repository":   {c.dir, "GIT_DIR", o.dir},
		"another working tree": {c.dir, "GIT_WORK_TREE", empty},
		"nothing":              {c.dir, "GIT_DIR", filepath.Join(empty, "gone")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(c.variable, c.value)
			_, err := OpenRepo(t.Context(), c.dir)
			require.ErrorIs(t, err, ErrUnsupported)
			require.ErrorContains(t, err, c.variable+" is set to "+c.value)
			require.ErrorContains(t, err, "unset GIT_DIR GIT_WORK_TREE")
		})
	}
	t.Run("as in a hook", func(t *testing.T) {
		t.Setenv("GIT_DIR", ".git")
		t.Setenv("GIT_WORK_TREE", ".")
		repo, said := c.fetching()
		_, err := repo.Resolve(t.Context(), o.fork)
		require.NoError(t, err, *said)
	})
}
