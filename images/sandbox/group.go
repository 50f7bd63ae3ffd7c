package sandbox

import (
	"slices"

	"github.com/imgops/imgops/images/sandbox/query"
)

// Security groups are kept and described; the machines' network does not enforce them.

func defaultGroup(p place) groupRow {
	id := hashID("sg-", p.key())
	return groupRow{place: p, ID: id, Name: "default", Description: "default VPC security group", VpcID: vpcID(p),
		Rules: []groupRule{
			{ID: hashID("sgr-", p.key(), "in"), Protocol: "-1", From: -1, To: -1, PeerGroup: id, PeerGroupUser: p.Account},
			{ID: hashID("sgr-", p.key(), "out"), Egress: true, Protocol: "-1", From: -1, To: -1, CIDR: "0.0.0.0/0"},
		}}
}

func (q *call) group(id string) (groupRow, error) {
	g, ok := q.groups.Get(q.tx, id)
	if !ok || g.place != q.place || q.unseen(g.Created) {
		if !wellFormed(id, "sg-") {
			return g, fail("InvalidGroupId.Malformed", "Invalid id: \"%s\" (expecting \"sg-...\")", id)
		}
		return g, fail("InvalidGroup.NotFound", "The security group '%s' does not exist", id)
	}
	return g, nil
}

// groupByIDOrName finds a group by whichever is given.
func (q *call) groupByIDOrName(id, name string) (groupRow, error) {
	if id != "" {
		return q.group(id)
	}
	if name == "" {
		return groupRow{}, missing("GroupId")
	}
	for _, g := range q.groups.Scan(q.tx, q.key()) {
		if g.Name == name {
			return *g, nil
		}
	}
	return groupRow{}, fail("InvalidGroup.NotFound", "The security group '%s' does not exist in default VPC '%s'", name, vpcID(q.place))
}

type describeGroupsRequest struct {
	GroupId, GroupName []string
	Filter             []filterParam
	pageParams
}

type groupItem struct {
	ID          string                     `xml:"groupId"`
	Egress      query.List[permissionItem] `xml:"ipPermissionsEgress"`
	Tags        *query.List[tagItem]       `xml:"tagSet"`
	VpcID       string                     `xml:"vpcId"`
	ARN         string                     `xml:"securityGroupArn"`
	OwnerID     string                     `xml:"ownerId"`
	Name        string                     `xml:"groupName"`
	Description string                     `xml:"groupDescription"`
	Ingress     query.List[permissionItem] `xml:"ipPermissions"`
}

type describeGroupsAnswer struct {
	NextToken string                `xml:"nextToken,omitempty"`
	Groups    query.List[groupItem] `xml:"securityGroupInfo"`
}

func groupARN(p place, id string) string {
	return "arn:aws:ec2:" + p.Region + ":" + p.Account + ":security-group/" + id
}

var groupFilters = fields[groupRow]{
	"group-id":                  one(func(g *groupRow) string { return g.ID }),
	"group-name":                one(func(g *groupRow) string { return g.Name }),
	"description":               one(func(g *groupRow) string { return g.Description }),
	"owner-id":                  one(func(g *groupRow) string { return g.Account }),
	"vpc-id":                    one(func(g *groupRow) string { return g.VpcID }),
	"ip-permission.cidr":        ruleValues(false, func(r groupRule) string { return r.CIDR }),
	"ip-permission.from-port":   ruleValues(false, func(r groupRule) string { return number(r.From) }),
	"ip-permission.to-port":     ruleValues(false, func(r groupRule) string { return number(r.To) }),
	"ip-permission.protocol":    ruleValues(false, func(r groupRule) string { return r.Protocol }),
	"ip-permission.group-id":    ruleValues(false, func(r groupRule) string { return r.PeerGroup }),
	"egress.ip-permission.cidr": ruleValues(true, func(r groupRule) string { return r.CIDR }),
}

func ruleValues(egress bool, get func(groupRule) string) func(*groupRow) []string {
	return func(g *groupRow) []string {
		var out []string
		for _, r := range g.Rules {
			if v := get(r); r.Egress == egress && v != "" {
				out = append(out, v)
			}
		}
		return out
	}
}

