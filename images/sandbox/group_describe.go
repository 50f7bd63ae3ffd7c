package sandbox

import "github.com/imgops/imgops/images/sandbox/query"

type permissionItem struct {
	Protocol    string                    `xml:"ipProtocol"`
	From        *int32                    `xml:"fromPort"`
	To          *int32                    `xml:"toPort"`
	Groups      query.List[groupPairItem] `xml:"groups"`
	Ranges      query.List[rangeItem]     `xml:"ipRanges"`
	Ranges6     query.List[range6Item]    `xml:"ipv6Ranges"`
	PrefixLists query.List[string]        `xml:"prefixListIds"`
}

type groupPairItem struct {
	Description string `xml:"description,omitempty"`
	UserID      string `xml:"userId"`
	GroupID     string `xml:"groupId"`
}

type rangeItem struct {
	Description string `xml:"description,omitempty"`
	CIDR        string `xml:"cidrIp"`
}

type range6Item struct {
	Description string `xml:"description,omitempty"`
	CIDR        string `xml:"cidrIpv6"`
}

// permissions groups single rules of one direction by protocol and ports, as DescribeSecurityGroups shows them.
func permissions(rules []groupRule, egress bool) query.List[permissionItem] {
	type ports struct {
		protocol string
		from, to int32
	}
	var list query.List[permissionItem]
	at := map[ports]int{}
	for _, r := range rules {
		if r.Egress != egress {
			continue
		}
		key := ports{r.Protocol, r.From, r.To}
		i, ok := at[key]
		if !ok {
			i = len(list.Items)
			at[key] = i
			item := permissionItem{Protocol: r.Protocol}
			if r.Protocol != "-1" {
				item.From, item.To = &r.From, &r.To
			}
			list.Items = append(list.Items, item)
		}
		p := &list.Items[i]
		switch {
		case r.PeerGroup != "":
			p.Groups.Items = append(p.Groups.Items, groupPairItem{r.Description, r.PeerGroupUser, r.PeerGroup})
		case r.CIDR6 != "":
			p.Ranges6.Items = append(p.Ranges6.Items, range6Item{r.Description, r.CIDR6})
		default:
			p.Ranges.Items = append(p.Ranges.Items, rangeItem{r.Description, r.CIDR})
		}
	}
	return list
}

type describeRulesRequest struct {
	SecurityGroupRuleId []string
	Filter              []filterParam
	pageParams
}

type describeRulesAnswer struct {
	Rules     query.List[ruleItem] `xml:"securityGroupRuleSet"`
	NextToken string               `xml:"nextToken,omitempty"`
}

var ruleFilters = fields[ruleItem]{
	"group-id":               one(func(r *ruleItem) string { return r.GroupID }),
	"security-group-rule-id": one(func(r *ruleItem) string { return r.ID }),
}

// rule finds a rule and its group.
func (q *call) rule(id string) (groupRow, groupRule, bool) {
	for _, g := range q.groups.Scan(q.tx, q.key()) {
		for _, r := range g.Rules {
			if r.ID == id {
				return *g, r, true
			}
		}
	}
	return groupRow{}, groupRule{}, false
}

func describeSecurityGroupRules(q *call, in *describeRulesRequest) (*describeRulesAnswer, error) {
	match, err := filters(in.Filter, ruleFilters, func(r *ruleItem) map[string]string { return r.tags })
	if err != nil {
		return nil, err
	}
	for _, id := range in.SecurityGroupRuleId {
		if _, _, found := q.rule(id); !found {
			return nil, fail("InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '%s' does not exist", id)
		}
	}
	wanted := patterns(in.SecurityGroupRuleId)
	var found []ruleItem
	for _, g := range q.groups.Scan(q.tx, q.key()) {
		for _, r := range g.Rules {
			item := q.ruleItem(*g, r)
			if (len(in.SecurityGroupRuleId) == 0 || wanted(r.ID)) && match.match(&item) {
				found = append(found, item)
			}
		}
	}
	rows, next, err := page(q, in.pageParams, 5, found, func(r ruleItem) string { return r.ID })
	return &describeRulesAnswer{query.List[ruleItem]{Items: rows}, next}, err
}
