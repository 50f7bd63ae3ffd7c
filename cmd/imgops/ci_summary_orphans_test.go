package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSummaryNamesOrphans goes the whole way: main removes a role, and another one from an account. The summary of main says so,
// with the commands that end it, until somebody has run them; the jobs of single roles and of pull requests do not. It takes no
// API call more than a run that writes no summary.
func TestSummaryNamesOrphans(t *testing.T) {
	w := newAPIWorld(t)
	w.addRole("gone")
	w.addRole("less")
	w.commit("one")
	w.bake()
	w.bakeRole("gone")
	w.bakeRole("less")
	w.do(exitDone, "ci", "--event", "push")
	w.write("imgops.yaml", w.read("imgops.yaml")+`  - name: small
    accounts: ["444444444444"]
    regions: [us-east-1]
    role_arn: "arn:aws:iam::{account}:role/imgops"
`)
	w.git("rm", "-rq", "roles/gone")
	w.write("roles/less/image.yaml", w.read("roles/less/image.yaml")+"targets: [small]\n")
	w.commit("two")
	w.bake()
	w.bakeRole("less")

	file := filepath.Join(t.TempDir(), "summary.md")
	summary := func(code int, args ...string) string {
		w.do(code, append([]string{"ci", "--summary", file}, args...)...)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.Remove(file))
		return string(text)
	}
	const gone = "- **gone** is an orphan: it is gone from main, and still the default in 222222222222/us-east-1, 333333333333/us-east-1. " +
		"To drop it: `imgops retire gone --reason TEXT`\n"
	const less = "- **less** is an orphan in 222222222222/us-east-1, 333333333333/us-east-1: no target has it there any more. "
	text := summary(exitDone, "--event", "push")
	require.Contains(t, text, "#### For a person to decide\n\n"+gone+less)
	require.NotContains(t, text, "**web**")

	require.NotContains(t, summary(exitDone, "--event", "push", "web"), "orphan")
	require.NotContains(t, summary(exitDone, "--event", "push", "--level", "0"), "orphan")
	require.NotContains(t, summary(exitDone, "--event", "pull-request", "--base", "HEAD"), "orphan")

	_, with := w.do(exitDone, "ci", "--event", "push", "--debug", "--summary", file+".2")
	_, without := w.do(exitDone, "ci", "--event", "push", "--debug")
	require.Equal(t, apiCalls(without), apiCalls(with))

	w.do(exitDone, "retire", "gone", "--reason", "not needed")
	text = summary(exitDone, "--event", "push")
	require.NotContains(t, text, "**gone**")
	require.Contains(t, text, less)
}

func apiCalls(stderr string) string {
	return stderr[strings.Index(stderr, "api calls: "):]
}
