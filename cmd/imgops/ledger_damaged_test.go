package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLedgerDamaged: a ledger of which the remote lacks an object is an error that says what to run, and nothing is promoted: in
// a clone that got the damage along, and in one that cannot fetch the branch. When the object is back, all goes on.
func TestLedgerDamaged(t *testing.T) {
	for name, object := range map[string]string{"the tree of the tip": "imgops-ledger^{tree}", "a tree below it": "imgops-ledger:events", "an older commit": "imgops-ledger~1"} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			bare := w.shared("")
			w.merged("one")
			w.do(exitDone, "ci", "--event", "push")
			two := w.merged("two")
			w.do(exitDone, "ci", "--event", "push")
			three := w.merged("three")
			id := w.git("--git-dir", bare, "rev-parse", object)
			file, away := filepath.Join(bare, "objects", id[:2], id[2:]), filepath.Join(t.TempDir(), "away")
			require.NoError(t, os.Rename(file, away)) // a push of a few objects leaves each as a file

			copied := &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "copied"), box: w.box}
			w.git("clone", "-q", bare, copied.fleet)
			for _, clone := range []*apiWorld{copied, w.job(bare)} {
				_, errs := clone.do(exitError, "ci", "--event", "push")
				require.Contains(t, errs, "nothing is promoted: branch imgops-ledger of origin is damaged: ")
				require.Contains(t, errs, "git fsck --full names what is damaged")
				w.requireDefaults(two, "behind")
			}
			code, _, errs := copied.try("history", "web")
			require.Contains(t, errs, "branch imgops-ledger of origin is damaged: ", code)

			require.NoError(t, os.Rename(away, file))
			copied.do(exitDone, "ci", "--event", "push")
			w.requireDefaults(three, "current")
		})
	}
}
