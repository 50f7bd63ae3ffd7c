package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
)

// inventoried keeps the record of an image, and of a file that only it holds.
func (w *apiWorld) inventoried(id, file string) {
	w.t.Helper()
	for _, img := range w.images() {
		if img.ID != id {
			continue
		}
		about := ledger.About{Fleet: "acme", Role: img.Role, Digest: img.Digest, Image: img.ID, Account: apiHome.Account, Region: apiHome.Region}
		spool := ledger.Spool{Dir: filepath.Join(w.fleet, ".git", "imgops", "pending")}
		for _, record := range []entry{
			ledger.Image{About: about, BuiltAt: img.BuiltAt, By: ledger.Author{Run: "run-1"}},
			ledger.Inventory{About: about, Etc: []ledger.File{{Path: file, Type: "file", Mode: "0644"}}, Packages: []ledger.Package{}, Services: []ledger.Service{}},
		} {
			e, err := record.Entry()
			require.NoError(w.t, err)
			require.NoError(w.t, spool.Put(e))
		}
	}
}

// TestDiffPresentDefault: default is what the pointers name, and what only SSM knows of is not mistaken for an older one. Without
// AWS it is what the ledger knows.
func TestDiffPresentDefault(t *testing.T) {
	w := newAPIWorld(t)
	w.write("imgops.yaml", strings.Replace(w.read("imgops.yaml"), "regions: [us-east-1]", "regions: [us-east-1, eu-west-1]", 1))
	bare := w.shared("")
	one := w.merged("one")
	w.inventoried(one, "/etc/one")
	w.do(exitDone, "ci", "--event", "push")
	two := w.merged("two")
	w.inventoried(two, "/etc/two")
	w.do(exitDone, "ci", "--event", "push")
	out, _ := w.do(exitDone, "diff", "web", "-o", "json")
	d := decode[diffOutput](t, out)
	require.Equal(t, []string{one, two}, []string{d.A.Image, d.B.Image})

	t.Log("its record is there, and that of its promotion is lost")
	three := w.merged("three")
	w.inventoried(three, "/etc/three")
	w.do(exitDone, "hold", "web", "--reason", "takes the record along")
	w.do(exitDone, "release", "web")
	w.lose(bare, true, "ci", "--event", "push")
	for _, words := range [][]string{{two}, {two, "default"}, {}} {
		out, errs := w.do(exitDone, append([]string{"diff", "web", "-o", "json"}, words...)...)
		d = decode[diffOutput](t, out)
		require.Equal(t, []string{two, three}, []string{d.A.Image, d.B.Image}, words)
		require.Len(t, d.Etc, 2)
		require.NotContains(t, errs, "warning")
	}

	t.Log("both are lost")
	four := w.merged("four")
	w.lose(bare, true, "ci", "--event", "push")
	for _, words := range [][]string{{three}, {"default", three}, {}} {
		_, errs := w.do(exitError, append([]string{"diff", "web"}, words...)...)
		require.Contains(t, errs, "the default of role web is "+four+", and the ledger has no record of that image")
	}
	w.job(bare).do(exitDone, "ci", "--event", "push")
	_, errs := w.do(exitError, "diff", "web", three)
	require.Contains(t, errs, "what image "+four+" holds was not recorded when run run-1 built it")

	t.Log("without AWS, and without a word")
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	_, errs = w.do(exitError, "diff", "web", three)
	require.NotContains(t, errs, "AWS")
	out, _ = w.do(exitDone, "diff", "web", two, three, "-o", "json")
	require.Len(t, decode[diffOutput](t, out).Etc, 2)
}

