package sandbox_test

// reservationOfTarget stands for what is not in the item, but above it.
const reservationOfTarget = "reservation"

// filterTable says of every filter of EC2's Describe calls which part of the call's answer it looks at: a path of XML elements in the item; or the
// value itself after a =, where the answer has no such part; or "" for what nothing here has. (EC2 API Reference, "Filter.N" of each call)
var filterTable = map[string]map[string]string{
	"DescribeImages": {
		"architecture": "architecture", "boot-mode": "bootMode", "creation-date": "creationDate", "description": "description", "ena-support": "enaSupport",
		"free-tier-eligible": "=true", "hypervisor": "hypervisor", "image-allowed": "=true", "image-id": "imageId", "image-type": "imageType", "is-public": "isPublic",
		"kernel-id": "", "manifest-location": "imageLocation", "name": "name", "owner-alias": "", "owner-id": "imageOwnerId", "platform": "", "product-code": "",
		"product-code.type": "", "ramdisk-id": "", "root-device-name": "rootDeviceName", "root-device-type": "rootDeviceType", "source-image-id": "",
		"source-image-region": "", "source-instance-id": "sourceInstanceId", "sriov-net-support": "sriovNetSupport", "state": "imageState", "state-reason-code": "",
		"state-reason-message": "", "tpm-support": "", "virtualization-type": "virtualizationType",
		"block-device-mapping.delete-on-termination": "blockDeviceMapping/item/ebs/deleteOnTermination",
		"block-device-mapping.device-name":           "blockDeviceMapping/item/deviceName",
		"block-device-mapping.encrypted":             "blockDeviceMapping/item/ebs/encrypted",
		"block-device-mapping.snapshot-id":           "blockDeviceMapping/item/ebs/snapshotId",
		"block-device-mapping.volume-size":           "blockDeviceMapping/item/ebs/volumeSize",
		"block-device-mapping.volume-type":           "blockDeviceMapping/item/ebs/volumeType",
	},
	"DescribeInstances": {
		"affinity": "", "architecture": "architecture", "availability-zone": "placement/availabilityZone", "availability-zone-id": "placement/availabilityZoneId",
		"block-device-mapping.device-name": "blockDeviceMapping/item/deviceName", "block-device-mapping.volume-id": "blockDeviceMapping/item/ebs/volumeId",
		"block-device-mapping.attach-time": "blockDeviceMapping/item/ebs/attachTime", "block-device-mapping.status": "blockDeviceMapping/item/ebs/status",
		"block-device-mapping.delete-on-termination": "blockDeviceMapping/item/ebs/deleteOnTermination",
		"boot-mode": "bootMode", "capacity-reservation-id": "",
		"capacity-reservation-specification.capacity-reservation-preference": "capacityReservationSpecification/capacityReservationPreference",
		"client-token": "clientToken", "dns-name": "", "ebs-optimized": "ebsOptimized", "ena-support": "enaSupport", "enclave-options.enabled": "enclaveOptions/enabled",
		"hibernation-options.configured": "hibernationOptions/configured", "host-id": "", "hypervisor": "hypervisor", "iam-instance-profile.arn": "iamInstanceProfile/arn",
		"image-id": "imageId", "instance-id": "instanceId", "instance-lifecycle": "", "instance-state-code": "instanceState/code", "instance-state-name": "instanceState/name",
		"instance-type": "instanceType", "instance.group-id": "groupSet/item/groupId", "instance.group-name": "groupSet/item/groupName", "ip-address": "ipAddress",
		"ipv6-address": "", "kernel-id": "", "key-name": "keyName", "launch-index": "amiLaunchIndex", "launch-time": "launchTime",
		"maintenance-options.auto-recovery": "maintenanceOptions/autoRecovery", "metadata-options.http-endpoint": "metadataOptions/httpEndpoint",
		"metadata-options.http-protocol-ipv6":          "metadataOptions/httpProtocolIpv6",
		"metadata-options.http-put-response-hop-limit": "metadataOptions/httpPutResponseHopLimit", "metadata-options.http-tokens": "metadataOptions/httpTokens",
		"metadata-options.instance-metadata-tags": "metadataOptions/instanceMetadataTags", "monitoring-state": "monitoring/state",
		"network-interface.addresses.private-ip-address": "networkInterfaceSet/item/privateIpAddressesSet/item/privateIpAddress",
		"network-interface.availability-zone":            "placement/availabilityZone",
		"network-interface.group-id":                     "networkInterfaceSet/item/groupSet/item/groupId", "network-interface.group-name": "networkInterfaceSet/item/groupSet/item/groupName",
		"network-interface.mac-address": "networkInterfaceSet/item/macAddress", "network-interface.network-interface-id": "networkInterfaceSet/item/networkInterfaceId",
		"network-interface.owner-id": "networkInterfaceSet/item/ownerId", "network-interface.private-dns-name": "networkInterfaceSet/item/privateDnsName",
		"network-interface.private-ip-address": "networkInterfaceSet/item/privateIpAddress", "network-interface.source-dest-check": "networkInterfaceSet/item/sourceDestCheck",
		"network-interface.status": "networkInterfaceSet/item/status", "network-interface.subnet-id": "networkInterfaceSet/item/subnetId",
		"network-interface.vpc-id": "networkInterfaceSet/item/vpcId", "outpost-arn": "", "owner-id": "=" + build, "placement-group-name": "", "placement-partition-number": "",
		"platform": "", "platform-details": "platformDetails", "private-dns-name": "privateDnsName", "private-ip-address": "privateIpAddress", "product-code": "",
		"product-code.type": "", "ramdisk-id": "", "reason": "", "requester-id": "", "reservation-id": "=" + reservationOfTarget, "root-device-name": "rootDeviceName",
		"root-device-type": "rootDeviceType", "source-dest-check": "sourceDestCheck", "spot-instance-request-id": "", "state-reason-code": "", "state-reason-message": "",
		"subnet-id": "subnetId", "tenancy": "placement/tenancy", "tpm-support": "", "usage-operation": "usageOperation", "virtualization-type": "virtualizationType", "vpc-id": "vpcId",
	},
	"DescribeInstanceStatus": {
		"attached-ebs-status.status": "attachedEbsStatus/status", "availability-zone": "availabilityZone", "instance-state-code": "instanceState/code",
		"instance-state-name": "instanceState/name", "instance-status.status": "instanceStatus/status", "system-status.status": "systemStatus/status",
	},
	"DescribeIamInstanceProfileAssociations": {"instance-id": "instanceId", "state": "state"},
	"DescribeVolumes": {
		"attachment.delete-on-termination": "attachmentSet/item/deleteOnTermination", "attachment.device": "attachmentSet/item/device",
		"attachment.instance-id": "attachmentSet/item/instanceId", "attachment.status": "attachmentSet/item/status", "availability-zone": "availabilityZone",
		"create-time": "createTime", "encrypted": "encrypted", "size": "size", "snapshot-id": "snapshotId", "status": "status", "volume-id": "volumeId", "volume-type": "volumeType",
	},
	"DescribeSnapshots": {
		"description": "description", "encrypted": "encrypted", "owner-alias": "", "owner-id": "ownerId", "progress": "progress", "snapshot-id": "snapshotId",
		"start-time": "startTime", "status": "status", "storage-tier": "storageTier", "volume-id": "volumeId", "volume-size": "volumeSize",
	},
	"DescribeSecurityGroups": {
		"description": "groupDescription", "egress.ip-permission.cidr": "ipPermissionsEgress/item/ipRanges/item/cidrIp", "group-id": "groupId", "group-name": "groupName",
		"ip-permission.cidr": "ipPermissions/item/ipRanges/item/cidrIp", "ip-permission.from-port": "ipPermissions/item/fromPort",
		"ip-permission.group-id": "ipPermissions/item/groups/item/groupId", "ip-permission.protocol": "ipPermissions/item/ipProtocol",
		"ip-permission.to-port": "ipPermissions/item/toPort", "owner-id": "ownerId", "vpc-id": "vpcId",
	},
	"DescribeSecurityGroupRules": {"group-id": "groupId", "security-group-rule-id": "securityGroupRuleId"},
	"DescribeKeyPairs":           {"fingerprint": "keyFingerprint", "key-name": "keyName", "key-pair-id": "keyPairId"},
	"DescribeNetworkInterfaces": {
		"addresses.private-ip-address": "privateIpAddressesSet/item/privateIpAddress", "association.public-ip": "association/publicIp",
		"attachment.attachment-id": "attachment/attachmentId", "attachment.device-index": "attachment/deviceIndex", "attachment.instance-id": "attachment/instanceId",
		"attachment.status": "attachment/status", "availability-zone": "availabilityZone", "description": "", "group-id": "groupSet/item/groupId",
		"interface-type": "interfaceType", "mac-address": "macAddress", "network-interface-id": "networkInterfaceId", "owner-id": "ownerId",
		"private-ip-address": "privateIpAddress", "requester-managed": "requesterManaged", "status": "status", "subnet-id": "subnetId", "vpc-id": "vpcId",
	},
	"DescribeVpcs": {
		"cidr": "cidrBlock", "cidr-block-association.cidr-block": "cidrBlockAssociationSet/item/cidrBlock", "is-default": "isDefault", "isDefault": "isDefault",
		"owner-id": "ownerId", "state": "state", "vpc-id": "vpcId",
	},
	"DescribeSubnets": {
		"availability-zone": "availabilityZone", "availability-zone-id": "availabilityZoneId", "availabilityZone": "availabilityZone",
		"available-ip-address-count": "availableIpAddressCount", "cidr": "cidrBlock", "cidr-block": "cidrBlock", "default-for-az": "defaultForAz", "defaultForAz": "defaultForAz",
		"map-public-ip-on-launch": "mapPublicIpOnLaunch", "owner-id": "ownerId", "state": "state", "subnet-id": "subnetId", "vpc-id": "vpcId",
	},
	"DescribeRouteTables": {
		"association.main": "associationSet/item/main", "association.route-table-id": "associationSet/item/routeTableId", "association.subnet-id": "",
		"owner-id": "ownerId", "route-table-id": "routeTableId", "vpc-id": "vpcId",
	},
	"DescribeInternetGateways": {
		"attachment.state": "attachmentSet/item/state", "attachment.vpc-id": "attachmentSet/item/vpcId", "internet-gateway-id": "internetGatewayId", "owner-id": "ownerId",
	},
	"DescribeRegions": {"endpoint": "regionEndpoint", "opt-in-status": "optInStatus", "region-name": "regionName"},
	"DescribeAvailabilityZones": {
		"group-name": "groupName", "network-border-group": "networkBorderGroup", "opt-in-status": "optInStatus", "region-name": "regionName", "state": "zoneState",
		"zone-id": "zoneId", "zone-name": "zoneName", "zone-type": "zoneType",
	},
	"DescribeTags":            {"key": "key", "resource-id": "resourceId", "resource-type": "resourceType", "value": "value"},
	"DescribeLaunchTemplates": {"create-time": "createTime", "launch-template-name": "launchTemplateName"},
	"DescribeLaunchTemplateVersions": {
		"create-time": "createTime", "ebs-optimized": "launchTemplateData/ebsOptimized", "iam-instance-profile": "launchTemplateData/iamInstanceProfile/arn",
		"image-id": "launchTemplateData/imageId", "instance-type": "launchTemplateData/instanceType", "is-default-version": "defaultVersion",
		"kernel-id": "", "ram-disk-id": "",
	},
	"DescribeInstanceTypes": {
		"bare-metal": "bareMetal", "burstable-performance-supported": "burstablePerformanceSupported", "current-generation": "currentGeneration",
		"free-tier-eligible": "freeTierEligible", "hypervisor": "hypervisor", "instance-storage-supported": "instanceStorageSupported", "instance-type": "instanceType",
		"memory-info.size-in-mib": "memoryInfo/sizeInMiB", "processor-info.supported-architecture": "processorInfo/supportedArchitectures/item",
		"supported-boot-mode": "supportedBootModes/item", "supported-root-device-type": "supportedRootDeviceTypes/item", "supported-usage-class": "supportedUsageClasses/item",
		"supported-virtualization-type": "supportedVirtualizationTypes/item", "vcpu-info.default-vcpus": "vCpuInfo/defaultVCpus",
	},
	"DescribeInstanceTypeOfferings":   {"instance-type": "instanceType", "location": "location"},
	"DescribeImageUsageReports":       {"creation-time": "creationTime", "state": "state"},
	"DescribeImageUsageReportEntries": {"account-id": "accountId", "creation-time": "reportCreationTime", "resource-type": "resourceType"},
}
