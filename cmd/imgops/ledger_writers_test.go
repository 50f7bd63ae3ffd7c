package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/ledger"
)

// TestLedgerWriters has 8 processes write to the ledger at once, half of them in one clone: nothing is lost, and the witness
// names all of it, whoever came last.
func TestLedgerWriters(t *testing.T) {
	const writers = 9
	for name, setting := range map[string]string{"branch": "ledger: required", "S3": bucketRequired} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			w.rolesFleet(writers)
			bare := w.shared(setting)
			b := w.bucket()
			w.commit("with a ledger")
			w.git("push", "-q", "origin", "main")
			w.do(exitDone, "hold", "web", "--reason", "the first record")
			commands := make([]*exec.Cmd, writers-1)
			said := make([]bytes.Buffer, len(commands))
			for i := range commands {
				dir := w.fleet
				if i%2 == 0 {
					dir = filepath.Join(t.TempDir(), "clone")
					w.git("clone", "-q", "--depth=1", "file://"+bare, dir)
				}
				commands[i] = exec.CommandContext(t.Context(), "imgops", "-C", dir, "hold", fmt.Sprintf("web%03d", i), "--reason", "freeze")
				commands[i].Stdout, commands[i].Stderr = &said[i], &said[i]
			}
			var all sync.WaitGroup
			errs := make([]error, len(commands))
			for i, c := range commands {
				all.Go(func() { errs[i] = c.Run() })
			}
			all.Wait()
			for i, err := range errs {
				require.NoError(t, err, said[i].String())
				require.NotContains(t, said[i].String(), "warning")
			}
			if name == "branch" {
				require.Len(t, w.recorded(bare), writers)
				require.Equal(t, w.git("--git-dir", bare, "rev-parse", ledger.Branch), w.witnessed(ledger.Branch))
			} else {
				require.Len(t, b.keys("events/"), writers)
				store, err := ledger.NewS3(b.api, "s3://acme-ledger/fleet")
				require.NoError(t, err)
				require.NoError(t, store.Sync(t.Context()))
				require.Equal(t, store.Tip(), w.witnessed(store.String()))
			}
			require.False(t, w.kept())
			w.do(exitDone, "release", "web")
		})
	}
}
