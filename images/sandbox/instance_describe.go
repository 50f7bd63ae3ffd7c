package sandbox

import (
	"cmp"
	"slices"

	"github.com/imgops/imgops/images/sandbox/query"
)

type groupRef struct {
	ID   string `xml:"groupId"`
	Name string `xml:"groupName"`
}

type instanceDevice struct {
	Name string            `xml:"deviceName"`
	EBS  instanceDeviceEBS `xml:"ebs"`
}

type instanceDeviceEBS struct {
	Attached            string `xml:"attachTime"`
	DeleteOnTermination bool   `xml:"deleteOnTermination"`
	Status              string `xml:"status"`
	VolumeID            string `xml:"volumeId"`
}

type metadataItem struct {
	State    string `xml:"state"`
	Tokens   string `xml:"httpTokens"`
	HopLimit int32  `xml:"httpPutResponseHopLimit"`
	Endpoint string `xml:"httpEndpoint"`
	IPv6     string `xml:"httpProtocolIpv6"`
	Tags     string `xml:"instanceMetadataTags"`
}

func (o metadataOptions) item(state string) metadataItem {
	return metadataItem{state, o.Tokens, o.HopLimit, o.Endpoint, o.IPv6, o.Tags}
}

type interfaceItem struct {
	Description string                  `xml:"description"`
	Groups      query.List[groupRef]    `xml:"groupSet"`
	MAC         string                  `xml:"macAddress"`
	ID          string                  `xml:"networkInterfaceId"`
	OwnerID     string                  `xml:"ownerId"`
	PrivateDNS  string                  `xml:"privateDnsName"`
	Address     string                  `xml:"privateIpAddress"`
	Addresses   query.List[addressItem] `xml:"privateIpAddressesSet"`
	PublicIP    string                  `xml:"association>publicIp"`
	IPOwner     string                  `xml:"association>ipOwnerId"`
	Attachment  interfaceAttachment     `xml:"attachment"`
	Check       bool                    `xml:"sourceDestCheck"`
	Status      string                  `xml:"status"`
	SubnetID    string                  `xml:"subnetId"`
	VpcID       string                  `xml:"vpcId"`
	Type        string                  `xml:"interfaceType"`
}

type addressItem struct {
	Primary    bool   `xml:"primary"`
	PrivateDNS string `xml:"privateDnsName"`
	Address    string `xml:"privateIpAddress"`
	PublicIP   string `xml:"association>publicIp"`
	IPOwner    string `xml:"association>ipOwnerId"`
}

type interfaceAttachment struct {
	ID       string `xml:"attachmentId"`
	Attached string `xml:"attachTime"`
	Delete   bool   `xml:"deleteOnTermination"`
	Instance string `xml:"instanceId,omitempty"`
	Owner    string `xml:"instanceOwnerId,omitempty"`
	Index    int    `xml:"deviceIndex"`
	Card     int    `xml:"networkCardIndex"`
	Status   string `xml:"status"`
}

type placementItem struct {
	ZoneID  string `xml:"availabilityZoneId"`
	Group   string `xml:"groupName"`
	Tenancy string `xml:"tenancy"`
	Zone    string `xml:"availabilityZone"`
}

type profileItem struct {
	ARN string `xml:"arn"`
	ID  string `xml:"id"`
}

func profile(arn string) *profileItem {
	if arn == "" {
		return nil
	}
	return &profileItem{arn, stableID("AIPA", arn)}
}

