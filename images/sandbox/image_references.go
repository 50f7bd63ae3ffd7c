package sandbox

import (
	"slices"
	"strconv"

	"github.com/imgops/imgops/images/sandbox/query"
)

const (
	ofInstance  = "ec2:Instance"
	ofTemplate  = "ec2:LaunchTemplate"
	ofParameter = "ssm:Parameter"
)

type optionParam struct {
	OptionName  string
	OptionValue []string
}

type resourceTypeParam struct {
	ResourceType       string
	ResourceTypeOption []optionParam
}

type referencesRequest struct {
	ImageId                 []string `query:",required"`
	IncludeAllResourceTypes bool
	ResourceType            []resourceTypeParam
	pageParams
}

type imageReference struct {
	ImageID string `xml:"imageId"`
	Type    string `xml:"resourceType"`
	ARN     string `xml:"arn"`
}

type referencesAnswer struct {
	NextToken  string                     `xml:"nextToken,omitempty"`
	References query.List[imageReference] `xml:"imageReferenceSet"`
}

// references is what of the caller's account in the Region refers to images (ec2-facts 6.10).
type references struct {
	q      *call
	images []string
	found  []imageReference
}

// describeImageReferences looks at instances, launch templates and parameters of data type aws:ec2:image. Nothing here makes
// images with Image Builder, so its recipes are accepted and never found.
func describeImageReferences(q *call, in *referencesRequest) (*referencesAnswer, error) {
	if in.IncludeAllResourceTypes == (len(in.ResourceType) > 0) && len(in.ResourceType) == 0 {
		return nil, missing("IncludeAllResourceTypes or ResourceTypes")
	}
	for _, id := range in.ImageId {
		if !wellFormed(id, "ami-") {
			return nil, fail("InvalidAMIID.Malformed", "Invalid id: \"%s\" (expecting \"ami-...\")", id)
		}
	}
	options := map[string]map[string][]string{}
	if in.IncludeAllResourceTypes {
		options = map[string]map[string][]string{ofInstance: nil, ofTemplate: nil, ofParameter: nil}
	}
	for _, t := range in.ResourceType {
		if !slices.Contains([]string{ofInstance, ofTemplate, ofParameter, "imagebuilder:ImageRecipe", "imagebuilder:ContainerRecipe"}, t.ResourceType) {
			return nil, badParameter(t.ResourceType, "resourceType", "It is not a resource type of image references.")
		}
		options[t.ResourceType] = map[string][]string{}
		for _, o := range t.ResourceTypeOption {
			options[t.ResourceType][o.OptionName] = o.OptionValue
		}
	}
	r := &references{q: q, images: in.ImageId}
	if o, wanted := options[ofInstance]; wanted {
		r.instances(o["state-name"])
	}
	if o, wanted := options[ofTemplate]; wanted {
		depth, err := versionDepth(o["version-depth"], 10)
		if err != nil {
			return nil, err
		}
		r.templates(depth)
	}
	if _, wanted := options[ofParameter]; wanted {
		r.parameters()
	}
	rows, next, err := page(q, in.pageParams, 1, r.found, func(f imageReference) string { return f.ImageID + " " + f.ARN })
	return &referencesAnswer{next, query.List[imageReference]{Items: rows}}, err
}

func versionDepth(values []string, otherwise int) (int, error) {
	if len(values) == 0 {
		return otherwise, nil
	}
	n, err := strconv.Atoi(values[0])
	if err != nil || n < 1 || n > maxTemplateVersions {
		return 0, badParameter(values[0], "version-depth", "Give 1 to 10000.")
	}
	return n, nil
}

func (r *references) add(image, kind, arn string) {
	if slices.Contains(r.images, image) && !slices.Contains(r.found, imageReference{image, kind, arn}) {
		r.found = append(r.found, imageReference{image, kind, arn})
	}
}

func (q *call) ec2ARN(kind, id string) string {
	return "arn:aws:ec2:" + q.Region + ":" + q.Account + ":" + kind + "/" + id
}

