package sandbox

import (
	"encoding/base64"
	"maps"
	"reflect"
	"slices"
)

// templateData is what a launch template says about its instances: as it comes in a request, as it is stored and, by its
// xml tags, as it is shown. What is absent stays absent: pointers, and empty strings and lists.
type templateData struct {
	ImageId                           string               `xml:"imageId,omitempty"`
	InstanceType                      string               `xml:"instanceType,omitempty"`
	KernelId                          string               `xml:"kernelId,omitempty"`
	RamDiskId                         string               `xml:"ramDiskId,omitempty"`
	KeyName                           string               `xml:"keyName,omitempty"`
	UserData                          string               `xml:"userData,omitempty"` // base64
	InstanceInitiatedShutdownBehavior string               `xml:"instanceInitiatedShutdownBehavior,omitempty"`
	EbsOptimized                      *bool                `xml:"ebsOptimized"`
	DisableApiTermination             *bool                `xml:"disableApiTermination"`
	DisableApiStop                    *bool                `xml:"disableApiStop"`
	IamInstanceProfile                *profileParam        `xml:"iamInstanceProfile"`
	Monitoring                        *templateEnabled     `xml:"monitoring"`
	EnclaveOptions                    *templateEnabled     `xml:"enclaveOptions"`
	HibernationOptions                *templateHibernation `xml:"hibernationOptions"`
	MaintenanceOptions                *templateMaintenance `xml:"maintenanceOptions"`
	CreditSpecification               *templateCredits     `xml:"creditSpecification"`
	CpuOptions                        *templateCPU         `xml:"cpuOptions"`
	Placement                         *templatePlacement   `xml:"placement"`
	MetadataOptions                   *templateMetadata    `xml:"metadataOptions"`
	PrivateDnsNameOptions             *templateDNS         `xml:"privateDnsNameOptions"`
	BlockDeviceMapping                []templateDevice     `xml:"blockDeviceMappingSet>item"`
	NetworkInterface                  []templateInterface  `xml:"networkInterfaceSet>item"`
	TagSpecification                  []templateTags       `xml:"tagSpecificationSet>item"`
	SecurityGroupId                   []string             `xml:"securityGroupIdSet>item"`
	SecurityGroup                     []string             `xml:"securityGroupSet>item"`
}

type profileParam struct {
	Arn  string `xml:"arn,omitempty"`
	Name string `xml:"name,omitempty"`
}

type templateEnabled struct {
	Enabled bool `xml:"enabled"`
}

type templateHibernation struct {
	Configured bool `xml:"configured"`
}

type templateMaintenance struct {
	AutoRecovery string `xml:"autoRecovery,omitempty"`
}

type templateCredits struct {
	CpuCredits string `xml:"cpuCredits,omitempty"`
}

type templateCPU struct {
	CoreCount      int32  `xml:"coreCount,omitempty"`
	ThreadsPerCore int32  `xml:"threadsPerCore,omitempty"`
	AmdSevSnp      string `xml:"amdSevSnp,omitempty"`
}

type templatePlacement struct {
	AvailabilityZone string `xml:"availabilityZone,omitempty"`
	GroupName        string `xml:"groupName,omitempty"`
	Tenancy          string `xml:"tenancy,omitempty"`
}

type templateMetadata struct {
	HttpTokens              string `xml:"httpTokens,omitempty"`
	HttpEndpoint            string `xml:"httpEndpoint,omitempty"`
	HttpProtocolIpv6        string `xml:"httpProtocolIpv6,omitempty"`
	InstanceMetadataTags    string `xml:"instanceMetadataTags,omitempty"`
	HttpPutResponseHopLimit *int32 `xml:"httpPutResponseHopLimit"`
}

type templateDNS struct {
	HostnameType                    string `xml:"hostnameType,omitempty"`
	EnableResourceNameDnsARecord    *bool  `xml:"enableResourceNameDnsARecord"`
	EnableResourceNameDnsAAAARecord *bool  `xml:"enableResourceNameDnsAAAARecord"`
}

type templateDevice struct {
	DeviceName  string       `xml:"deviceName,omitempty"`
	VirtualName string       `xml:"virtualName,omitempty"`
	NoDevice    *string      `xml:"noDevice"`
	Ebs         *templateEBS `xml:"ebs"`
}

type templateEBS struct {
	DeleteOnTermination *bool  `xml:"deleteOnTermination"`
	Encrypted           *bool  `xml:"encrypted"`
	Iops                int32  `xml:"iops,omitempty"`
	Throughput          int32  `xml:"throughput,omitempty"`
	KmsKeyId            string `xml:"kmsKeyId,omitempty"`
	SnapshotId          string `xml:"snapshotId,omitempty"`
	VolumeSize          int32  `xml:"volumeSize,omitempty"`
	VolumeType          string `xml:"volumeType,omitempty"`
}

