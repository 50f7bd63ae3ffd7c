package sandbox

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pageParams are the paging parameters of a Describe call.
type pageParams struct {
	MaxResults *int32
	NextToken  string
}

// page sorts rows by key, which is their id, and cuts out what the request asks for: MaxResults (lowest at least, 1,000
// at most) from where the token points to. A token is the last key of the page before, so rows that come and go between
// two calls neither repeat nor hide others. It is good for the same action, account and Region only. A page may hold less than was
// asked for, or nothing, and still come with a token, when the conditions say so.
func page[T any](q *call, p pageParams, lowest int32, rows []T, key func(T) string) ([]T, string, error) {
	slices.SortFunc(rows, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	if p.MaxResults != nil && (*p.MaxResults < lowest || *p.MaxResults > 1000) {
		return nil, "", fail("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value from %d to 1000.",
			*p.MaxResults, lowest)
	}
	at, err := q.parseToken(p.NextToken)
	if err != nil {
		return nil, "", err
	}
	rows = rows[firstAfter(rows, at.last, key):]
	if p.MaxResults == nil || len(rows) == 0 {
		return rows, "", nil
	}
	fate, size := q.pageFate(), min(len(rows), int(*p.MaxResults))
	switch {
	case fate == pageEmpty:
		at.empty++
		return nil, q.token(at), nil
	case size == len(rows) && fate != pageUnsure:
		return rows, "", nil
	}
	rows = rows[:size]
	return rows, q.token(position{last: key(rows[size-1])}), nil
}

// position is where a page begins: after a key, and after so many pages that had nothing. No two tokens in a row are the same, which
// botocore takes for an endless loop.
type position struct {
	last  string
	empty int
}

func (q *call) tokenPrefix() string { return q.action + "@" + q.key() + ":" }

func (q *call) token(p position) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s%d:%s", q.tokenPrefix(), p.empty, p.last))
}

// parseToken reads a token; without one, it is the beginning.
func (q *call) parseToken(token string) (p position, err error) {
	if token == "" {
		return p, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	rest, mine := strings.CutPrefix(string(text), q.tokenPrefix())
	empty, last, whole := strings.Cut(rest, ":")
	p.last = last
	if err == nil {
		p.empty, err = strconv.Atoi(empty)
	}
	if err != nil || !mine || !whole || p.empty < 0 {
		return p, fail("InvalidParameterValue", "Unable to parse pagination token: it is none that %s has given here", q.action)
	}
	return p, nil
}

func firstAfter[T any](rows []T, last string, key func(T) string) int {
	at, found := slices.BinarySearchFunc(rows, last, func(row T, last string) int { return strings.Compare(key(row), last) })
	if found {
		at++
	}
	return at
}

// noPagesWithIDs is the rule of several Describe calls: ids are not paged (ec2-facts 7.8).
func noPagesWithIDs(p pageParams, ids []string, set string) error {
	if p.MaxResults != nil && len(ids) > 0 {
		return combination("The parameter %s cannot be used with the parameter maxResults", set)
	}
	return nil
}
