package sandbox

import (
	"strconv"
	"strings"
	"time"

	"github.com/imgops/imgops/images/sandbox/query"
)

// templateRow is a launch template with all its versions; key: its id.
type templateRow struct {
	place
	ID, Name, By    string
	Created         time.Time
	Default, Latest int64
	Versions        []templateVersion // in order; deleted ones are gone, and their numbers are not used again
}

type templateVersion struct {
	Number          int64
	Description, By string
	Created         time.Time
	Data            templateData
}

const maxTemplateVersions = 10000

func templateIndex(r templateRow) []string { return []string{r.key(), "name:" + r.key(r.Name)} }

var templateName = lazy(`^[a-zA-Z0-9().\-/_]{3,128}$`)

// templateRef names a launch template in a request: by id or by name.
type templateRef struct {
	LaunchTemplateId, LaunchTemplateName string
}

func (q *call) template(ref templateRef) (templateRow, error) {
	id, name := ref.LaunchTemplateId, ref.LaunchTemplateName
	switch {
	case id == "" && name == "":
		return templateRow{}, missing("LaunchTemplateId")
	case id != "" && name != "":
		return templateRow{}, combination("You can provide a launch template ID or a launch template name, but not both")
	case id != "" && !wellFormed(id, "lt-"):
		return templateRow{}, fail("InvalidLaunchTemplateId.Malformed", "The specified launch template ID '%s' is not valid", id)
	case id != "":
		if r, ok := q.templates.Get(q.tx, id); ok && r.place == q.place {
			return r, nil
		}
		return templateRow{}, fail("InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID %s, does not exist.", id)
	}
	for _, r := range q.templates.Scan(q.tx, "name:"+q.key(name)) {
		return *r, nil
	}
	return templateRow{}, fail("InvalidLaunchTemplateName.NotFoundException", "The specified launch template, with template name %s, does not exist.", name)
}

// version finds a version by number, $Latest or $Default; an empty one is the default.
func (r *templateRow) version(selector string) (templateVersion, error) {
	number := r.Default
	switch selector {
	case "", "$Default":
	case "$Latest":
		number = r.Latest
	default:
		var err error
		if number, err = strconv.ParseInt(selector, 10, 64); err != nil || number < 1 {
			return templateVersion{}, fail("InvalidLaunchTemplateId.VersionNotFound", "The launch template version '%s' is not a number, $Latest or $Default", selector)
		}
	}
	for _, v := range r.Versions {
		if v.Number == number {
			return v, nil
		}
	}
	return templateVersion{}, fail("InvalidLaunchTemplateId.VersionNotFound", "Could not find the specified version %s for the launch template with ID %s.", selector, r.ID)
}

type templateItem struct {
	ID      string               `xml:"launchTemplateId"`
	Name    string               `xml:"launchTemplateName"`
	Created string               `xml:"createTime"`
	By      string               `xml:"createdBy"`
	Default int64                `xml:"defaultVersionNumber"`
	Latest  int64                `xml:"latestVersionNumber"`
	Tags    *query.List[tagItem] `xml:"tagSet"`
}

func (q *call) templateItem(r *templateRow) templateItem {
	return templateItem{r.ID, r.Name, timestamp(r.Created), r.By, r.Default, r.Latest, optionalTagSet(q.ownTags(r.ID))}
}

type versionItem struct {
	ID          string       `xml:"launchTemplateId"`
	Name        string       `xml:"launchTemplateName"`
	Number      int64        `xml:"versionNumber"`
	Description string       `xml:"versionDescription,omitempty"`
	Created     string       `xml:"createTime"`
	By          string       `xml:"createdBy"`
	Default     bool         `xml:"defaultVersion"`
	Data        templateData `xml:"launchTemplateData"`
}

func (r *templateRow) item(v templateVersion) versionItem {
	return versionItem{r.ID, r.Name, v.Number, v.Description, timestamp(v.Created), v.By, v.Number == r.Default, v.Data}
}

type templateAnswer struct {
	Template templateItem `xml:"launchTemplate"`
}

type createTemplateRequest struct {
	LaunchTemplateName string        `query:",required"`
	LaunchTemplateData *templateData `query:",required"`
	VersionDescription string
	ClientToken        string
	TagSpecification   []tagSpecParam
}

