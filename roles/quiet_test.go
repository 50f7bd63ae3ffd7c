package roles

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQuietRoles checks that what is remembered between runs never changes a result.
func TestQuietRoles(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	want := digests(r.worktree())
	file := r.path(".git/imgops/quiet-roles")
	require.FileExists(t, file)
	require.Equal(t, want, digests(r.worktree()), "from memory")

	r.write("roles/base/tasks/main.yml", "- include_role: {name: tuning}\n")
	require.Contains(t, roleInputs(roleOf(t, r.worktree(), "base")), "roles/tuning/tasks/main.yml", "a changed role is read again")
	r.write("roles/base/tasks/main.yml", "- copy: {src: shared/unused.yml, dest: /x}\n")
	require.Contains(t, roleInputs(roleOf(t, r.worktree(), "base")), "shared/unused.yml")
	r.write("roles/base/tasks/main.yml", "- copy: {src: extra/x, dest: /x}\n")
	require.NotContains(t, roleInputs(roleOf(t, r.worktree(), "base")), "extra/x")
	r.write("extra/x", "x")
	r.git("add", "-A")
	require.Contains(t, roleInputs(roleOf(t, r.worktree(), "base")), "extra/x", "a new top-level name can give old words a meaning")

	r.git("checkout", "-q", "HEAD", "--", "roles")
	for _, damaged := range []string{"", "x", quietHead, quietHead + "01234567890123456789" + "01234567890123456789"} {
		require.NoError(t, os.WriteFile(file, []byte(damaged), 0o644))
		require.Equal(t, want, digests(r.worktree()), "%q", damaged)
	}
	require.NoError(t, os.RemoveAll(r.path(".git/imgops")))
	r.write(".git/imgops", "a file in the way")
	require.Equal(t, want, digests(r.worktree()), "nothing depends on the file")
}

func roleInputs(r *Role) []string {
	out := []string{}
	for _, in := range r.Inputs() {
		out = append(out, in.Path)
	}
	return out
}
