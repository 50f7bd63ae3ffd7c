package gossagent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Result is one checked property of one resource.
type Result struct {
	ResourceType string        `json:"resource-type"` // Service
	ResourceID   string        `json:"resource-id"`   // nginx
	Property     string        `json:"property"`      // running
	Title        string        `json:"title"`         // the author's, often empty
	Successful   bool          `json:"successful"`    // also of a skipped one
	Skipped      bool          `json:"skipped"`
	Duration     time.Duration `json:"duration"` // nanoseconds
	// Summary says what was expected and found, in several lines.
	Summary string `json:"summary-line"`
}

// Name is "Service: nginx: running", with the title when there is one.
func (r Result) Name() string {
	name := r.ResourceType + ": " + r.ResourceID + ": " + r.Property
	if r.Title != "" {
		name += " (" + r.Title + ")"
	}
	return name
}

func (r Result) failed() bool { return !r.Successful && !r.Skipped }

// Parse decodes the document that RunAgent prints. One without results, or whose count of them is not its own summary's, is
// an error.
func Parse(r io.Reader) ([]Result, error) {
	var doc struct {
		Results []Result `json:"results"`
		Summary *struct {
			Count int `json:"test-count"`
		} `json:"summary"`
	}
	dec := json.NewDecoder(r)
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("reading goss results: %w", err)
	}
	switch {
	case doc.Summary == nil:
		return nil, errors.New("reading goss results: the document has no summary")
	case doc.Summary.Count != len(doc.Results):
		return nil, fmt.Errorf("reading goss results: %d of %d are there", len(doc.Results), doc.Summary.Count)
	case len(doc.Results) == 0:
		return nil, errors.New("the goss file checks nothing")
	}
	return doc.Results, nil
}
