package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// logged is an entry as the log names it.
type logged struct {
	Path string `json:"path"`
	Sum  string `json:"sum"`  // SHA-256 of the content, in hex
	ETag string `json:"etag"` // of S3, as it was listed: with the same one the content is the same, and need not be read
}

// page is an object of the log.
type page struct {
	Schema  int      `json:"schema"`
	Kind    string   `json:"kind"` // log
	Number  int      `json:"number"`
	After   int      `json:"after"`     // it has the entries of the pages after that one up to itself; 0 is the beginning
	AfterID string   `json:"after_sum"` // SHA-256 of page After, in hex; "" for 0
	Entries []logged `json:"entries"`
}

const kindLog = "log"

// position is a page, by its number and the SHA-256 of its content; the zero one is the log's beginning.
type position struct {
	number int
	sum    string
}

func (p position) String() string {
	if p.number == 0 {
		return ""
	}
	return fmt.Sprintf("%d:%s", p.number, p.sum)
}

var (
	pageForm = lazy(`^log/([0-9]{10,18})\.json$`)
	sumForm  = lazy(`^[0-9a-f]{64}$`)
	tipForm  = lazy(`^([1-9][0-9]{0,17}):([0-9a-f]{64})$`)
)

// parsePosition reads what String wrote.
func parsePosition(tip string) (position, error) {
	m := tipForm().FindStringSubmatch(tip)
	if m == nil {
		return position{}, fmt.Errorf("%q is no tip of a ledger in S3", tip)
	}
	n, err := strconv.Atoi(m[1])
	return position{n, m[2]}, err
}

func pagePath(number int) string { return logTree + "/" + fmt.Sprintf(logNumber, number) + ".json" }

// pageOf gives the number that a path of the log has; 0 for any other path.
func pageOf(path string) int {
	m := pageForm().FindStringSubmatch(path)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || pagePath(n) != path {
		return 0
	}
	return n
}

// readPage decodes a page, and trusts nothing.
func readPage(number int, data []byte) (page, error) {
	var p page
	if err := decode(data, &p); err != nil {
		return p, err
	}
	switch {
	case p.Schema > Schema:
		return p, &NewerError{p.Schema}
	case p.Schema < 1 || p.Kind != kindLog || p.Number != number:
		return p, fmt.Errorf("it is no page %d of a log", number)
	case p.After < 0 || p.After >= p.Number || (p.After == 0) != (p.AfterID == "") || p.After > 0 && !sumForm().MatchString(p.AfterID):
		return p, fmt.Errorf("it goes on at page %d %q", p.After, p.AfterID)
	}
	for _, e := range p.Entries {
		if _, err := parsePath(e.Path); err != nil || !sumForm().MatchString(e.Sum) {
			return p, fmt.Errorf("it names %q with sum %q, which is no entry", e.Path, e.Sum)
		}
	}
	return p, nil
}

func (p page) encode() ([]byte, error) {
	p.Schema, p.Kind = Schema, kindLog
	p.Entries = slices.SortedFunc(slices.Values(p.Entries), func(a, b logged) int { return compare(a.Path, b.Path) })
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		return nil, fmt.Errorf("encoding page %d of the ledger's log: %w", p.Number, err)
	}
	return lines(bytes.TrimSpace(b.Bytes())), nil
}
