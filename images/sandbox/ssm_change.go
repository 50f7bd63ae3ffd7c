package sandbox

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/imgops/imgops/images/sandbox/query"
)

type nameRequest struct{ Name string }

type empty struct{}

func deleteParameter(q *call, in *nameRequest) (*empty, error) {
	if _, ok := q.parameter(in.Name); !ok {
		return nil, parameterNotFound(in.Name)
	}
	q.removeParameter(in.Name)
	return &empty{}, nil
}

func (q *call) removeParameter(name string) {
	q.parameters.Delete(q.tx, q.key(name))
	q.setTags(parameterResource(name), nil)
}

type namesRequest struct{ Names []string }

type deleteParametersAnswer struct{ DeletedParameters, InvalidParameters []string }

func deleteParameters(q *call, in *namesRequest) (*deleteParametersAnswer, error) {
	if err := checkNames(in.Names); err != nil {
		return nil, err
	}
	out := &deleteParametersAnswer{[]string{}, []string{}}
	for _, name := range in.Names {
		if _, ok := q.parameter(name); !ok {
			out.InvalidParameters = append(out.InvalidParameters, name)
			continue
		}
		q.removeParameter(name)
		out.DeletedParameters = append(out.DeletedParameters, name)
	}
	return out, nil
}

type labelRequest struct {
	Name             string
	ParameterVersion *int64
	Labels           []string
}

type labelAnswer struct {
	InvalidLabels    []string
	ParameterVersion int64
}

const maxLabels = 10 // of one version

var labelForm = lazy(`^[a-zA-Z_.\-][a-zA-Z0-9_.\-]{0,99}$`)

// labelParameterVersion moves labels to a version; a label that is not valid is no error but is named in the answer
// (ec2-facts 5.8).
func labelParameterVersion(q *call, in *labelRequest) (*labelAnswer, error) {
	p, ok := q.parameter(in.Name)
	if !ok {
		return nil, parameterNotFound(in.Name)
	}
	if len(in.Labels) < 1 || len(in.Labels) > maxLabels {
		return nil, invalidSSM("1 validation error detected: Value at 'labels' failed to satisfy constraint: Member must have length from 1 to %d", maxLabels)
	}
	wanted := p.last()
	if in.ParameterVersion != nil {
		wanted = *in.ParameterVersion
	}
	at, err := p.find(wanted)
	if err != nil {
		return nil, err
	}
	out := &labelAnswer{[]string{}, wanted}
	var valid []string
	for _, label := range in.Labels {
		lower := strings.ToLower(label)
		if !labelForm().MatchString(label) || strings.HasPrefix(lower, "aws") || strings.HasPrefix(lower, "ssm") {
			out.InvalidLabels = append(out.InvalidLabels, label)
			continue
		}
		valid = with(valid, label)
	}
	p.Versions = slices.Clone(p.Versions)
	for i := range p.Versions {
		p.Versions[i].Labels = slices.DeleteFunc(slices.Clone(p.Versions[i].Labels), func(l string) bool { return slices.Contains(valid, l) })
	}
	p.Versions[at].Labels = append(p.Versions[at].Labels, valid...)
	if len(p.Versions[at].Labels) > maxLabels {
		return nil, fail("ParameterVersionLabelLimitExceeded", "A parameter version can have maximum %d labels.", maxLabels)
	}
	q.parameters.Put(q.tx, q.key(in.Name), p)
	return out, nil
}

type unlabelRequest struct {
	Name             string
	ParameterVersion *int64
	Labels           []string
}

type unlabelAnswer struct{ RemovedLabels, InvalidLabels []string }

