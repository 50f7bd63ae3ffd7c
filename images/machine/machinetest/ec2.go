package machinetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Options makes the cloud look like one whose endpoint is on this computer.
func (c *Cloud) Options() ec2.Options {
	return ec2.Options{BaseEndpoint: aws.String("http://127.0.0.1:1")}
}

// ImportKeyPair is EC2's.
func (c *Cloud) ImportKeyPair(ctx context.Context, in *ec2.ImportKeyPairInput, _ ...func(*ec2.Options)) (*ec2.ImportKeyPairOutput, error) {
	return call(ctx, c, "ImportKeyPair", func() (*ec2.ImportKeyPairOutput, error) {
		name := aws.ToString(in.KeyName)
		if _, taken := c.keys[name]; taken {
			return nil, Error("InvalidKeyPair.Duplicate")
		}
		c.keys[name] = types.KeyPairInfo{
			KeyName: in.KeyName, PublicKey: aws.String(string(in.PublicKeyMaterial)), Tags: tagsOf(in.TagSpecifications, types.ResourceTypeKeyPair),
		}
		return &ec2.ImportKeyPairOutput{KeyName: in.KeyName}, nil
	})
}

// DescribeKeyPairs is EC2's.
func (c *Cloud) DescribeKeyPairs(ctx context.Context, in *ec2.DescribeKeyPairsInput, _ ...func(*ec2.Options)) (*ec2.DescribeKeyPairsOutput, error) {
	return call(ctx, c, "DescribeKeyPairs", func() (*ec2.DescribeKeyPairsOutput, error) {
		out := &ec2.DescribeKeyPairsOutput{}
		for _, name := range in.KeyNames {
			k, ok := c.keys[name]
			if !ok {
				return nil, Error("InvalidKeyPair.NotFound")
			}
			out.KeyPairs = append(out.KeyPairs, k)
		}
		return out, nil
	})
}

// DeleteKeyPair is EC2's.
func (c *Cloud) DeleteKeyPair(ctx context.Context, in *ec2.DeleteKeyPairInput, _ ...func(*ec2.Options)) (*ec2.DeleteKeyPairOutput, error) {
	return call(ctx, c, "DeleteKeyPair", func() (*ec2.DeleteKeyPairOutput, error) {
		delete(c.keys, aws.ToString(in.KeyName))
		return &ec2.DeleteKeyPairOutput{}, nil
	})
}

// DescribeVpcs is EC2's: there is the default one.
func (c *Cloud) DescribeVpcs(ctx context.Context, _ *ec2.DescribeVpcsInput, _ ...func(*ec2.Options)) (*ec2.DescribeVpcsOutput, error) {
	return call(ctx, c, "DescribeVpcs", func() (*ec2.DescribeVpcsOutput, error) {
		return &ec2.DescribeVpcsOutput{Vpcs: []types.Vpc{{VpcId: aws.String("vpc-1"), CidrBlock: aws.String("10.0.0.0/16"), IsDefault: aws.Bool(true)}}}, nil
	})
}

// DescribeSubnets is EC2's: every subnet is in the default VPC.
func (c *Cloud) DescribeSubnets(ctx context.Context, in *ec2.DescribeSubnetsInput, _ ...func(*ec2.Options)) (*ec2.DescribeSubnetsOutput, error) {
	return call(ctx, c, "DescribeSubnets", func() (*ec2.DescribeSubnetsOutput, error) {
		return &ec2.DescribeSubnetsOutput{Subnets: []types.Subnet{{SubnetId: aws.String(in.SubnetIds[0]), VpcId: aws.String("vpc-1")}}}, nil
	})
}

