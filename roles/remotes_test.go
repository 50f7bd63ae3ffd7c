package roles

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRemotesNoneOfThemOrigin: Git's own settings say which remote is meant; else the error names them, and the setting.
func TestRemotesNoneOfThemOrigin(t *testing.T) {
	o := newOrigin(t)
	clone := func(more ...[]string) *sandboxRepo {
		return o.clone(append([][]string{
			{"remote", "rename", "origin", "company"}, {"remote", "add", "mirror", o.url},
			{"fetch", "-q", "--depth=1", "company", "+refs/heads/feature:refs/remotes/company/feature"}, {"checkout", "-q", "--detach", "company/feature"},
		}, more...)...)
	}
	repo, said := clone().fetching()
	require.Empty(t, repo.Remote())
	_, err := repo.MergeBases(t.Context(), "HEAD", "main")
	require.ErrorIs(t, err, ErrUnknownRevision)
	require.ErrorContains(t, err, "this clone has the remotes company, mirror, and none is called origin; say which one with `git config checkout.defaultRemote company`")
	_, err = repo.Resolve(t.Context(), "HEAD~1")
	require.ErrorIs(t, err, ErrShallow)
	require.ErrorContains(t, err, "none is called origin")
	require.Empty(t, *said)

	for name, settings := range map[string][][]string{
		"the branch":            {{"checkout", "-q", "-B", "feature", "--track", "company/feature"}},
		"the default":           {{"config", "checkout.defaultRemote", "company"}},
		"the branch goes first": {{"config", "checkout.defaultRemote", "mirror"}, {"checkout", "-q", "-B", "feature", "--track", "company/feature"}},
	} {
		t.Run(name, func(t *testing.T) {
			repo, said := clone(settings...).fetching()
			require.Equal(t, "company", repo.Remote())
			at, err := repo.AtRemote(t.Context(), "main")
			require.NoError(t, err)
			base, err := newestBase(t.Context(), repo, "HEAD", at)
			require.NoError(t, err, *said)
			require.Equal(t, o.fork, base)
		})
	}
}
