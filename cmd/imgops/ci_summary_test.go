package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/cmd/imgops/cienv"
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
		{Role: "web", Result: "failed", Image: "ami-2", Seconds: 40, err: failed},
		{Role: "db", Result: "skipped"},
	}
	require.NoError(t, j.summarize(outcomes, errors.New("role web: it failed\nmore")))
	want := `### imgops: pull request 7 into ma\*in

| Role | Result | Image | Seconds | Failed tests |
|---|---|---|---:|---|
| base | verified | ami-1 | 93 |  |
| web | failed | ami-2 | 40 | http/sh moon.sh<br>http/bats a \| b &lt;img src=x&gt; \[x\](y) &#64;all |
| db | skipped |  | 0 |  |

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
