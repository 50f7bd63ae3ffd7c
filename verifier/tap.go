package verifier

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

var (
	tapPlan = lazy(`^1\.\.(\d+)\s*$`)
	tapTest = lazy(`^(not )?ok (\d+)(?: (.*))?$`)
	// bats --timing ends a name with " in 8ms" (1.x) or " # in 8 ms" (its tap formatter), before a skip directive.
	tapTime = lazy(`^(.*?)(?: #)? in (\d+) ?ms((?: # (?i:skip|timeout)\b.*)?)$`)
	tapSkip = lazy(`^(.*?) ?# (?i:skip)\b ?(.*)$`)
)

// tap reads the Test Anything Protocol as bats writes it, line by line. Lines that begin with # belong to the test
// before them.
type tap struct {
	planned int // -1 until the plan has been read
	tests   []Result
	stray   []string // what came before the first test, and what is not TAP
	bail    string   // the reason of "Bail out!"
}

func newTAP() *tap { return &tap{planned: -1} }

func (t *tap) line(line string) {
	if m := tapPlan().FindStringSubmatch(line); m != nil && t.planned < 0 {
		if n, err := strconv.Atoi(m[1]); err == nil {
			t.planned = n
		}
		return
	}
	if m := tapTest().FindStringSubmatch(line); m != nil {
		t.tests = append(t.tests, tapResult(m[1] != "", m[2], m[3]))
		return
	}
	if reason, ok := strings.CutPrefix(line, "Bail out!"); ok {
		t.bail = "bailed out:" + reason
		return
	}
	text, comment := strings.CutPrefix(line, "#")
	if !comment || len(t.tests) == 0 {
		t.stray = append(t.stray, strings.TrimPrefix(text, " "))
		return
	}
	last := &t.tests[len(t.tests)-1]
	if len(last.Output) < outputLimit {
		last.Output += strings.TrimPrefix(text, " ") + "\n"
	}
}

func tapResult(notOK bool, number, text string) Result {
	r := Result{Name: text, Status: Passed}
	directive := text
	if m := tapTime().FindStringSubmatch(text); m != nil {
		ms, _ := strconv.ParseInt(m[2], 10, 40) // 0 for one that is out of range
		r.Name, r.Duration, directive = m[1], time.Duration(ms)*time.Millisecond, m[3]
	}
	if notOK {
		r.Status = Failed
	} else if m := tapSkip().FindStringSubmatch(directive); m != nil {
		r.Status, r.Output = Skipped, m[2]
		if directive == text {
			r.Name = m[1]
		}
	}
	if r.Name = strings.TrimSpace(r.Name); r.Name == "" {
		r.Name = "test " + number
	}
	return r
}

// check says why the stream is not a complete account of a run; nil when it is.
func (t *tap) check() error {
	switch {
	case t.bail != "":
		return fmt.Errorf("the run %s", t.bail)
	case t.planned < 0:
		return fmt.Errorf("the run printed no plan (1..N) after %d tests", len(t.tests))
	case t.planned == 0 && len(t.tests) == 0:
		return fmt.Errorf("the file holds no tests")
	case len(t.tests) != t.planned:
		return fmt.Errorf("%d tests were planned, %d ended", t.planned, len(t.tests))
	}
	return nil
}

// preamble is what was printed outside of tests.
func (t *tap) preamble() string { return strings.Join(t.stray, "\n") }
