package sandbox

import (
	"net/netip"
	"slices"
	"strings"
)

type interfaceParam struct {
	DeviceIndex              *int32
	NetworkCardIndex         *int32
	SubnetId                 string
	SecurityGroupId          []string
	PrivateIpAddress         string
	AssociatePublicIpAddress *bool
	DeleteOnTermination      *bool
	Description              string
}

type metadataParam struct {
	HttpTokens, HttpEndpoint, HttpProtocolIpv6, InstanceMetadataTags string
	HttpPutResponseHopLimit                                          *int32
}

type runInstancesRequest struct {
	ImageId                           string
	InstanceType                      string
	MinCount                          int32 `query:",required"`
	MaxCount                          int32 `query:",required"`
	KeyName                           string
	SecurityGroupId, SecurityGroup    []string
	SubnetId, PrivateIpAddress        string
	Placement                         struct{ AvailabilityZone, GroupName, Tenancy string }
	NetworkInterface                  []interfaceParam
	UserData                          []byte
	BlockDeviceMapping                []deviceParam
	MetadataOptions                   metadataParam
	InstanceInitiatedShutdownBehavior string
	DisableApiTermination             *bool
	DisableApiStop                    *bool
	EbsOptimized                      *bool
	Monitoring                        struct{ Enabled *bool }
	CreditSpecification               struct{ CpuCredits string }
	IamInstanceProfile                profileParam
	LaunchTemplate                    *launchTemplateParam
	HibernationOptions                *templateHibernation
	EnclaveOptions                    *templateEnabled
	MaintenanceOptions                *templateMaintenance
	CpuOptions                        *templateCPU
	PrivateDnsNameOptions             *templateDNS
	CapacityReservationSpecification  *templateCapacity
	InstanceMarketOptions             *marketParam
	ClientToken                       string
	TagSpecification                  []tagSpecParam
}

const (
	maxUserData  = 16 << 10
	maxPerLaunch = 100
)

// launch is a RunInstances request on the way to its instances: everything looked up and checked.
type launch struct {
	template instanceRow
	volumes  []launchVolume // the root's first
	virtual  []device
	subnet   subnetItem
	tags     map[string]map[string]string
	address  string // asked for, or empty
	image    imageRow
}

// runInstances checks, stores pending instances with their volumes, and leaves the rest to reconcileInstance.
func runInstances(q *call, in *runInstancesRequest) (*reservationItem, error) {
	token, err := q.clientToken(in.ClientToken, withoutToken(*in, func(r *runInstancesRequest) { r.ClientToken = "" }))
	if err != nil {
		return nil, err
	}
	if token.ID != "" {
		if r, found := q.reservation(token.ID); found {
			return &r, nil
		}
	}
	l, err := q.prepare(in)
	if err != nil {
		return nil, err
	}
	addresses, err := q.freeAddresses(l, int(in.MinCount), int(in.MaxCount))
	if err != nil {
		return nil, err
	}
	l.template.ReservationID = newID("r-")
	for n, address := range addresses {
		q.launchOne(l, n, address)
	}
	l.image.LastLaunched = q.now
	q.images.Put(q.tx, l.image.ID, l.image)
	q.keepToken(in.ClientToken, token, l.template.ReservationID)
	r, _ := q.reservation(l.template.ReservationID)
	return &r, nil
}

func (q *call) launchOne(l launch, index int, address netip.Addr) {
	i := l.template
	i.Fate = q.fate
	i.ID, i.ENI, i.LaunchIndex, i.Address = newID("i-"), newID("eni-"), index, address.String()
	for n, d := range l.volumes {
		v := q.newVolume(d.device, d.blob, i.Zone)
		v.State, v.InstanceID, v.Attached = "in-use", i.ID, q.now
		if n == 0 {
			i.VolumeID = v.ID
		}
		q.volumes.Put(q.tx, v.ID, v)
		q.setTags(v.ID, l.tags["volume"])
	}
	q.setTags(i.ID, l.tags["instance"])
	q.setTags(i.ENI, l.tags["network-interface"])
	if i.SpotPrice != "" {
		i.SpotRequest = newID("sir-")
		q.setTags(i.SpotRequest, l.tags[spotResource])
	}
	q.instances.Put(q.tx, i.ID, i)
	q.after(func() { q.reconcile(i.ID) })
}

// prepare checks the request piece by piece.
func (q *call) prepare(in *runInstancesRequest) (launch, error) {
	var l launch
	system, err := q.fromTemplate(in)
	if err != nil {
		return l, err
	}
	if l.tags, err = tagSpecs(in.TagSpecification, "instance", "volume", "network-interface", spotResource); err != nil {
		return l, err
	}
	if err := firstError(in.flattenInterface(), in.runnable()); err != nil {
		return l, err
	}
	if l.image, err = q.launchImage(in); err != nil {
		return l, err
	}
	if l.volumes, l.virtual, err = q.launchDevices(l.image, in.BlockDeviceMapping); err != nil {
		return l, err
	}
	if l.subnet, err = q.launchSubnet(in); err != nil {
		return l, err
	}
	l.address = in.PrivateIpAddress
	if l.template, err = q.launchTemplate(in, l); err != nil {
		return l, err
	}
	l.template.SpotPrice, err = in.spotPrice()
	l.tags["instance"] = withSystemTags(l.tags["instance"], system)
	return l, err
}

