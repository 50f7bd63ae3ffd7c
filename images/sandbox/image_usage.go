package sandbox

import (
	"slices"
	"time"

	"github.com/imgops/imgops/images/sandbox/state"
)

// reportRow is a usage report of an image; key: its id. It tells its owner who else uses the image, and how much, but
// not with what (ec2-facts 6.11).
type reportRow struct {
	place
	ID, ImageID, State string
	Accounts           []string // that are asked about; none: all
	Types              []reportType
	Created            time.Time
	Entries            []reportEntry
}

type reportType struct {
	Name  string
	Depth int // of launch template versions; 0: no option was given
}

type reportEntry struct {
	Account, Type string
	Count         int
}

const (
	keepReports     = 30 * 24 * time.Hour
	usageDepth      = 20 // versions of a launch template
	maxReportedType = 2
)

type createReportRequest struct {
	ImageId          string              `query:",required"`
	ResourceType     []resourceTypeParam `query:",required"`
	AccountId        []string
	ClientToken      string
	TagSpecification []tagSpecParam
}

type createReportAnswer struct {
	ID string `xml:"reportId"`
}

func createUsageReport(q *call, in *createReportRequest) (*createReportAnswer, error) {
	token, err := q.clientToken(in.ClientToken, withoutToken(*in, func(r *createReportRequest) { r.ClientToken = "" }))
	if err != nil {
		return nil, err
	}
	if token.ID != "" {
		return &createReportAnswer{token.ID}, nil
	}
	specs, err := tagSpecs(in.TagSpecification, "image-usage-report")
	if err != nil {
		return nil, err
	}
	if _, err := q.ownImage(in.ImageId); err != nil {
		return nil, err
	}
	r := reportRow{place: q.place, ID: newID("amiur-"), ImageID: in.ImageId, State: pending, Accounts: in.AccountId, Created: q.now}
	if r.Types, err = in.types(); err != nil {
		return nil, err
	}
	for _, account := range in.AccountId {
		if !accountID().MatchString(account) {
			return nil, badParameter(account, "accountId", "Give account ids of 12 digits.")
		}
	}
	q.reports.Put(q.tx, r.ID, r)
	q.setTags(r.ID, specs["image-usage-report"])
	q.keepToken(in.ClientToken, token, r.ID)
	q.after(func() { q.jobs.run(r.ID, func() { q.finishReport(r.ID) }) })
	return &createReportAnswer{r.ID}, nil
}

func (in *createReportRequest) types() ([]reportType, error) {
	var out []reportType
	for _, p := range in.ResourceType {
		if p.ResourceType != ofInstance && p.ResourceType != ofTemplate || len(out) == maxReportedType {
			return nil, badParameter(p.ResourceType, "resourceType", "Valid values, each once: ec2:Instance, ec2:LaunchTemplate.")
		}
		t := reportType{Name: p.ResourceType}
		for _, o := range p.ResourceTypeOption {
			if o.OptionName != "version-depth" || t.Name != ofTemplate {
				return nil, badParameter(o.OptionName, "optionName", "The one option is version-depth of ec2:LaunchTemplate.")
			}
			var err error
			if t.Depth, err = versionDepth(o.OptionValue, 0); err != nil {
				return nil, err
			}
		}
		out = append(out, t)
	}
	return out, nil
}

// finishReport counts the uses in all other accounts.
func (c *Cloud) finishReport(id string) {
	c.update("usage report "+id, func(tx *state.Tx) error {
		r, ok := c.reports.Get(tx, id)
		if !ok || r.State != pending {
			return nil
		}
		for _, t := range r.Types {
			for account, n := range c.usesOf(tx, &r, t) {
				if account != r.Account && (len(r.Accounts) == 0 || slices.Contains(r.Accounts, account)) {
					r.Entries = append(r.Entries, reportEntry{account, t.Name, n})
				}
			}
		}
		r.State = available
		c.reports.Put(tx, id, r)
		return nil
	})
}

func (c *Cloud) usesOf(tx *state.Tx, r *reportRow, t reportType) map[string]int {
	uses := map[string]int{}
	if t.Name == ofInstance {
		for _, i := range c.instances.Scan(tx, "alive") {
			if i.ImageID == r.ImageID {
				uses[i.Account]++
			}
		}
		return uses
	}
	depth := t.Depth
	if depth == 0 {
		depth = usageDepth
	}
	for _, template := range c.templates.All(tx) {
		if template.Region == r.Region && slices.Contains(template.imagesOf(depth), r.ImageID) {
			uses[template.Account]++
		}
	}
	return uses
}
