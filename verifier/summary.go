package verifier

import (
	"fmt"
	"strings"
)

// outputLines is how much of a test's output the summary repeats; the report has all of it.
const outputLines = 12

// FailedError says that tests failed: the image is not what the role's tests demand.
type FailedError struct {
	Report Report
	Dir    string // holds JSONFile and JUnitFile
}

func (e *FailedError) Error() string {
	failures := e.Report.Failures()
	names := make([]string, 0, 3)
	for _, t := range failures[:min(len(failures), 3)] {
		names = append(names, fmt.Sprintf("%s/%s %q", t.Suite, t.Kind, t.Name))
	}
	text := fmt.Sprintf("verification of role %s on image %s: %d of %s failed: %s", e.Report.Role, e.Report.Image,
		len(failures), count(e.Report.Counts.Tests, "test"), strings.Join(names, ", "))
	if more := len(failures) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Summary tells a person the outcome, one line per entry: which tests did not pass, why, on which image.
func (r Report) Summary() []string {
	var lines []string
	for _, t := range r.Failures() {
		lines = append(lines, fmt.Sprintf("%s %s/%s %s: %s (image %s)", mark(t.Status), t.Suite, t.Kind, t.File, t.Name, r.Image))
		lines = append(lines, indent(t.Output)...)
	}
	for _, s := range r.Suites {
		if s.Error != "" {
			lines = append(lines, fmt.Sprintf("ERROR %s: not judged (image %s)", s.Name, r.Image))
			lines = append(lines, indent(s.Error)...)
		}
	}
	for _, s := range r.Suites {
		if s.Login != "" {
			lines = append(lines, fmt.Sprintf("suite %s: machine %s was kept: %s", s.Name, s.Machine, s.Login))
		}
	}
	return append(lines, r.verdict())
}

func (r Report) verdict() string {
	word := "verified"
	switch c := r.Counts; {
	case r.Passed:
	case c.Failed+c.Errors > 0:
		word = "failed"
	default:
		word = "not judged"
	}
	c := r.Counts
	return fmt.Sprintf("role %s, image %s: %s; %s: %d passed, %d failed, %s, %d skipped in %s",
		r.Role, r.Image, word, count(c.Tests, "test"), c.Passed, c.Failed, count(c.Errors, "error"), c.Skipped, count(len(r.Suites), "suite"))
}

// count is a number of things, which are more than one or just one.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func mark(s Status) string {
	if s == Errored {
		return "ERROR"
	}
	return "FAILED"
}

func indent(text string) []string {
	text = strings.TrimRight(text, "\n ")
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	var lines []string
	for _, l := range all[:min(len(all), outputLines)] {
		lines = append(lines, "    "+strings.TrimRight(l, "\r "))
	}
	if more := len(all) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("    (%d more lines in the report)", more))
	}
	return lines
}
