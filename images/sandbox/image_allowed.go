package sandbox

import (
	"slices"
	"time"

	"github.com/imgops/imgops/images/sandbox/query"
)

// Allowed AMIs: what an account lets itself see and launch of the images of others. An image is allowed when it meets one of
// the criteria, and a criterion when it meets all that the criterion says; own images always are (ec2-facts 4.16,
// docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-allowed-amis.html).

const auditMode = "audit-mode"

type dayCondition struct {
	Created    *int32 `query:"MaximumDaysSinceCreated" xml:"maximumDaysSinceCreated"`
	Deprecated *int32 `query:"MaximumDaysSinceDeprecated" xml:"maximumDaysSinceDeprecated"`
}

// imageCriterion is one criterion, as it is asked for and stored. Providers are account ids, or the word none for own images
// only; amazon, aws-marketplace and aws-backup-vault, and product codes, are taken, and no image here meets them.
type imageCriterion struct {
	ImageProvider            []string
	ImageName                []string
	MarketplaceProductCode   []string
	CreationDateCondition    *dayCondition
	DeprecationTimeCondition *dayCondition
}

type imageCriterionItem struct {
	Providers  *query.List[string] `xml:"imageProviderSet"`
	Names      *query.List[string] `xml:"imageNameSet"`
	Codes      *query.List[string] `xml:"marketplaceProductCodeSet"`
	Created    *dayCondition       `xml:"creationDateCondition"`
	Deprecated *dayCondition       `xml:"deprecationTimeCondition"`
}

func optionalList(items []string) *query.List[string] {
	if len(items) == 0 {
		return nil
	}
	return &query.List[string]{Items: items}
}

type allowedImagesAnswer struct {
	State     string                         `xml:"state"`
	ManagedBy string                         `xml:"managedBy"`
	Criteria  query.List[imageCriterionItem] `xml:"imageCriterionSet"`
}

func getAllowedImages(q *call, _ *struct{}) (*allowedImagesAnswer, error) {
	s := q.settingsOf(q.place)
	out := &allowedImagesAnswer{State: s.allowed(), ManagedBy: "account"}
	for _, c := range s.Criteria {
		out.Criteria.Items = append(out.Criteria.Items, imageCriterionItem{optionalList(c.ImageProvider), optionalList(c.ImageName),
			optionalList(c.MarketplaceProductCode), c.CreationDateCondition, c.DeprecationTimeCondition})
	}
	return out, nil
}

func (s settingsRow) allowed() string {
	if s.AllowedImages == "" {
		return disabled
	}
	return s.AllowedImages
}

type allowedStateAnswer struct {
	State string `xml:"allowedImagesSettingsState"`
}

type allowedStateRequest struct {
	AllowedImagesSettingsState string `query:",required"`
}

func enableAllowedImages(q *call, in *allowedStateRequest) (*allowedStateAnswer, error) {
	if !slices.Contains([]string{"enabled", auditMode}, in.AllowedImagesSettingsState) {
		return nil, badParameter(in.AllowedImagesSettingsState, "allowedImagesSettingsState", "Valid values: enabled, audit-mode.")
	}
	return &allowedStateAnswer{q.changeSettings(func(s *settingsRow) { s.AllowedImages = in.AllowedImagesSettingsState }).allowed()}, nil
}

func disableAllowedImages(q *call, _ *struct{}) (*allowedStateAnswer, error) {
	return &allowedStateAnswer{q.changeSettings(func(s *settingsRow) { s.AllowedImages = "" }).allowed()}, nil
}

type replaceCriteriaRequest struct{ ImageCriterion []imageCriterion }

// The limits are those of the SDK's types.ImageCriterionRequest and of ec2-facts 4.16.
const (
	maxCriteria  = 10
	maxProviders = 200
	maxPatterns  = 50
)

func replaceImageCriteria(q *call, in *replaceCriteriaRequest) (*done, error) {
	if len(in.ImageCriterion) > maxCriteria {
		return nil, fail("InvalidParameterValue", "There can be at most %d image criteria, not %d", maxCriteria, len(in.ImageCriterion))
	}
	for _, c := range in.ImageCriterion {
		if err := c.check(); err != nil {
			return nil, err
		}
	}
	q.changeSettings(func(s *settingsRow) { s.Criteria = in.ImageCriterion })
	return success, nil
}

func (c imageCriterion) check() error {
	words := []string{"amazon", "aws-marketplace", "aws-backup-vault", "none"}
	for _, p := range c.ImageProvider {
		if !slices.Contains(words, p) && !accountID().MatchString(p) {
			return badParameter(p, "imageProvider", "Valid values: amazon, aws-marketplace, aws-backup-vault, none, or an account id.")
		}
		if p == "none" && len(c.ImageProvider) > 1 {
			return combination("The image provider none goes with no other")
		}
	}
	days := func(d *dayCondition, have func(*dayCondition) *int32) bool {
		return d == nil || have(d) != nil && *have(d) >= 0
	}
	switch {
	case len(c.ImageProvider) > maxProviders || len(c.ImageName) > maxPatterns || len(c.MarketplaceProductCode) > maxPatterns:
		return fail("InvalidParameterValue", "A criterion takes at most %d providers, %d names and %d product codes", maxProviders, maxPatterns, maxPatterns)
	case !days(c.CreationDateCondition, func(d *dayCondition) *int32 { return d.Created }):
		return fail("InvalidParameterValue", "A creation date condition takes MaximumDaysSinceCreated, of 0 or more")
	case !days(c.DeprecationTimeCondition, func(d *dayCondition) *int32 { return d.Deprecated }):
		return fail("InvalidParameterValue", "A deprecation time condition takes MaximumDaysSinceDeprecated, of 0 or more")
	case len(c.ImageProvider)+len(c.ImageName)+len(c.MarketplaceProductCode) == 0 && c.CreationDateCondition == nil && c.DeprecationTimeCondition == nil:
		return fail("InvalidParameterValue", "An image criterion must say something")
	}
	return nil
}

func (c imageCriterion) admits(i *imageRow, now time.Time) bool {
	older := func(at time.Time, days int32) bool { return now.Sub(at) > time.Duration(days)*24*time.Hour }
	switch {
	case len(c.ImageProvider) > 0 && !slices.Contains(c.ImageProvider, i.Account),
		len(c.ImageName) > 0 && !patterns(c.ImageName)(i.Name),
		len(c.MarketplaceProductCode) > 0,
		c.CreationDateCondition != nil && older(i.Created, *c.CreationDateCondition.Created),
		c.DeprecationTimeCondition != nil && !i.DeprecateAt.IsZero() && older(i.DeprecateAt, *c.DeprecationTimeCondition.Deprecated):
		return false
	}
	return true
}

// imageAllowed: the caller's criteria admit the image, whether or not they are applied; without the setting they all do.
func (q *call) imageAllowed(s settingsRow, i *imageRow) bool {
	return s.AllowedImages == "" || i.Account == q.Account || slices.ContainsFunc(s.Criteria, func(c imageCriterion) bool { return c.admits(i, q.now) })
}

// disallowed: the caller's account, whose settings these are, keeps the image out.
func (q *call) disallowed(s settingsRow, i *imageRow) bool {
	return s.AllowedImages == "enabled" && !q.imageAllowed(s, i)
}

// allowedField is what DescribeImages says of the image: nothing while the setting is off.
func (q *call) allowedField(i *imageRow) *bool {
	s := q.settingsOf(q.place)
	if s.AllowedImages == "" {
		return nil
	}
	allowed := q.imageAllowed(s, i)
	return &allowed
}
