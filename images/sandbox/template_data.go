package sandbox

import (
	"encoding/base64"
	"reflect"
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
	CapacityReservationSpecification  *templateCapacity    `xml:"capacityReservationSpecification"`
	InstanceMarketOptions             *marketParam         `xml:"instanceMarketOptions"`
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

type templateCapacity struct {
	CapacityReservationPreference string          `xml:"capacityReservationPreference,omitempty"`
	CapacityReservationTarget     *capacityTarget `xml:"capacityReservationTarget"`
}

type capacityTarget struct {
	CapacityReservationId               string `xml:"capacityReservationId,omitempty"`
	CapacityReservationResourceGroupArn string `xml:"capacityReservationResourceGroupArn,omitempty"`
}

// preference is that of an instance; "open" is EC2's own.
func (c *templateCapacity) preference() string {
	if c == nil || c.CapacityReservationPreference == "" {
		return "open"
	}
	return c.CapacityReservationPreference
}

// check: an account here has no reservations to launch into, so that none and open come to the same.
func (c *templateCapacity) check() error {
	switch p := c.preference(); {
	case c != nil && c.CapacityReservationTarget != nil && *c.CapacityReservationTarget != (capacityTarget{}):
		return fail("InvalidCapacityReservationId.NotFound", "This sandbox has no Capacity Reservations; leave the target out")
	case p == "capacity-reservations-only":
		return fail("Unsupported", "This sandbox has no Capacity Reservations; give the preference open or none")
	case p != "open" && p != "none":
		return badParameter(p, "capacityReservationPreference", "Valid values: open, none, capacity-reservations-only.")
	}
	return nil
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

	VolumeInitializationRate int32 `xml:"volumeInitializationRate,omitempty"`
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