func createLaunchTemplate(q *call, in *createTemplateRequest) (*templateAnswer, error) {
	token, err := q.clientToken(in.ClientToken, withoutToken(*in, func(r *createTemplateRequest) { r.ClientToken = "" }))
	if err != nil {
		return nil, err
	}
	if r, ok := q.templates.Get(q.tx, token.ID); ok {
		return &templateAnswer{q.templateItem(&r)}, nil
	}
	specs, err := tagSpecs(in.TagSpecification, "launch-template")
	if err != nil {
		return nil, err
	}
	if !templateName().MatchString(in.LaunchTemplateName) {
		return nil, fail("InvalidLaunchTemplateName.MalformedException", "The launch template name '%s' must have 3 to 128 characters: letters, numbers and ()./_-", in.LaunchTemplateName)
	}
	if _, err := q.template(templateRef{LaunchTemplateName: in.LaunchTemplateName}); err == nil {
		return nil, fail("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
	}
	if err := in.LaunchTemplateData.check(); err != nil {
		return nil, err
	}
	r := templateRow{place: q.place, ID: newID("lt-"), Name: in.LaunchTemplateName, By: q.who.ARN, Created: q.now, Default: 1, Latest: 1,
		Versions: []templateVersion{{1, in.VersionDescription, q.who.ARN, q.now, *in.LaunchTemplateData}}}
	q.templates.Put(q.tx, r.ID, r)
	q.setTags(r.ID, specs["launch-template"])
	q.keepToken(in.ClientToken, token, r.ID)
	return &templateAnswer{q.templateItem(&r)}, nil
}

type createVersionRequest struct {
	templateRef
	LaunchTemplateData *templateData `query:",required"`
	SourceVersion      string
	VersionDescription string
	ResolveAlias       bool
	ClientToken        string
}

type versionAnswer struct {
	Version versionItem `xml:"launchTemplateVersion"`
}

// createLaunchTemplateVersion starts from nothing, or from SourceVersion with what the request gives over it.
func createLaunchTemplateVersion(q *call, in *createVersionRequest) (*versionAnswer, error) {
	r, err := q.template(in.templateRef)
	if err != nil {
		return nil, err
	}
	token, err := q.clientToken(in.ClientToken, withoutToken(*in, func(r *createVersionRequest) { r.ClientToken = "" }))
	if err != nil {
		return nil, err
	}
	if token.ID != "" {
		v, err := r.version(token.ID)
		return &versionAnswer{r.item(v)}, err
	}
	data := *in.LaunchTemplateData
	if in.SourceVersion != "" {
		source, err := r.version(in.SourceVersion)
		if err != nil {
			return nil, err
		}
		data = data.over(source.Data)
	}
	if err := data.check(); err != nil {
		return nil, err
	}
	if len(r.Versions) >= maxTemplateVersions {
		return nil, fail("VersionLimitExceeded", "A launch template can have %d versions", maxTemplateVersions)
	}
	r.Latest++
	v := templateVersion{r.Latest, in.VersionDescription, q.who.ARN, q.now, data}
	r.Versions = append(append([]templateVersion{}, r.Versions...), v)
	out := r.item(v)
	if in.ResolveAlias {
		if out, err = q.resolved(out); err != nil {
			return nil, err
		}
	}
	q.templates.Put(q.tx, r.ID, r)
	q.keepToken(in.ClientToken, token, strconv.FormatInt(v.Number, 10))
	return &versionAnswer{out}, nil
}

// resolved is the item with the image id that a resolve:ssm: stands for now (ec2-facts 5.13).
func (q *call) resolved(item versionItem) (versionItem, error) {
	name, ok := strings.CutPrefix(item.Data.ImageId, "resolve:ssm:")
	if !ok {
		return item, nil
	}
	id, err := q.resolveImage(name)
	item.Data.ImageId = id
	return item, err
}

type modifyTemplateRequest struct {
	templateRef
	SetDefaultVersion string
	ClientToken       string
}

func modifyLaunchTemplate(q *call, in *modifyTemplateRequest) (*templateAnswer, error) {
	r, err := q.template(in.templateRef)
	if err != nil {
		return nil, err
	}
	v, err := r.version(in.SetDefaultVersion)
	if err != nil {
		return nil, err
	}
	r.Default = v.Number
	q.templates.Put(q.tx, r.ID, r)
	return &templateAnswer{q.templateItem(&r)}, nil
}
