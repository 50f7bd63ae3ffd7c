package sandbox

import (
	"slices"
	"strconv"

	"github.com/imgops/imgops/images/sandbox/query"
)

type describeTemplatesRequest struct {
	LaunchTemplateId, LaunchTemplateName []string
	Filter                               []filterParam
	IncludeManagedResources              bool
	pageParams
}

type describeTemplatesAnswer struct {
	NextToken string                   `xml:"nextToken,omitempty"`
	Templates query.List[templateItem] `xml:"launchTemplates"`
}

var templateFilters = fields[templateRow]{
	"create-time":          one(func(r *templateRow) string { return timestamp(r.Created) }),
	"launch-template-name": one(func(r *templateRow) string { return r.Name }),
}

// namedTemplates are those of the ids and names, or all.
func (q *call) namedTemplates(ids, names []string) ([]*templateRow, error) {
	var out []*templateRow
	for _, ref := range append(refs(ids, func(id string) templateRef { return templateRef{LaunchTemplateId: id} }),
		refs(names, func(name string) templateRef { return templateRef{LaunchTemplateName: name} })...) {
		r, err := q.template(ref)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(o *templateRow) bool { return o.ID == r.ID }) {
			out = append(out, &r)
		}
	}
	if len(ids)+len(names) == 0 {
		for _, r := range q.templates.Scan(q.tx, q.key()) {
			out = append(out, r)
		}
	}
	return out, nil
}

func refs(words []string, ref func(string) templateRef) []templateRef {
	var out []templateRef
	for _, w := range words {
		out = append(out, ref(w))
	}
	return out
}

func describeLaunchTemplates(q *call, in *describeTemplatesRequest) (*describeTemplatesAnswer, error) {
	match, err := filters(in.Filter, templateFilters, func(r *templateRow) map[string]string { return q.ownTags(r.ID) })
	if err != nil {
		return nil, err
	}
	all, err := q.namedTemplates(in.LaunchTemplateId, in.LaunchTemplateName)
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(all, func(r *templateRow) bool { return !match.match(r) })
	rows, next, err := page(q, in.pageParams, 1, found, func(r *templateRow) string { return r.ID })
	out := &describeTemplatesAnswer{NextToken: next}
	for _, r := range rows {
		out.Templates.Items = append(out.Templates.Items, q.templateItem(r))
	}
	return out, err
}

type describeVersionsRequest struct {
	templateRef
	LaunchTemplateVersion   []string
	MinVersion, MaxVersion  string
	Filter                  []filterParam
	ResolveAlias            bool
	IncludeManagedResources bool
	pageParams
}

type describeVersionsAnswer struct {
	NextToken string                  `xml:"nextToken,omitempty"`
	Versions  query.List[versionItem] `xml:"launchTemplateVersionSet"`
}

var versionFilters = fields[versionItem]{
	"create-time":        one(func(v *versionItem) string { return v.Created }),
	"image-id":           one(func(v *versionItem) string { return v.Data.ImageId }),
	"instance-type":      one(func(v *versionItem) string { return v.Data.InstanceType }),
	"is-default-version": flag(func(v *versionItem) bool { return v.Default }),
	"kernel-id":          one(func(v *versionItem) string { return v.Data.KernelId }),
	"ram-disk-id":        one(func(v *versionItem) string { return v.Data.RamDiskId }),
	"ebs-optimized":      flag(func(v *versionItem) bool { return isTrue(v.Data.EbsOptimized) }),
	"iam-instance-profile": one(func(v *versionItem) string {
		if v.Data.IamInstanceProfile == nil {
			return ""
		}
		return v.Data.IamInstanceProfile.Arn
	}),
}

// describeLaunchTemplateVersions shows the versions of one template, or, without one, the $Latest or $Default of all.
func describeLaunchTemplateVersions(q *call, in *describeVersionsRequest) (*describeVersionsAnswer, error) {
	match, err := filters(in.Filter, versionFilters, nil)
	if err != nil {
		return nil, err
	}
	var templates []*templateRow
	if in.templateRef == (templateRef{}) {
		if len(in.LaunchTemplateVersion) == 0 || slices.ContainsFunc(in.LaunchTemplateVersion, func(v string) bool { return v[:min(1, len(v))] != "$" }) {
			return nil, missing("LaunchTemplateId, unless the versions are $Latest and $Default")
		}
		templates, _ = q.namedTemplates(nil, nil)
	} else {
		r, err := q.template(in.templateRef)
		if err != nil {
			return nil, err
		}
		templates = append(templates, &r)
	}
	var found []versionItem
	for _, r := range templates {
		versions, err := in.of(r)
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			item := r.item(v)
			if in.ResolveAlias {
				if item, err = q.resolved(item); err != nil {
					return nil, err
				}
			}
			if match.match(&item) {
				found = append(found, item)
			}
		}
	}
	// newest first, as EC2 lists them
	rows, next, err := page(q, in.pageParams, 1, found, func(v versionItem) string { return v.ID + padded(1e11-v.Number) })
	return &describeVersionsAnswer{next, query.List[versionItem]{Items: rows}}, err
}

// of are the versions that the request asks for.
func (in *describeVersionsRequest) of(r *templateRow) ([]templateVersion, error) {
	var out []templateVersion
	for _, selector := range in.LaunchTemplateVersion {
		v, err := r.version(selector)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(o templateVersion) bool { return o.Number == v.Number }) {
			out = append(out, v)
		}
	}
	if len(in.LaunchTemplateVersion) > 0 {
		return out, nil
	}
	lowest, highest := int64(1), r.Latest
	for _, bound := range []struct {
		text, name string
		to         *int64
	}{{in.MinVersion, "minVersion", &lowest}, {in.MaxVersion, "maxVersion", &highest}} {
		if bound.text == "" {
			continue
		}
		n, err := strconv.ParseInt(bound.text, 10, 64)
		if err != nil {
			return nil, badParameter(bound.text, bound.name, "Give a version number.")
		}
		*bound.to = n
	}
	for _, v := range r.Versions {
		if v.Number >= lowest && v.Number <= highest {
			out = append(out, v)
		}
	}
	return out, nil
}
