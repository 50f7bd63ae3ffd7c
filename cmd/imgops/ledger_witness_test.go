package main

import (
	"context"
	"errors"
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
				_, fix, ok := strings.Cut(errs, "or the Git server's backup: ")
				require.True(t, ok)
				back, meant, ok := strings.Cut(fix, "; if it was meant: ")
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

// TestLedgerLosesBuildRecords: the branch is reset to where it was before the record of a build, which nothing was promoted
// after. A fresh clone notices, and what is recorded before anybody looks does not cover it up.
func TestLedgerLosesBuildRecords(t *testing.T) {
	for _, setting := range []string{"ledger: required", ""} {
		t.Run(setting, func(t *testing.T) {
			w := newAPIWorld(t)
			bare := w.shared(setting)
			one := w.merged("one")
			w.do(exitDone, "ci", "--event", "push")
			build := w.built("ami-0aaaaaaaaaaaaaaaa")
			w.do(exitDone, "ci", "--event", "push") // stores it
			require.Contains(t, w.recorded(bare), build.Path)
			tip := w.git("--git-dir", bare, "rev-parse", ledger.Branch)
			require.Equal(t, tip, w.witnessed(ledger.Branch))
			two := w.merged("two")
			(&apiWorld{t: t, fleet: bare, box: w.box}).shell("git update-ref refs/heads/imgops-ledger imgops-ledger~1")

			fresh := &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "fresh"), box: w.box}
			w.git("clone", "-q", "--depth=1", "file://"+bare, fresh.fleet)
			want := map[string]int{"ledger: required": exitError, "": exitDone}[setting]
			_, errs := fresh.do(want, "hold", "web", "--reason", "freeze")
			require.Contains(t, errs, "what was done is in the ledger, and nothing is promoted until older records are back or given up: branch imgops-ledger of origin was rewritten: ")
			require.Equal(t, tip, w.witnessed(ledger.Branch), "it stays")
			fresh.do(want, "release", "web")
			_, errs = fresh.do(exitError, "ci", "--event", "push")
			require.Contains(t, errs, "commit "+tip+", which was its tip before, is no part of it: entries are missing")
			w.requireDefaults(one, "behind")

			t.Log("as the message says, in the clone that has it; what was recorded since stays")
			_, fix, _ := strings.Cut(errs, "or the Git server's backup: ")
			back, _, ok := strings.Cut(fix, "; if it was meant: ")
			require.True(t, ok)
			w.shell(back)
			require.Len(t, w.recorded(bare), 4)
			require.Contains(t, w.recorded(bare), build.Path)
			fresh.do(exitDone, "ci", "--event", "push")
			w.requireDefaults(two, "current")
			require.Equal(t, w.git("--git-dir", bare, "rev-parse", ledger.Branch), w.witnessed(ledger.Branch))
			w.do(exitDone, "hold", "web", "--reason", "freeze")
			require.Empty(t, w.git("status", "--porcelain"))
		})
	}
}

