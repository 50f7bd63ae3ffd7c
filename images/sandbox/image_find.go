package sandbox

import (
	"slices"
	"strings"
)

// imageCandidates are the images of the ids, or all that the caller sees. An id that was deregistered gives no image and
// no error (ec2-facts 6.9).
func (q *call) imageCandidates(in *describeImagesRequest) ([]*imageRow, error) {
	var out []*imageRow
	if len(in.ImageId) > 0 {
		for _, id := range in.ImageId {
			i, err := q.visibleImage(id)
			if err != nil && i.State != deregistered {
				return nil, err
			}
			if err == nil && !slices.ContainsFunc(out, func(o *imageRow) bool { return o.ID == id }) {
				out = append(out, &i)
			}
		}
		return out, nil
	}
	if f, ok := q.indexedFilter(in.Filter); ok && !q.searchesTags() { // the index has the present tags
		return q.imagesByTag(f), nil
	}
	own := "own:" + q.key()
	for _, i := range q.images.Scan(q.tx, own) {
		out = append(out, i)
	}
	seen := map[string]bool{} // an image can be shared with an account in several ways
	for _, group := range append(q.organizations.shareGroups(q.Account), q.Account) {
		for id, i := range q.images.Scan(q.tx, "user:"+q.Region+"/"+group) {
			if i.Account != q.Account && !i.Public && !seen[id] {
				seen[id] = true
				out = append(out, i)
			}
		}
	}
	for _, i := range q.images.Scan(q.tx, "public:"+q.Region) {
		if i.Account != q.Account {
			out = append(out, i)
		}
	}
	return out, nil
}

// indexedFilter is the filter for which the index of tags has the shortest answer: exact values of a tag that only the caller
// can have set.
func (q *call) indexedFilter(params []filterParam) (best filterParam, found bool) {
	least := 0
	for _, p := range params {
		key, isTag := strings.CutPrefix(p.Name, "tag:")
		wild := func(value string) bool { return strings.ContainsAny(value, `*?\`) }
		if !isTag || strings.HasPrefix(key, sharedTag) || slices.ContainsFunc(p.Value, wild) {
			continue
		}
		n := 0
		for _, entry := range q.tagEntries(p) {
			n += q.tags.Count(entry)
		}
		if !found || n < least {
			best, least, found = p, n, true
		}
	}
	return best, found
}

func (q *call) imagesByTag(f filterParam) []*imageRow {
	var out []*imageRow
	for _, entry := range q.tagEntries(f) {
		for _, tags := range q.tags.Scan(q.tx, entry) {
			if i, err := q.visibleImage(tags.Resource); err == nil {
				out = append(out, &i)
			}
		}
	}
	return out
}

// tagEntries are where the index of tags has the values of a filter.
func (q *call) tagEntries(f filterParam) (entries []string) {
	for _, value := range slices.Compact(slices.Sorted(slices.Values(f.Value))) {
		entries = append(entries, tagEntry(q.place, strings.TrimPrefix(f.Name, "tag:"), value))
	}
	return entries
}

// executable applies ExecutableUsers: who has a launch permission. The caller's own may come through an organization, that
// of another account must be explicit, and only the owner sees it (ec2-facts 4.13).
func (q *call) executable(i *imageRow, users []string) bool {
	return slices.ContainsFunc(users, func(user string) bool {
		switch user {
		case "all":
			return i.Public
		case "self":
			return q.organizations.reaches(i, q.Account)
		}
		if user == q.Account {
			return q.organizations.reaches(i, user)
		}
		return slices.Contains(i.Users, user) && i.Account == q.Account
	})
}
