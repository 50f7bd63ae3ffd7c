package verifier

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

type junitReport struct {
	XMLName xml.Name     `xml:"testsuites"`
	Name    string       `xml:"name,attr"`
	Tests   int          `xml:"tests,attr"`
	Failed  int          `xml:"failures,attr"`
	Errors  int          `xml:"errors,attr"`
	Skipped int          `xml:"skipped,attr"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failed     int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Hostname   string          `xml:"hostname,attr,omitempty"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	File    string        `xml:"file,attr,omitempty"`
	Time    string        `xml:"time,attr"`
	Failure *junitProblem `xml:"failure"`
	Error   *junitProblem `xml:"error"`
	Skipped *junitProblem `xml:"skipped"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report in the XML form that CI systems read: one testsuite per suite, one testcase per test,
// and one testcase with an error for a suite that could not be judged.
func (r Report) WriteJUnit(w io.Writer) error {
	out := junitReport{Name: "imgops verify " + r.Role + " " + r.Image}
	for _, s := range r.Suites {
		js := r.junitSuite(s)
		out.Tests, out.Failed, out.Errors, out.Skipped = out.Tests+js.Tests, out.Failed+js.Failed, out.Errors+js.Errors, out.Skipped+js.Skipped
		out.Suites = append(out.Suites, js)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (r Report) junitSuite(s SuiteReport) junitSuite {
	c := s.counts()
	js := junitSuite{
		Name: r.Role + "/" + s.Name, Tests: c.Tests, Failed: c.Failed, Errors: c.Errors, Skipped: c.Skipped,
		Time: seconds(s.Duration), Timestamp: s.Started.UTC().Format("2006-01-02T15:04:05Z"), Hostname: s.Machine,
		Properties: []junitProperty{
			{"image", r.Image}, {"role", r.Role}, {"account", r.Account}, {"region", r.Region},
			{"digest", r.Digest}, {"tests_digest", r.TestsDigest},
		},
	}
	for _, t := range s.Results {
		js.Cases = append(js.Cases, junitTest(r.Role, t))
	}
	if s.Error != "" {
		js.Tests, js.Errors = js.Tests+1, js.Errors+1
		js.Cases = append(js.Cases, junitCase{
			Class: r.Role + "." + s.Name, Name: "suite " + s.Name, Time: "0.000",
			Error: &junitProblem{Message: firstLine(s.Error), Text: s.Error},
		})
	}
	return js
}

func junitTest(role string, t Result) junitCase {
	jc := junitCase{Class: strings.Join([]string{role, t.Suite, t.Kind}, "."), Name: t.Name, File: t.File, Time: seconds(t.Duration)}
	problem := &junitProblem{Message: firstLine(t.Output), Text: t.Output}
	switch t.Status {
	case Failed:
		jc.Failure = problem
	case Errored:
		jc.Error = problem
	case Skipped:
		jc.Skipped = problem
	default:
		jc.Output = t.Output
	}
	return jc
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
