package machine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/imgops/imgops/images"
)

type securityGroupAPI interface {
	ec2.DescribeSecurityGroupsAPIClient
	ec2.DescribeSubnetsAPIClient
	ec2.DescribeVpcsAPIClient
	CreateSecurityGroup(context.Context, *ec2.CreateSecurityGroupInput, ...func(*ec2.Options)) (*ec2.CreateSecurityGroupOutput, error)
	AuthorizeSecurityGroupIngress(context.Context, *ec2.AuthorizeSecurityGroupIngressInput, ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupIngressOutput, error)
	DeleteSecurityGroup(context.Context, *ec2.DeleteSecurityGroupInput, ...func(*ec2.Options)) (*ec2.DeleteSecurityGroupOutput, error)
}

func (m *Machine) makeGroup(ctx context.Context, progress images.Progress) error {
	progress.Say("security group", "EC2 to make "+m.name)
	vpc, err := m.findVPC(ctx)
	if err != nil {
		return fmt.Errorf("finding the VPC of %s: %w", m.name, err)
	}
	source, err := m.source(vpc)
	if err != nil {
		return err
	}
	m.vpcID = aws.ToString(vpc.VpcId)
	if err := m.createGroup(ctx); err != nil {
		return fmt.Errorf("making security group %s in %s: %w", m.name, m.vpcID, err)
	}
	if err := m.openSSH(ctx, source); err != nil {
		return fmt.Errorf("letting %s reach port 22 through security group %s: %w", source, m.groupID, err)
	}
	return nil
}

// findVPC is the subnet's VPC, or the default one.
func (m *Machine) findVPC(ctx context.Context) (types.Vpc, error) {
	in := &ec2.DescribeVpcsInput{Filters: []types.Filter{{Name: aws.String("is-default"), Values: []string{"true"}}}}
	if id := m.spec.SubnetID; id != "" {
		out, err := m.api.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{SubnetIds: []string{id}})
		if err != nil {
			return types.Vpc{}, err
		}
		if len(out.Subnets) == 0 {
			return types.Vpc{}, fmt.Errorf("subnet %s does not exist in %s", id, m.spec.Location)
		}
		in = &ec2.DescribeVpcsInput{VpcIds: []string{aws.ToString(out.Subnets[0].VpcId)}}
	}
	out, err := m.api.DescribeVpcs(ctx, in)
	if err != nil {
		return types.Vpc{}, err
	}
	if len(out.Vpcs) == 0 {
		return types.Vpc{}, fmt.Errorf("%s has no default VPC; set build.subnet_id in imgops.yaml", m.spec.Location)
	}
	return out.Vpcs[0], nil
}

// source is who may reach port 22. EC2 does not tell a caller's address and no stranger is asked for it, so the user
// names it, except where the API itself is reached at a private address: there, the caller stands in the cloud's network.
func (m *Machine) source(vpc types.Vpc) (netip.Prefix, error) {
	if cidr := m.spec.SSHCIDR; cidr != "" {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return prefix, fmt.Errorf("build.ssh_cidr: %w; write an address with its length, such as 203.0.113.7/32", err)
		}
		return prefix.Masked(), nil
	}
	if m.privateEndpoint() {
		prefix, err := netip.ParsePrefix(aws.ToString(vpc.CidrBlock))
		if err != nil {
			return prefix, fmt.Errorf("reading the addresses of VPC %s: %w; set build.ssh_cidr", aws.ToString(vpc.VpcId), err)
		}
		return prefix, nil
	}
	return netip.Prefix{}, errors.New("build.ssh_cidr is needed in imgops.yaml: EC2 does not tell from which address this computer reaches it; " +
		"set it to this computer's public address, such as 203.0.113.7/32, or to its private one where it reaches the VPC privately")
}

