package sandbox

import (
	"slices"

	"github.com/imgops/imgops/images/sandbox/query"
)

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
	rows, next, err := page(q, in.pageParams, 1, found, func(r *reportRow) string { return r.ID })
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
	rows, next, err := page(q, in.pageParams, 1, found, func(e entryItem) string { return e.ReportID + e.Account + e.Type })
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