// TestReadersWarnOfReset: who only reads in a fresh clone learns from the build account that the branch was reset, deleted or begun anew.
func TestReadersWarnOfReset(t *testing.T) {
	for name, reset := range map[string]string{
		"reset": "git update-ref refs/heads/imgops-ledger imgops-ledger~1",
		"anew":  "git update-ref refs/heads/imgops-ledger $(git commit-tree -m anew imgops-ledger~1^{tree})",
		"gone":  "git update-ref -d refs/heads/imgops-ledger",
	} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			bare := w.shared("")
			one := w.merged("one")
			w.inventoried(one, "/etc/one")
			w.do(exitDone, "ci", "--event", "push")
			two := w.merged("two")
			w.inventoried(two, "/etc/two")
			w.do(exitDone, "ci", "--event", "push")
			w.merged("three")
			commands := [][]string{{"history", "web"}, {"show", "web"}, {"show", two}, {"diff", "web", one, two}, {"promote", "--plan", "web"}}
			for _, command := range commands {
				_, errs := w.job(bare).do(exitDone, command...)
				require.NotContains(t, errs, "warning", command)
			}
			tip := w.git("--git-dir", bare, "rev-parse", ledger.Branch)
			(&apiWorld{t: t, fleet: bare, box: w.box}).shell(reset)
			for _, command := range commands {
				_, _, errs := w.job(bare).try(command...)
				require.Contains(t, errs, "warning: branch imgops-ledger of origin was rewritten: ", command)
				require.Contains(t, errs, "commit "+tip+", which was its tip before, is no part of it", command)
				require.Contains(t, errs, "aws ssm delete-parameter --region us-east-1 --name "+images.WitnessName("acme"), command)
			}
			t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
			_, _, errs := w.job(bare).try("diff", "web", one, two)
			require.NotContains(t, errs, "was its tip before")
		})
	}
}

// TestHistoryTellsWhatSSMDoesNotKnow: a record that somebody has written by hand shows.
func TestHistoryTellsWhatSSMDoesNotKnow(t *testing.T) {
	w := newAPIWorld(t)
	w.shared("")
	one := w.merged("one")
	w.do(exitDone, "ci", "--event", "push")
	two := w.merged("two")
	w.do(exitDone, "ci", "--event", "push")
	w.do(exitDone, "reject", one, "--reason", "CVE-2026-1")
	out, _ := w.do(exitDone, "history", "web")
	require.NotContains(t, out, "not in SSM")
	require.Regexp(t, `promote .* one \(test\); rejected: CVE-2026-1`, out, "why it was promoted, and what became of it")

	events := decode[[]past](t, func() string { out, _ := w.do(exitDone, "history", "web", "-o", "json"); return out }())
	forged := ledger.Event{
		Fleet: "acme", Role: "web", Action: ledger.ActionPromote, At: events[len(events)-1].At, By: ledger.Author{Actor: "Mallory", Run: "x"}, Image: two,
		Pointers: []ledger.Pointer{{Account: "222222222222", Region: "us-east-1", After: two}},
	}
	e, err := forged.Entry()
	require.NoError(t, err)
	require.NoError(t, ledger.Spool{Dir: filepath.Join(w.fleet, ".git", "imgops", "pending")}.Put(e))
	out, _ = w.do(exitDone, "history", "web")
	require.Regexp(t, `Mallory +not in SSM`, out)
	require.Equal(t, 1, strings.Count(out, "not in SSM"))

	t.Log("what a retirement has taken from SSM is not doubted")
	w.write("roles/db/image.yaml", "base: {image: ami-0123456789abcdef0}\nverify: [{suite: default}]\n")
	w.write("roles/db/tests/default/true.sh", "#!/bin/sh\ntrue\n")
	w.write("roles/db/tasks/main.yml", "- ansible.builtin.ping:\n")
	w.git("add", "-A")
	w.git("rm", "-rqf", "roles/web")
	w.git("commit", "-qm", "web is gone")
	w.git("push", "-q", "origin", "main")
	w.do(exitDone, "retire", "web", "--reason", "gone")
	out, _ = w.do(exitDone, "history", "web")
	require.NotContains(t, out, "not in SSM")
	w.git("revert", "--no-edit", "HEAD")
	w.git("push", "-q", "origin", "main")
	w.do(exitDone, "promote", "web")
	out, _ = w.do(exitDone, "history", "web")
	require.NotContains(t, out, "not in SSM")
}