// CreateSecurityGroup is EC2's.
func (c *Cloud) CreateSecurityGroup(ctx context.Context, in *ec2.CreateSecurityGroupInput, _ ...func(*ec2.Options)) (*ec2.CreateSecurityGroupOutput, error) {
	return call(ctx, c, "CreateSecurityGroup", func() (*ec2.CreateSecurityGroupOutput, error) {
		for _, g := range c.groups {
			if aws.ToString(g.GroupName) == aws.ToString(in.GroupName) {
				return nil, Error("InvalidGroup.Duplicate")
			}
		}
		id := c.id("sg")
		c.groups[id] = types.SecurityGroup{
			GroupId: &id, GroupName: in.GroupName, VpcId: in.VpcId, Tags: tagsOf(in.TagSpecifications, types.ResourceTypeSecurityGroup),
		}
		return &ec2.CreateSecurityGroupOutput{GroupId: &id}, nil
	})
}

// DescribeSecurityGroups is EC2's, with tag filters.
func (c *Cloud) DescribeSecurityGroups(ctx context.Context, in *ec2.DescribeSecurityGroupsInput, _ ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error) {
	return call(ctx, c, "DescribeSecurityGroups", func() (*ec2.DescribeSecurityGroupsOutput, error) {
		out := &ec2.DescribeSecurityGroupsOutput{}
		for _, g := range c.groups {
			if matches(in.Filters, g.Tags, nil) {
				out.SecurityGroups = append(out.SecurityGroups, g)
			}
		}
		return out, nil
	})
}

// AuthorizeSecurityGroupIngress is EC2's.
func (c *Cloud) AuthorizeSecurityGroupIngress(ctx context.Context, in *ec2.AuthorizeSecurityGroupIngressInput, _ ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
	return call(ctx, c, "AuthorizeSecurityGroupIngress", func() (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
		g, ok := c.groups[aws.ToString(in.GroupId)]
		if !ok {
			return nil, Error("InvalidGroup.NotFound")
		}
		g.IpPermissions = in.IpPermissions
		c.groups[aws.ToString(in.GroupId)] = g
		return &ec2.AuthorizeSecurityGroupIngressOutput{}, nil
	})
}

// Rules gives the ingress rules of all groups.
func (c *Cloud) Rules() []types.IpPermission {
	c.mu.Lock()
	defer c.mu.Unlock()
	var rules []types.IpPermission
	for _, g := range c.groups {
		rules = append(rules, g.IpPermissions...)
	}
	return rules
}

// DeleteSecurityGroup is EC2's: it refuses while an instance that is not terminated is in the group.
func (c *Cloud) DeleteSecurityGroup(ctx context.Context, in *ec2.DeleteSecurityGroupInput, _ ...func(*ec2.Options)) (*ec2.DeleteSecurityGroupOutput, error) {
	return call(ctx, c, "DeleteSecurityGroup", func() (*ec2.DeleteSecurityGroupOutput, error) {
		id := aws.ToString(in.GroupId)
		for _, i := range c.instances {
			if i.State.Name != types.InstanceStateNameTerminated && aws.ToString(i.SecurityGroups[0].GroupId) == id {
				return nil, Error("DependencyViolation")
			}
		}
		if _, ok := c.groups[id]; !ok {
			return nil, Error("InvalidGroup.NotFound")
		}
		delete(c.groups, id)
		return &ec2.DeleteSecurityGroupOutput{}, nil
	})
}

