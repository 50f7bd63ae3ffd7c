package roles

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What go.yaml.in/yaml refuses and libyaml 0.2.5, with which Ansible reads, does not: `\/` in double quotes, `%YAML 1.2`,
// `?` in a plain word of a flow collection, a comma right after a tag, and a byte order mark in the middle. Found by
// comparing the two on random edits of Ansible's files.
var (
	anyVersion = lazy(`(?m)^%YAML[ \t]+1\.[0-9]+`)
	flowExtras = lazy(`\?|!\S*,`)
	escapes    = lazy(`(?s)\\.`)
)

const (
	escapeProblem  = "found unknown escape character"
	versionProblem = "found incompatible YAML document"
	// knownEscapes are those of yaml_parser_scan_flow_scalar, with a line's end.
	knownEscapes = "0abt\tnvfre \"'\\N_LPxuU\n\r"
)

// readYAML gives the documents of a file, and those before the first mistake where there is one.
func readYAML(data []byte) (documents []*yaml.Node, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return documents, nil
		} else if err != nil {
			return documents, err
		}
		documents = append(documents, &doc)
	}
}

// readable gives a file that says the same without what go.yaml.in/yaml alone refuses, and the mistake that is left in it.
// Columns behind an escape that was replaced are off by its length.
func readable(data []byte, err error) ([]byte, error) {
	if err != nil && strings.Contains(err.Error(), versionProblem) {
		data = anyVersion().ReplaceAllFunc(data, func(old []byte) []byte {
			return append([]byte("%YAML 1.1"), bytes.Repeat([]byte(" "), len(old)-len("%YAML 1.1"))...)
		})
		_, err = readYAML(data)
	}
	for err != nil && strings.Contains(err.Error(), escapeProblem) {
		at := badEscape(data)
		if at < 0 || data[at+1] != '/' {
			break
		}
		data = bytes.Join([][]byte{data[:at], []byte(`\x2f`), data[at+2:]}, nil)
		_, err = readYAML(data)
	}
	return data, err
}

// badEscape finds the backslash that the parser stumbles over: the first with which a file that ends there has an unknown
// escape. Whether a place is in double quotes only the parser can tell. It is -1 when there is none.
func badEscape(data []byte) int {
	for _, m := range escapes().FindAllIndex(data, -1) {
		for at := m[0]; at < m[1]; at++ { // outside quotes, the second of two may begin one
			if data[at] != '\\' || at+1 >= len(data) || strings.IndexByte(knownEscapes, data[at+1]) >= 0 {
				continue
			}
			if _, err := readYAML(data[:at+2]); err != nil && strings.Contains(err.Error(), escapeProblem) {
				return at
			}
		}
	}
	return -1
}

// isMistake says whether Ansible, too, fails on a file that cannot be read here.
func isMistake(data []byte, err error) bool {
	if bytes.Contains(bytes.TrimPrefix(data, byteOrderMark), byteOrderMark) {
		return false
	}
	flow := strings.Contains(err.Error(), "expected ','") || strings.Contains(err.Error(), "expected whitespace or line break")
	return !flow || !flowExtras().Match(data)
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// mistakeAt gives the place of a mistake that the parser tells, which counts the lines of some from 0, and of some tells
// where what they are in begins.
func mistakeAt(data []byte, message string, line int) place {
	find := func(at int) place {
		before := data[:at]
		return place{1 + bytes.Count(before, []byte("\n")), 1 + len([]rune(string(before[1+bytes.LastIndexByte(before, '\n'):])))}
	}
	switch {
	case strings.Contains(message, escapeProblem):
		plain := escapes().ReplaceAllFunc(data, func(pair []byte) []byte { return bytes.Replace(pair, []byte(`\/`), []byte("//"), 1) })
		if at := badEscape(plain); at >= 0 {
			return find(at)
		}
	case strings.Contains(message, versionProblem):
		if at := bytes.Index(data, []byte("%YAML")); at >= 0 {
			return find(at)
		}
	case strings.HasPrefix(message, "unknown anchor '"):
		name, _, _ := strings.Cut(strings.TrimPrefix(message, "unknown anchor '"), "'")
		if at := bytes.Index(data, []byte("*"+name)); at >= 0 {
			return find(at)
		}
	case strings.HasPrefix(message, "did not find expected ") && !strings.Contains(message, "whitespace"):
		return place{line: firstBadLine(data, message)}
	case strings.HasPrefix(message, "found undefined tag"):
		line++
	}
	return place{line: min(max(line, 1), 1+bytes.Count(data, []byte("\n")))}
}

// firstBadLine gives the first line with which the file has a mistake; of a bracket that is not closed, its line.
func firstBadLine(data []byte, message string) int {
	end, line := 0, 0
	for text := range bytes.Lines(data) {
		end, line = end+len(text), line+1
		if _, err := readYAML(data[:end]); err != nil && strings.Contains(err.Error(), message) {
			return line
		}
	}
	return max(line, 1)
}
