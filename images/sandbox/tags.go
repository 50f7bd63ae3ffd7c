package sandbox

import (
	"maps"
	"slices"
	"strings"

	"github.com/imgops/imgops/images/sandbox/query"
)

const (
	maxTags         = 50   // user tags on one resource
	maxTagKey       = 128  // characters (ec2-facts 7.10, from the user guide; the reference of the type Tag says 127)
	maxTagResources = 1000 // ids per CreateTags and DeleteTags
	sharedTag       = "ec2:SharedTag/"
	systemTag       = "aws:"
)

type tagItem struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type tagSpecParam struct {
	ResourceType string
	Tag          []tagParam
}

// resourceKinds is what an id's prefix says about it: the resource type of tags and the error for an unknown one.
var resourceKinds = map[string]struct{ Type, NotFound string }{
	"ami-":    {"image", "InvalidAMIID.NotFound"},
	"snap-":   {"snapshot", "InvalidSnapshot.NotFound"},
	"i-":      {"instance", "InvalidInstanceID.NotFound"},
	"vol-":    {"volume", "InvalidVolume.NotFound"},
	"sg-":     {"security-group", "InvalidGroup.NotFound"},
	"sgr-":    {"security-group-rule", "InvalidSecurityGroupRuleId.NotFound"},
	"key-":    {"key-pair", "InvalidKeyPair.NotFound"},
	"vpc-":    {"vpc", "InvalidVpcID.NotFound"},
	"subnet-": {"subnet", "InvalidSubnetID.NotFound"},
	"eni-":    {"network-interface", "InvalidNetworkInterfaceID.NotFound"},
	"amiur-":  {"image-usage-report", "InvalidImageUsageReportId.NotFound"},
	"lt-":     {"launch-template", "InvalidLaunchTemplateId.NotFound"},
}

// tagIndex finds the tags of a place, and the images of a place by the value of a tag, which is how imgops and Terraform
// look for images: a search must not look at every image.
func tagIndex(r tagRow) []string {
	entries := []string{r.key()}
	if prefixOf(r.Resource) == "ami-" {
		for key, value := range r.Tags {
			entries = append(entries, tagEntry(r.place, key, value))
		}
	}
	return entries
}

func tagEntry(p place, key, value string) string {
	return "image:" + p.key() + "/" + key + "\x00" + value
}

func resourceType(id string) string { return resourceKinds[prefixOf(id)].Type }

func prefixOf(id string) string { return id[:strings.Index(id, "-")+1] }

// ownTags are the tags that the caller's account has put on a resource. They are to be read only.
func (q *call) ownTags(resource string) map[string]string {
	row, _ := q.tags.Get(q.tx, q.key(resource))
	return q.tagsAsSeen(row)
}

// seenTags are ownTags and, on a resource of another account, that owner's ec2:SharedTag/ tags (ec2-facts 4.12).
func (q *call) seenTags(resource, owner string) map[string]string {
	own := q.ownTags(resource)
	if owner == q.Account {
		return own
	}
	theirs, _ := q.tags.Get(q.tx, place{owner, q.Region}.key(resource))
	seen := maps.Clone(own)
	for key, value := range q.tagsAsSeen(theirs) {
		if strings.HasPrefix(key, sharedTag) {
			if seen == nil {
				seen = map[string]string{}
			}
			seen[key] = value
		}
	}
	return seen
}

func tagSet(tags map[string]string) query.List[tagItem] {
	var set query.List[tagItem]
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		set.Items = append(set.Items, tagItem{key, tags[key]})
	}
	return set
}

// optionalTagSet is absent when there are no tags, as in the answers of Describe calls that return one resource.
func optionalTagSet(tags map[string]string) *query.List[tagItem] {
	if len(tags) == 0 {
		return nil
	}
	set := tagSet(tags)
	return &set
}

// tagSpecs checks the TagSpecifications of a create call: the tags by resource type, which must be one of allowed.
func tagSpecs(specs []tagSpecParam, allowed ...string) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	for _, spec := range specs {
		if !slices.Contains(allowed, spec.ResourceType) {
			return nil, fail("InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation; use %s",
				spec.ResourceType, strings.Join(allowed, ", "))
		}
		if out[spec.ResourceType] != nil {
			return nil, fail("InvalidParameterValue", "The same resource type may not be specified more than once in tag specifications: %s", spec.ResourceType)
		}
		tags, err := checkTags(spec.Tag)
		if err != nil {
			return nil, err
		}
		if len(tags) > maxTags {
			return nil, tooManyTags()
		}
		out[spec.ResourceType] = tags
	}
	return out, nil
}

func tooManyTags() error {
	return fail("TagLimitExceeded", "More than %d tags are specified for a resource", maxTags)
}