// privateEndpoint says that the API was set to an endpoint on this computer or at a private address.
func (m *Machine) privateEndpoint() bool {
	client, ok := m.api.(interface{ Options() ec2.Options })
	if !ok {
		return false
	}
	u, err := url.Parse(aws.ToString(client.Options().BaseEndpoint))
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && (addr.IsLoopback() || addr.IsPrivate())
}

// createGroup makes the group, or takes the one that this run made before (see importKey).
func (m *Machine) createGroup(ctx context.Context) error {
	ctx, cancel := Answered(ctx)
	defer cancel()
	out, err := m.api.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName: aws.String(m.name), VpcId: aws.String(m.vpcID), TagSpecifications: m.tagged(types.ResourceTypeSecurityGroup),
		Description: aws.String("imgops: SSH to one temporary machine"),
	})
	if images.Code(err) != "InvalidGroup.Duplicate" {
		m.groupAsked = true
		if err == nil {
			m.groupID = aws.ToString(out.GroupId)
		}
		return err
	}
	if m.groupID, err = m.findGroup(ctx); err == nil && m.groupID == "" {
		err = fmt.Errorf("the name is taken by a group that is not of run %s; delete it", m.spec.Run)
	}
	m.groupAsked = err == nil
	return err
}

// findGroup looks for the run's group; no id and no error means that there is none.
func (m *Machine) findGroup(ctx context.Context) (string, error) {
	out, err := m.api.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: m.ownFilters()})
	if err != nil {
		return "", err
	}
	for _, g := range out.SecurityGroups {
		if aws.ToString(g.GroupName) == m.name && aws.ToString(g.VpcId) == m.vpcID && m.ours(g.Tags) {
			return aws.ToString(g.GroupId), nil
		}
	}
	return "", nil
}

func (m *Machine) openSSH(ctx context.Context, source netip.Prefix) error {
	rule := types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(22)}
	if source.Addr().Is4() {
		rule.IpRanges = []types.IpRange{{CidrIp: aws.String(source.String())}}
	} else {
		rule.Ipv6Ranges = []types.Ipv6Range{{CidrIpv6: aws.String(source.String())}}
	}
	return settle(ctx, func(ctx context.Context) error {
		_, err := m.api.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{
			GroupId: aws.String(m.groupID), IpPermissions: []types.IpPermission{rule},
		})
		if images.Code(err) == "InvalidPermission.Duplicate" {
			return nil
		}
		return err
	}, "InvalidGroup.NotFound", "InvalidGroupId.NotFound")
}

// deleteGroup removes the group. EC2 refuses that (DependencyViolation) until the instance's network interface is
// gone, a moment after the instance; while the instance lives on, there is nothing to wait for.
func (m *Machine) deleteGroup(ctx context.Context) error {
	if !m.groupAsked {
		return nil
	}
	what := fmt.Sprintf("security group %s %s in %s", m.name, m.groupID, m.spec.Location)
	if m.groupID == "" { // its answer was lost
		id, err := m.findGroup(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if m.groupID = id; id == "" {
			m.groupAsked = false
			return nil
		}
	}
	err := images.Poll(ctx, func(ctx context.Context) (bool, error) {
		_, err := m.api.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: aws.String(m.groupID)})
		switch images.Code(err) {
		case "InvalidGroup.NotFound", "InvalidGroupId.NotFound":
			return true, nil
		case "DependencyViolation":
			if !m.startAsked || m.gone {
				return false, nil
			}
		}
		return true, err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	m.groupAsked = false
	return nil
}

// CheckNetwork says what a launch of the spec would lack of its network: the VPC, and the address that may reach port 22.
// Of the spec only Location, SSHCIDR and SubnetID count. Nothing is made.
func CheckNetwork(ctx context.Context, api EC2API, spec Spec) error {
	m := &Machine{spec: spec, api: api}
	vpc, err := m.findVPC(ctx)
	if err != nil {
		return fmt.Errorf("finding the VPC for build machines: %w", err)
	}
	_, err = m.source(vpc)
	return err
}