type templateInterface struct {
	DeviceIndex              *int32   `xml:"deviceIndex"`
	NetworkCardIndex         *int32   `xml:"networkCardIndex"`
	SubnetId                 string   `xml:"subnetId,omitempty"`
	SecurityGroupId          []string `xml:"groupSet>groupId"`
	PrivateIpAddress         string   `xml:"privateIpAddress,omitempty"`
	AssociatePublicIpAddress *bool    `xml:"associatePublicIpAddress"`
	DeleteOnTermination      *bool    `xml:"deleteOnTermination"`
	Description              string   `xml:"description,omitempty"`
	InterfaceType            string   `xml:"interfaceType,omitempty"`
}

type templateTags struct {
	ResourceType string        `xml:"resourceType,omitempty"`
	Tag          []templateTag `xml:"tagSet>item"`
}

type templateTag struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

func isTrue(b *bool) bool { return b != nil && *b }

// check finds what cannot be true of any launch; the rest is for the launch to find, as on EC2.
func (d *templateData) check() error {
	if _, err := base64.StdEncoding.DecodeString(d.UserData); err != nil {
		return fail("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
	}
	_, err := tagSpecs(d.tagSpecs(), "instance", "volume", "network-interface", "spot-instances-request", "elastic-gpu")
	return err
}

func (d *templateData) tagSpecs() []tagSpecParam {
	var out []tagSpecParam
	for _, spec := range d.TagSpecification {
		p := tagSpecParam{ResourceType: spec.ResourceType}
		for _, t := range spec.Tag {
			p.Tag = append(p.Tag, tagParam(t))
		}
		out = append(out, p)
	}
	return out
}

// over is d, with base in the place of what d does not have.
func (d templateData) over(base templateData) templateData {
	to, from := reflect.ValueOf(&d).Elem(), reflect.ValueOf(base)
	for i := range to.NumField() {
		if to.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
	return d
}

// launchTemplateParam is RunInstances' LaunchTemplate.
type launchTemplateParam struct {
	templateRef
	Version string
}

// fromTemplate fills in what the request leaves to its launch template. It returns the tags that EC2 puts on such an
// instance, by which Terraform knows the template.
func (q *call) fromTemplate(in *runInstancesRequest) (map[string]string, error) {
	if in.LaunchTemplate == nil {
		return nil, nil
	}
	r, err := q.template(in.LaunchTemplate.templateRef)
	if err != nil {
		return nil, err
	}
	v, err := r.version(in.LaunchTemplate.Version)
	if err != nil {
		return nil, err
	}
	in.fill(v.Data)
	return map[string]string{"aws:ec2launchtemplate:id": r.ID, "aws:ec2launchtemplate:version": number(int32(v.Number))}, nil
}

// runnable refuses what a request or a template can ask for and this sandbox cannot run.
func (in *runInstancesRequest) runnable() error {
	switch {
	case in.HibernationOptions != nil && in.HibernationOptions.Configured:
		return fail("UnsupportedHibernationConfiguration", "Instances of this sandbox cannot hibernate")
	case in.EnclaveOptions != nil && in.EnclaveOptions.Enabled:
		return fail("Unsupported", "This sandbox has no enclaves")
	case in.CpuOptions != nil && *in.CpuOptions != (templateCPU{}):
		return fail("Unsupported", "This sandbox cannot set CPU options")
	case in.Placement.GroupName != "":
		return fail("InvalidPlacementGroup.Unknown", "The Placement Group '%s' is unknown.", in.Placement.GroupName)
	case in.MaintenanceOptions != nil && !slices.Contains([]string{"", "default"}, in.MaintenanceOptions.AutoRecovery):
		return fail("Unsupported", "This sandbox has no maintenance options but autoRecovery default")
	case in.PrivateDnsNameOptions != nil && !slices.Contains([]string{"", "ip-name"}, in.PrivateDnsNameOptions.HostnameType):
		return fail("Unsupported", "Instances of this sandbox have host names of type ip-name")
	}
	return nil
}

// fill takes over from the template what the request does not say itself.
func (in *runInstancesRequest) fill(d templateData) {
	text := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	text(&in.ImageId, d.ImageId)
	text(&in.InstanceType, d.InstanceType)
	text(&in.KeyName, d.KeyName)
	text(&in.InstanceInitiatedShutdownBehavior, d.InstanceInitiatedShutdownBehavior)
	if len(in.UserData) == 0 {
		in.UserData, _ = base64.StdEncoding.DecodeString(d.UserData) // checked when the version was made
	}
	either(&in.EbsOptimized, d.EbsOptimized)
	either(&in.DisableApiTermination, d.DisableApiTermination)
	either(&in.DisableApiStop, d.DisableApiStop)
	if d.Monitoring != nil {
		either(&in.Monitoring.Enabled, &d.Monitoring.Enabled)
	}
	if d.CreditSpecification != nil {
		text(&in.CreditSpecification.CpuCredits, d.CreditSpecification.CpuCredits)
	}
	if p := d.IamInstanceProfile; p != nil && in.IamInstanceProfile == (profileParam{}) {
		in.IamInstanceProfile = *p
	}
	either(&in.HibernationOptions, d.HibernationOptions)
	either(&in.EnclaveOptions, d.EnclaveOptions)
	either(&in.CpuOptions, d.CpuOptions)
	either(&in.MaintenanceOptions, d.MaintenanceOptions)
	either(&in.PrivateDnsNameOptions, d.PrivateDnsNameOptions)
	if p := d.Placement; p != nil {
		text(&in.Placement.GroupName, p.GroupName)
		text(&in.Placement.AvailabilityZone, p.AvailabilityZone)
		text(&in.Placement.Tenancy, p.Tenancy)
	}
	if m := d.MetadataOptions; m != nil {
		text(&in.MetadataOptions.HttpTokens, m.HttpTokens)
		text(&in.MetadataOptions.HttpEndpoint, m.HttpEndpoint)
		text(&in.MetadataOptions.HttpProtocolIpv6, m.HttpProtocolIpv6)
		text(&in.MetadataOptions.InstanceMetadataTags, m.InstanceMetadataTags)
		if in.MetadataOptions.HttpPutResponseHopLimit == nil {
			in.MetadataOptions.HttpPutResponseHopLimit = m.HttpPutResponseHopLimit
		}
	}
	in.fillNetwork(d)
	in.fillDevices(d)
	in.fillTags(d)
}

// either is what is given, or else the template's.
func either[T any](to **T, value *T) {
	if *to == nil {
		*to = value
	}
}

// fillNetwork: a request with an interface or groups of its own has none of the template's.
func (in *runInstancesRequest) fillNetwork(d templateData) {
	own := len(in.SecurityGroupId)+len(in.SecurityGroup) > 0
	if len(in.NetworkInterface) == 0 {
		for _, n := range d.NetworkInterface {
			p := interfaceParam{DeviceIndex: n.DeviceIndex, SubnetId: n.SubnetId, SecurityGroupId: n.SecurityGroupId, PrivateIpAddress: n.PrivateIpAddress,
				AssociatePublicIpAddress: n.AssociatePublicIpAddress, DeleteOnTermination: n.DeleteOnTermination, Description: n.Description}
			if p.DeviceIndex == nil {
				p.DeviceIndex = new(int32)
			}
			if in.SubnetId != "" { // the instance's subnet goes over the interface's
				p.SubnetId, in.SubnetId = in.SubnetId, ""
			}
			if own {
				p.SecurityGroupId, in.SecurityGroupId = in.SecurityGroupId, nil
			}
			in.NetworkInterface = append(in.NetworkInterface, p)
		}
	}
	if !own && len(in.NetworkInterface) == 0 {
		in.SecurityGroupId, in.SecurityGroup = d.SecurityGroupId, d.SecurityGroup
	}
}

func (in *runInstancesRequest) fillDevices(d templateData) {
	for _, t := range d.BlockDeviceMapping {
		if slices.ContainsFunc(in.BlockDeviceMapping, func(p deviceParam) bool { return p.DeviceName == t.DeviceName }) {
			continue
		}
		p := deviceParam{DeviceName: t.DeviceName, VirtualName: t.VirtualName, NoDevice: t.NoDevice}
		if e := t.Ebs; e != nil {
			p.Ebs = &ebsParam{DeleteOnTermination: e.DeleteOnTermination, Encrypted: e.Encrypted, Iops: e.Iops, Throughput: e.Throughput,
				KmsKeyId: e.KmsKeyId, SnapshotId: e.SnapshotId, VolumeSize: e.VolumeSize, VolumeType: e.VolumeType}
		}
		in.BlockDeviceMapping = append(in.BlockDeviceMapping, p)
	}
}

// fillTags merges tags by resource type; the request's values win.
func (in *runInstancesRequest) fillTags(d templateData) {
	for _, t := range d.tagSpecs() {
		at := slices.IndexFunc(in.TagSpecification, func(p tagSpecParam) bool { return p.ResourceType == t.ResourceType })
		if at < 0 {
			in.TagSpecification = append(in.TagSpecification, t)
			continue
		}
		own := map[string]bool{}
		for _, tag := range in.TagSpecification[at].Tag {
			own[tag.Key] = true
		}
		for _, tag := range t.Tag {
			if !own[tag.Key] {
				in.TagSpecification[at].Tag = append(in.TagSpecification[at].Tag, tag)
			}
		}
	}
}

// withSystemTags adds tags of EC2's own, which checks of what users may set must not see.
func withSystemTags(tags, system map[string]string) map[string]string {
	if len(system) == 0 {
		return tags
	}
	all := maps.Clone(tags)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, system)
	return all
}