// TestLedgerWitnessLags: a run that ended between the ledger and the witness, in either order of things, stands in nobody's way.
func TestLedgerWitnessLags(t *testing.T) {
	for name, setting := range map[string]string{"branch": "ledger: required", "S3": bucketRequired} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			bare := w.shared(setting)
			w.bucket()
			place := map[string]string{"branch": ledger.Branch, "S3": "s3://acme-ledger/fleet/"}[name]
			w.merged("one")
			w.do(exitDone, "ci", "--event", "push")
			first, err := images.ReadWitness(t.Context(), w.box, apiHome, "acme")
			require.NoError(t, err)
			w.do(exitDone, "hold", "web", "--reason", "freeze")
			second := w.witnessed(place)
			require.NotEqual(t, first.Tips[place].Tip, second)
			w.do(exitDone, "release", "web")

			t.Log("the witness was not written")
			put := func(tip string) {
				_, err := images.WriteWitness(t.Context(), w.box, apiHome, "acme", images.Witness{}, place, images.Tip{Tip: tip})
				require.NoError(t, err)
			}
			put(first.Tips[place].Tip)
			two := w.merged("two")
			fresh := &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "fresh"), box: w.box}
			w.git("clone", "-q", "--depth=1", "file://"+bare, fresh.fleet)
			fresh.do(exitDone, "ci", "--event", "push")
			w.requireDefaults(two, "current")
			require.NotContains(t, []string{first.Tips[place].Tip, second}, w.witnessed(place), "it names the newest record again")

			t.Log("there is none")
			w.forgetWitness()
			three := w.merged("three")
			fresh.git("pull", "-q")
			fresh.do(exitDone, "ci", "--event", "push")
			w.requireDefaults(three, "current")
			require.NotEmpty(t, w.witnessed(place))

			t.Log("another place's tip is left alone")
			_, err = images.WriteWitness(t.Context(), w.box, apiHome, "acme", images.Witness{}, "elsewhere", images.Tip{Tip: "x"})
			require.NoError(t, err)
			fresh.do(exitDone, "hold", "web", "--reason", "freeze")
			require.Equal(t, "x", w.witnessed("elsewhere"))

			t.Log("it names what the ledger never had, or what is no tip: nothing is promoted, and the command of the message ends it")
			put(map[string]string{"branch": strings.Repeat("a", 40), "S3": "99:" + strings.Repeat("a", 64)}[name])
			fresh.do(exitError, "release", "web")
			four := w.merged("four")
			fresh.git("pull", "-q")
			_, errs := fresh.do(exitError, "ci", "--event", "push")
			require.Contains(t, errs, "aws ssm delete-parameter --region us-east-1 --name /imgops/acme/ledger")
			w.requireDefaults(three, "behind")
			w.forgetWitness()
			fresh.do(exitDone, "ci", "--event", "push")
			w.requireDefaults(four, "current")
		})
	}
}

// racing is a ledger to which another run has added something.
type racing struct {
	ledger.Store
	tip, others string
	syncs       int
	lacks       error
}

func (r *racing) Tip() string                                 { return r.tip }
func (r *racing) Lacks(context.Context, string, string) error { return r.lacks }
func (r *racing) Sync(context.Context) error {
	r.syncs++
	r.tip = r.others
	return nil
}

// TestWitnessOfTheLastOne: of two runs that leave their witness at once, the one that comes later may know less. It notices.
func TestWitnessOfTheLastOne(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	s := w.session()
	before, err := images.ReadWitness(t.Context(), w.box, apiHome, "acme")
	require.NoError(t, err)
	other := func(tip string) images.Witness {
		now, err := images.ReadWitness(t.Context(), w.box, apiHome, "acme")
		require.NoError(t, err)
		now, err = images.WriteWitness(t.Context(), w.box, apiHome, "acme", now, "x", images.Tip{Tip: tip})
		require.NoError(t, err)
		return now
	}
	now := other("2")
	st := &racing{tip: "1", others: "2"}
	require.NoError(t, s.leaveWitness(t.Context(), st, "x", before))
	require.Equal(t, "2", w.witnessed("x"))
	require.Equal(t, 1, st.syncs)

	t.Log("its own is the newest: once is enough")
	st = &racing{tip: "3", others: "3"}
	require.NoError(t, s.leaveWitness(t.Context(), st, "x", now))
	require.Equal(t, "3", w.witnessed("x"))

	t.Log("nobody else: nothing more is asked")
	st = &racing{tip: "5", others: "5"}
	require.NoError(t, s.leaveWitness(t.Context(), st, "x", other("4")))
	require.Zero(t, st.syncs)

	t.Log("what was noted is lost: it stays noted. That it cannot be found out is no error")
	var lacking *lackingError
	st.lacks = &ledger.RewrittenError{}
	require.ErrorAs(t, s.leaveWitness(t.Context(), st, "x", other("6")), &lacking)
	require.Equal(t, "6", w.witnessed("x"))
	st.lacks = errors.New("no answer")
	require.NoError(t, s.leaveWitness(t.Context(), st, "x", other("7")))
	require.Equal(t, "7", w.witnessed("x"))
}
