package sandbox

import "github.com/imgops/imgops/images/sandbox/query"

type statusRequest struct {
	InstanceId          []string
	Filter              []filterParam
	IncludeAllInstances bool
	pageParams
}

type statusDetail struct {
	Name   string `xml:"name"`
	Status string `xml:"status"`
}

type statusItem struct {
	Zone     string                   `xml:"availabilityZone"`
	ZoneID   string                   `xml:"availabilityZoneId"`
	Events   query.List[string]       `xml:"eventsSet"`
	ID       string                   `xml:"instanceId"`
	State    stateItem                `xml:"instanceState"`
	Instance string                   `xml:"instanceStatus>status"`
	IDetails query.List[statusDetail] `xml:"instanceStatus>details"`
	System   string                   `xml:"systemStatus>status"`
	SDetails query.List[statusDetail] `xml:"systemStatus>details"`
	EBS      string                   `xml:"attachedEbsStatus>status"`
	EDetails query.List[statusDetail] `xml:"attachedEbsStatus>details"`
}

type statusAnswer struct {
	Statuses  query.List[statusItem] `xml:"instanceStatusSet"`
	NextToken string                 `xml:"nextToken,omitempty"`
}

var statusFilters = fields[instanceRow]{
	"availability-zone":          instanceFilters["availability-zone"],
	"instance-state-code":        instanceFilters["instance-state-code"],
	"instance-state-name":        instanceFilters["instance-state-name"],
	"instance-status.status":     one(func(i *instanceRow) string { return i.health() }),
	"system-status.status":       one(func(i *instanceRow) string { return i.health() }),
	"attached-ebs-status.status": one(func(i *instanceRow) string { return i.health() }),
}

// health is what the status checks say: a machine that runs is ok. Whether its sshd answers is the client's to find out.
func (i *instanceRow) health() string {
	switch i.State {
	case running:
		return "ok"
	case pending:
		return "initializing"
	}
	return "not-applicable"
}

func describeInstanceStatus(q *call, in *statusRequest) (*statusAnswer, error) {
	if err := noPagesWithIDs(in.pageParams, in.InstanceId, "instancesSet"); err != nil {
		return nil, err
	}
	found, err := q.findInstances(in.InstanceId, in.Filter, statusFilters)
	if err != nil {
		return nil, err
	}
	shown := found[:0]
	for _, i := range found {
		if i.State == running || in.IncludeAllInstances {
			shown = append(shown, i)
		}
	}
	rows, next, err := page(q, in.pageParams, 5, shown, func(i *instanceRow) string { return i.ID })
	out := &statusAnswer{NextToken: next}
	for _, i := range rows {
		reach := query.List[statusDetail]{Items: []statusDetail{{"reachability", map[bool]string{true: "passed", false: "initializing"}[i.State == running]}}}
		out.Statuses.Items = append(out.Statuses.Items, statusItem{Zone: i.Zone, ZoneID: zoneID(i.Region, i.Zone), ID: i.ID,
			State: instanceState(i.State), Instance: i.health(), IDetails: reach, System: i.health(), SDetails: reach, EBS: i.health(), EDetails: reach})
	}
	return out, err
}