// unlabelParameterVersion takes labels off a version; those that it does not have are named in the answer.
func unlabelParameterVersion(q *call, in *unlabelRequest) (*unlabelAnswer, error) {
	p, ok := q.parameter(in.Name)
	switch {
	case !ok:
		return nil, parameterNotFound(in.Name)
	case in.ParameterVersion == nil:
		return nil, invalidSSM("1 validation error detected: Value null at 'parameterVersion' failed to satisfy constraint: Member must not be null")
	case len(in.Labels) < 1 || len(in.Labels) > maxLabels:
		return nil, invalidSSM("1 validation error detected: Value at 'labels' failed to satisfy constraint: Member must have length from 1 to %d", maxLabels)
	}
	at, err := p.find(*in.ParameterVersion)
	if err != nil {
		return nil, err
	}
	out := &unlabelAnswer{[]string{}, []string{}}
	p.Versions = slices.Clone(p.Versions)
	has := p.Versions[at].Labels
	for _, label := range in.Labels {
		if slices.Contains(has, label) {
			out.RemovedLabels = with(out.RemovedLabels, label)
		} else {
			out.InvalidLabels = with(out.InvalidLabels, label)
		}
	}
	p.Versions[at].Labels = slices.DeleteFunc(slices.Clone(has), func(l string) bool { return slices.Contains(in.Labels, l) })
	q.parameters.Put(q.tx, q.key(in.Name), p)
	return out, nil
}

// find is the index of a version.
func (p parameterRow) find(version int64) (int, error) {
	at := slices.IndexFunc(p.Versions, func(v parameterVersion) bool { return v.Version == version })
	if at < 0 {
		return 0, fail("ParameterVersionNotFound", "Systems Manager could not find version %d of %s. Verify the version and try again.", version, p.Name)
	}
	return at, nil
}

// ssmTags is checkTags in the words of SSM.
func ssmTags(params []tagParam) (map[string]string, error) {
	tags, err := checkTags(params)
	var e *query.Error
	if errors.As(err, &e) {
		return nil, invalidSSM("%s", e.Message)
	}
	if len(tags) > maxTags {
		return nil, fail("TooManyTagsError", "A parameter can have %d tags.", maxTags)
	}
	return tags, err
}

type ssmResource struct{ ResourceType, ResourceId string }

func (q *call) taggedParameter(r ssmResource) error {
	if r.ResourceType != "Parameter" {
		return fail("InvalidResourceType", "%s is not a valid resource type in this sandbox, which has Parameter", r.ResourceType)
	}
	if _, ok := q.parameter(r.ResourceId); !ok {
		return fail("InvalidResourceId", "The resource ID \"%s\" is not valid. Verify that the ID is correct and try again.", r.ResourceId)
	}
	return nil
}

type addTagsRequest struct {
	ssmResource
	Tags []tagParam
}

func addTagsToResource(q *call, in *addTagsRequest) (*empty, error) {
	tags, err := ssmTags(in.Tags)
	if err == nil {
		err = q.taggedParameter(in.ssmResource)
	}
	if err != nil {
		return nil, err
	}
	all, err := merged(q.ownTags(parameterResource(in.ResourceId)), tags)
	if err != nil {
		return nil, fail("TooManyTagsError", "A parameter can have %d tags.", maxTags)
	}
	q.setTags(parameterResource(in.ResourceId), all)
	return &empty{}, nil
}

type removeTagsRequest struct {
	ssmResource
	TagKeys []string
}

func removeTagsFromResource(q *call, in *removeTagsRequest) (*empty, error) {
	if err := q.taggedParameter(in.ssmResource); err != nil {
		return nil, err
	}
	left := maps.Clone(q.ownTags(parameterResource(in.ResourceId)))
	for _, key := range in.TagKeys {
		delete(left, key)
	}
	q.setTags(parameterResource(in.ResourceId), left)
	return &empty{}, nil
}

type listTagsAnswer struct{ TagList []tagParam }

func listTagsForResource(q *call, in *ssmResource) (*listTagsAnswer, error) {
	if err := q.taggedParameter(*in); err != nil {
		return nil, err
	}
	out := &listTagsAnswer{TagList: []tagParam{}}
	tags := q.ownTags(parameterResource(in.ResourceId))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out.TagList = append(out.TagList, tagParam{key, tags[key]})
	}
	return out, nil
}