// instances: in all states, terminated ones included, unless the request names states.
func (r *references) instances(states []string) {
	for _, i := range r.q.instances.Scan(r.q.tx, r.q.key()) {
		if !i.goneBy(r.q.now) && (len(states) == 0 || slices.Contains(states, i.State)) {
			r.add(i.ImageID, ofInstance, r.q.ec2ARN("instance", i.ID))
		}
	}
}

func (r *references) templates(depth int) {
	for _, t := range r.q.templates.Scan(r.q.tx, r.q.key()) {
		for _, id := range t.imagesOf(depth) {
			r.add(id, ofTemplate, r.q.ec2ARN("launch-template", t.ID))
		}
	}
}

// imagesOf are the images in the newest versions of a template.
func (r *templateRow) imagesOf(depth int) []string {
	var out []string
	for _, v := range r.Versions[max(0, len(r.Versions)-depth):] {
		out = with(out, v.Data.ImageId)
	}
	return out
}

func (r *references) parameters() {
	for _, p := range r.q.parameters.Scan(r.q.tx, r.q.key()) {
		if v := p.current(); v.DataType == imageDataType {
			r.add(v.Value, ofParameter, parameterARN(p.place, p.Name))
		}
	}
}

type imageMetadataItem struct {
	ID         string `xml:"imageId"`
	Name       string `xml:"name"`
	Owner      string `xml:"imageOwnerId"`
	State      string `xml:"imageState"`
	Created    string `xml:"creationDate"`
	Deprecated string `xml:"deprecationTime,omitempty"`
	Allowed    bool   `xml:"imageAllowed"`
	Public     bool   `xml:"isPublic"`
}

type instanceImageItem struct {
	ID       string               `xml:"instanceId"`
	Type     string               `xml:"instanceType"`
	Launched string               `xml:"launchTime"`
	Zone     string               `xml:"availabilityZone"`
	ZoneID   string               `xml:"zoneId"`
	State    stateItem            `xml:"instanceState"`
	Owner    string               `xml:"instanceOwnerId"`
	Tags     *query.List[tagItem] `xml:"tagSet"`
	Image    imageMetadataItem    `xml:"imageMetadata"`
}

type instanceImagesRequest struct {
	InstanceId []string
	Filter     []filterParam
	pageParams
}

type instanceImagesAnswer struct {
	NextToken string                        `xml:"nextToken,omitempty"`
	Instances query.List[instanceImageItem] `xml:"instanceImageMetadataSet"`
}

// describeInstanceImages tells of the image of every instance, also of one that is deregistered or shared no more (ec2-facts 6.13).
func describeInstanceImages(q *call, in *instanceImagesRequest) (*instanceImagesAnswer, error) {
	known := fields[instanceRow]{}
	for _, name := range []string{"availability-zone", "instance-id", "instance-state-name", "instance-type", "launch-time", "owner-id"} {
		known[name] = instanceFilters[name]
	}
	settings := q.settingsOf(q.place)
	image := func(i *instanceRow) imageRow { m, _ := q.images.Get(q.tx, i.ImageID); return m }
	known["image-id"] = one(func(i *instanceRow) string { return i.ImageID })
	known["image-name"] = one(func(i *instanceRow) string { return image(i).Name })
	known["image-allowed"] = flag(func(i *instanceRow) bool { m := image(i); return q.imageAllowed(settings, &m) })
	known["zone-id"] = one(func(i *instanceRow) string { return zoneID(i.Region, i.Zone) })
	found, err := q.findInstances(in.InstanceId, in.Filter, known)
	if err != nil {
		return nil, err
	}
	rows, next, err := page(q, in.pageParams, 1, found, func(i *instanceRow) string { return i.ID })
	out := &instanceImagesAnswer{NextToken: next}
	for _, i := range rows {
		m := image(i)
		out.Instances.Items = append(out.Instances.Items, instanceImageItem{ID: i.ID, Type: i.Type, Launched: timestamp(i.Launched), Zone: i.Zone,
			ZoneID: zoneID(i.Region, i.Zone), State: instanceState(i.State), Owner: i.Account, Tags: optionalTagSet(q.ownTags(i.ID)),
			Image: imageMetadataItem{i.ImageID, m.Name, m.Account, m.State, timestamp(m.Created), timestamp(m.DeprecateAt), q.imageAllowed(settings, &m), m.Public}})
	}
	return out, err
}
