package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
)

// TestLedgerResetInFreshClone: somebody resets the ledger's branch to an older commit, begins it anew, or deletes it. A clone
// that has never seen the newer one knows of it from the build account.
func TestLedgerResetInFreshClone(t *testing.T) {
	for name, reset := range map[string]string{
		"reset": "git update-ref refs/heads/imgops-ledger imgops-ledger~1",
		"anew":  "git update-ref refs/heads/imgops-ledger $(git commit-tree -m anew imgops-ledger~1^{tree})",
		"gone":  "git update-ref -d refs/heads/imgops-ledger",
	} {
		for setting, stops := range map[string]string{
			"ledger: required": "nothing is promoted: imgops.yaml requires the ledger: branch imgops-ledger of origin was rewritten",
			"":                 "nothing is promoted: branch imgops-ledger of origin was rewritten",
		} {
			t.Run(name+" "+setting, func(t *testing.T) {
				w := newAPIWorld(t)
				bare := w.shared(setting)
				w.merged("one")
				w.do(exitDone, "ci", "--event", "push")
				two := w.merged("two")
				w.do(exitDone, "ci", "--event", "push")
				tip := w.git("--git-dir", bare, "rev-parse", ledger.Branch)
				require.Equal(t, tip, w.witnessed(ledger.Branch))

				sh := &apiWorld{t: t, fleet: bare, box: w.box}
				sh.shell(reset)
				three := w.merged("three")
				c := &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "fresh"), box: w.box}
				w.git("clone", "-q", "file://"+bare, c.fleet)
				_, errs := c.do(exitError, "ci", "--event", "push")
				require.Contains(t, errs, "commit "+tip+", which was its tip before, is no part of it: entries are missing")
				require.Contains(t, errs, stops)
				w.requireDefaults(two, "behind")
				back, meant, ok := strings.Cut(errs[strings.Index(errs, "git push --force"):], "; if it was meant: ")
				require.True(t, ok)
				if name == "reset" {
					w.shell(back) // the clone that has them
				} else {
					require.Equal(t, "aws ssm delete-parameter --region us-east-1 --name "+images.WitnessName("acme"), strings.TrimSpace(meant))
					w.forgetWitness()
				}
				fresh := &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "fresh"), box: w.box}
				w.git("clone", "-q", "file://"+bare, fresh.fleet)
				fresh.do(exitDone, "ci", "--event", "push")
				w.requireDefaults(three, "current")
				require.Equal(t, w.git("--git-dir", bare, "rev-parse", ledger.Branch), w.witnessed(ledger.Branch))
			})
		}
	}
}

// TestLedgerWitnessOfOthers: a fleet without a witness, or with one that nobody can read, and runs that change nothing.
func TestLedgerWitnessOfOthers(t *testing.T) {
	w := newAPIWorld(t)
	bare := w.shared("ledger: required")
	w.merged("one")
	api, err := w.box.SSM(t.Context(), apiHome)
	require.NoError(t, err)
	_, err = api.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String(images.WitnessName("acme")), Value: aws.String("{"), Type: "String"})
	require.NoError(t, err)
	w.do(exitDone, "ci", "--event", "push")
	require.Equal(t, w.git("--git-dir", bare, "rev-parse", ledger.Branch), w.witnessed(ledger.Branch))
	for _, d := range w.defaults() {
		require.Equal(t, "web", d.Role, "it is taken for no role's parameter")
	}
}

// witnessed is how far the build account knows that a ledger had come.
func (w *apiWorld) witnessed(place string) string {
	w.t.Helper()
	witness, err := images.ReadWitness(w.t.Context(), w.box, apiHome, "acme")
	require.NoError(w.t, err)
	return witness.Tips[place].Tip
}

// forgetWitness is what aws ssm delete-parameter does.
func (w *apiWorld) forgetWitness() {
	w.t.Helper()
	api, err := w.box.SSM(w.t.Context(), apiHome)
	require.NoError(w.t, err)
	_, err = api.DeleteParameter(w.t.Context(), &ssm.DeleteParameterInput{Name: aws.String(images.WitnessName("acme"))})
	require.NoError(w.t, err)
}

// shell runs a script in the fleet.
func (w *apiWorld) shell(script string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "sh", "-e", "-c", script)
	cmd.Dir = w.fleet
	out, err := cmd.CombinedOutput()
	require.NoError(w.t, err, "%s: %s", script, out)
}
