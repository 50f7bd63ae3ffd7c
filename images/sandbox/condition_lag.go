package sandbox

import (
	"slices"
	"strings"
	"time"
)

// maxLag is how far a read may be behind, as a rule (ec2-facts 1.8, 2.3, 2.12: seconds).
const maxLag = 3 * time.Second

// lag is how far behind the state is that the call sees. Half of the calls are answered by an up-to-date copy of the
// state, so a resource may be seen, and not be seen by the next call.
func (s *simulation) lag(q *call) time.Duration {
	if s.Consistency == 0 {
		return 0
	}
	if s.draw("fresh "+q.action) < 0.5 {
		return 0
	}
	return scaled(scaled(maxLag, s.draw("lag "+q.action)), s.Consistency)
}

// What becomes of a page, beside holding what was asked for.
const (
	pageWhole  = iota
	pageEmpty  // nothing, and a token
	pageUnsure // all that is left, and a token to an empty page
)

// pageFate: with the consistency of AWS, one page in four is empty and has a token all the same, since EC2 looks at so many resources
// for one page, whether the filters fit or not (boto/boto3#2888, aws/aws-sdk-core-ruby#196), and one last page in four has a token, since
// what comes after it was not looked for (aws/aws-sdk-js#939). SSM's pages are filtered always, by ssm_list.go.
func (q *call) pageFate() int {
	s := q.simulation
	if s == nil || s.Consistency == 0 || q.service != "ec2" {
		return pageWhole
	}
	switch d := s.draw("page " + q.action); {
	case d < 0.25:
		return pageEmpty
	case d < 0.5:
		return pageUnsure
	}
	return pageWhole
}

// unseen: what was made at that time is not there yet for this call. It is not asked where a name or a token must be
// unique: those checks are strict on AWS too.
func (q *call) unseen(made time.Time) bool { return q.lag > 0 && q.now.Sub(made) < q.lag }

// asSeen is the image as this call sees it: pending for a while after that has ended.
func (q *call) asSeen(i *imageRow) *imageRow {
	if i.State != available && i.State != failed || !q.unseen(i.Settled) {
		return i
	}
	old := *i
	old.State, old.Reason = pending, nil
	return &old
}

// instanceAsSeen is the instance in the state before the present one, for a while after a job has changed it.
func (q *call) instanceAsSeen(i *instanceRow) *instanceRow {
	if i.Before == "" || !q.unseen(i.Changed) {
		return i
	}
	old := *i
	old.State, old.Reason = i.Before, nil
	return &old
}

// tagsAsSeen are the tags of the row: those before the last change for a search by tags that lags behind. A read by id
// has the present ones (ec2-facts 7.11).
func (q *call) tagsAsSeen(r tagRow) map[string]string {
	if q.searchesTags() && q.unseen(r.Changed) {
		return r.Before
	}
	return r.Tags
}

// searchesTags: the call is a search by tags.
func (q *call) searchesTags() bool {
	if q.lag == 0 || !isRead(q.action) {
		return false
	}
	for name, values := range q.params {
		isTag := func(v string) bool { return strings.HasPrefix(v, "tag:") || v == "tag-key" || v == "tag-value" }
		if strings.HasPrefix(name, "Filter.") && strings.HasSuffix(name, ".Name") && slices.ContainsFunc(values, isTag) {
			return true
		}
	}
	return false
}
