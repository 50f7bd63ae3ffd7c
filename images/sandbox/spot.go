package sandbox

import (
	"strconv"
	"time"

	"github.com/imgops/imgops/images/sandbox/query"
)

// Spot Instances: they cost what spotMinimum says and are never interrupted; --fault has launches fail for want of capacity. A
// request is one-time and is fulfilled at once, so it is a part of its instance's row.

const spotResource = "spot-instances-request"

// marketParam is InstanceMarketOptions, of a request and of a launch template.
type marketParam struct {
	MarketType  string       `xml:"marketType,omitempty"`
	SpotOptions *spotOptions `xml:"spotOptions"`
}

type spotOptions struct {
	MaxPrice                     string `xml:"maxPrice,omitempty"`
	SpotInstanceType             string `xml:"spotInstanceType,omitempty"`
	BlockDurationMinutes         int32  `xml:"blockDurationMinutes,omitempty"`
	ValidUntil                   string `xml:"validUntil,omitempty"`
	InstanceInterruptionBehavior string `xml:"instanceInterruptionBehavior,omitempty"`
}

// spotMinimum is what an hour of a type costs at least, in US dollars: about what AWS asks for small types.
func spotMinimum(t instanceType) float64 {
	shape := t.item()
	return 0.002*float64(shape.Cores*shape.Threads) + 0.001*float64(t.MemoryMiB)/1024
}

// spotPrice is the most that an instance may cost as a Spot Instance, as text, or "" for an instance on demand.
func (in *runInstancesRequest) spotPrice() (string, error) {
	m := in.InstanceMarketOptions
	switch {
	case m == nil || m.MarketType == "" && m.SpotOptions == nil:
		return "", nil
	case m.MarketType == "capacity-block" || m.MarketType == "interruptible-capacity-reservation":
		return "", fail("Unsupported", "This sandbox has no Capacity Reservations; the market type can be spot")
	case m.MarketType != "spot":
		return "", badParameter(m.MarketType, "marketType", "Valid values: spot, capacity-block, interruptible-capacity-reservation.")
	}
	t, err := typeByName(in.InstanceType)
	if err != nil {
		return "", err
	}
	least, o := spotMinimum(t), m.SpotOptions
	if o == nil {
		o = &spotOptions{}
	}
	if err := o.check(); err != nil {
		return "", err
	}
	if o.MaxPrice == "" {
		return strconv.FormatFloat(3*least, 'f', 6, 64), nil // the on-demand price
	}
	price, err := strconv.ParseFloat(o.MaxPrice, 64)
	switch {
	case err != nil || price <= 0:
		return "", badParameter(o.MaxPrice, "price", "Give a price per hour above 0, in US dollars.")
	case price < least:
		return "", fail("SpotMaxPriceTooLow", "Your Spot request price of %s is lower than the minimum required Spot request fulfillment price of %.4f.", o.MaxPrice, least)
	}
	return o.MaxPrice, nil
}

func (o *spotOptions) check() error {
	until, err := time.Parse(time.RFC3339, o.ValidUntil)
	switch {
	case o.BlockDurationMinutes != 0:
		return fail("Unsupported", "Spot Instances with a defined duration are no longer available")
	case o.SpotInstanceType == "persistent":
		return fail("Unsupported", "Spot requests of this sandbox are one-time")
	case o.SpotInstanceType != "" && o.SpotInstanceType != "one-time":
		return badParameter(o.SpotInstanceType, "spotInstanceType", "Valid values: one-time, persistent.")
	case o.InstanceInterruptionBehavior != "" && o.InstanceInterruptionBehavior != "terminate":
		return combination("The interruption behaviors hibernate and stop are for persistent Spot Instance requests")
	case o.ValidUntil != "" && err != nil:
		return badParameter(o.ValidUntil, "validUntil", "Give a time such as 2030-01-02T15:04:05Z.")
	case o.ValidUntil != "" && !until.IsZero():
		return combination("ValidUntil is for persistent Spot Instance requests")
	}
	return nil
}

func (i *instanceRow) lifecycle() string {
	if i.SpotRequest == "" {
		return ""
	}
	return "spot"
}

type spotStatusItem struct {
	Code    string `xml:"code"`
	Message string `xml:"message"`
	Updated string `xml:"updateTime"`
}

type spotRequestItem struct {
	ID        string               `xml:"spotInstanceRequestId"`
	Price     string               `xml:"spotPrice"`
	Type      string               `xml:"type"`
	State     string               `xml:"state"`
	Status    spotStatusItem       `xml:"status"`
	ImageID   string               `xml:"launchSpecification>imageId"`
	Kind      string               `xml:"launchSpecification>instanceType"`
	KeyName   string               `xml:"launchSpecification>keyName,omitempty"`
	SubnetID  string               `xml:"launchSpecification>subnetId"`
	Instance  string               `xml:"instanceId"`
	Created   string               `xml:"createTime"`
	Product   string               `xml:"productDescription"`
	Zone      string               `xml:"launchedAvailabilityZone"`
	Behaviour string               `xml:"instanceInterruptionBehavior"`
	Tags      *query.List[tagItem] `xml:"tagSet"`
}

