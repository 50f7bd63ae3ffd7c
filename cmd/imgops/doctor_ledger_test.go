package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/ledger"
)

// ledgerFindings are doctor's about the ledger. Others depend on the computer.
func (w *apiWorld) ledgerFindings() map[string]finding {
	w.t.Helper()
	_, out, errs := w.try("doctor", "-o", "json")
	require.NotContains(w.t, errs, "panic")
	list := map[string]finding{}
	for _, f := range decode[[]finding](w.t, out) {
		if strings.Contains(f.Check, "ledger") {
			list[f.Check] = f
		}
	}
	return list
}

func requireWell(t *testing.T, list map[string]finding, says string) {
	t.Helper()
	require.Len(t, list, 3)
	for check, f := range list {
		require.Equal(t, "ok", f.Status, "%s: %s", check, f.Detail)
	}
	require.Contains(t, list["ledger"].Detail, says)
}

// TestDoctorLedgerBranch: doctor says what keeps a promotion from relying on the ledger, and what to run, and changes nothing.
func TestDoctorLedgerBranch(t *testing.T) {
	w := newAPIWorld(t)
	bare := w.shared("ledger: required")
	w.merged("one")
	requireWell(t, w.ledgerFindings(), "branch imgops-ledger of origin, 0 records")
	w.do(exitDone, "ci", "--event", "push")
	w.do(exitDone, "hold", "web", "--reason", "freeze")
	state := func() string { return w.git("--git-dir", bare, "for-each-ref") + w.witnessed(ledger.Branch) }
	before := state()
	requireWell(t, w.ledgerFindings(), "branch imgops-ledger of origin, 4 records")
	w.built("ami-0aaaaaaaaaaaaaaaa")
	requireWell(t, w.ledgerFindings(), "and 1 in ")
	require.Equal(t, before, state())
	require.True(t, w.kept())

	fresh := &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "fresh"), box: w.box}
	w.git("clone", "-q", "--depth=1", "file://"+bare, fresh.fleet)
	requireWell(t, fresh.ledgerFindings(), "4 records")

	t.Log("reset: only the build account knows")
	tip := w.git("--git-dir", bare, "rev-parse", ledger.Branch)
	w.git("--git-dir", bare, "update-ref", "refs/heads/"+ledger.Branch, ledger.Branch+"~1")
	fresh = &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "reset"), box: w.box}
	w.git("clone", "-q", "--depth=1", "file://"+bare, fresh.fleet)
	sick := fresh.ledgerFindings()
	require.Equal(t, "missing", sick["ledger"].Status)
	require.Contains(t, sick["ledger"].Detail, "commit "+tip+", which was its tip before, is no part of it")
	require.Contains(t, sick["ledger"].Detail, "if it was meant: aws ssm delete-parameter ")
	require.NotContains(t, sick, "writing to the ledger")
	w.git("--git-dir", bare, "update-ref", "refs/heads/"+ledger.Branch, tip)

	t.Log("garbage")
	work := filepath.Join(t.TempDir(), "work")
	w.git("clone", "-q", "--branch", ledger.Branch, bare, work)
	write(t, filepath.Join(work, "README.md"), "hello\n")
	w.git("-C", work, "add", "-A")
	w.git("-C", work, "commit", "-qm", "hello")
	w.git("-C", work, "push", "-q", "origin", ledger.Branch)
	sick = fresh.ledgerFindings()
	require.Equal(t, "ok", sick["ledger"].Status, sick["ledger"].Detail)
	require.Contains(t, sick["records in the ledger"].Detail, "README.md: it is no file that imgops has written")
	require.Contains(t, sick["records in the ledger"].Detail, "git rm PATH")

	t.Log("somebody's own branch; and a remote out of reach")
	w.git("--git-dir", bare, "update-ref", "refs/heads/"+ledger.Branch, "main")
	fresh = &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "own"), box: w.box}
	w.git("clone", "-q", "file://"+bare, fresh.fleet)
	sick = fresh.ledgerFindings()
	require.Len(t, sick, 1)
	require.Contains(t, sick["ledger"].Detail, "is no ledger")
	require.NoError(t, os.Rename(bare, bare+".away"))
	require.Contains(t, fresh.ledgerFindings()["ledger"].Detail, "asking origin for its imgops-ledger")
}

// TestDoctorLedgerS3 is the same of a bucket.
func TestDoctorLedgerS3(t *testing.T) {
	w := newAPIWorld(t)
	w.shared(bucketLedger)
	w.merged("one")
	require.Contains(t, w.ledgerFindings()["ledger"].Detail, "NoSuchBucket")
	b := w.bucket()
	w.do(exitDone, "ci", "--event", "push")
	w.do(exitDone, "hold", "web", "--reason", "freeze")
	before := b.keys("")
	requireWell(t, w.ledgerFindings(), "s3://acme-ledger/fleet/, 4 records")
	require.Equal(t, before, b.keys(""))

	saved := b.read(before[0])
	b.remove(before[0])
	sick := w.ledgerFindings()
	require.Equal(t, "missing", sick["ledger"].Status)
	require.Contains(t, sick["ledger"].Detail, strings.TrimPrefix(before[0], "fleet/")+": not there as its log (log/0000000002.json) has it")
	require.Contains(t, sick["ledger"].Detail, "begin the log anew: aws s3 rm --recursive s3://acme-ledger/fleet/log/ && aws ssm delete-parameter ")
	b.write(before[0], saved)
	requireWell(t, w.ledgerFindings(), "4 records")
	b.remove(b.keys("")...)
	require.Contains(t, w.ledgerFindings()["ledger"].Detail, "log/0000000002.json of its log is gone")
}
