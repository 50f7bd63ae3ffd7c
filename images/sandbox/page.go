package sandbox

import (
	"encoding/base64"
	"slices"
	"strings"
)

// pageParams are the paging parameters of a Describe call.
type pageParams struct {
	MaxResults *int32
	NextToken  string
}

// page sorts rows by key, which is their id, and cuts out what the request asks for: MaxResults (lowest at least, 1,000
// at most) from where the token points to. A token is the last key of the page before, so rows that come and go between
// two calls neither repeat nor hide others. It is good for the same action, account and Region only.
func page[T any](q *call, p pageParams, lowest int32, rows []T, key func(T) string) ([]T, string, error) {
	slices.SortFunc(rows, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	if p.MaxResults != nil && (*p.MaxResults < lowest || *p.MaxResults > 1000) {
		return nil, "", fail("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value from %d to 1000.",
			*p.MaxResults, lowest)
	}
	mine := q.action + "@" + q.key() + ":"
	if p.NextToken != "" {
		after, err := base64.RawURLEncoding.DecodeString(p.NextToken)
		last, ok := strings.CutPrefix(string(after), mine)
		if err != nil || !ok {
			return nil, "", fail("InvalidParameterValue", "Unable to parse pagination token: it is none that %s has given here", q.action)
		}
		rows = rows[firstAfter(rows, last, key):]
	}
	if p.MaxResults == nil || len(rows) <= int(*p.MaxResults) {
		return rows, "", nil
	}
	rows = rows[:*p.MaxResults]
	return rows, base64.RawURLEncoding.EncodeToString([]byte(mine + key(rows[len(rows)-1]))), nil
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
