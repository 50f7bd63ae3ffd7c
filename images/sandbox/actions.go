package sandbox

var queryServices = map[string]map[string]action{"ec2": ec2Actions, "sts": stsActions}

var stsActions = map[string]action{
	"AssumeRole":        writes(assumeRole),
	"GetCallerIdentity": reads(getCallerIdentity),
	"GetSessionToken":   writes(getSessionToken),
}

var ec2Actions = map[string]action{
	// Regions, zones, network
	"DescribeRegions":               reads(describeRegions),
	"DescribeAvailabilityZones":     reads(describeAvailabilityZones),
	"DescribeVpcs":                  reads(describeVpcs),
	"DescribeSubnets":               reads(describeSubnets),
	"DescribeSecurityGroups":        reads(describeSecurityGroups),
	"DescribeSecurityGroupRules":    reads(describeSecurityGroupRules),
	"CreateSecurityGroup":           writes(createSecurityGroup),
	"DeleteSecurityGroup":           writes(deleteSecurityGroup),
	"AuthorizeSecurityGroupIngress": writes(authorizeIngress),
	"AuthorizeSecurityGroupEgress":  writes(authorizeEgress),
	"RevokeSecurityGroupIngress":    writes(revokeIngress),
	"RevokeSecurityGroupEgress":     writes(revokeEgress),

	// Key pairs
	"CreateKeyPair":    writes(createKeyPair),
	"ImportKeyPair":    writes(importKeyPair),
	"DescribeKeyPairs": reads(describeKeyPairs),
	"DeleteKeyPair":    writes(deleteKeyPair),

	// Instances
	"RunInstances":                  writes(runInstances),
	"DescribeInstances":             reads(describeInstances),
	"DescribeInstanceStatus":        reads(describeInstanceStatus),
	"DescribeInstanceAttribute":     reads(describeInstanceAttribute),
	"ModifyInstanceAttribute":       writes(modifyInstanceAttribute),
	"ModifyInstanceMetadataOptions": writes(modifyInstanceMetadataOptions),
	"StartInstances":                writes(startInstances),
	"StopInstances":                 writes(stopInstances),
	"RebootInstances":               writes(rebootInstances),
	"TerminateInstances":            writes(terminateInstances),
	"GetConsoleOutput":              reads(getConsoleOutput),
	"DescribeInstanceTypes":         reads(describeInstanceTypes),
	"DescribeInstanceTypeOfferings": reads(describeInstanceTypeOfferings),

	// Volumes and snapshots
	"CreateVolume":              writes(createVolume),
	"DeleteVolume":              writes(deleteVolume),
	"DescribeVolumes":           reads(describeVolumes),
	"CreateSnapshot":            writes(createSnapshot),
	"CopySnapshot":              writes(copySnapshot),
	"DeleteSnapshot":            writes(deleteSnapshot),
	"DescribeSnapshots":         reads(describeSnapshots),
	"DescribeSnapshotAttribute": reads(describeSnapshotAttribute),
	"ModifySnapshotAttribute":   writes(modifySnapshotAttribute),

	// Images
	"CreateImage":                          writes(createImage),
	"RegisterImage":                        writes(registerImage),
	"CopyImage":                            writes(copyImage),
	"DescribeImages":                       reads(describeImages),
	"DescribeImageAttribute":               reads(describeImageAttribute),
	"ModifyImageAttribute":                 writes(modifyImageAttribute),
	"ResetImageAttribute":                  writes(resetImageAttribute),
	"DeregisterImage":                      writes(deregisterImage),
	"EnableImageDeprecation":               writes(enableImageDeprecation),
	"DisableImageDeprecation":              writes(disableImageDeprecation),
	"EnableImage":                          writes(enableImage),
	"DisableImage":                         writes(disableImage),
	"EnableImageDeregistrationProtection":  writes(enableImageProtection),
	"DisableImageDeregistrationProtection": writes(disableImageProtection),

	// Tags
	"CreateTags":   writes(createTags),
	"DeleteTags":   writes(deleteTags),
	"DescribeTags": reads(describeTags),
}

var ssmActions = map[string]action{
	"PutParameter":           writes(putParameter),
	"GetParameter":           reads(getParameter),
	"GetParameters":          reads(getParameters),
	"GetParametersByPath":    reads(getParametersByPath),
	"GetParameterHistory":    reads(getParameterHistory),
	"DescribeParameters":     reads(describeParameters),
	"DeleteParameter":        writes(deleteParameter),
	"DeleteParameters":       writes(deleteParameters),
	"LabelParameterVersion":  writes(labelParameterVersion),
	"AddTagsToResource":      writes(addTagsToResource),
	"RemoveTagsFromResource": writes(removeTagsFromResource),
	"ListTagsForResource":    reads(listTagsForResource),
}
