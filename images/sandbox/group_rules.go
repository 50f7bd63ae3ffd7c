package sandbox

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/imgops/imgops/images/sandbox/query"
)

type permissionParam struct {
	IpProtocol    string
	FromPort      *int32
	ToPort        *int32
	Groups        []struct{ Description, UserId, GroupName, GroupId, VpcId string }
	IpRanges      []struct{ Description, CidrIp string }
	Ipv6Ranges    []struct{ Description, CidrIpv6 string }
	PrefixListIds []struct{ Description, PrefixListId string }
}

// ruleRequest is one of Authorize/Revoke SecurityGroup Ingress/Egress. The single-rule parameters are the old form.
type ruleRequest struct {
	GroupId, GroupName         string
	IpPermissions              []permissionParam
	SecurityGroupRuleId        []string
	TagSpecification           []tagSpecParam
	CidrIp, IpProtocol         string
	FromPort, ToPort           *int32
	SourceSecurityGroupName    string
	SourceSecurityGroupOwnerId string
}

type ruleItem struct {
	ID          string               `xml:"securityGroupRuleId"`
	GroupID     string               `xml:"groupId"`
	OwnerID     string               `xml:"groupOwnerId"`
	IsEgress    bool                 `xml:"isEgress"`
	Protocol    string               `xml:"ipProtocol"`
	From        int32                `xml:"fromPort"`
	To          int32                `xml:"toPort"`
	CIDR        string               `xml:"cidrIpv4,omitempty"`
	CIDR6       string               `xml:"cidrIpv6,omitempty"`
	PrefixList  string               `xml:"prefixListId,omitempty"`
	Peer        *peerItem            `xml:"referencedGroupInfo"`
	Description string               `xml:"description,omitempty"`
	Tags        *query.List[tagItem] `xml:"tagSet"`
	ARN         string               `xml:"securityGroupRuleArn"`
	tags        map[string]string
}

type peerItem struct {
	GroupID string `xml:"groupId"`
	UserID  string `xml:"userId"`
}

type ruleAnswer struct {
	Return bool                 `xml:"return"`
	Rules  query.List[ruleItem] `xml:"securityGroupRuleSet"`
}

type revokeAnswer struct {
	Return bool                 `xml:"return"`
	Rules  query.List[ruleItem] `xml:"revokedSecurityGroupRuleSet"`
}

func (q *call) ruleItem(g groupRow, r groupRule) ruleItem {
	tags := q.ownTags(r.ID)
	item := ruleItem{ID: r.ID, GroupID: g.ID, OwnerID: g.Account, IsEgress: r.Egress, Protocol: r.Protocol, From: r.From, To: r.To,
		CIDR: r.CIDR, CIDR6: r.CIDR6, PrefixList: r.PrefixList, Description: r.Description, Tags: optionalTagSet(tags), tags: tags,
		ARN: "arn:aws:ec2:" + g.Region + ":" + g.Account + ":security-group-rule/" + r.ID}
	if r.PeerGroup != "" {
		item.Peer = &peerItem{r.PeerGroup, r.PeerGroupUser}
	}
	return item
}

func authorizeIngress(q *call, in *ruleRequest) (*ruleAnswer, error) { return q.authorize(in, false) }
func authorizeEgress(q *call, in *ruleRequest) (*ruleAnswer, error)  { return q.authorize(in, true) }
func revokeIngress(q *call, in *ruleRequest) (*revokeAnswer, error)  { return q.revoke(in, false) }
func revokeEgress(q *call, in *ruleRequest) (*revokeAnswer, error)   { return q.revoke(in, true) }

func (q *call) authorize(in *ruleRequest, egress bool) (*ruleAnswer, error) {
	g, err := q.groupByIDOrName(in.GroupId, in.GroupName)
	if err != nil {
		return nil, err
	}
	specs, err := tagSpecs(in.TagSpecification, "security-group-rule")
	if err != nil {
		return nil, err
	}
	rules, err := q.rules(in, egress)
	if err != nil {
		return nil, err
	}
	out := &ruleAnswer{Return: true}
	g.Rules = slices.Clone(g.Rules)
	for _, r := range rules {
		if slices.ContainsFunc(g.Rules, r.same) {
			return nil, fail("InvalidPermission.Duplicate", "the specified rule \"peer: %s, %s, from port: %d, to port: %d, ALLOW\" already exists",
				r.peer(), r.Protocol, r.From, r.To)
		}
		r.ID = newID("sgr-")
		g.Rules = append(g.Rules, r)
		q.setTags(r.ID, specs["security-group-rule"])
		out.Rules.Items = append(out.Rules.Items, q.ruleItem(g, r))
	}
	q.groups.Put(q.tx, g.ID, g)
	return out, nil
}

