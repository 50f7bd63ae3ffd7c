package sandbox

import (
	"errors"
	"strings"

	"github.com/imgops/imgops/images/sandbox/query"
)

type fleetOverride struct {
	ImageId, InstanceType, SubnetId, MaxPrice, KeyName string
	AvailabilityZone                                   string
	Priority                                           *float64
	IamInstanceProfile                                 profileParam
	BlockDeviceMapping                                 []deviceParam
	Placement                                          struct{ AvailabilityZone, GroupName, Tenancy string }
}

type fleetConfig struct {
	LaunchTemplateSpecification launchTemplateParam
	Overrides                   []fleetOverride
}

type createFleetRequest struct {
	Type                        string
	LaunchTemplateConfigs       []fleetConfig `query:",required"`
	TargetCapacitySpecification struct {
		TotalTargetCapacity                        int32 `query:",required"`
		OnDemandTargetCapacity, SpotTargetCapacity int32
		DefaultTargetCapacityType                  string
	}
	SpotOptions struct {
		AllocationStrategy, InstanceInterruptionBehavior, MaxTotalPrice string
		InstancePoolsToUseCount, MinTargetCapacity                      int32
		SingleInstanceType, SingleAvailabilityZone                      bool
	}
	OnDemandOptions struct {
		AllocationStrategy, MaxTotalPrice          string
		MinTargetCapacity                          int32
		SingleInstanceType, SingleAvailabilityZone bool
	}
	ExcessCapacityTerminationPolicy                             string
	ReplaceUnhealthyInstances, TerminateInstancesWithExpiration bool
	ValidFrom, ValidUntil, Context                              string
	ClientToken                                                 string
	TagSpecification                                            []tagSpecParam
}

type fleetTemplateItem struct {
	ID      string `xml:"launchTemplateSpecification>launchTemplateId,omitempty"`
	Name    string `xml:"launchTemplateSpecification>launchTemplateName,omitempty"`
	Version string `xml:"launchTemplateSpecification>version,omitempty"`
	Type    string `xml:"overrides>instanceType,omitempty"`
	Subnet  string `xml:"overrides>subnetId,omitempty"`
	Zone    string `xml:"overrides>availabilityZone,omitempty"`
	Image   string `xml:"overrides>imageId,omitempty"`
}

type fleetErrorItem struct {
	Template  fleetTemplateItem `xml:"launchTemplateAndOverrides"`
	Lifecycle string            `xml:"lifecycle"`
	Code      string            `xml:"errorCode"`
	Message   string            `xml:"errorMessage"`
}

type fleetInstanceItem struct {
	Template  fleetTemplateItem  `xml:"launchTemplateAndOverrides"`
	Lifecycle string             `xml:"lifecycle"`
	Instances query.List[string] `xml:"instanceIds"`
	Type      string             `xml:"instanceType"`
	Subnet    string             `xml:"subnetId"`
	Zone      string             `xml:"availabilityZone"`
}

type createFleetAnswer struct {
	ID        string                        `xml:"fleetId"`
	Errors    query.List[fleetErrorItem]    `xml:"errorSet"`
	Instances query.List[fleetInstanceItem] `xml:"fleetInstanceSet"`
}

// createFleet launches all instances of a fleet of type instant from the first of its launch templates and overrides that will do. What the others
// lack is in the answer, with HTTP 200 (ec2-facts 1.18).
func createFleet(q *call, in *createFleetRequest) (*createFleetAnswer, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	token, err := q.clientToken(in.ClientToken, withoutToken(*in, func(r *createFleetRequest) { r.ClientToken = "" }))
	if err != nil {
		return nil, err
	}
	if token.ID != "" {
		return q.fleetAgain(token.ID), nil
	}
	tags, err := tagSpecs(in.TagSpecification, "fleet", "instance")
	if err != nil {
		return nil, err
	}
	out := &createFleetAnswer{ID: "fleet-" + newUUID()}
	q.setTags(out.ID, tags["fleet"])
	reservation := ""
	for _, c := range in.LaunchTemplateConfigs {
		overrides := c.Overrides
		if len(overrides) == 0 {
			overrides = []fleetOverride{{}}
		}
		for _, o := range overrides {
			r, err := q.launchForFleet(in, c, o)
			var refused *query.Error
			switch {
			case errors.As(err, &refused):
				out.Errors.Items = append(out.Errors.Items, fleetErrorItem{c.item(o), in.lifecycle(), refused.Code, refused.Message})
				continue
			case err != nil:
				return nil, err
			}
			out.Instances.Items, reservation = []fleetInstanceItem{in.instances(c, o, r)}, r.ID
			q.keepToken(in.ClientToken, token, out.ID+" "+reservation)
			return out, nil
		}
	}
	return out, nil
}

