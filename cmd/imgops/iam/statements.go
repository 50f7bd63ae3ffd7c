package iam

import (
	"fmt"
	"slices"
	"strings"
)

// look is what has no resource to name: EC2's Describe actions.
func (f fleet) look() Statement {
	s := Statement{Sid: "Look", Resource: []string{"*"}, Action: []string{
		"ec2:DescribeImageAttribute", "ec2:DescribeImageReferences", "ec2:DescribeImages", "ec2:DescribeInstances", "ec2:DescribeSnapshots",
	}}
	if f.account == f.Build.Account { // where machines are made
		s.Action = append(s.Action, "ec2:DescribeKeyPairs", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs")
	}
	return s
}

// launch lets machines be launched only with the fleet's tag and with IMDSv2.
func (f fleet) launch() []Statement {
	machine := equals("aws:RequestTag/"+tagFleet, f.Fleet)
	machine["StringEquals"]["ec2:MetadataHttpTokens"] = []string{"required"}
	return []Statement{
		{Sid: "LaunchMachine", Action: []string{"ec2:RunInstances"}, Resource: f.ec2("instance"), Condition: machine},
		{Sid: "LaunchVolume", Action: []string{"ec2:RunInstances"}, Resource: f.ec2("volume"), Condition: equals("aws:RequestTag/"+tagFleet, f.Fleet)},
	}
}

// launchInto is what a launch uses and does not make, and the network interface, which has no tag of its own.
func (f fleet) launchInto() Statement {
	return Statement{Sid: "LaunchInto", Action: []string{"ec2:RunInstances"}, Resource: f.ec2("image", "snapshot", "key-pair", "network-interface", "security-group", "subnet")}
}

// tagAtBirth lets resources be tagged in the call that makes them.
func (f fleet) tagAtBirth(actions ...string) Statement {
	return Statement{Sid: "TagAtBirth", Action: []string{"ec2:CreateTags"}, Resource: f.ec2("image", "instance", "key-pair", "security-group", "snapshot", "volume"), Condition: equals("ec2:CreateAction", actions...)}
}

// openGroup makes the temporary security group and key pair. A security group is made in a VPC, which is not ours.
func (f fleet) openGroup() Statement {
	return Statement{Sid: "MakeTemporary", Action: []string{"ec2:CreateSecurityGroup", "ec2:ImportKeyPair"}, Resource: f.ec2("key-pair", "security-group", "vpc")}
}

// machines is what is done to the fleet's own temporary resources, which carry its tag.
func (f fleet) machines() Statement {
	return Statement{
		Sid: "OwnMachines", Resource: f.ec2("instance", "key-pair", "security-group"), Condition: equals("aws:ResourceTag/"+tagFleet, f.Fleet),
		Action: []string{"ec2:AuthorizeSecurityGroupIngress", "ec2:DeleteKeyPair", "ec2:DeleteSecurityGroup", "ec2:StopInstances", "ec2:TerminateInstances"},
	}
}

// createImage captures the fleet's own machines. The new image and its snapshots have no tag yet that could be asked for.
func (f fleet) createImage() Statement {
	return Statement{Sid: "Capture", Action: []string{"ec2:CreateImage"}, Resource: f.ec2("image", "instance", "snapshot")}
}

// ownImages copies images, and changes those with the fleet's tag.
func (f fleet) ownImages() []Statement {
	return []Statement{
		{Sid: "Copy", Action: []string{"ec2:CopyImage"}, Resource: f.ec2("image", "snapshot")},
		{
			Sid: "OwnImages", Resource: f.ec2("image", "snapshot"), Condition: equals("aws:ResourceTag/"+tagFleet, f.Fleet),
			Action: []string{"ec2:CreateTags", "ec2:DeleteSnapshot", "ec2:DeleteTags", "ec2:DeregisterImage", "ec2:DisableImageDeprecation", "ec2:EnableImageDeprecation", "ec2:ModifyImageAttribute", "ec2:ModifySnapshotAttribute"},
		},
	}
}

// parameters are the fleet's pointers, holds and leases.
func (f fleet) parameters(write bool) Statement {
	arn := fmt.Sprintf("arn:%s:ssm:*:%s:parameter/imgops/%s", f.partition(), f.account, f.Fleet)
	s := Statement{Sid: "Pointers", Resource: []string{arn, arn + "/*"}, Action: []string{"ssm:GetParameter", "ssm:GetParameterHistory", "ssm:GetParameters", "ssm:GetParametersByPath"}}
	if write {
		s.Action = append([]string{"ssm:DeleteParameter"}, append(s.Action, "ssm:PutParameter")...)
	}
	return s
}

// assume leads to the targets.
func (f fleet) assume() Statement {
	s := Statement{Sid: "Targets", Action: []string{"sts:AssumeRole"}}
	for _, t := range f.Targets {
		for _, account := range t.Accounts {
			if arn := strings.ReplaceAll(t.RoleARN, "{account}", account); arn != "" && !slices.Contains(s.Resource, arn) {
				s.Resource = append(s.Resource, arn)
			}
		}
	}
	if len(s.Resource) == 0 {
		return Statement{}
	}
	return s
}

// keys is what EC2 does in the caller's name with the customer managed keys of copies (EBS user guide, "Required IAM
// permissions for encryption"). Which keys is said by their key policies, too.
func (f fleet) keys() Statement {
	used := false
	for _, t := range f.Targets {
		used = used || len(t.KMSKey) > 0 && (f.account == f.Build.Account || slices.Contains(t.Accounts, f.account))
	}
	if !used {
		return Statement{}
	}
	c := map[string]map[string][]string{"StringLike": {"kms:ViaService": {"ec2.*.amazonaws.com*"}}}
	return Statement{
		Sid: "Keys", Resource: []string{fmt.Sprintf("arn:%s:kms:*:*:key/*", f.partition())}, Condition: c,
		Action: []string{"kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"},
	}
}

// ledger is the record in S3. Without ListBucket a key that is not there yet would be told as forbidden.
func (f fleet) ledger(write bool) Statement {
	place, ok := strings.CutPrefix(f.Ledger.Store, "s3://")
	if !ok {
		return Statement{}
	}
	bucket, prefix, _ := strings.Cut(strings.TrimSuffix(place, "/"), "/")
	object := prefix + "/*"
	if prefix == "" {
		object = "*"
	}
	arn := fmt.Sprintf("arn:%s:s3:::%s", f.partition(), bucket)
	s := Statement{Sid: "Ledger", Action: []string{"s3:GetObject", "s3:ListBucket"}, Resource: []string{arn, arn + "/" + object}}
	if write {
		s.Action = append(s.Action, "s3:PutObject")
	}
	return s
}
