package sandbox

import (
	"slices"
	"strings"
)

// parameterFilter is a ParameterStringFilter.
type parameterFilter struct {
	Key, Option string
	Values      []string
}

// matcher prepares the filter for parameters of the caller's. byPath calls take fewer keys than DescribeParameters.
func (f parameterFilter) matcher(q *call, byPath bool) (func(*parameterRow) bool, error) {
	if f.Key == "Path" && !byPath {
		return f.path()
	}
	values, err := f.valuesOf(q, byPath)
	if err != nil {
		return nil, err
	}
	compare, ok := map[string]func(string, string) bool{"": eq, "Equals": eq, "BeginsWith": strings.HasPrefix, "Contains": strings.Contains}[f.Option]
	if !ok {
		return nil, fail("InvalidFilterOption", "The following filter option is not valid: %s. Valid options include: [BeginsWith, Equals, Contains].", f.Option)
	}
	if len(f.Values) == 0 {
		return func(p *parameterRow) bool { return len(values(p)) > 0 }, nil
	}
	return func(p *parameterRow) bool {
		return slices.ContainsFunc(values(p), func(have string) bool {
			return slices.ContainsFunc(f.Values, func(want string) bool { return compare(have, want) })
		})
	}, nil
}

func eq(a, b string) bool { return a == b }

func (f parameterFilter) valuesOf(q *call, byPath bool) (func(*parameterRow) []string, error) {
	if key, ok := strings.CutPrefix(f.Key, "tag:"); ok && !byPath {
		return func(p *parameterRow) []string {
			if value, ok := q.ownTags(parameterResource(p.Name))[key]; ok {
				return []string{value}
			}
			return nil
		}, nil
	}
	switch f.Key {
	case "Type":
		return func(p *parameterRow) []string { return []string{p.current().Type} }, nil
	case "KeyId":
		return func(p *parameterRow) []string { return []string{p.current().KeyID} }, nil
	case "Label":
		return func(p *parameterRow) []string {
			var all []string
			for _, v := range p.Versions {
				all = append(all, v.Labels...)
			}
			return all
		}, nil
	case "Name":
		return func(p *parameterRow) []string { return []string{p.Name, strings.TrimPrefix(p.Name, "/")} }, nil
	case "Tier":
		return func(p *parameterRow) []string { return []string{p.current().Tier} }, nil
	case "DataType":
		return func(p *parameterRow) []string { return []string{p.current().DataType} }, nil
	}
	return nil, fail("InvalidFilterKey", "The following filter key is not valid: %s. Valid filter keys include: [Type, KeyId, Label, Name, Path, Tier, DataType, tag:...].", f.Key)
}

func (f parameterFilter) path() (func(*parameterRow) bool, error) {
	if f.Option != "" && f.Option != "Recursive" && f.Option != "OneLevel" {
		return nil, fail("InvalidFilterOption", "The following filter option is not valid: %s. Valid options include: [Recursive, OneLevel].", f.Option)
	}
	for _, path := range f.Values {
		if !strings.HasPrefix(path, "/") {
			return nil, invalidSSM("The parameter doesn't meet the parameter name requirements. The path must begin with a forward slash \"/\": %s", path)
		}
	}
	return func(p *parameterRow) bool {
		return slices.ContainsFunc(f.Values, func(path string) bool { return under(p.Name, path, f.Option == "Recursive") })
	}, nil
}

// under reports whether the name lies below the path.
func under(name, path string, recursive bool) bool {
	if !strings.HasPrefix(name, "/") {
		return path == "/" // a name without levels is on the first one
	}
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(path, "/")+"/")
	return ok && rest != "" && (recursive || !strings.Contains(rest, "/"))
}

// listParameters cuts the page out of the parameters to keep, and only then applies the filters: a page may have fewer than
// asked for, or none, and still lead to the next (the SDK's docs of DescribeParameters and GetParametersByPath: "between zero
// and the value of MaxResults").
func (q *call) listParameters(in parameterList, keep func(*parameterRow) bool) (found []*parameterRow, next string, err error) {
	var matchers []func(*parameterRow) bool
	for _, f := range in.filters {
		m, err := f.matcher(q, in.byPath)
		if err != nil {
			return nil, "", err
		}
		matchers = append(matchers, m)
	}
	var all []*parameterRow
	for _, p := range q.parameters.Scan(q.tx, q.key()) {
		seen := *p
		seen.Versions = q.versionsAsSeen(p.Versions)
		if len(seen.Versions) > 0 && keep(&seen) {
			all = append(all, &seen)
		}
	}
	rows, next, err := ssmPage(q, in.limit, in.most, in.token, all, func(p *parameterRow) string { return p.Name })
	for _, p := range rows {
		if !slices.ContainsFunc(matchers, func(m func(*parameterRow) bool) bool { return !m(p) }) {
			found = append(found, p)
		}
	}
	return found, next, err
}

// parameterList is what a list of parameters is asked for.
type parameterList struct {
	filters []parameterFilter
	byPath  bool // the filters are those of GetParametersByPath
	limit   *int32
	most    int32
	token   string
}

type byPathRequest struct {
	Path                      string
	Recursive, WithDecryption bool
	ParameterFilters          []parameterFilter
	MaxResults                *int32
	NextToken                 string
}

type byPathAnswer struct {
	Parameters []parameterItem
	NextToken  string `json:",omitempty"`
}

func getParametersByPath(q *call, in *byPathRequest) (*byPathAnswer, error) {
	if !strings.HasPrefix(in.Path, "/") {
		return nil, invalidSSM("The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\".")
	}
	list := parameterList{in.ParameterFilters, true, in.MaxResults, 10, in.NextToken}
	rows, next, err := q.listParameters(list, func(p *parameterRow) bool { return under(p.Name, in.Path, in.Recursive) })
	out := &byPathAnswer{Parameters: []parameterItem{}, NextToken: next}
	for _, p := range rows {
		out.Parameters = append(out.Parameters, p.current().item(*p, "", in.WithDecryption))
	}
	return out, err
}

type describeParametersRequest struct {
	Filters []struct {
		Key    string
		Values []string
	}
	ParameterFilters []parameterFilter
	MaxResults       *int32
	NextToken        string
	Shared           bool
}

type parameterMetadata struct {
	Name, ARN, Type  string
	KeyId            string `json:",omitempty"`
	LastModifiedDate float64
	LastModifiedUser string
	Description      string `json:",omitempty"`
	AllowedPattern   string `json:",omitempty"`
	Version          int64
	Tier             string
	Policies         []string
	DataType         string
}

type describeParametersAnswer struct {
	Parameters []parameterMetadata
	NextToken  string `json:",omitempty"`
}

func describeParameters(q *call, in *describeParametersRequest) (*describeParametersAnswer, error) {
	list := in.ParameterFilters
	for _, f := range in.Filters {
		option := ""
		if f.Key == "Name" {
			option = "BeginsWith" // the old filters compare names so
		}
		list = append(list, parameterFilter{f.Key, option, f.Values})
	}
	rows, next, err := q.listParameters(parameterList{list, false, in.MaxResults, 50, in.NextToken}, func(*parameterRow) bool { return !in.Shared })
	out := &describeParametersAnswer{Parameters: []parameterMetadata{}, NextToken: next}
	for _, p := range rows {
		v := p.current()
		out.Parameters = append(out.Parameters, parameterMetadata{p.Name, parameterARN(p.place, p.Name), v.Type, v.KeyID, epoch(v.At), v.User,
			v.Description, v.Pattern, v.Version, v.Tier, []string{}, v.DataType})
	}
	return out, err
}
