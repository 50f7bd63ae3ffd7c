package sandbox

import (
	"slices"
	"time"

	"github.com/imgops/imgops/images/sandbox/query"
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
		if !accountID.MatchString(account) {
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

type reportItem struct {
	ID       string                     `xml:"reportId"`
	ImageID  string                     `xml:"imageId"`
	State    string                     `xml:"state"`
	Created  string                     `xml:"creationTime"`
	Expires  string                     `xml:"expirationTime"`
	Accounts query.List[string]         `xml:"accountIdSet"`
	Types    query.List[reportTypeItem] `xml:"resourceTypeSet"`
	Tags     *query.List[tagItem]       `xml:"tagSet"`
}

type reportTypeItem struct {
	Name    string                         `xml:"resourceType"`
	Options *query.List[reportTypeOptions] `xml:"resourceTypeOptionSet"`
}

type reportTypeOptions struct {
	Name   string             `xml:"optionName"`
	Values query.List[string] `xml:"optionValueSet"`
}

func (q *call) reportItem(r *reportRow) reportItem {
	item := reportItem{ID: r.ID, ImageID: r.ImageID, State: r.State, Created: timestamp(r.Created), Expires: timestamp(r.Created.Add(keepReports)),
		Accounts: query.List[string]{Items: r.Accounts}, Tags: optionalTagSet(q.ownTags(r.ID))}
	for _, t := range r.Types {
		ti := reportTypeItem{Name: t.Name}
		if t.Depth > 0 {
			ti.Options = &query.List[reportTypeOptions]{Items: []reportTypeOptions{{"version-depth", query.List[string]{Items: []string{number(int32(t.Depth))}}}}}
		}
		item.Types.Items = append(item.Types.Items, ti)
	}
	return item
}

type describeReportsRequest struct {
	ReportId []string
	ImageId  []string
	Filter   []filterParam
	pageParams
}

type describeReportsAnswer struct {
	NextToken string                 `xml:"nextToken,omitempty"`
	Reports   query.List[reportItem] `xml:"imageUsageReportSet"`
}

var reportFilters = fields[reportRow]{
	"state":         one(func(r *reportRow) string { return r.State }),
	"creation-time": one(func(r *reportRow) string { return timestamp(r.Created) }),
}

// findReports are the caller's reports of the ids and images, or all.
func (q *call) findReports(ids, images []string) ([]*reportRow, error) {
	for _, id := range ids {
		if r, ok := q.reports.Get(q.tx, id); !ok || r.place != q.place || q.now.Sub(r.Created) > keepReports {
			return nil, fail("InvalidImageUsageReportId.NotFound", "The image usage report '%s' does not exist", id)
		}
	}
	var found []*reportRow
	for _, r := range q.reports.Scan(q.tx, q.key()) {
		if q.now.Sub(r.Created) <= keepReports && (len(ids) == 0 || slices.Contains(ids, r.ID)) && (len(images) == 0 || slices.Contains(images, r.ImageID)) {
			found = append(found, r)
		}
	}
	return found, nil
}

func describeUsageReports(q *call, in *describeReportsRequest) (*describeReportsAnswer, error) {
	match, err := filters(in.Filter, reportFilters, func(r *reportRow) map[string]string { return q.ownTags(r.ID) })
	if err != nil {
		return nil, err
	}
	found, err := q.findReports(in.ReportId, in.ImageId)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(r *reportRow) bool { return !match.match(r) })
	rows, next, err := page(in.pageParams, 1, found, func(r *reportRow) string { return r.ID })
	out := &describeReportsAnswer{NextToken: next}
	for _, r := range rows {
		out.Reports.Items = append(out.Reports.Items, q.reportItem(r))
	}
	return out, err
}

type entryItem struct {
	Account  string `xml:"accountId"`
	ImageID  string `xml:"imageId"`
	Created  string `xml:"reportCreationTime"`
	ReportID string `xml:"reportId"`
	Type     string `xml:"resourceType"`
	Count    int    `xml:"usageCount"`
}

type describeEntriesAnswer struct {
	NextToken string                `xml:"nextToken,omitempty"`
	Entries   query.List[entryItem] `xml:"imageUsageReportEntrySet"`
}

var entryFilters = fields[entryItem]{
	"account-id":    one(func(e *entryItem) string { return e.Account }),
	"creation-time": one(func(e *entryItem) string { return e.Created }),
	"resource-type": one(func(e *entryItem) string { return e.Type }),
}

func describeUsageEntries(q *call, in *describeReportsRequest) (*describeEntriesAnswer, error) {
	match, err := filters(in.Filter, entryFilters, nil)
	if err != nil {
		return nil, err
	}
	reports, err := q.findReports(in.ReportId, in.ImageId)
	if err != nil {
		return nil, err
	}
	var found []entryItem
	for _, r := range reports {
		for _, e := range r.Entries {
			item := entryItem{e.Account, r.ImageID, timestamp(r.Created), r.ID, e.Type, e.Count}
			if match.match(&item) {
				found = append(found, item)
			}
		}
	}
	rows, next, err := page(in.pageParams, 1, found, func(e entryItem) string { return e.ReportID + e.Account + e.Type })
	return &describeEntriesAnswer{next, query.List[entryItem]{Items: rows}}, err
}

type reportRequest struct {
	ReportId string `query:",required"`
}

func deleteUsageReport(q *call, in *reportRequest) (*done, error) {
	if _, err := q.findReports([]string{in.ReportId}, nil); err != nil {
		return nil, err
	}
	q.reports.Delete(q.tx, in.ReportId)
	q.dropTags(in.ReportId)
	return success, nil
}