// launchTemplate is the instance without what differs between those of one request.
func (q *call) launchTemplate(in *runInstancesRequest, l launch) (instanceRow, error) {
	image := l.image
	i := instanceRow{place: q.place, Zone: l.subnet.Zone, SubnetID: l.subnet.ID, VpcID: l.subnet.VpcID, ImageID: image.ID, Type: in.InstanceType,
		Architecture: image.Architecture, State: pending, UserData: in.UserData, ShutdownBehavior: in.InstanceInitiatedShutdownBehavior,
		ClientToken: in.ClientToken, Created: q.now, Launched: q.now, RootDevice: image.RootDevice, ENA: image.ENA, EBSOptimized: isTrue(in.EbsOptimized),
		Monitoring: isTrue(in.Monitoring.Enabled), SourceDestCheck: true, NoTermination: isTrue(in.DisableApiTermination), NoStop: isTrue(in.DisableApiStop),
		CPUCredits: in.CreditSpecification.CpuCredits, BootMode: image.BootMode,
		Sriov: image.Sriov, Virtual: l.virtual, CapacityPreference: in.CapacityReservationSpecification.preference()}
	if i.ShutdownBehavior == "" {
		i.ShutdownBehavior = "stop"
	}
	switch {
	case len(in.UserData) > maxUserData:
		return i, fail("InvalidParameterValue", "User data is limited to %d bytes", maxUserData)
	case i.ShutdownBehavior != "stop" && i.ShutdownBehavior != "terminate":
		return i, badParameter(i.ShutdownBehavior, "instanceInitiatedShutdownBehavior", "Valid values: stop, terminate.")
	case in.Placement.Tenancy != "" && in.Placement.Tenancy != "default":
		return i, fail("Unsupported", "This sandbox has no tenancy but default")
	case !slices.Contains([]string{"", "standard", "unlimited"}, i.CPUCredits):
		return i, badParameter(i.CPUCredits, "cpuCredits", "Valid values: standard, unlimited.")
	}
	if in.KeyName != "" {
		k, err := q.seenKeyPair(in.KeyName)
		if err != nil {
			return i, err
		}
		i.KeyName, i.PublicKey = k.Name, k.Public
	}
	var err error
	if i.Profile, err = q.profile(in.IamInstanceProfile); err != nil {
		return i, err
	}
	if i.Groups, err = q.launchGroups(in); err != nil {
		return i, err
	}
	i.Metadata = metadataOptions{Tokens: "optional", Endpoint: "enabled", Tags: disabled, IPv6: disabled, HopLimit: 1}
	if image.IMDSSupport == "v2.0" {
		i.Metadata.Tokens, i.Metadata.HopLimit = "required", 2
	}
	if i.Metadata, err = in.MetadataOptions.apply(i.Metadata); err != nil {
		return i, err
	}
	return i, checkMetadataTags(i.Metadata, l.tags["instance"])
}

// flattenInterface moves the one network interface's parameters to where the rest is; both at once are refused, as on EC2.
func (in *runInstancesRequest) flattenInterface() error {
	if len(in.NetworkInterface) == 0 {
		return nil
	}
	if len(in.NetworkInterface) > 1 || in.NetworkInterface[0].DeviceIndex == nil || *in.NetworkInterface[0].DeviceIndex != 0 {
		return fail("Unsupported", "This sandbox gives an instance one network interface, with device index 0")
	}
	if in.SubnetId != "" || len(in.SecurityGroupId)+len(in.SecurityGroup) > 0 {
		return combination("Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request")
	}
	n := in.NetworkInterface[0]
	in.SubnetId, in.SecurityGroupId = n.SubnetId, n.SecurityGroupId
	if n.PrivateIpAddress != "" {
		in.PrivateIpAddress = n.PrivateIpAddress
	}
	return nil
}

// launchImage resolves resolve:ssm: and checks that the image can be launched on the instance type.
func (q *call) launchImage(in *runInstancesRequest) (imageRow, error) {
	switch {
	case in.ImageId == "":
		return imageRow{}, missing("ImageId")
	case in.InstanceType == "":
		return imageRow{}, missing("InstanceType")
	case in.MinCount < 1 || in.MaxCount < in.MinCount:
		return imageRow{}, badParameter(number(in.MinCount), "minCount", "Give 1 <= MinCount <= MaxCount.")
	case in.MinCount > maxPerLaunch:
		return imageRow{}, fail("InstanceLimitExceeded", "A request can launch at most %d instances", maxPerLaunch)
	}
	id := in.ImageId
	if name, ok := strings.CutPrefix(id, "resolve:ssm:"); ok {
		var err error
		if id, err = q.resolveImage(name); err != nil {
			return imageRow{}, err
		}
	}
	image, err := q.usableImage(id)
	if err != nil {
		return image, err
	}
	t, err := typeByName(in.InstanceType)
	if err != nil {
		return image, err
	}
	if t.Arch != image.Architecture {
		return image, fail("InvalidParameterValue", "The architecture '%s' of the specified instance type does not match the architecture '%s' of the specified AMI. "+
			"Specify an instance type and an AMI that have matching architectures, and try again.", t.Arch, image.Architecture)
	}
	return image, nil
}