func checkTags(params []tagParam) (map[string]string, error) {
	tags := map[string]string{}
	for _, t := range params {
		switch {
		case t.Key == "" || len([]rune(t.Key)) > maxTagKey:
			return nil, fail("InvalidParameterValue", "Tag key must have 1 to %d characters: '%s'", maxTagKey, t.Key)
		case len([]rune(t.Value)) > 256:
			return nil, fail("InvalidParameterValue", "Tag value exceeds the maximum length of 256 characters (key '%s')", t.Key)
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return nil, fail("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
		}
		if _, twice := tags[t.Key]; twice {
			return nil, fail("InvalidParameterValue", "Duplicate tag key '%s' specified.", t.Key)
		}
		tags[t.Key] = t.Value
	}
	return tags, nil
}

// setTags stages all the tags of a resource.
func (q *call) setTags(resource string, tags map[string]string) {
	if len(tags) == 0 {
		q.tags.Delete(q.tx, q.key(resource))
		return
	}
	old, _ := q.tags.Get(q.tx, q.key(resource))
	q.tags.Put(q.tx, q.key(resource), tagRow{place: q.place, Resource: resource, Tags: tags, Before: old.Tags, Changed: q.now})
}

// dropTags removes every account's tags from a resource that ceases to exist.
func (q *call) dropTags(resource string, accounts ...string) {
	for _, account := range append(accounts, q.Account) {
		q.tags.Delete(q.tx, place{account, q.Region}.key(resource))
	}
}

// taggable checks that the caller sees the resource.
func (q *call) taggable(id string) error {
	kind, known := resourceKinds[prefixOf(id)]
	if !known {
		return fail("InvalidID", "The ID '%s' is not valid", id)
	}
	if !q.exists(id) {
		return fail(kind.NotFound, "The %s ID '%s' does not exist", kind.Type, id)
	}
	return nil
}

func (q *call) exists(id string) bool {
	switch prefixOf(id) {
	case "ami-":
		_, err := q.visibleImage(id)
		return err == nil
	case "snap-":
		_, err := q.visibleSnapshot(id)
		return err == nil
	case "i-":
		_, err := q.instance(id)
		return err == nil
	case "vol-":
		_, err := q.volume(id)
		return err == nil
	case "sg-":
		_, err := q.group(id)
		return err == nil
	case "sgr-":
		_, _, found := q.rule(id)
		return found
	case "key-":
		_, found := q.keyPair(func(k *keyRow) bool { return k.ID == id })
		return found
	case "vpc-":
		return id == q.defaultVPC().ID
	case "subnet-":
		_, found := q.subnet(id)
		return found
	case "amiur-":
		_, err := q.findReports([]string{id}, nil)
		return err == nil
	case "lt-":
		_, err := q.template(templateRef{LaunchTemplateId: id})
		return err == nil
	case "eni-":
		for _, i := range q.instances.Scan(q.tx, q.key()) {
			if i.ENI == id {
				return true
			}
		}
	}
	return false
}

// userTags counts the tags that are not EC2's own (ec2-facts 7.10).
func userTags(tags map[string]string) int {
	n := 0
	for key := range tags {
		if !strings.HasPrefix(key, systemTag) {
			n++
		}
	}
	return n
}

type createTagsRequest struct {
	ResourceId []string
	Tag        []tagParam
}

func createTags(q *call, in *createTagsRequest) (*done, error) {
	tags, err := checkTags(in.Tag)
	if err != nil {
		return nil, err
	}
	if len(tags) == 0 {
		return nil, missing("Tag")
	}
	if err := q.checkTagged(in.ResourceId); err != nil {
		return nil, err
	}
	for _, id := range in.ResourceId {
		all := maps.Clone(q.ownTags(id))
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, tags)
		if userTags(all) > maxTags {
			return nil, tooManyTags()
		}
		if err := q.checkInstanceTags(id, all); err != nil {
			return nil, err
		}
		q.setTags(id, all)
	}
	return success, nil
}

func (q *call) checkTagged(ids []string) error {
	if len(ids) == 0 {
		return missing("ResourceId")
	}
	if len(ids) > maxTagResources {
		return fail("InvalidParameterValue", "A request takes at most %d resources, this one has %d", maxTagResources, len(ids))
	}
	for _, id := range ids {
		if err := q.taggable(id); err != nil {
			return err
		}
	}
	return nil
}

type deleteTagsRequest struct {
	ResourceId []string
	Tag        []struct {
		Key   string
		Value *string
	}
}

// deleteTags removes tags by key, or only where the value is the given one. Without tags it removes all.
func deleteTags(q *call, in *deleteTagsRequest) (*done, error) {
	if err := q.checkTagged(in.ResourceId); err != nil {
		return nil, err
	}
	for _, id := range in.ResourceId {
		left := maps.Clone(q.ownTags(id))
		for _, t := range in.Tag {
			if strings.HasPrefix(strings.ToLower(t.Key), systemTag) {
				return nil, fail("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
			}
			if value, ok := left[t.Key]; ok && (t.Value == nil || *t.Value == value) {
				delete(left, t.Key)
			}
		}
		if len(in.Tag) == 0 {
			maps.DeleteFunc(left, func(key, _ string) bool { return !strings.HasPrefix(key, systemTag) })
		}
		q.setTags(id, left)
	}
	return success, nil
}
