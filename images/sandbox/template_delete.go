package sandbox

import (
	"strconv"

	"github.com/imgops/imgops/images/sandbox/query"
)

type deleteTemplateRequest struct{ templateRef }

func deleteLaunchTemplate(q *call, in *deleteTemplateRequest) (*templateAnswer, error) {
	r, err := q.template(in.templateRef)
	if err != nil {
		return nil, err
	}
	out := &templateAnswer{q.templateItem(&r)}
	q.templates.Delete(q.tx, r.ID)
	q.dropTags(r.ID)
	return out, nil
}

type deleteVersionsRequest struct {
	templateRef
	LaunchTemplateVersion []string `query:",required"`
}

type deletedVersion struct {
	ID     string         `xml:"launchTemplateId"`
	Name   string         `xml:"launchTemplateName"`
	Number int64          `xml:"versionNumber"`
	Error  *responseError `xml:"responseError"`
}

type responseError struct {
	Code    string `xml:"code"`
	Message string `xml:"message"`
}

type deleteVersionsAnswer struct {
	Deleted query.List[deletedVersion] `xml:"successfullyDeletedLaunchTemplateVersionSet"`
	Kept    query.List[deletedVersion] `xml:"unsuccessfullyDeletedLaunchTemplateVersionSet"`
}

// deleteLaunchTemplateVersions reports on each version; the default one cannot be deleted.
func deleteLaunchTemplateVersions(q *call, in *deleteVersionsRequest) (*deleteVersionsAnswer, error) {
	r, err := q.template(in.templateRef)
	if err != nil {
		return nil, err
	}
	out := &deleteVersionsAnswer{}
	for _, selector := range in.LaunchTemplateVersion {
		number, err := strconv.ParseInt(selector, 10, 64)
		if err != nil {
			return nil, badParameter(selector, "launchTemplateVersion", "Give version numbers.")
		}
		d := deletedVersion{ID: r.ID, Name: r.Name, Number: number}
		switch _, err := r.version(selector); {
		case err != nil:
			d.Error = &responseError{"launchTemplateVersionDoesNotExist", query.AsError(err).Message}
		case number == r.Default:
			d.Error = &responseError{"operationNotPermitted", "Cannot delete the default version of a launch template"}
		}
		if d.Error != nil {
			out.Kept.Items = append(out.Kept.Items, d)
			continue
		}
		out.Deleted.Items = append(out.Deleted.Items, d)
		var left []templateVersion
		for _, v := range r.Versions {
			if v.Number != number {
				left = append(left, v)
			}
		}
		r.Versions = left
	}
	q.templates.Put(q.tx, r.ID, r)
	return out, nil
}
