package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNeighboursInTheLock: what README says of roles that stand next to each other in imgops.lock. Two branches that add and
// stamp one each, and one that adds beside one that removes, do not merge by themselves; update joins them, stamps and all.
func TestNeighboursInTheLock(t *testing.T) {
	w := newAPIWorld(t)
	w.basesFleet("")
	w.publish("debian-12-1")
	w.publish("debian-13-1")
	add := func(role string) {
		w.addRole(role)
		w.do(exitDone, "update", "--refresh", role)
	}
	add("c2")
	w.git("add", "-A")
	w.git("commit", "-qm", "bases")
	branch := func(name string, change func()) {
		w.git("switch", "-qc", name, "main")
		change()
		w.git("add", "-A")
		w.git("commit", "-qm", name)
		w.git("switch", "-q", "main")
	}
	branch("c3", func() { add("c3") })
	branch("c4", func() { add("c4") })
	branch("no-c2", func() {
		w.git("rm", "-rqf", "roles/c2")
		w.do(exitDone, "update")
	})
	stamps := map[string]string{}
	for _, role := range []string{"c3", "c4"} {
		lock := w.git("show", role+":imgops.lock")
		require.Regexp(t, `"`+role+`": \d`, lock)
		stamps[role] = stampOf(lock, role)
	}
	w.git("merge", "-q", "c3")
	for _, other := range []string{"c4", "no-c2"} {
		cmd := exec.Command("git", "merge", "-q", "--no-edit", other)
		cmd.Dir = w.fleet
		out, err := cmd.CombinedOutput()
		require.Error(t, err, "README says that this is a conflict")
		require.Contains(t, string(out), "imgops.lock")
		_, errs := w.do(exitUsage, "plan")
		require.Contains(t, errs, "imgops update")
		w.do(exitDone, "update")
		w.git("add", "imgops.lock")
		w.git("commit", "-qm", "merge "+other)
	}
	merged := w.read("imgops.lock")
	for role, stamp := range stamps {
		require.Equal(t, stamp, stampOf(merged, role))
	}
	require.NotContains(t, merged, `"c2"`)
	w.do(exitDone, "validate")
}

// stampOf is the line of a role's stamp.
func stampOf(lock, role string) string {
	for line := range strings.Lines(lock) {
		if strings.HasPrefix(line, `  "`+role+`": `) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