// instanceItem is an instance as Describe shows it. The public address is the private one: it is where clients on this
// computer reach the machine, and those that ask for a public address get one that works. There is no public DNS name,
// as nothing would resolve it.
type instanceItem struct {
	Architecture    string                     `xml:"architecture"`
	Devices         query.List[instanceDevice] `xml:"blockDeviceMapping"`
	ClientToken     string                     `xml:"clientToken,omitempty"`
	EBSOptimized    bool                       `xml:"ebsOptimized"`
	ENA             bool                       `xml:"enaSupport"`
	Hypervisor      string                     `xml:"hypervisor"`
	Interfaces      query.List[interfaceItem]  `xml:"networkInterfaceSet"`
	RootDevice      string                     `xml:"rootDeviceName"`
	RootDeviceType  string                     `xml:"rootDeviceType"`
	Groups          query.List[groupRef]       `xml:"groupSet"`
	SourceDestCheck bool                       `xml:"sourceDestCheck"`
	Reason          *reasonItem                `xml:"stateReason"`
	Tags            *query.List[tagItem]       `xml:"tagSet"`
	Virtualization  string                     `xml:"virtualizationType"`
	Cores           int32                      `xml:"cpuOptions>coreCount"`
	Threads         int32                      `xml:"cpuOptions>threadsPerCore"`
	Metadata        metadataItem               `xml:"metadataOptions"`
	BootMode        string                     `xml:"bootMode,omitempty"`
	PlatformDetails string                     `xml:"platformDetails"`
	UsageOperation  string                     `xml:"usageOperation"`
	Recovery        string                     `xml:"maintenanceOptions>autoRecovery"`
	Hibernation     bool                       `xml:"hibernationOptions>configured"`
	Enclave         bool                       `xml:"enclaveOptions>enabled"`
	ID              string                     `xml:"instanceId"`
	ImageID         string                     `xml:"imageId"`
	State           stateItem                  `xml:"instanceState"`
	PrivateDNS      string                     `xml:"privateDnsName"`
	PublicDNS       string                     `xml:"dnsName"`
	Transition      string                     `xml:"reason"`
	KeyName         string                     `xml:"keyName,omitempty"`
	LaunchIndex     int                        `xml:"amiLaunchIndex"`
	ProductCodes    query.List[string]         `xml:"productCodes"`
	Type            string                     `xml:"instanceType"`
	Launched        string                     `xml:"launchTime"`
	Placement       placementItem              `xml:"placement"`
	Monitoring      string                     `xml:"monitoring>state"`
	Profile         *profileItem               `xml:"iamInstanceProfile"`
	SubnetID        string                     `xml:"subnetId,omitempty"`
	VpcID           string                     `xml:"vpcId,omitempty"`
	PrivateIP       string                     `xml:"privateIpAddress,omitempty"`
	PublicIP        string                     `xml:"ipAddress,omitempty"`
	Sriov           string                     `xml:"sriovNetSupport,omitempty"`
	Capacity        templateCapacity           `xml:"capacityReservationSpecification"`
	Lifecycle       string                     `xml:"instanceLifecycle,omitempty"`
	SpotRequest     string                     `xml:"spotInstanceRequestId,omitempty"`
}

type reservationItem struct {
	ID        string                   `xml:"reservationId"`
	OwnerID   string                   `xml:"ownerId"`
	Groups    query.List[groupRef]     `xml:"groupSet"`
	Instances query.List[instanceItem] `xml:"instancesSet"`
}

func (q *call) groupRefs(i *instanceRow) query.List[groupRef] {
	var list query.List[groupRef]
	for _, id := range i.Groups {
		g, _ := q.groups.Get(q.tx, id)
		list.Items = append(list.Items, groupRef{id, g.Name})
	}
	return list
}

func (q *call) instanceItem(i *instanceRow) instanceItem {
	t, _ := typeByName(i.Type)
	shape := t.item()
	item := instanceItem{Architecture: i.Architecture, ClientToken: i.ClientToken, EBSOptimized: i.EBSOptimized, ENA: i.ENA, Hypervisor: "xen",
		RootDevice: i.RootDevice, RootDeviceType: "ebs", SourceDestCheck: i.SourceDestCheck, Reason: i.Reason.item(),
		Tags: optionalTagSet(q.ownTags(i.ID)), Virtualization: "hvm", Cores: shape.Cores, Threads: shape.Threads, BootMode: i.BootMode,
		Metadata: i.Metadata.item("applied"), PlatformDetails: "Linux/UNIX", UsageOperation: "RunInstances", Recovery: "default", ID: i.ID, ImageID: i.ImageID,
		State: instanceState(i.State), Transition: i.Transition, KeyName: i.KeyName, LaunchIndex: i.LaunchIndex, Type: i.Type,
		Launched: timestamp(i.Launched), Placement: placementItem{ZoneID: zoneID(i.Region, i.Zone), Tenancy: "default", Zone: i.Zone},
		Monitoring: disabled, Sriov: i.Sriov, Capacity: templateCapacity{CapacityReservationPreference: i.capacityPreference()}}
	item.Lifecycle, item.SpotRequest = i.lifecycle(), i.SpotRequest
	if i.Monitoring {
		item.Monitoring = "enabled"
	}
	if i.State == terminated {
		return item
	}
	item.Groups, item.Profile = q.groupRefs(i), profile(i.Profile)
	item.SubnetID, item.VpcID, item.PrivateIP, item.PrivateDNS = i.SubnetID, i.VpcID, i.Address, i.privateDNS()
	if i.State == pending || i.State == running {
		item.PublicIP = i.Address
	}
	item.Interfaces.Items = []interfaceItem{q.interfaceItem(i)}
	for _, v := range q.volumesOf(q.tx, i) {
		item.Devices.Items = append(item.Devices.Items, instanceDevice{v.Device, instanceDeviceEBS{timestamp(v.Attached), v.DeleteOnTermination, v.attachment(), v.ID}})
	}
	return item
}