// launchForFleet is RunInstances for one launch template and override.
func (q *call) launchForFleet(in *createFleetRequest, c fleetConfig, o fleetOverride) (*reservationItem, error) {
	template, total := c.LaunchTemplateSpecification, in.TargetCapacitySpecification.TotalTargetCapacity
	run := &runInstancesRequest{LaunchTemplate: &template, MinCount: total, MaxCount: total, ImageId: o.ImageId, InstanceType: o.InstanceType, KeyName: o.KeyName,
		SubnetId: o.SubnetId, IamInstanceProfile: o.IamInstanceProfile, BlockDeviceMapping: o.BlockDeviceMapping, Placement: o.Placement}
	if o.AvailabilityZone != "" {
		run.Placement.AvailabilityZone = o.AvailabilityZone
	}
	for _, t := range in.TagSpecification {
		if t.ResourceType == "instance" {
			run.TagSpecification = append(run.TagSpecification, t)
		}
	}
	if in.lifecycle() == "spot" {
		run.InstanceMarketOptions = &marketParam{MarketType: "spot", SpotOptions: &spotOptions{MaxPrice: o.MaxPrice}}
	}
	return runInstances(q, run)
}

func (in *createFleetRequest) lifecycle() string {
	if in.TargetCapacitySpecification.DefaultTargetCapacityType == "spot" || in.TargetCapacitySpecification.SpotTargetCapacity > 0 {
		return "spot"
	}
	return "on-demand"
}

func (in *createFleetRequest) check() error {
	t := in.TargetCapacitySpecification
	switch {
	case in.Type == "" || in.Type == "maintain" || in.Type == "request":
		return fail("Unsupported", "This sandbox has fleets of type instant only")
	case in.Type != "instant":
		return badParameter(in.Type, "type", "Valid values: instant, maintain, request.")
	case t.TotalTargetCapacity < 1:
		return badParameter(number(t.TotalTargetCapacity), "totalTargetCapacity", "Give 1 or more.")
	case t.OnDemandTargetCapacity > 0 && t.SpotTargetCapacity > 0:
		return fail("Unsupported", "A fleet of this sandbox is all Spot or all On-Demand")
	case t.DefaultTargetCapacityType != "" && t.DefaultTargetCapacityType != "spot" && t.DefaultTargetCapacityType != "on-demand":
		return badParameter(t.DefaultTargetCapacityType, "defaultTargetCapacityType", "Valid values: spot, on-demand.")
	}
	return nil
}

func (c fleetConfig) item(o fleetOverride) fleetTemplateItem {
	t := c.LaunchTemplateSpecification
	return fleetTemplateItem{t.LaunchTemplateId, t.LaunchTemplateName, t.Version, o.InstanceType, o.SubnetId, o.AvailabilityZone, o.ImageId}
}

func (in *createFleetRequest) instances(c fleetConfig, o fleetOverride, r *reservationItem) fleetInstanceItem {
	item := fleetInstanceItem{Template: c.item(o), Lifecycle: in.lifecycle()}
	for _, i := range r.Instances.Items {
		item.Instances.Items = append(item.Instances.Items, i.ID)
		item.Type, item.Subnet, item.Zone = i.Type, i.SubnetID, i.Placement.Zone
	}
	return item
}

// fleetAgain is the answer to a repeated request: its fleet, and what is left of its instances.
func (q *call) fleetAgain(made string) *createFleetAnswer {
	id, reservation, _ := strings.Cut(made, " ")
	out := &createFleetAnswer{ID: id}
	if r, ok := q.reservation(reservation); ok {
		item := fleetInstanceItem{Lifecycle: "on-demand"}
		for _, i := range r.Instances.Items {
			item.Instances.Items = append(item.Instances.Items, i.ID)
			item.Type, item.Subnet, item.Zone = i.Type, i.SubnetID, i.Placement.Zone
			if i.Lifecycle != "" {
				item.Lifecycle = i.Lifecycle
			}
		}
		out.Instances.Items = []fleetInstanceItem{item}
	}
	return out
}
