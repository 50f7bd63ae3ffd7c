package builder

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/roles"
)

const fleetConfig = `version: 1
fleet: acme
build: {account: "111111111111", region: us-east-1}
targets:
  - {name: production, accounts: ["222222222222"], regions: [us-east-1]}
`

// loadFleet commits files to a new repository and loads the fleet, with its external bases pinned to ami-base.
func loadFleet(t *testing.T, files map[string]string) *roles.Fleet {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, roles.InitRepo(t.Context(), dir, "main"))
	all := map[string]string{"roles/web/tests/default/goss.yaml": "file: {/etc: {exists: true}}\n"} // without tests, a role is an error
	maps.Copy(all, files)
	for name, text := range all {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	repo, err := git.PlainOpen(dir)
	require.NoError(t, err)
	tree, err := repo.Worktree()
	require.NoError(t, err)
	require.NoError(t, tree.AddGlob("."))
	_, err = tree.Commit("fleet", &git.CommitOptions{Author: &object.Signature{Name: "a", Email: "a@example.com", When: time.Unix(1, 0)}})
	require.NoError(t, err)

	r, err := roles.OpenRepo(t.Context(), dir)
	require.NoError(t, err)
	fleet, err := r.Load(t.Context(), "HEAD")
	require.NoError(t, err)
	pins := roles.Pins{}
	for _, e := range fleet.Externals() {
		pins[e.Key] = "ami-base"
	}
	require.NoError(t, fleet.Resolve(pins))
	return fleet
}

const debianBase = "base: {owner: \"136693071363\", name: \"debian-12-amd64-*\"}\n"
