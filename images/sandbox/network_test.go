package sandbox_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

func TestDefaultNetwork(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	regions, err := c.DescribeRegions(w.ctx, &ec2.DescribeRegionsInput{RegionNames: []string{away}})
	require.NoError(t, err)
	require.Equal(t, away, *regions.Regions[0].RegionName)
	zones, err := c.DescribeAvailabilityZones(w.ctx, nil)
	require.NoError(t, err)
	require.Len(t, zones.AvailabilityZones, 6)
	vpcs, err := c.DescribeVpcs(w.ctx, &ec2.DescribeVpcsInput{Filters: []types.Filter{filter("is-default", "true")}})
	require.NoError(t, err)
	require.Len(t, vpcs.Vpcs, 1)
	subnets, err := c.DescribeSubnets(w.ctx, &ec2.DescribeSubnetsInput{Filters: []types.Filter{filter("vpc-id", *vpcs.Vpcs[0].VpcId), filter("default-for-az", "true")}})
	require.NoError(t, err)
	require.Len(t, subnets.Subnets, 6)
	require.Equal(t, "10.213.32.0/19", cidrs(subnets.Subnets)["us-east-1b"])
	groups, err := c.DescribeSecurityGroups(w.ctx, &ec2.DescribeSecurityGroupsInput{GroupNames: []string{"default"}})
	require.NoError(t, err)
	require.Len(t, groups.SecurityGroups, 1)
	_, err = c.DeleteSecurityGroup(w.ctx, &ec2.DeleteSecurityGroupInput{GroupId: groups.SecurityGroups[0].GroupId})
	require.Equal(t, "CannotDelete", code(err))
	_, err = w.ec2(consumer, home).DescribeSecurityGroups(w.ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: []string{*groups.SecurityGroups[0].GroupId}})
	require.Equal(t, "InvalidGroup.NotFound", code(err))
}

func cidrs(subnets []types.Subnet) map[string]string {
	m := map[string]string{}
	for _, s := range subnets {
		m[*s.AvailabilityZone] = *s.CidrBlock
	}
	return m
}

func TestSecurityGroups(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	g, err := c.CreateSecurityGroup(w.ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("ssh"), Description: aws.String("temporary"),
		TagSpecifications: []types.TagSpecification{tagged("security-group", "run", "1")}})
	require.NoError(t, err)
	_, err = c.CreateSecurityGroup(w.ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("ssh"), Description: aws.String("again")})
	require.Equal(t, "InvalidGroup.Duplicate", code(err))
	permission := []types.IpPermission{{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(22),
		IpRanges: []types.IpRange{{CidrIp: aws.String("10.0.0.1/32"), Description: aws.String("me")}}}}
	rules, err := c.AuthorizeSecurityGroupIngress(w.ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: g.GroupId, IpPermissions: permission})
	require.NoError(t, err)
	_, err = c.AuthorizeSecurityGroupIngress(w.ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: g.GroupId, IpPermissions: permission})
	require.Equal(t, "InvalidPermission.Duplicate", code(err))
	_, err = c.AuthorizeSecurityGroupIngress(w.ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: g.GroupId, CidrIp: aws.String("10.0.0.0"), IpProtocol: aws.String("tcp"), FromPort: aws.Int32(1), ToPort: aws.Int32(2)})
	require.Equal(t, "InvalidParameterValue", code(err))
	listed, err := c.DescribeSecurityGroupRules(w.ctx, &ec2.DescribeSecurityGroupRulesInput{Filters: []types.Filter{filter("group-id", *g.GroupId)}})
	require.NoError(t, err)
	require.Len(t, listed.SecurityGroupRules, 2, "and the default way out")
	seen, err := c.DescribeSecurityGroups(w.ctx, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{filter("tag:run", "1")}})
	require.NoError(t, err)
	require.Equal(t, "me", *seen.SecurityGroups[0].IpPermissions[0].IpRanges[0].Description)
	_, err = c.RevokeSecurityGroupIngress(w.ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: g.GroupId, SecurityGroupRuleIds: []string{*rules.SecurityGroupRules[0].SecurityGroupRuleId}})
	require.NoError(t, err)
	_, err = c.RevokeSecurityGroupIngress(w.ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: g.GroupId, IpPermissions: permission})
	require.Equal(t, "InvalidPermission.NotFound", code(err))
	_, err = c.DeleteSecurityGroup(w.ctx, &ec2.DeleteSecurityGroupInput{GroupId: g.GroupId})
	require.NoError(t, err)
	_, err = c.DeleteSecurityGroup(w.ctx, &ec2.DeleteSecurityGroupInput{GroupId: g.GroupId})
	require.Equal(t, "InvalidGroup.NotFound", code(err))
}