// capacityPreference is "open" for an instance of before it was kept.
func (i *instanceRow) capacityPreference() string { return cmp.Or(i.CapacityPreference, "open") }

func (q *call) interfaceItem(i *instanceRow) interfaceItem {
	return interfaceItem{Groups: q.groupRefs(i), MAC: i.mac(), ID: i.ENI, OwnerID: i.Account, PrivateDNS: i.privateDNS(), Address: i.Address,
		Addresses: query.List[addressItem]{Items: []addressItem{{true, i.privateDNS(), i.Address, i.Address, "amazon"}}},
		PublicIP:  i.Address, IPOwner: "amazon", Check: i.SourceDestCheck, Status: "in-use", SubnetID: i.SubnetID, VpcID: i.VpcID, Type: "interface",
		Attachment: interfaceAttachment{ID: hashID("eni-attach-", i.ID), Attached: timestamp(i.Created), Delete: true, Status: "attached"}}
}

// reservation is one request's instances.
func (q *call) reservation(id string) (reservationItem, bool) {
	var rows []*instanceRow
	for _, i := range q.instances.Scan(q.tx, q.key()) {
		if i.ReservationID == id && !i.goneBy(q.now) {
			rows = append(rows, i)
		}
	}
	slices.SortFunc(rows, func(a, b *instanceRow) int { return a.LaunchIndex - b.LaunchIndex })
	list := q.reservations(rows)
	if len(list) == 0 {
		return reservationItem{}, false
	}
	return list[0], true
}

// reservations groups instances, which come in the order of their reservations.
func (q *call) reservations(rows []*instanceRow) []reservationItem {
	var out []reservationItem
	for _, i := range rows {
		if n := len(out); n == 0 || out[n-1].ID != i.ReservationID {
			out = append(out, reservationItem{ID: i.ReservationID, OwnerID: i.Account})
		}
		r := &out[len(out)-1]
		r.Instances.Items = append(r.Instances.Items, q.instanceItem(i))
	}
	return out
}

type describeInstancesRequest struct {
	InstanceId []string
	Filter     []filterParam
	pageParams
}

type describeInstancesAnswer struct {
	NextToken    string                      `xml:"nextToken,omitempty"`
	Reservations query.List[reservationItem] `xml:"reservationSet"`
}

// findInstances are those of the ids, or all of the caller's, that the filters leave.
func (q *call) findInstances(ids []string, params []filterParam, known fields[instanceRow]) ([]*instanceRow, error) {
	match, err := filters(params, known, func(i *instanceRow) map[string]string { return q.ownTags(i.ID) })
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if _, err := q.instance(id); err != nil {
			return nil, err
		}
	}
	wanted := patterns(ids)
	var found []*instanceRow
	for id, i := range q.instances.Scan(q.tx, q.key()) {
		if q.unseen(i.Created) {
			continue
		}
		if i = q.instanceAsSeen(i); (len(ids) == 0 || wanted(id)) && !i.goneBy(q.now) && match.match(i) {
			found = append(found, i)
		}
	}
	return found, nil
}

func describeInstances(q *call, in *describeInstancesRequest) (*describeInstancesAnswer, error) {
	if err := noPagesWithIDs(in.pageParams, in.InstanceId, "instancesSet"); err != nil {
		return nil, err
	}
	found, err := q.findInstances(in.InstanceId, in.Filter, q.instanceFilters())
	if err != nil {
		return nil, err
	}
	rows, next, err := page(q, in.pageParams, 5, found, func(i *instanceRow) string { return i.ReservationID + " " + i.ID })
	return &describeInstancesAnswer{next, query.List[reservationItem]{Items: q.reservations(rows)}}, err
}
