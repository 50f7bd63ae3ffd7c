package roles

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEmptyTree: Git does not store the tree of a commit without files.
func TestEmptyTree(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	id := gitIn(t, r.dir, "hash-object", "-t", "tree", "/dev/null")
	require.Equal(t, emptyTree().String(), id)
	r.git("update-ref", "refs/heads/empty", r.git("commit-tree", "-m", "no files", id))
	_, err := r.open().Load(t.Context(), "empty")
	require.ErrorIs(t, err, ErrNoFleet)
	require.NotErrorIs(t, err, ErrIncomplete)

	// The branch that adds the fleet to it.
	r.git("symbolic-ref", "HEAD", "refs/heads/empty")
	r.commit()
	repo := r.open()
	base, err := newestBase(t.Context(), repo, "HEAD", "HEAD~1")
	require.NoError(t, err)
	_, err = repo.LoadNear(t.Context(), base, r.load())
	require.ErrorIs(t, err, ErrNoFleet)
}
