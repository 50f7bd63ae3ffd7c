package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/cmd/imgops/cienv"
	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
	"github.com/imgops/imgops/verifier"
)

func TestSummary(t *testing.T) {
	failed := &verifier.FailedError{Report: verifier.Report{Role: "web", Image: "ami-2", Suites: []verifier.SuiteReport{{
		Name: "http", Results: []verifier.Result{
			{Suite: "http", Kind: "sh", Name: "moon.sh", Status: verifier.Failed},
			{Suite: "http", Kind: "bats", Name: "a | b <img src=x> [x](y)\n@all", Status: verifier.Errored},
			{Suite: "http", Kind: "sh", Name: "fine.sh", Status: verifier.Passed},
		},
	}}}}
	file, github := filepath.Join(t.TempDir(), "new", "summary.md"), filepath.Join(t.TempDir(), "step.md")
	j := &ciJob{
		ciOptions: &ciOptions{summary: file},
		session:   &session{app: &app{world: world{Getenv: func(name string) string { return map[string]string{"GITHUB_STEP_SUMMARY": github}[name] }}}},
		event:     cienv.Event{System: cienv.GitHub, Kind: cienv.PullRequest, PullRequest: "7", Base: "ma*in", RunURL: "https://x/1", Actor: "carol"},
	}
	j.set.Run = "github-1"
	outcomes := []outcome{
		{Role: "base", Result: "verified", Image: "ami-1", Seconds: 93},
		{Role: "idle", Result: "unchanged", Image: "ami-3"},
		{Role: "web", Result: "failed", Image: "ami-2", Seconds: 40, err: failed},
		{Role: "db", Result: "skipped"},
	}
	require.NoError(t, j.summarize(outcomes, errors.New("role web: it failed\nmore")))
	want := `### imgops: pull request 7 into ma\*in

| Role | Result | Image | Seconds | Failed tests |
|---|---|---|---:|---|
| web | failed | ami-2 | 40 | http/sh moon.sh<br>http/bats a \| b &lt;img src=x&gt; \[x\](y) &#64;all |
| base | verified | ami-1 | 93 |  |

Skipped, for a role that they are built on went wrong: db

Unchanged: 1 role

> role web: it failed
> more

run [github-1](https://x/1), started by carol

`
	for _, path := range []string{file, github} {
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	require.NoError(t, j.summarize(nil, nil), "appended, for other steps write there, too")
	got, err := os.ReadFile(github)
	require.NoError(t, err)
	require.Greater(t, len(got), len(want))
	require.Equal(t, want, string(got[:len(want)]))

	j.summary = t.TempDir() // a directory
	require.ErrorContains(t, j.summarize(nil, nil), "writing the summary")
}

// TestSummaryOfManyRoles: of 200 roles those are rows that something was done for; the others are lines.
func TestSummaryOfManyRoles(t *testing.T) {
	var outcomes []outcome
	for i := range 200 {
		o := outcome{Role: fmt.Sprintf("role-%03d", i), Result: "unchanged", Image: "ami-1"}
		switch {
		case i == 199:
			o.Result, o.err = "failed", errors.New("no")
		case i%50 == 7:
			o.Result = "promoted"
		case i < 30:
			o.Result = "skipped"
		}
		outcomes = append(outcomes, o)
	}
	text := outcomeRows(outcomes)
	require.Less(t, strings.Count(text, "\n"), 15)
	require.Regexp(t, `(?s)\|---:\|---\|\n\| role-199 \| failed .*\| role-007 \| promoted .*\| role-057 .*\| role-107 .*\| role-157 `, text)
	require.Contains(t, text, "role-000, role-001")
	require.Contains(t, text, ", and 9 more\n")
	require.Contains(t, text, "Unchanged: 166 roles\n")
	require.Empty(t, outcomeRows(nil))
}

// TestSummaryTellsWhatToDecide: who is held or rejected, and the command that ends it.
func TestSummaryTellsWhatToDecide(t *testing.T) {
	here := images.Default{Account: "222222222222", Region: "us-east-1"}
	at := func(role string, status images.Status, note string) images.Default {
		d := here
		d.Role, d.Status, d.Note = role, status, note
		return d
	}
	j := &ciJob{ciOptions: &ciOptions{level: 1}, session: &session{}, promote: true, listed: []*roles.Role{{Name: "web"}}}
	require.Empty(t, j.attention(), "nothing was looked at")
	j.found = &survey{
		defaults: []images.Default{
			at("web", images.StatusHeld, "held by carol_d since today: it *broke*"), at("web", images.StatusHeld, "held by carol_d since today: it *broke*"),
			at("bad", images.StatusCurrent, "rejected: a hole"), at("gone", images.StatusOrphan, ""), at("web", images.StatusOrphan, ""),
			at("fine", images.StatusCurrent, ""), at("other", images.StatusHeld, "held"),
		},
		decisions: map[string]images.Decision{
			"web": {Role: "web"}, "bad": {Role: "bad"}, "fine": {Role: "fine"}, "app": {Role: "app", Image: "ami-9", Rejected: "too old"},
		},
	}
	want := "#### For a person to decide\n\n" +
		"- **web** is not promoted: held by carol\\_d since today: it \\*broke\\*. To let it go: `imgops release web`\n" +
		"- **app** is neither built nor promoted: its image ami-9 is rejected: too old. What helps: change the recipe, or have it built anew: imgops update --refresh app\n" +
		"- **bad** has a default that is rejected: a hole (222222222222/us-east-1). To take it back: `imgops rollback bad --reason TEXT`\n"
	require.Equal(t, want+"\n", j.attention(), "one of many jobs: none of the orphans")
	j.level, j.promote = -1, false
	require.Equal(t, want+"\n", j.attention(), "a pull request")
}

func TestSubject(t *testing.T) {
	for want, ev := range map[string]cienv.Event{
		"pull request":                        {},
		"pull request 7 into main":            {Kind: cienv.PullRequest, PullRequest: "7", Base: "main", Branch: "feature"},
		"merge queue, pull request into main": {Kind: cienv.MergeQueue, Base: "main"},
		"tag v1":                              {Kind: cienv.Tag, Tag: "v1"},
		"push of branch main":                 {Kind: cienv.Push, Branch: "main"},
		"manual":                              {Kind: cienv.Manual},
		"schedule of branch main":             {Kind: cienv.Schedule, Branch: "main"},
	} {
		require.Equal(t, want, subject(ev))
	}
}
