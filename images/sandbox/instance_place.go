package sandbox

import (
	"net/netip"
	"slices"
)

// launchSubnet is the subnet that the request names, or a default one: of the zone that it names, or of the first zone
// with room.
func (q *call) launchSubnet(in *runInstancesRequest) (subnetItem, error) {
	zone := in.Placement.AvailabilityZone
	if in.SubnetId != "" {
		s, ok := q.subnet(in.SubnetId)
		switch {
		case !ok:
			return s, notFound("InvalidSubnetID.NotFound", "subnet ID", in.SubnetId)
		case zone != "" && zone != s.Zone:
			return s, fail("InvalidParameterValue", "The subnet %s is in %s, not in %s", s.ID, s.Zone, zone)
		}
		return s, nil
	}
	var full subnetItem
	for _, s := range q.subnets() {
		if zone != "" && zone != s.Zone {
			continue
		}
		if s.Free > 0 {
			return s, nil
		}
		full = s
	}
	if full.ID == "" {
		return full, fail("InvalidParameterValue", "Invalid availability zone: [%s]", zone)
	}
	return full, nil
}

// freeAddresses gives as many instances as there is room for an address, up to most; fewer than least is an error.
func (q *call) freeAddresses(l launch, least, most int) ([]netip.Addr, error) {
	used := q.addresses()
	if l.address != "" {
		a, err := netip.ParseAddr(l.address)
		switch {
		case err != nil || !l.subnet.prefix.Contains(a):
			return nil, fail("InvalidParameterValue", "Address %s does not fall within the subnet's address range %s", l.address, l.subnet.CIDR)
		case most > 1:
			return nil, combination("An address can be given to one instance only")
		case used[a]:
			return nil, fail("InvalidIPAddress.InUse", "Address %s is in use.", l.address)
		}
		return []netip.Addr{a}, nil
	}
	var out []netip.Addr
	for len(out) < min(most, maxPerLaunch) {
		a, ok := freeAddress(l.subnet.prefix, used)
		if !ok {
			break
		}
		used[a] = true
		out = append(out, a)
	}
	if len(out) < least {
		return nil, fail("InsufficientFreeAddressesInSubnet", "There are not enough free addresses in subnet '%s' to satisfy the requested number of instances.", l.subnet.ID)
	}
	return out, nil
}

func (q *call) launchGroups(in *runInstancesRequest) ([]string, error) {
	var ids []string
	for _, id := range in.SecurityGroupId {
		g, err := q.group(id)
		if err != nil {
			return nil, err
		}
		ids = with(ids, g.ID)
	}
	for _, name := range in.SecurityGroup {
		g, err := q.groupByIDOrName("", name)
		if err != nil {
			return nil, err
		}
		ids = with(ids, g.ID)
	}
	if len(ids) == 0 {
		ids = []string{defaultGroup(q.place).ID}
	}
	return ids, nil
}

// apply changes the options that the request sets (ec2-facts 1.21).
func (p metadataParam) apply(o metadataOptions) (metadataOptions, error) {
	onOff := []string{"", "enabled", disabled}
	switch {
	case !slices.Contains([]string{"", "optional", "required"}, p.HttpTokens):
		return o, badParameter(p.HttpTokens, "HttpTokens", "Valid values: optional, required.")
	case !slices.Contains(onOff, p.HttpEndpoint):
		return o, badParameter(p.HttpEndpoint, "HttpEndpoint", "Valid values: enabled, disabled.")
	case !slices.Contains(onOff, p.InstanceMetadataTags):
		return o, badParameter(p.InstanceMetadataTags, "InstanceMetadataTags", "Valid values: enabled, disabled.")
	case !slices.Contains(onOff, p.HttpProtocolIpv6):
		return o, badParameter(p.HttpProtocolIpv6, "HttpProtocolIpv6", "Valid values: enabled, disabled.")
	case p.HttpPutResponseHopLimit != nil && (*p.HttpPutResponseHopLimit < 1 || *p.HttpPutResponseHopLimit > 64):
		return o, badParameter(number(*p.HttpPutResponseHopLimit), "HttpPutResponseHopLimit", "Give 1 to 64.")
	case p.HttpEndpoint == disabled && p.HttpTokens != "":
		return o, combination("HttpTokens cannot be set when HttpEndpoint is disabled")
	}
	set := func(to *string, value string) {
		if value != "" {
			*to = value
		}
	}
	set(&o.Tokens, p.HttpTokens)
	set(&o.Endpoint, p.HttpEndpoint)
	set(&o.Tags, p.InstanceMetadataTags)
	set(&o.IPv6, p.HttpProtocolIpv6)
	if p.HttpPutResponseHopLimit != nil {
		o.HopLimit = *p.HttpPutResponseHopLimit
	}
	return o, nil
}

var metadataTagKey = lazy(`^[a-zA-Z0-9+\-=.,_:@]+$`)

// checkMetadataTags: keys that the metadata service shows have a smaller set of characters (ec2-facts 1.22).
func checkMetadataTags(o metadataOptions, tags map[string]string) error {
	if o.Tags != "enabled" {
		return nil
	}
	for key := range tags {
		if !metadataTagKey().MatchString(key) || key == "." || key == ".." || key == "_index" {
			return fail("InvalidParameterValue", "'%s' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{1,255}), "+
				"and must not be a reserved name ('.', '..', '_index'), when InstanceMetadataTags is enabled", key)
		}
	}
	return nil
}

// checkInstanceTags applies the same to tags that are put on an instance later.
func (q *call) checkInstanceTags(id string, tags map[string]string) error {
	if prefixOf(id) != "i-" {
		return nil
	}
	i, err := q.instance(id)
	if err != nil {
		return err
	}
	return checkMetadataTags(i.Metadata, tags)
}