func TestKeyPairs(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	for _, kind := range []types.KeyType{"rsa", "ed25519"} {
		k, err := c.CreateKeyPair(w.ctx, &ec2.CreateKeyPairInput{KeyName: aws.String(string(kind)), KeyType: kind})
		require.NoError(t, err)
		_, err = ssh.ParsePrivateKey([]byte(*k.KeyMaterial))
		require.NoError(t, err)
		_, err = c.CreateKeyPair(w.ctx, &ec2.CreateKeyPairInput{KeyName: aws.String(string(kind)), KeyType: kind})
		require.Equal(t, "InvalidKeyPair.Duplicate", code(err), "1.34")
	}
	_, err := c.ImportKeyPair(w.ctx, &ec2.ImportKeyPairInput{KeyName: aws.String("bad"), PublicKeyMaterial: []byte("nonsense")})
	require.Equal(t, "InvalidKey.Format", code(err))
	_, err = c.ImportKeyPair(w.ctx, &ec2.ImportKeyPairInput{KeyName: aws.String("mine"), PublicKeyMaterial: []byte(testKey),
		TagSpecifications: []types.TagSpecification{tagged("key-pair", "run", "1")}})
	require.NoError(t, err)
	out, err := c.DescribeKeyPairs(w.ctx, &ec2.DescribeKeyPairsInput{IncludePublicKey: aws.Bool(true), Filters: []types.Filter{filter("tag:run", "1")}})
	require.NoError(t, err)
	require.Len(t, out.KeyPairs, 1)
	require.Equal(t, types.KeyTypeEd25519, out.KeyPairs[0].KeyType)
	for range 2 { // deleting what is not there succeeds
		_, err = c.DeleteKeyPair(w.ctx, &ec2.DeleteKeyPairInput{KeyName: aws.String("mine")})
		require.NoError(t, err)
	}
	_, err = c.DescribeKeyPairs(w.ctx, &ec2.DescribeKeyPairsInput{KeyNames: []string{"mine"}})
	require.Equal(t, "InvalidKeyPair.NotFound", code(err))
}

func TestTags(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	id := w.image(c, "web-1", tagged("image", "a", "1"))
	create := func(ids []string, tags ...types.Tag) string {
		_, err := c.CreateTags(w.ctx, &ec2.CreateTagsInput{Resources: ids, Tags: tags})
		return code(err)
	}
	tag := func(k, v string) types.Tag { return types.Tag{Key: &k, Value: &v} }
	require.Empty(t, create([]string{id}, tag("a", "2"), tag("b", "")))
	require.Equal(t, "InvalidAMIID.NotFound", create([]string{"ami-00000000000000000"}, tag("a", "1")), "1.8")
	require.Equal(t, "InvalidSnapshot.NotFound", create([]string{"snap-00000000000000000"}, tag("a", "1")), "1.8")
	require.Equal(t, "InvalidID", create([]string{"thing"}, tag("a", "1")))
	require.Equal(t, "InvalidParameterValue", create([]string{id}, tag("aws:x", "1")))
	var many []types.Tag
	for n := range 49 {
		many = append(many, tag(fmt.Sprint("k", n), "v"))
	}
	require.Equal(t, "TagLimitExceeded", create([]string{id}, many...), "4.12: 50 tags")
	require.Empty(t, create([]string{id}, many[1:]...))
	out, err := c.DescribeTags(w.ctx, &ec2.DescribeTagsInput{Filters: []types.Filter{filter("resource-id", id), filter("key", "a", "b")}})
	require.NoError(t, err)
	require.Len(t, out.Tags, 2)
	require.Equal(t, types.ResourceTypeImage, out.Tags[0].ResourceType)
	_, err = c.DeleteTags(w.ctx, &ec2.DeleteTagsInput{Resources: []string{id}, Tags: []types.Tag{tag("a", "other")}})
	require.NoError(t, err)
	require.Equal(t, "2", tagMap(w.see(c, id).Tags)["a"], "another value: not deleted")
	_, err = c.DeleteTags(w.ctx, &ec2.DeleteTagsInput{Resources: []string{id}})
	require.NoError(t, err)
	require.Empty(t, w.see(c, id).Tags)
}