// RunInstances is EC2's: one instance, idempotent by its token.
func (c *Cloud) RunInstances(ctx context.Context, in *ec2.RunInstancesInput, _ ...func(*ec2.Options)) (*ec2.RunInstancesOutput, error) {
	return call(ctx, c, "RunInstances", func() (*ec2.RunInstancesOutput, error) {
		params, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		token := aws.ToString(in.ClientToken)
		if was, ok := c.tokens[token]; ok {
			if was.params != string(params) {
				return nil, Error("IdempotentParameterMismatch")
			}
			return &ec2.RunInstancesOutput{Instances: []types.Instance{*c.instances[was.id]}}, nil
		}
		if _, ok := c.keys[aws.ToString(in.KeyName)]; !ok {
			return nil, Error("InvalidKeyPair.NotFound")
		}
		i := &types.Instance{
			InstanceType: in.InstanceType, ImageId: in.ImageId, KeyName: in.KeyName, Tags: tagsOf(in.TagSpecifications, types.ResourceTypeInstance),
			State:            &types.InstanceState{Name: types.InstanceStateNamePending},
			SecurityGroups:   []types.GroupIdentifier{{GroupId: aws.String(in.SecurityGroupIds[0])}},
			PrivateIpAddress: aws.String(fmt.Sprintf("127.0.0.%d", 2+len(c.instances))),
		}
		for _, d := range in.BlockDeviceMappings {
			i.BlockDeviceMappings = append(i.BlockDeviceMappings, types.InstanceBlockDeviceMapping{DeviceName: d.DeviceName,
				Ebs: &types.EbsInstanceBlockDevice{DeleteOnTermination: d.Ebs.DeleteOnTermination}})
		}
		if c.BeforeRun != nil {
			if err := c.BeforeRun(i); err != nil {
				return nil, err
			}
		}
		i.InstanceId = aws.String(c.id("i"))
		c.instances[*i.InstanceId], c.userData[*i.InstanceId] = i, aws.ToString(in.UserData)
		c.tokens[token] = launched{*i.InstanceId, string(params)}
		return &ec2.RunInstancesOutput{Instances: []types.Instance{*i}}, nil
	})
}

var nextState = map[types.InstanceStateName]types.InstanceStateName{
	types.InstanceStateNamePending: types.InstanceStateNameRunning, types.InstanceStateNameStopping: types.InstanceStateNameStopped,
	types.InstanceStateNameShuttingDown: types.InstanceStateNameTerminated,
}

// DescribeInstances is EC2's. What is in transition has moved on at the next look.
func (c *Cloud) DescribeInstances(ctx context.Context, in *ec2.DescribeInstancesInput, _ ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error) {
	return call(ctx, c, "DescribeInstances", func() (*ec2.DescribeInstancesOutput, error) {
		out := &ec2.DescribeInstancesOutput{}
		for id, i := range c.instances {
			if len(in.InstanceIds) > 0 && !slices.Contains(in.InstanceIds, id) || !matches(in.Filters, i.Tags, nil) {
				continue
			}
			seen := *i
			out.Reservations = append(out.Reservations, types.Reservation{Instances: []types.Instance{seen}})
			if next, moves := nextState[i.State.Name]; moves {
				i.State = &types.InstanceState{Name: next}
			}
		}
		if len(in.InstanceIds) > 0 && len(out.Reservations) == 0 {
			return nil, Error("InvalidInstanceID.NotFound")
		}
		return out, nil
	})
}

// StopInstances is EC2's.
func (c *Cloud) StopInstances(ctx context.Context, in *ec2.StopInstancesInput, _ ...func(*ec2.Options)) (*ec2.StopInstancesOutput, error) {
	return call(ctx, c, "StopInstances", func() (*ec2.StopInstancesOutput, error) {
		return &ec2.StopInstancesOutput{}, c.move(in.InstanceIds, types.InstanceStateNameStopping)
	})
}

// TerminateInstances is EC2's.
func (c *Cloud) TerminateInstances(ctx context.Context, in *ec2.TerminateInstancesInput, _ ...func(*ec2.Options)) (*ec2.TerminateInstancesOutput, error) {
	return call(ctx, c, "TerminateInstances", func() (*ec2.TerminateInstancesOutput, error) {
		return &ec2.TerminateInstancesOutput{}, c.move(in.InstanceIds, types.InstanceStateNameShuttingDown)
	})
}

func (c *Cloud) move(ids []string, to types.InstanceStateName) error {
	for _, id := range ids {
		i, ok := c.instances[id]
		if !ok {
			return Error("InvalidInstanceID.NotFound")
		}
		if i.State.Name != types.InstanceStateNameTerminated {
			i.State = &types.InstanceState{Name: to}
		}
	}
	return nil
}
