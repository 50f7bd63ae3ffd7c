package verifier

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strconv"
	"strings"
	"time"
)

// maxTests bounds what a broken or hostile report can make us hold.
const maxTests = 100_000

type xmlCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	File    string       `xml:"file,attr"`
	Time    string       `xml:"time,attr"`
	Failure []xmlProblem `xml:"failure"`
	Error   []xmlProblem `xml:"error"`
	Skipped []xmlProblem `xml:"skipped"`
	Out     string       `xml:"system-out"`
	Err     string       `xml:"system-err"`
}

type xmlProblem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// parseJUnit reads the testcases of a JUnit XML document, as pytest --junitxml writes it, wherever they are nested.
func parseJUnit(r io.Reader) ([]Result, error) {
	var list []Result
	dec := xml.NewDecoder(r)
	root := ""
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) && root != "" {
			return list, nil
		}
		if err != nil {
			return list, fmt.Errorf("reading JUnit XML: %w", err)
		}
		el, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		if root == "" {
			if root = el.Name.Local; root != "testsuites" && root != "testsuite" {
				return nil, fmt.Errorf("reading JUnit XML: the document is a <%s>, not <testsuites>", root)
			}
		}
		if el.Name.Local != "testcase" {
			continue
		}
		var c xmlCase
		if err := dec.DecodeElement(&c, &el); err != nil {
			return list, fmt.Errorf("reading JUnit XML, test %d: %w", len(list)+1, err)
		}
		if list = append(list, c.result()); len(list) > maxTests {
			return nil, fmt.Errorf("reading JUnit XML: more than %d tests", maxTests)
		}
	}
}

func (c xmlCase) result() Result {
	r := Result{Name: c.Name, Status: Passed, File: c.File, Output: c.Out + c.Err}
	if r.File == "" && c.Class != "" {
		r.File = path.Join(strings.Split(c.Class, ".")...) + ".py"
	}
	if s, err := strconv.ParseFloat(c.Time, 64); err == nil && s > 0 && s < math.MaxInt32 {
		r.Duration = time.Duration(s * float64(time.Second))
	}
	switch {
	case len(c.Error) > 0:
		r.Status = Errored
	case len(c.Failure) > 0:
		r.Status = Failed
	case len(c.Skipped) > 0:
		r.Status = Skipped
	}
	var text []string
	for _, p := range append(append(c.Error, c.Failure...), c.Skipped...) {
		text = append(text, p.String())
	}
	if len(text) > 0 {
		r.Output = strings.Join(append(text, strings.TrimSpace(r.Output)), "\n")
	}
	r.Output = strings.TrimSpace(r.Output)
	return r
}

// String puts the message, which is the reason, before the traceback.
func (p xmlProblem) String() string {
	text := strings.TrimSpace(p.Text)
	if p.Message == "" || strings.HasPrefix(text, p.Message) {
		return text
	}
	return p.Message + "\n" + text
}
