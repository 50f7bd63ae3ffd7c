package verifier

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
)

// Status says how a test ended.
type Status string

// The statuses of a test. An Errored test could not be judged (its file does not load, its runner stopped early); it
// counts against the image like a failed one.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped"
	Errored Status = "error"
)

// Result is how one test ended.
type Result struct {
	Suite    string        `json:"suite"`
	Kind     string        `json:"kind"` // goss, bats, testinfra, serverspec or sh
	File     string        `json:"file"` // relative to the suite's directory
	Name     string        `json:"name"`
	Status   Status        `json:"status"`
	Duration time.Duration `json:"-"` // duration_seconds
	// Output is what the test printed, or why it failed or was skipped; the middle of a long one is left out.
	Output string `json:"output,omitempty"`
}

// MarshalJSON adds duration_seconds.
func (r Result) MarshalJSON() ([]byte, error) {
	type plain Result
	return json.Marshal(struct {
		plain
		Duration float64 `json:"duration_seconds"`
	}{plain(r), r.Duration.Seconds()})
}

// Counts of results.
type Counts struct {
	Tests   int `json:"tests"`
	Passed  int `json:"passed"`
	Failed  int `json:"failed"`
	Skipped int `json:"skipped"`
	Errors  int `json:"errors"`
}

func (c *Counts) add(s Status) {
	c.Tests++
	switch s {
	case Passed:
		c.Passed++
	case Failed:
		c.Failed++
	case Skipped:
		c.Skipped++
	default:
		c.Errors++
	}
}

// SuiteReport is how one suite ended.
type SuiteReport struct {
	Name     string        `json:"name"`
	Started  time.Time     `json:"started"` // RFC 3339, UTC
	Duration time.Duration `json:"-"`       // duration_seconds, with launch, boot and clean-up
	Machine  string        `json:"machine"` // instance id; empty when none was launched
	// Login is the command that logs in to a machine that was kept.
	Login   string   `json:"login,omitempty"`
	Results []Result `json:"results"`
	// Error says why the suite could not be judged, or not all of it; empty when it was.
	Error string `json:"error,omitempty"`

	lost bool // the machine went away: a failed test may say nothing about the image
}

// MarshalJSON adds duration_seconds.
func (s SuiteReport) MarshalJSON() ([]byte, error) {
	type plain SuiteReport
	if s.Results == nil {
		s.Results = []Result{}
	}
	return json.Marshal(struct {
		plain
		Duration float64 `json:"duration_seconds"`
	}{plain(s), s.Duration.Seconds()})
}

func (s SuiteReport) counts() (c Counts) {
	for _, r := range s.Results {
		c.add(r.Status)
	}
	return c
}

// Report is what a verification found.
type Report struct {
	Image       string    `json:"image"` // ami-...
	Role        string    `json:"role"`
	Account     string    `json:"account"`
	Region      string    `json:"region"`
	Digest      string    `json:"digest"`       // recipe digest of the role
	TestsDigest string    `json:"tests_digest"` // of what was run
	Run         string    `json:"run"`
	Started     time.Time `json:"started"` // RFC 3339, UTC
	// Passed says that every suite ran to its end, each with at least one passed test and none that failed.
	Passed bool          `json:"passed"`
	Counts Counts        `json:"counts"`
	Suites []SuiteReport `json:"suites"` // in the role's order
}

// judge sets Counts and Passed from the suites.
func (r *Report) judge() {
	r.Counts, r.Passed = Counts{}, len(r.Suites) > 0
	for _, s := range r.Suites {
		c := s.counts()
		for _, t := range s.Results {
			r.Counts.add(t.Status)
		}
		if s.Error != "" || c.Passed == 0 || c.Failed+c.Errors > 0 {
			r.Passed = false
		}
	}
}

// failed says that tests of a machine that was there to the end did not pass.
func (r Report) failed() bool {
	for _, s := range r.Suites {
		if !s.lost && failedIn(s.Results) {
			return true
		}
	}
	return false
}

// Failures lists the tests that failed or could not be judged.
func (r Report) Failures() []Result {
	var list []Result
	for _, s := range r.Suites {
		for _, t := range s.Results {
			if t.Status == Failed || t.Status == Errored {
				list = append(list, t)
			}
		}
	}
	return list
}

// WriteJSON writes the report as one indented JSON object, with the field names of the types' tags.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// The files that Verify leaves in its working directory.
const (
	JSONFile  = "report.json"
	JUnitFile = "junit.xml"
)

// write puts both forms of the report into dir, each at once.
func (r Report) write(dir string) error {
	for name, encode := range map[string]func(io.Writer) error{JSONFile: r.WriteJSON, JUnitFile: r.WriteJUnit} {
		path := filepath.Join(dir, name)
		f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
		if err != nil {
			return fmt.Errorf("writing the report %s: %w", path, err)
		}
		err = encode(f)
		if err == nil {
			err = f.CloseAtomicallyReplace()
		}
		if err != nil {
			_ = f.Cleanup() // the first error is the one that matters
			return fmt.Errorf("writing the report %s: %w", path, err)
		}
	}
	return nil
}