func describeSecurityGroups(q *call, in *describeGroupsRequest) (*describeGroupsAnswer, error) {
	match, err := filters(in.Filter, groupFilters, func(g *groupRow) map[string]string { return q.ownTags(g.ID) })
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, id := range in.GroupId {
		if _, err := q.group(id); err != nil {
			return nil, err
		}
		wanted[id] = true
	}
	for _, name := range in.GroupName {
		g, err := q.groupByIDOrName("", name)
		if err != nil {
			return nil, err
		}
		wanted[g.ID] = true
	}
	var found []*groupRow
	for id, g := range q.groups.Scan(q.tx, q.key()) {
		if !q.unseen(g.Created) && (len(wanted) == 0 || wanted[id]) && match.match(g) {
			found = append(found, g)
		}
	}
	rows, next, err := page(q, in.pageParams, 5, found, func(g *groupRow) string { return g.ID })
	out := &describeGroupsAnswer{NextToken: next}
	for _, g := range rows {
		out.Groups.Items = append(out.Groups.Items, groupItem{ID: g.ID, Egress: permissions(g.Rules, true), VpcID: g.VpcID,
			Tags: optionalTagSet(q.ownTags(g.ID)), ARN: groupARN(g.place, g.ID), OwnerID: g.Account, Name: g.Name,
			Description: g.Description, Ingress: permissions(g.Rules, false)})
	}
	return out, err
}

type createGroupRequest struct {
	GroupName        string `query:",required"`
	GroupDescription string `query:",required"`
	VpcId            string
	TagSpecification []tagSpecParam
}

type createGroupAnswer struct {
	ID   string               `xml:"groupId"`
	Tags *query.List[tagItem] `xml:"tagSet"`
	ARN  string               `xml:"securityGroupArn"`
}

var groupText = lazy(`^[\w .:/()#,@\[\]+=&;{}!$*-]{1,255}$`)

func createSecurityGroup(q *call, in *createGroupRequest) (*createGroupAnswer, error) {
	specs, err := tagSpecs(in.TagSpecification, "security-group")
	switch {
	case err != nil:
		return nil, err
	case !groupText().MatchString(in.GroupName) || len(in.GroupName) > 3 && in.GroupName[:3] == "sg-":
		return nil, badParameter(in.GroupName, "groupName", "It must have 1 to 255 of the characters a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{}!$*, and not start with sg-.")
	case !groupText().MatchString(in.GroupDescription):
		return nil, badParameter(in.GroupDescription, "groupDescription", "It must have 1 to 255 of the characters a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{}!$*.")
	case in.VpcId != "" && in.VpcId != vpcID(q.place):
		return nil, notFound("InvalidVpcID.NotFound", "vpc ID", in.VpcId)
	}
	if _, err := q.groupByIDOrName("", in.GroupName); err == nil {
		return nil, fail("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", in.GroupName, vpcID(q.place))
	}
	g := groupRow{place: q.place, Created: q.now, ID: newID("sg-"), Name: in.GroupName, Description: in.GroupDescription, VpcID: vpcID(q.place),
		Rules: []groupRule{{ID: newID("sgr-"), Egress: true, Protocol: "-1", From: -1, To: -1, CIDR: "0.0.0.0/0"}}}
	q.groups.Put(q.tx, g.ID, g)
	q.setTags(g.ID, specs["security-group"])
	return &createGroupAnswer{g.ID, optionalTagSet(specs["security-group"]), groupARN(q.place, g.ID)}, nil
}

type deleteGroupRequest struct{ GroupId, GroupName string }

type deleteGroupAnswer struct {
	Return bool   `xml:"return"`
	ID     string `xml:"groupId"`
}

func deleteSecurityGroup(q *call, in *deleteGroupRequest) (*deleteGroupAnswer, error) {
	g, err := q.groupByIDOrName(in.GroupId, in.GroupName)
	if err != nil {
		return nil, err
	}
	if g.Name == "default" {
		return nil, fail("CannotDelete", "the specified group: \"%s\" name: \"default\" cannot be deleted by a user", g.ID)
	}
	inUse := fail("DependencyViolation", "resource %s has a dependent object", g.ID)
	for _, i := range q.instances.Scan(q.tx, q.key()) {
		if i.State != terminated && slices.Contains(i.Groups, g.ID) {
			return nil, inUse
		}
	}
	for id, other := range q.groups.Scan(q.tx, q.key()) {
		if id != g.ID && slices.ContainsFunc(other.Rules, func(r groupRule) bool { return r.PeerGroup == g.ID }) {
			return nil, inUse
		}
	}
	q.groups.Delete(q.tx, g.ID)
	q.dropTags(g.ID)
	for _, r := range g.Rules {
		q.dropTags(r.ID)
	}
	return &deleteGroupAnswer{true, g.ID}, nil
}
