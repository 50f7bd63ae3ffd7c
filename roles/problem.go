package roles

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Problem is one mistake in a file of the fleet.
type Problem struct {
	// File is relative to the fleet's root, slash separated.
	File string
	// Line and Column start at 1. What has no place of its own (something that is missing) stands at the beginning of the
	// file that ought to name it.
	Line, Column int
	// Message says what is wrong and Fix what to do about it; both lower case, without a final stop.
	Message, Fix string
	// Source is the line of the file; empty when Line is 0.
	Source string
}

// Error gives "file:line:column: what is wrong; what to do", then the source line and a caret under the column.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(Printable(p.File))
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": " + Printable(p.Message))
	if p.Fix != "" {
		b.WriteString("; " + Printable(p.Fix))
	}
	if p.Line > 0 && p.Source != "" {
		fmt.Fprintf(&b, "\n    %s\n    %s^", p.Source, caretIndent(p.Source, p.Column))
	}
	return b.String()
}

// caretIndent keeps tabs, so that the caret stands under its column however wide the terminal shows a tab.
func caretIndent(source string, column int) string {
	var b strings.Builder
	for i, r := range []rune(source) {
		if i >= column-1 {
			break
		}
		if r == '\t' {
			b.WriteRune(r)
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// ProblemsError holds every mistake that one load found, sorted by file and place.
type ProblemsError struct{ Problems []Problem }

// Error prints every problem on lines of its own.
func (e *ProblemsError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// problemsError sorts and deduplicates the problems; nil when there are none.
func problemsError(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Message, b.Message))
	})
	return &ProblemsError{Problems: slices.Compact(problems)}
}

// place is where a value stands in a file.
type place struct{ line, column int }

// source is a file that is being parsed: it collects the problems found in it.
type source struct {
	file     string
	data     []byte
	problems []Problem
	split    sync.Once
	lines    []string // of data, split on first use
}

func (s *source) add(at place, message, fix string) {
	s.problems = append(s.problems, s.problem(at, message, fix))
}

func (s *source) problem(at place, message, fix string) Problem {
	return Problem{File: s.file, Line: at.line, Column: at.column, Message: message, Fix: fix, Source: s.line(at.line)}
}

func (s *source) line(n int) string {
	s.split.Do(func() { s.lines = strings.Split(string(s.data), "\n") })
	if n < 1 || n > len(s.lines) {
		return ""
	}
	line := strings.TrimRight(s.lines[n-1], "\r")
	if !utf8.ValidString(line) {
		line = strings.ToValidUTF8(line, "\uFFFD")
	}
	// Control characters of a broken file must not reach the terminal.
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || r == 0x7f) {
			return '\uFFFD'
		}
		return r
	}, line)
}
