package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgops/imgops/verifier"
)

// maxSummaryTests is how many failed tests of a role a summary names; the report has all.
const maxSummaryTests = 10

// summarize appends the outcomes, as a Markdown table, to the file that --summary names and to GitHub's job summary
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#adding-a-job-summary).
func (j *ciJob) summarize(outcomes []outcome, err error) error {
	var files []string
	for _, file := range []string{j.summary, j.Getenv("GITHUB_STEP_SUMMARY")} {
		if file != "" && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return nil
	}
	text := j.summaryText(outcomes, err)
	for _, file := range files {
		if err := appendFile(file, text); err != nil {
			return fmt.Errorf("writing the summary: %w", err)
		}
	}
	return nil
}

func appendFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func (j *ciJob) summaryText(outcomes []outcome, err error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### imgops: %s\n\n", markdown(j.title()))
	b.WriteString(outcomeRows(outcomes))
	if j.idle != "" {
		fmt.Fprintf(&b, "%s\n\n", markdown(j.idle))
	}
	if err != nil {
		for _, line := range strings.Split(strings.TrimSpace(err.Error()), "\n") {
			fmt.Fprintf(&b, "> %s\n", markdown(line))
		}
		b.WriteString("\n")
	}
	b.WriteString(j.attention())
	if s := j.source(); s != "" {
		fmt.Fprintf(&b, "%s\n\n", s)
	}
	return b.String()
}

// title names what the job ran for.
func (j *ciJob) title() string {
	if j.promote && j.fleet != nil {
		return "main branch " + j.fleet.Config.Main
	}
	return subject(j.event)
}

// source says which commit it was, which run, and who started it.
func (j *ciJob) source() string {
	var parts []string
	if j.fleet != nil {
		parts = append(parts, "commit "+shortCommit(j.fleet.Revision.Commit))
	}
	if run := j.run(); j.event.RunURL != "" {
		parts = append(parts, fmt.Sprintf("run [%s](%s)", markdown(run), strings.NewReplacer(" ", "%20", ")", "%29").Replace(j.event.RunURL)))
	} else {
		parts = append(parts, "run "+markdown(run))
	}
	if j.event.Actor != "" {
		parts = append(parts, "started by "+markdown(j.event.Actor))
	}
	return strings.Join(parts, ", ")
}

func failedTests(o outcome) string {
	var names []string
	for _, f := range failures(o.err) {
		tests := f.Report.Failures()
		for _, t := range tests[:min(len(tests), maxSummaryTests)] {
			names = append(names, testName(t))
		}
		if more := len(tests) - maxSummaryTests; more > 0 {
			names = append(names, fmt.Sprintf("and %d more", more))
		}
	}
	return strings.Join(names, "<br>")
}

func testName(t verifier.Result) string {
	return markdown(t.Suite + "/" + t.Kind + " " + t.Name)
}

// markdown makes text that stays text in a Markdown table: names of tests and branches are chosen by whoever writes the
// pull request.
func markdown(s string) string {
	return strings.NewReplacer("\\", `\\`, "|", `\|`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "[", `\[`, "]", `\]`, "*", `\*`, "_", `\_`,
		"`", "\\`", "#", `\#`, "@", "&#64;", "\r", " ", "\n", " ").Replace(printable(s))
}
