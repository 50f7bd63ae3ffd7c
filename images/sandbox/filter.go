package sandbox

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// filterParam is one Filter.N of a Describe call.
type filterParam struct {
	Name  string
	Value []string
}

// fields are the filters of a kind of resource: what each of them looks at. A row matches a filter when one of its
// values equals one of the filter's, and a set of filters when it matches all of them.
type fields[T any] map[string]func(*T) []string

// matcher decides which rows a request's filters leave.
type matcher[T any] []func(*T) bool

// filters prepares the request's filters. tagsOf gives the tags that the caller sees, for tag:KEY, tag-key and tag-value;
// it is nil for what has no tags. A filter that is not known is an error: it would otherwise match everything.
func filters[T any](params []filterParam, known fields[T], tagsOf func(*T) map[string]string) (matcher[T], error) {
	var m matcher[T]
	for _, p := range params {
		values := known[p.Name]
		if values == nil && tagsOf != nil {
			values = tagFilter(p.Name, tagsOf)
		}
		if values == nil {
			return nil, fail("InvalidParameterValue", "The filter '%s' is invalid", p.Name)
		}
		if len(p.Value) == 0 || len(p.Value) > 200 {
			return nil, fail("InvalidParameterValue", "The filter '%s' takes 1 to 200 values, not %d", p.Name, len(p.Value))
		}
		match := patterns(p.Value)
		m = append(m, func(row *T) bool { return slices.ContainsFunc(values(row), match) })
	}
	return m, nil
}

func (m matcher[T]) match(row *T) bool {
	for _, f := range m {
		if !f(row) {
			return false
		}
	}
	return true
}

func tagFilter[T any](name string, tagsOf func(*T) map[string]string) func(*T) []string {
	if key, ok := strings.CutPrefix(name, "tag:"); ok {
		return func(row *T) []string {
			if value, ok := tagsOf(row)[key]; ok {
				return []string{value}
			}
			return nil
		}
	}
	switch name {
	case "tag-key":
		return func(row *T) []string { return slices.Collect(maps.Keys(tagsOf(row))) }
	case "tag-value":
		return func(row *T) []string { return slices.Collect(maps.Values(tagsOf(row))) }
	}
	return nil
}

// patterns matches any of the values. Comparison is case-sensitive; * stands for any characters, ? for one, and \ takes
// the meaning from the character after it (ec2-facts 2.4).
func patterns(values []string) func(string) bool {
	exact := map[string]bool{}
	var wild []string
	for _, v := range values {
		if strings.ContainsAny(v, `*?\`) {
			wild = append(wild, v)
		} else {
			exact[v] = true
		}
	}
	return func(s string) bool {
		return exact[s] || slices.ContainsFunc(wild, func(pattern string) bool { return wildcard(pattern, s) })
	}
}

// wildcard matches in time proportional to the product of both lengths at worst: on a mismatch it goes back only to the
// last *.
func wildcard(pattern, s string) bool {
	p, i, star, resume := 0, 0, -1, 0
	for i < len(s) {
		literal, width := byte(0), 0
		if p < len(pattern) {
			literal, width = pattern[p], 1
			if literal == '\\' && p+1 < len(pattern) {
				literal, width = pattern[p+1], 2
			}
		}
		switch {
		case width == 1 && literal == '*':
			star, resume = p, i
			p++
		case width > 0 && (literal == s[i] || width == 1 && literal == '?'):
			p, i = p+width, i+1
		case star >= 0:
			resume++
			p, i = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// one makes a filter of a single value; an absent one (empty) matches nothing.
func one[T any](get func(*T) string) func(*T) []string {
	return func(row *T) []string {
		if v := get(row); v != "" {
			return []string{v}
		}
		return nil
	}
}

func flag[T any](get func(*T) bool) func(*T) []string {
	return func(row *T) []string { return []string{strconv.FormatBool(get(row))} }
}

// constantly is a filter that sees the same in every row; without values, it matches none.
func constantly[T any](values ...string) func(*T) []string {
	return func(*T) []string { return values }
}

func number(n int32) string { return strconv.Itoa(int(n)) }
