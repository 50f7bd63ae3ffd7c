package main

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/imgops/imgops/roles"
)

// printable is text for a terminal or a log: its lines, without the control characters that names of the repository may
// have brought into it. Newlines stay, so names go through roles.Printable before they become part of a text.
func printable(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		cells := strings.Split(line, "\t")
		for j, cell := range cells {
			cells[j] = roles.Printable(cell)
		}
		lines[i] = strings.Join(cells, "\t")
	}
	return strings.Join(lines, "\n")
}

// printableNames are names in a list for people.
func printableNames(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = roles.Printable(name)
	}
	return out
}

// errorText is an error for people. The standard library puts paths into errors as they are.
func errorText(err error) string {
	text := err.Error()
	var visit func(err error)
	visit = func(err error) {
		if p := (*fs.PathError)(nil); errors.As(err, &p) && strings.Contains(p.Path, "\n") {
			text = strings.ReplaceAll(text, p.Path, roles.Printable(p.Path))
		}
		switch wrapped := err.(type) { //nolint:errorlint // each level of the tree is visited
		case interface{ Unwrap() error }:
			if inner := wrapped.Unwrap(); inner != nil {
				visit(inner)
			}
		case interface{ Unwrap() []error }:
			for _, inner := range wrapped.Unwrap() {
				visit(inner)
			}
		}
	}
	visit(err)
	return printable(text)
}
