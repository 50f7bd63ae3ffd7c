package sandbox

import (
	"github.com/imgops/imgops/images/sandbox/query"
)

type tagDescription struct {
	Key          string `xml:"key"`
	ResourceID   string `xml:"resourceId"`
	ResourceType string `xml:"resourceType"`
	Value        string `xml:"value"`
}

type describeTagsRequest struct {
	Filter []filterParam
	pageParams
}

type describeTagsAnswer struct {
	NextToken string                     `xml:"nextToken,omitempty"`
	Tags      query.List[tagDescription] `xml:"tagSet"`
}

var tagFilters = fields[tagDescription]{
	"key":           one(func(t *tagDescription) string { return t.Key }),
	"value":         func(t *tagDescription) []string { return []string{t.Value} },
	"resource-id":   one(func(t *tagDescription) string { return t.ResourceID }),
	"resource-type": one(func(t *tagDescription) string { return t.ResourceType }),
}

func describeTags(q *call, in *describeTagsRequest) (*describeTagsAnswer, error) {
	match, err := filters(in.Filter, tagFilters, func(t *tagDescription) map[string]string { return map[string]string{t.Key: t.Value} })
	if err != nil {
		return nil, err
	}
	var found []tagDescription
	for _, row := range q.tags.Scan(q.tx, q.key()) {
		if resourceType(row.Resource) == "" { // of SSM or KMS
			continue
		}
		for key, value := range row.Tags {
			t := tagDescription{key, row.Resource, resourceType(row.Resource), value}
			if match.match(&t) {
				found = append(found, t)
			}
		}
	}
	rows, next, err := page(q, in.pageParams, 5, found, func(t tagDescription) string { return t.ResourceID + " " + t.Key })
	return &describeTagsAnswer{next, query.List[tagDescription]{Items: rows}}, err
}