func (q *call) revoke(in *ruleRequest, egress bool) (*revokeAnswer, error) {
	g, err := q.groupByIDOrName(in.GroupId, in.GroupName)
	if err != nil {
		return nil, err
	}
	gone := func(r groupRule) bool { return r.Egress == egress && slices.Contains(in.SecurityGroupRuleId, r.ID) }
	for _, id := range in.SecurityGroupRuleId {
		if !slices.ContainsFunc(g.Rules, func(r groupRule) bool { return r.ID == id && r.Egress == egress }) {
			return nil, fail("InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '%s' does not exist", id)
		}
	}
	if len(in.SecurityGroupRuleId) == 0 {
		rules, err := q.rules(in, egress)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			if !slices.ContainsFunc(g.Rules, r.same) {
				return nil, fail("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
			}
		}
		gone = func(r groupRule) bool { return slices.ContainsFunc(rules, r.same) }
	}
	out := &revokeAnswer{Return: true}
	var left []groupRule
	for _, r := range g.Rules {
		if !gone(r) {
			left = append(left, r)
			continue
		}
		out.Rules.Items = append(out.Rules.Items, q.ruleItem(g, r))
		q.dropTags(r.ID)
	}
	g.Rules = left
	q.groups.Put(q.tx, g.ID, g)
	return out, nil
}

// rules makes single rules of the permissions, each of which may name several ranges and groups.
func (q *call) rules(in *ruleRequest, egress bool) ([]groupRule, error) {
	all := in.IpPermissions
	if in.IpProtocol != "" || in.CidrIp != "" || in.SourceSecurityGroupName != "" {
		p := permissionParam{IpProtocol: in.IpProtocol, FromPort: in.FromPort, ToPort: in.ToPort}
		if in.CidrIp != "" {
			p.IpRanges = append(p.IpRanges, struct{ Description, CidrIp string }{CidrIp: in.CidrIp})
		}
		if in.SourceSecurityGroupName != "" {
			p.Groups = append(p.Groups, struct{ Description, UserId, GroupName, GroupId, VpcId string }{
				GroupName: in.SourceSecurityGroupName, UserId: in.SourceSecurityGroupOwnerId})
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, missing("ipPermissions")
	}
	var out []groupRule
	for _, p := range all {
		rules, err := q.permissionRules(p, egress)
		if err != nil {
			return nil, err
		}
		out = append(out, rules...)
	}
	return out, nil
}

func (q *call) permissionRules(p permissionParam, egress bool) ([]groupRule, error) {
	base, err := portRange(p)
	if err != nil {
		return nil, err
	}
	base.Egress = egress
	var out []groupRule
	add := func(description string, set func(*groupRule)) {
		r := base
		r.Description = description
		set(&r)
		out = append(out, r)
	}
	for _, c := range p.IpRanges {
		prefix, err := netip.ParsePrefix(c.CidrIp)
		if err != nil || !prefix.Addr().Is4() {
			return nil, fail("InvalidParameterValue", "CIDR block %s is malformed", c.CidrIp)
		}
		add(c.Description, func(r *groupRule) { r.CIDR = prefix.Masked().String() })
	}
	for _, c := range p.Ipv6Ranges {
		prefix, err := netip.ParsePrefix(c.CidrIpv6)
		if err != nil || !prefix.Addr().Is6() {
			return nil, fail("InvalidParameterValue", "CIDR block %s is malformed", c.CidrIpv6)
		}
		add(c.Description, func(r *groupRule) { r.CIDR6 = prefix.Masked().String() })
	}
	for _, g := range p.Groups {
		peer, err := q.groupByIDOrName(g.GroupId, g.GroupName)
		if err != nil {
			return nil, err
		}
		add(g.Description, func(r *groupRule) { r.PeerGroup, r.PeerGroupUser = peer.ID, peer.Account })
	}
	for _, l := range p.PrefixListIds {
		return nil, fail("InvalidPrefixListId.NotFound", "The prefix list ID '%s' does not exist", l.PrefixListId)
	}
	if len(out) == 0 {
		return nil, missing("cidrIp")
	}
	return out, nil
}

func portRange(p permissionParam) (groupRule, error) {
	protocol := strings.ToLower(p.IpProtocol)
	if name, ok := map[string]string{"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6", "all": "-1"}[protocol]; ok {
		protocol = name
	}
	r := groupRule{Protocol: protocol, From: -1, To: -1}
	switch n, err := strconv.Atoi(protocol); {
	case protocol == "-1" || err == nil && n >= 0 && n <= 255:
		return r, nil // ports mean nothing here and EC2 ignores them
	case protocol != "tcp" && protocol != "udp" && protocol != "icmp" && protocol != "icmpv6":
		return r, fail("InvalidPermission.Malformed", "Unsupported IP protocol \"%s\"  - supported: [tcp, udp, icmp, icmpv6, -1, 0..255]", p.IpProtocol)
	case p.FromPort == nil || p.ToPort == nil:
		return r, missing("FromPort and ToPort")
	}
	r.From, r.To = *p.FromPort, *p.ToPort
	if !r.inRange() {
		return r, fail("InvalidParameterValue", "Invalid port range: from %d to %d", r.From, r.To)
	}
	return r, nil
}

// inRange checks ports, or for ICMP the type and the code, of which -1 is any.
func (r groupRule) inRange() bool {
	if r.Protocol == "tcp" || r.Protocol == "udp" {
		return r.From >= 0 && r.To <= 65535 && r.From <= r.To
	}
	return min(r.From, r.To) >= -1 && max(r.From, r.To) <= 255
}

func (r groupRule) same(o groupRule) bool {
	r.ID, o.ID, r.Description, o.Description = "", "", "", ""
	return r == o
}

func (r groupRule) peer() string { return r.CIDR + r.CIDR6 + r.PeerGroup }
