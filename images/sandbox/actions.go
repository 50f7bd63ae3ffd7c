package sandbox

var queryServices = map[string]map[string]action{"ec2": ec2Actions, "sts": stsActions}

// jsonServices are those of the JSON protocol, and jsonTargets what they are called in X-Amz-Target.
var (
	jsonServices = map[string]map[string]action{"ssm": ssmActions, "kms": kmsActions}
	jsonTargets  = map[string]string{"AmazonSSM": "ssm", "TrentService": "kms"}
)

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
	"DescribeVpcAttribute":          reads(describeVpcAttribute),
	"DescribeRouteTables":           reads(describeRouteTables),
	"DescribeInternetGateways":      reads(describeInternetGateways),
	"DescribeNetworkInterfaces":     reads(describeNetworkInterfaces),
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

	"AssociateIamInstanceProfile":            writes(associateProfile),
	"DisassociateIamInstanceProfile":         writes(disassociateProfile),
	"ReplaceIamInstanceProfileAssociation":   writes(replaceProfile),
	"DescribeIamInstanceProfileAssociations": reads(describeProfiles),

	"CreateFleet":                  writes(createFleet),
	"DescribeSpotInstanceRequests": reads(describeSpotRequests),
	"CancelSpotInstanceRequests":   writes(cancelSpotRequests),

	"DescribeInstanceCreditSpecifications": reads(describeInstanceCredits),
	"DescribeInstanceImageMetadata":        reads(describeInstanceImages),

	// Launch templates
	"CreateLaunchTemplate":           writes(createLaunchTemplate),
	"CreateLaunchTemplateVersion":    writes(createLaunchTemplateVersion),
	"DescribeLaunchTemplates":        reads(describeLaunchTemplates),
	"DescribeLaunchTemplateVersions": reads(describeLaunchTemplateVersions),
	"ModifyLaunchTemplate":           writes(modifyLaunchTemplate),
	"DeleteLaunchTemplate":           writes(deleteLaunchTemplate),
	"DeleteLaunchTemplateVersions":   writes(deleteLaunchTemplateVersions),

	// Volumes and snapshots
	"CreateVolume":              writes(createVolume),
	"AttachVolume":              writes(attachVolume),
	"DetachVolume":              writes(detachVolume),
	"DeleteVolume":              writes(deleteVolume),
	"DescribeVolumes":           reads(describeVolumes),
	"CreateSnapshot":            writes(createSnapshot),
	"CreateSnapshots":           writes(createSnapshots),
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
	"CancelImageLaunchPermission":          writes(cancelLaunchPermission),
	"DeregisterImage":                      writes(deregisterImage),
	"EnableImageDeprecation":               writes(enableImageDeprecation),
	"DisableImageDeprecation":              writes(disableImageDeprecation),
	"EnableImage":                          writes(enableImage),
	"DisableImage":                         writes(disableImage),
	"EnableImageDeregistrationProtection":  writes(enableImageProtection),
	"DisableImageDeregistrationProtection": writes(disableImageProtection),

	"GetImageAncestry":                reads(getImageAncestry),
	"DescribeImageReferences":         reads(describeImageReferences),
	"CreateImageUsageReport":          writes(createUsageReport),
	"DescribeImageUsageReports":       reads(describeUsageReports),
	"DescribeImageUsageReportEntries": reads(describeUsageEntries),
	"DeleteImageUsageReport":          writes(deleteUsageReport),

	"GetAllowedImagesSettings":                    reads(getAllowedImages),
	"EnableAllowedImagesSettings":                 writes(enableAllowedImages),
	"DisableAllowedImagesSettings":                writes(disableAllowedImages),
	"ReplaceImageCriteriaInAllowedImagesSettings": writes(replaceImageCriteria),

	// Encryption and public access of an account
	"GetEbsEncryptionByDefault":         reads(getEBSEncryptionByDefault),
	"EnableEbsEncryptionByDefault":      writes(enableEBSEncryptionByDefault),
	"DisableEbsEncryptionByDefault":     writes(disableEBSEncryptionByDefault),
	"GetEbsDefaultKmsKeyId":             reads(getEBSDefaultKey),
	"ModifyEbsDefaultKmsKeyId":          writes(modifyEBSDefaultKey),
	"ResetEbsDefaultKmsKeyId":           writes(resetEBSDefaultKey),
	"GetImageBlockPublicAccessState":    reads(getImageBlock),
	"EnableImageBlockPublicAccess":      writes(enableImageBlock),
	"DisableImageBlockPublicAccess":     writes(disableImageBlock),
	"GetSnapshotBlockPublicAccessState": reads(getSnapshotBlock),
	"EnableSnapshotBlockPublicAccess":   writes(enableSnapshotBlock),
	"DisableSnapshotBlockPublicAccess":  writes(disableSnapshotBlock),

	// Tags
	"CreateTags":   writes(createTags),
	"DeleteTags":   writes(deleteTags),
	"DescribeTags": reads(describeTags),
}

var ssmActions = map[string]action{
	"PutParameter":            writes(putParameter),
	"GetParameter":            reads(getParameter),
	"GetParameters":           reads(getParameters),
	"GetParametersByPath":     reads(getParametersByPath),
	"GetParameterHistory":     reads(getParameterHistory),
	"DescribeParameters":      reads(describeParameters),
	"DeleteParameter":         writes(deleteParameter),
	"DeleteParameters":        writes(deleteParameters),
	"LabelParameterVersion":   writes(labelParameterVersion),
	"UnlabelParameterVersion": writes(unlabelParameterVersion),
	"AddTagsToResource":       writes(addTagsToResource),
	"RemoveTagsFromResource":  writes(removeTagsFromResource),
	"ListTagsForResource":     reads(listTagsForResource),
}

var kmsActions = map[string]action{
	"CreateKey":            writes(createKey),
	"DescribeKey":          reads(describeKey),
	"ListKeys":             reads(listKeys),
	"EnableKey":            writes(enableKey),
	"DisableKey":           writes(disableKey),
	"UpdateKeyDescription": writes(updateKeyDescription),
	"ScheduleKeyDeletion":  writes(scheduleKeyDeletion),
	"CancelKeyDeletion":    writes(cancelKeyDeletion),
	"GetKeyRotationStatus": reads(getKeyRotationStatus),
	"EnableKeyRotation":    writes(enableKeyRotation),
	"DisableKeyRotation":   writes(disableKeyRotation),
	"GetKeyPolicy":         reads(getKeyPolicy),
	"PutKeyPolicy":         writes(putKeyPolicy),
	"ListKeyPolicies":      reads(listKeyPolicies),
	"CreateAlias":          writes(createAlias),
	"UpdateAlias":          writes(updateAlias),
	"DeleteAlias":          writes(deleteAlias),
	"ListAliases":          reads(listAliases),
	"CreateGrant":          writes(createGrant),
	"ListGrants":           reads(listGrants),
	"RevokeGrant":          writes(revokeGrant),
	"RetireGrant":          writes(retireGrant),
	"TagResource":          writes(tagKMSKey),
	"UntagResource":        writes(untagKMSKey),
	"ListResourceTags":     reads(listKMSTags),
	"ReplicateKey":         writes(replicateKey),
	"UpdatePrimaryRegion":  writes(updatePrimaryRegion),
}
