package sandbox

import (
	"maps"
	"strconv"
)

// instanceFilters are the filters of DescribeInstances that need only the row; those of (*call).instanceFilters look further.
var instanceFilters = fields[instanceRow]{
	"architecture":             one(func(i *instanceRow) string { return i.Architecture }),
	"availability-zone":        one(func(i *instanceRow) string { return i.Zone }),
	"client-token":             one(func(i *instanceRow) string { return i.ClientToken }),
	"dns-name":                 func(*instanceRow) []string { return nil },
	"hypervisor":               func(*instanceRow) []string { return []string{"xen"} },
	"iam-instance-profile.arn": one(func(i *instanceRow) string { return i.Profile }),
	"image-id":                 one(func(i *instanceRow) string { return i.ImageID }),
	"instance-id":              one(func(i *instanceRow) string { return i.ID }),
	"instance-lifecycle":       one(func(i *instanceRow) string { return i.lifecycle() }),
	"instance-state-code":      one(func(i *instanceRow) string { return strconv.Itoa(stateCodes[i.State]) }),
	"instance-state-name":      one(func(i *instanceRow) string { return i.State }),
	"instance-type":            one(func(i *instanceRow) string { return i.Type }),
	"instance.group-id":        func(i *instanceRow) []string { return i.Groups },
	"ip-address":               one(func(i *instanceRow) string { return i.Address }),
	"key-name":                 one(func(i *instanceRow) string { return i.KeyName }),
	"launch-index":             one(func(i *instanceRow) string { return strconv.Itoa(i.LaunchIndex) }),
	"launch-time":              one(func(i *instanceRow) string { return timestamp(i.Launched) }),
	"monitoring-state": func(i *instanceRow) []string {
		if i.Monitoring {
			return []string{"enabled"}
		}
		return []string{disabled}
	},
	"network-interface.network-interface-id": one(func(i *instanceRow) string { return i.ENI }),
	"owner-id":                               one(func(i *instanceRow) string { return i.Account }),
	"private-dns-name":                       one(func(i *instanceRow) string { return i.privateDNS() }),
	"private-ip-address":                     one(func(i *instanceRow) string { return i.Address }),
	"reason":                                 one(func(i *instanceRow) string { return i.Transition }),
	"reservation-id":                         one(func(i *instanceRow) string { return i.ReservationID }),
	"root-device-name":                       one(func(i *instanceRow) string { return i.RootDevice }),
	"root-device-type":                       func(*instanceRow) []string { return []string{"ebs"} },
	"source-dest-check":                      flag(func(i *instanceRow) bool { return i.SourceDestCheck }),
	"state-reason-code": one(func(i *instanceRow) string {
		if i.Reason == nil {
			return ""
		}
		return i.Reason.Code
	}),
	"subnet-id":                      one(func(i *instanceRow) string { return i.SubnetID }),
	"tenancy":                        func(*instanceRow) []string { return []string{"default"} },
	"virtualization-type":            func(*instanceRow) []string { return []string{"hvm"} },
	"vpc-id":                         one(func(i *instanceRow) string { return i.VpcID }),
	"metadata-options.http-tokens":   one(func(i *instanceRow) string { return i.Metadata.Tokens }),
	"metadata-options.http-endpoint": one(func(i *instanceRow) string { return i.Metadata.Endpoint }),
	"capacity-reservation-specification.capacity-reservation-preference": one(func(i *instanceRow) string { return i.capacityPreference() }),
	"boot-mode":                         one(func(i *instanceRow) string { return i.BootMode }),
	"ebs-optimized":                     flag(func(i *instanceRow) bool { return i.EBSOptimized }),
	"ena-support":                       flag(func(i *instanceRow) bool { return i.ENA }),
	"enclave-options.enabled":           constantly[instanceRow]("false"),
	"hibernation-options.configured":    constantly[instanceRow]("false"),
	"maintenance-options.auto-recovery": constantly[instanceRow]("default"),
	"platform-details":                  constantly[instanceRow]("Linux/UNIX"),
	"usage-operation":                   constantly[instanceRow]("RunInstances"),
	"spot-instance-request-id":          one(func(i *instanceRow) string { return i.SpotRequest }),
	"availability-zone-id":              one(func(i *instanceRow) string { return zoneID(i.Region, i.Zone) }),
	"state-reason-message": one(func(i *instanceRow) string {
		if i.Reason == nil {
			return ""
		}
		return i.Reason.Message
	}),
	"metadata-options.http-protocol-ipv6":          one(func(i *instanceRow) string { return i.Metadata.IPv6 }),
	"metadata-options.http-put-response-hop-limit": one(func(i *instanceRow) string { return number(i.Metadata.HopLimit) }),
	"metadata-options.instance-metadata-tags":      one(func(i *instanceRow) string { return i.Metadata.Tags }),

	"network-interface.availability-zone":            one(func(i *instanceRow) string { return i.Zone }),
	"network-interface.group-id":                     func(i *instanceRow) []string { return i.Groups },
	"network-interface.mac-address":                  one(func(i *instanceRow) string { return i.mac() }),
	"network-interface.owner-id":                     one(func(i *instanceRow) string { return i.Account }),
	"network-interface.private-dns-name":             one(func(i *instanceRow) string { return i.privateDNS() }),
	"network-interface.private-ip-address":           one(func(i *instanceRow) string { return i.Address }),
	"network-interface.addresses.private-ip-address": one(func(i *instanceRow) string { return i.Address }),
	"network-interface.source-dest-check":            flag(func(i *instanceRow) bool { return i.SourceDestCheck }),
	"network-interface.status":                       constantly[instanceRow]("in-use"),
	"network-interface.subnet-id":                    one(func(i *instanceRow) string { return i.SubnetID }),
	"network-interface.vpc-id":                       one(func(i *instanceRow) string { return i.VpcID }),

	// What no instance here has.
	"affinity":                   constantly[instanceRow](),
	"capacity-reservation-id":    constantly[instanceRow](),
	"host-id":                    constantly[instanceRow](),
	"ipv6-address":               constantly[instanceRow](),
	"kernel-id":                  constantly[instanceRow](),
	"outpost-arn":                constantly[instanceRow](),
	"placement-group-name":       constantly[instanceRow](),
	"placement-partition-number": constantly[instanceRow](),
	"platform":                   constantly[instanceRow](), // only Windows has one
	"product-code":               constantly[instanceRow](),
	"product-code.type":          constantly[instanceRow](),
	"ramdisk-id":                 constantly[instanceRow](),
	"requester-id":               constantly[instanceRow](), // of instances that a service launches
}

func (q *call) instanceFilters() fields[instanceRow] {
	known := maps.Clone(instanceFilters)
	names := func(i *instanceRow) (names []string) {
		for _, g := range q.groupRefs(i).Items {
			names = append(names, g.Name)
		}
		return names
	}
	known["instance.group-name"], known["network-interface.group-name"] = names, names
	for name, value := range attachmentFilters {
		known["block-device-mapping."+name] = func(i *instanceRow) (values []string) {
			for _, v := range q.volumesOf(q.tx, i) {
				values = append(values, value(v))
			}
			return values
		}
	}
	known["tpm-support"] = one(func(i *instanceRow) string { m, _ := q.images.Get(q.tx, i.ImageID); return m.TPMSupport })
	return known
}
