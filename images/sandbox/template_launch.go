package sandbox

import (
	"encoding/base64"
	"maps"
	"slices"
)

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
	return in.CapacityReservationSpecification.check()
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
	either(&in.InstanceMarketOptions, d.InstanceMarketOptions)
	either(&in.HibernationOptions, d.HibernationOptions)
	either(&in.EnclaveOptions, d.EnclaveOptions)
	either(&in.CpuOptions, d.CpuOptions)
	either(&in.MaintenanceOptions, d.MaintenanceOptions)
	either(&in.PrivateDnsNameOptions, d.PrivateDnsNameOptions)
	either(&in.CapacityReservationSpecification, d.CapacityReservationSpecification)
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
				KmsKeyId: e.KmsKeyId, SnapshotId: e.SnapshotId, VolumeSize: e.VolumeSize, VolumeType: e.VolumeType,
				VolumeInitializationRate: e.VolumeInitializationRate}
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