// spotState is the request's (EC2 User Guide, "Spot request status").
func (i *instanceRow) spotState() (state string, status spotStatusItem) {
	gone := i.State == terminated || i.State == shuttingDown
	switch {
	case !i.SpotCanceled.IsZero() && !gone:
		return "cancelled", spotStatusItem{"request-canceled-and-instance-running", "Your Spot request is canceled, but your instance is still running.", timestamp(i.SpotCanceled)}
	case !i.SpotCanceled.IsZero():
		return "cancelled", spotStatusItem{"instance-terminated-by-user", "Spot Instance terminated due to user-initiated termination.", timestamp(i.SpotCanceled)}
	case gone:
		return "closed", spotStatusItem{"instance-terminated-by-user", "Spot Instance terminated due to user-initiated termination.", timestamp(i.Ended)}
	}
	return "active", spotStatusItem{"fulfilled", "Your Spot request is fulfilled.", timestamp(i.Created)}
}

var spotFilters = fields[instanceRow]{
	"spot-instance-request-id":   one(func(i *instanceRow) string { return i.SpotRequest }),
	"instance-id":                one(func(i *instanceRow) string { return i.ID }),
	"launch.image-id":            one(func(i *instanceRow) string { return i.ImageID }),
	"launch.instance-type":       one(func(i *instanceRow) string { return i.Type }),
	"launched-availability-zone": one(func(i *instanceRow) string { return i.Zone }),
	"spot-price":                 one(func(i *instanceRow) string { return i.SpotPrice }),
	"type":                       constantly[instanceRow]("one-time"),
	"product-description":        constantly[instanceRow]("Linux/UNIX"),
	"state":                      one(func(i *instanceRow) string { s, _ := i.spotState(); return s }),
	"status-code":                one(func(i *instanceRow) string { _, s := i.spotState(); return s.Code }),
}

type spotRequestsRequest struct {
	SpotInstanceRequestId []string
	Filter                []filterParam
	pageParams
}

type spotRequestsAnswer struct {
	Requests  query.List[spotRequestItem] `xml:"spotInstanceRequestSet"`
	NextToken string                      `xml:"nextToken,omitempty"`
}

func describeSpotRequests(q *call, in *spotRequestsRequest) (*spotRequestsAnswer, error) {
	match, err := filters(in.Filter, spotFilters, func(i *instanceRow) map[string]string { return q.ownTags(i.SpotRequest) })
	if err != nil {
		return nil, err
	}
	asked, err := q.spotInstances(in.SpotInstanceRequestId)
	if err != nil {
		return nil, err
	}
	var found []*instanceRow
	for _, i := range asked {
		if !q.unseen(i.Created) && match.match(i) {
			found = append(found, i)
		}
	}
	rows, next, err := page(q, in.pageParams, 5, found, func(i *instanceRow) string { return i.SpotRequest })
	out := &spotRequestsAnswer{NextToken: next}
	for _, i := range rows {
		state, status := i.spotState()
		out.Requests.Items = append(out.Requests.Items, spotRequestItem{ID: i.SpotRequest, Price: i.SpotPrice, Type: "one-time", State: state, Status: status, ImageID: i.ImageID,
			Kind: i.Type, KeyName: i.KeyName, SubnetID: i.SubnetID, Instance: i.ID, Created: timestamp(i.Created), Product: "Linux/UNIX", Zone: i.Zone, Behaviour: "terminate",
			Tags: optionalTagSet(q.ownTags(i.SpotRequest))})
	}
	return out, err
}

// spotInstances are the instances of requests, or of all.
func (q *call) spotInstances(ids []string) ([]*instanceRow, error) {
	known := map[string]*instanceRow{}
	var all, asked []*instanceRow
	for _, i := range q.instances.Scan(q.tx, q.key()) {
		if i.SpotRequest != "" && !i.goneBy(q.now) {
			known[i.SpotRequest] = i
			all = append(all, i)
		}
	}
	if len(ids) == 0 {
		return all, nil
	}
	for _, id := range ids {
		if known[id] == nil {
			return nil, fail("InvalidSpotInstanceRequestID.NotFound", "The spot instance request ID '%s' does not exist", id)
		}
		asked = append(asked, known[id])
	}
	return asked, nil
}

type cancelSpotRequest struct {
	SpotInstanceRequestId []string `query:",required"`
}

type canceledSpotItem struct {
	ID    string `xml:"spotInstanceRequestId"`
	State string `xml:"state"`
}

type cancelSpotAnswer struct {
	Requests query.List[canceledSpotItem] `xml:"spotInstanceRequestSet"`
}

// cancelSpotRequests leaves the instances running.
func cancelSpotRequests(q *call, in *cancelSpotRequest) (*cancelSpotAnswer, error) {
	rows, err := q.spotInstances(in.SpotInstanceRequestId)
	if err != nil {
		return nil, err
	}
	out := &cancelSpotAnswer{}
	for _, row := range rows {
		i := *row
		if i.SpotCanceled.IsZero() {
			i.SpotCanceled = q.now
			q.instances.Put(q.tx, i.ID, i)
		}
		out.Requests.Items = append(out.Requests.Items, canceledSpotItem{i.SpotRequest, "cancelled"})
	}
	return out, nil
}
