package sandbox

import "github.com/imgops/imgops/images/sandbox/query"

// networkInterface is an instance's interface as DescribeNetworkInterfaces shows it: with what the instance need not say.
type networkInterface struct {
	interfaceItem
	Zone      string              `xml:"availabilityZone"`
	Requester bool                `xml:"requesterManaged"`
	Tags      query.List[tagItem] `xml:"tagSet"`
}

type describeInterfacesRequest struct {
	NetworkInterfaceId      []string
	Filter                  []filterParam
	IncludeManagedResources bool
	pageParams
}

type describeInterfacesAnswer struct {
	NextToken  string                       `xml:"nextToken,omitempty"`
	Interfaces query.List[networkInterface] `xml:"networkInterfaceSet"`
}

var interfaceFilters = fields[instanceRow]{
	"addresses.private-ip-address": one(func(i *instanceRow) string { return i.Address }),
	"association.public-ip":        one(func(i *instanceRow) string { return i.Address }),
	"attachment.attachment-id":     one(func(i *instanceRow) string { return hashID("eni-attach-", i.ID) }),
	"attachment.device-index":      func(*instanceRow) []string { return []string{"0"} },
	"attachment.instance-id":       one(func(i *instanceRow) string { return i.ID }),
	"attachment.status":            func(*instanceRow) []string { return []string{"attached"} },
	"availability-zone":            one(func(i *instanceRow) string { return i.Zone }),
	"description":                  func(*instanceRow) []string { return nil },
	"group-id":                     func(i *instanceRow) []string { return i.Groups },
	"interface-type":               func(*instanceRow) []string { return []string{"interface"} },
	"mac-address":                  one(func(i *instanceRow) string { return i.mac() }),
	"network-interface-id":         one(func(i *instanceRow) string { return i.ENI }),
	"owner-id":                     one(func(i *instanceRow) string { return i.Account }),
	"private-ip-address":           one(func(i *instanceRow) string { return i.Address }),
	"requester-managed":            flag(func(*instanceRow) bool { return false }),
	"status":                       func(*instanceRow) []string { return []string{"in-use"} },
	"subnet-id":                    one(func(i *instanceRow) string { return i.SubnetID }),
	"vpc-id":                       one(func(i *instanceRow) string { return i.VpcID }),
}

// describeNetworkInterfaces shows the interfaces of instances; there are no others.
func describeNetworkInterfaces(q *call, in *describeInterfacesRequest) (*describeInterfacesAnswer, error) {
	match, err := filters(in.Filter, interfaceFilters, func(i *instanceRow) map[string]string { return q.ownTags(i.ENI) })
	if err != nil {
		return nil, err
	}
	if err := noPagesWithIDs(in.pageParams, in.NetworkInterfaceId, "networkInterfaceIdSet"); err != nil {
		return nil, err
	}
	wanted, known := patterns(in.NetworkInterfaceId), map[string]bool{}
	var found []*instanceRow
	for _, i := range q.instances.Scan(q.tx, q.key()) {
		if i.State == terminated {
			continue
		}
		known[i.ENI] = true
		if (len(in.NetworkInterfaceId) == 0 || wanted(i.ENI)) && match.match(i) {
			found = append(found, i)
		}
	}
	for _, id := range in.NetworkInterfaceId {
		if !known[id] {
			return nil, notFound("InvalidNetworkInterfaceID.NotFound", "networkInterface ID", id)
		}
	}
	rows, next, err := page(q, in.pageParams, 5, found, func(i *instanceRow) string { return i.ENI })
	out := &describeInterfacesAnswer{NextToken: next}
	for _, i := range rows {
		n := networkInterface{interfaceItem: q.interfaceItem(i), Zone: i.Zone, Tags: tagSet(q.ownTags(i.ENI))}
		n.Attachment.Instance, n.Attachment.Owner = i.ID, i.Account
		out.Interfaces.Items = append(out.Interfaces.Items, n)
	}
	return out, err
}

type creditItem struct {
	ID      string `xml:"instanceId"`
	Credits string `xml:"cpuCredits"`
}

type describeCreditsRequest struct {
	InstanceId []string
	Filter     []filterParam
	pageParams
}

type describeCreditsAnswer struct {
	NextToken string                 `xml:"nextToken,omitempty"`
	Credits   query.List[creditItem] `xml:"instanceCreditSpecificationSet"`
}

// describeInstanceCredits is about burstable instances: those that are asked for by id, or those that are not at their
// family's default (EC2 API reference, DescribeInstanceCreditSpecifications).
func describeInstanceCredits(q *call, in *describeCreditsRequest) (*describeCreditsAnswer, error) {
	known := fields[instanceRow]{"instance-id": one(func(i *instanceRow) string { return i.ID })}
	found, err := q.findInstances(in.InstanceId, in.Filter, known)
	if err != nil {
		return nil, err
	}
	var items []creditItem
	for _, i := range found {
		t, _ := typeByName(i.Type)
		switch {
		case t.Burstable:
			if credits := i.credits(); len(in.InstanceId) > 0 || credits != "unlimited" {
				items = append(items, creditItem{i.ID, credits})
			}
		case len(in.InstanceId) > 0:
			return nil, fail("InvalidParameterValue", "The instance '%s' is of type %s, which is not burstable", i.ID, i.Type)
		}
	}
	rows, next, err := page(q, in.pageParams, 5, items, func(c creditItem) string { return c.ID })
	return &describeCreditsAnswer{next, query.List[creditItem]{Items: rows}}, err
}

// credits is unlimited unless it was said otherwise: the default of T3, T3a and T4g, the burstable families here.
func (i *instanceRow) credits() string {
	if i.CPUCredits == "" {
		return "unlimited"
	}
	return i.CPUCredits
}
