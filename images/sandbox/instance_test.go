package sandbox_test

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
)

func TestRunInstances(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	_, err := c.ImportKeyPair(w.ctx, &ec2.ImportKeyPairInput{KeyName: aws.String("me"), PublicKeyMaterial: []byte(testKey)})
	require.NoError(t, err)
	group, err := c.CreateSecurityGroup(w.ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("ssh"), Description: aws.String("ssh")})
	require.NoError(t, err)
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.KeyName, in.SecurityGroupIds = aws.String("me"), []string{*group.GroupId}
		in.UserData = aws.String(base64.StdEncoding.EncodeToString([]byte("#cloud-config\n")))
		in.TagSpecifications = []types.TagSpecification{tagged("instance", "imgops:role", "web"), tagged("volume", "v", "1")}
		in.MetadataOptions = &types.InstanceMetadataOptionsRequest{HttpTokens: "required", HttpPutResponseHopLimit: aws.Int32(2), InstanceMetadataTags: "enabled"}
		in.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(8)}}}
		in.Placement = &types.Placement{AvailabilityZone: aws.String("us-east-1c")}
	})
	require.Regexp(t, `^i-[0-9a-f]{17}$`, *i.InstanceId)
	require.Equal(t, "us-east-1c", *i.Placement.AvailabilityZone)
	require.Equal(t, map[string]string{"imgops:role": "web"}, tagMap(i.Tags))
	require.Equal(t, types.HttpTokensStateRequired, i.MetadataOptions.HttpTokens)
	require.Equal(t, *i.PrivateIpAddress, *i.PublicIpAddress, "the address that clients connect to is one that works")

	doc, found := w.cloud.InstanceMetadata(netip.MustParseAddr(*i.PrivateIpAddress))
	require.True(t, found)
	require.Equal(t, *i.InstanceId, doc.InstanceID)
	require.Equal(t, "#cloud-config\n", string(doc.UserData))
	require.Equal(t, "me", doc.PublicKeys[0].Name)
	require.Contains(t, doc.PublicKeys[0].OpenSSH, strings.Fields(testKey)[1])
	require.True(t, doc.HTTPTokensRequired)
	require.Equal(t, 2, doc.HopLimit)
	require.Equal(t, map[string]string{"imgops:role": "web"}, doc.Tags)
	require.Equal(t, []string{"ssh"}, doc.SecurityGroups)
	require.Equal(t, *i.NetworkInterfaces[0].MacAddress, doc.MAC)

	vols, err := c.DescribeVolumes(w.ctx, &ec2.DescribeVolumesInput{Filters: []types.Filter{filter("attachment.instance-id", *i.InstanceId)}})
	require.NoError(t, err)
	require.Len(t, vols.Volumes, 1)
	require.Equal(t, int32(8), *vols.Volumes[0].Size)
	require.Equal(t, map[string]string{"v": "1"}, tagMap(vols.Volumes[0].Tags))

	_, err = c.DeleteSecurityGroup(w.ctx, &ec2.DeleteSecurityGroupInput{GroupId: group.GroupId})
	require.Equal(t, "DependencyViolation", code(err), "ec2-facts 1.39")
	_, err = c.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{*i.InstanceId}})
	require.NoError(t, err)
	w.awaitInstance(c, *i.InstanceId, types.InstanceStateNameTerminated)
	_, err = c.DeleteSecurityGroup(w.ctx, &ec2.DeleteSecurityGroupInput{GroupId: group.GroupId})
	require.NoError(t, err)
	_, found = w.cloud.InstanceMetadata(netip.MustParseAddr(*i.PrivateIpAddress))
	require.False(t, found)
	w.await(func() bool {
		vols, err := c.DescribeVolumes(w.ctx, nil)
		return err == nil && len(vols.Volumes) == 0
	})
}

func TestRunInstancesRefuses(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	for _, x := range []struct {
		name, code string
		change     func(*ec2.RunInstancesInput)
	}{
		{"malformed image id", "InvalidAMIID.Malformed", func(in *ec2.RunInstancesInput) { in.ImageId = aws.String("ami-xyz") }},
		{"unknown image (1.8)", "InvalidAMIID.NotFound", func(in *ec2.RunInstancesInput) { in.ImageId = aws.String("ami-12345678901234567") }},
		{"unknown type", "InvalidParameterValue", func(in *ec2.RunInstancesInput) { in.InstanceType = "z9.huge" }},
		{"other architecture", "InvalidParameterValue", func(in *ec2.RunInstancesInput) { in.InstanceType = "t4g.small" }},
		{"unknown key", "InvalidKeyPair.NotFound", func(in *ec2.RunInstancesInput) { in.KeyName = aws.String("nobody") }},
		{"unknown group (1.8)", "InvalidGroup.NotFound", func(in *ec2.RunInstancesInput) { in.SecurityGroupIds = []string{"sg-12345678901234567"} }},
		{"unknown subnet", "InvalidSubnetID.NotFound", func(in *ec2.RunInstancesInput) { in.SubnetId = aws.String("subnet-1") }},
		{"unknown zone", "InvalidParameterValue", func(in *ec2.RunInstancesInput) {
			in.Placement = &types.Placement{AvailabilityZone: aws.String("us-east-1z")}
		}},
		{"disk smaller than the snapshot (1.27)", "InvalidBlockDeviceMapping", func(in *ec2.RunInstancesInput) {
			in.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(1)}}}
		}},
		{"key without encryption (1.25)", "InvalidParameterDependency", func(in *ec2.RunInstancesInput) {
			in.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{KmsKeyId: aws.String("alias/x")}}}
		}},
		{"large user data (1.38)", "InvalidParameterValue", func(in *ec2.RunInstancesInput) {
			in.UserData = aws.String(base64.StdEncoding.EncodeToString(make([]byte, 16<<10+1)))
		}},
		{"tags of an image (1.17)", "InvalidParameterValue", func(in *ec2.RunInstancesInput) {
			in.TagSpecifications = []types.TagSpecification{tagged("image", "a", "b")}
		}},
		{"tag key with a slash in metadata (1.22)", "InvalidParameterValue", func(in *ec2.RunInstancesInput) {
			in.TagSpecifications = []types.TagSpecification{tagged("instance", "team/role", "b")}
			in.MetadataOptions = &types.InstanceMetadataOptionsRequest{InstanceMetadataTags: "enabled"}
		}},
		{"hop limit (1.21)", "InvalidParameterValue", func(in *ec2.RunInstancesInput) {
			in.MetadataOptions = &types.InstanceMetadataOptionsRequest{HttpPutResponseHopLimit: aws.Int32(65)}
		}},
		{"subnet beside an interface (1.16)", "InvalidParameterCombination", func(in *ec2.RunInstancesInput) {
			in.SubnetId = aws.String("subnet-1")
			in.NetworkInterfaces = []types.InstanceNetworkInterfaceSpecification{{DeviceIndex: aws.Int32(0)}}
		}},
		{"dry run (1.46)", "DryRunOperation", func(in *ec2.RunInstancesInput) { in.DryRun = aws.Bool(true) }},
	} {
		in := &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)}
		x.change(in)
		_, err := c.RunInstances(w.ctx, in)
		require.Equal(t, x.code, code(err), x.name)
		if x.code == "DryRunOperation" {
			require.Equal(t, 412, status(err))
		}
	}
	out, err := c.DescribeInstances(w.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, out.Reservations, "a refused launch leaves nothing")
}

// ec2-facts 1.1 to 1.3.
func TestClientTokens(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	launch := func(kind types.InstanceType) (string, error) {
		out, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: kind,
			MinCount: aws.Int32(1), MaxCount: aws.Int32(1), ClientToken: aws.String("build-1")})
		if err != nil {
			return "", err
		}
		return *out.Instances[0].InstanceId, nil
	}
	first, err := launch("t3.small")
	require.NoError(t, err)
	second, err := launch("t3.small")
	require.NoError(t, err)
	require.Equal(t, first, second)
	_, err = launch("t3.large")
	require.Equal(t, "IdempotentParameterMismatch", code(err))
	found, err := c.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{Filters: []types.Filter{filter("client-token", "build-1")}})
	require.NoError(t, err)
	require.Len(t, found.Reservations, 1)
}

func TestTransitions(t *testing.T) {
	driver := newFakeMachines()
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Driver: driver})
	c := w.ec2(build, home)
	id := *w.run(c, nil).InstanceId
	ids := []string{id}

	_, err := c.RebootInstances(w.ctx, &ec2.RebootInstancesInput{InstanceIds: ids})
	require.NoError(t, err)
	stop, err := c.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: ids})
	require.NoError(t, err)
	require.Equal(t, types.InstanceStateNameStopping, stop.StoppingInstances[0].CurrentState.Name)
	require.Equal(t, types.InstanceStateNameRunning, stop.StoppingInstances[0].PreviousState.Name)
	i := w.awaitInstance(c, id, types.InstanceStateNameStopped)
	require.Equal(t, "Client.UserInitiatedShutdown", *i.StateReason.Code)
	require.Nil(t, i.PublicIpAddress)

	_, err = c.RebootInstances(w.ctx, &ec2.RebootInstancesInput{InstanceIds: ids})
	require.Equal(t, "IncorrectInstanceState", code(err))
	again, err := c.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: ids})
	require.NoError(t, err, "stopping what is stopped changes nothing")
	require.Equal(t, types.InstanceStateNameStopped, again.StoppingInstances[0].CurrentState.Name)
	_, err = c.StartInstances(w.ctx, &ec2.StartInstancesInput{InstanceIds: ids})
	require.NoError(t, err)
	w.awaitInstance(c, id, types.InstanceStateNameRunning)

	_, err = c.ModifyInstanceAttribute(w.ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: &id, DisableApiTermination: &types.AttributeBooleanValue{Value: aws.Bool(true)}})
	require.NoError(t, err)
	_, err = c.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: ids})
	require.Equal(t, "OperationNotPermitted", code(err))
	_, err = c.ModifyInstanceAttribute(w.ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: &id, InstanceType: &types.AttributeValue{Value: aws.String("t3.large")}})
	require.Equal(t, "IncorrectInstanceState", code(err))
	_, err = c.ModifyInstanceAttribute(w.ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: &id, DisableApiTermination: &types.AttributeBooleanValue{Value: aws.Bool(false)}})
	require.NoError(t, err)
	for range 2 { // idempotent (1.6)
		_, err = c.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: ids})
		require.NoError(t, err)
	}
	w.awaitInstance(c, id, types.InstanceStateNameTerminated)
	_, err = c.StartInstances(w.ctx, &ec2.StartInstancesInput{InstanceIds: ids})
	require.Equal(t, "IncorrectInstanceState", code(err))
	_, err = c.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{"i-00000000000000000"}})
	require.Equal(t, "InvalidInstanceID.NotFound", code(err))
	_, err = c.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{"x"}})
	require.Equal(t, "InvalidInstanceID.Malformed", code(err))
	require.Equal(t, 2, driver.starts(id))
}

// A machine that shuts down from inside stops or terminates its instance (1.29), and one that does not come up is
// terminated with the reason (1.12).
func TestMachinesThatEnd(t *testing.T) {
	driver := newFakeMachines()
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Driver: driver})
	c := w.ec2(build, home)
	for behavior, state := range map[types.ShutdownBehavior]types.InstanceStateName{"stop": "stopped", "terminate": "terminated"} {
		id := *w.run(c, func(in *ec2.RunInstancesInput) { in.InstanceInitiatedShutdownBehavior = behavior }).InstanceId
		require.NoError(t, driver.Exit(w.ctx, id))
		i := w.awaitInstance(c, id, state)
		require.Equal(t, "Client.InstanceInitiatedShutdown", *i.StateReason.Code)
	}
	driver.set(errors.New("no room"), false)
	out, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.NoError(t, err)
	i := w.awaitInstance(c, *out.Instances[0].InstanceId, types.InstanceStateNameTerminated)
	require.Equal(t, "Server.InternalError", *i.StateReason.Code)
	require.Contains(t, *i.StateReason.Message, "no room")
}

func TestDescribeInstancesPages(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	_, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(12), MaxCount: aws.Int32(12)})
	require.NoError(t, err)
	seen, pages := map[string]bool{}, 0
	p := ec2.NewDescribeInstancesPaginator(c, &ec2.DescribeInstancesInput{MaxResults: aws.Int32(5)})
	for p.HasMorePages() {
		out, err := p.NextPage(w.ctx)
		require.NoError(t, err)
		pages++
		for _, r := range out.Reservations {
			for _, i := range r.Instances {
				seen[*i.InstanceId] = true
			}
		}
	}
	require.Len(t, seen, 12)
	require.Equal(t, 3, pages)
	_, err = c.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{MaxResults: aws.Int32(4)})
	require.Equal(t, "InvalidParameterValue", code(err), "7.8")
	_, err = c.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{MaxResults: aws.Int32(5), InstanceIds: []string{"i-1"}})
	require.Equal(t, "InvalidParameterCombination", code(err), "7.8")
	_, err = c.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{Filters: []types.Filter{filter("colour", "red")}})
	require.Equal(t, "InvalidParameterValue", code(err))

	other, err := w.ec2(consumer, home).DescribeInstances(w.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, other.Reservations)
	status, err := c.DescribeInstanceStatus(w.ctx, &ec2.DescribeInstanceStatusInput{IncludeAllInstances: aws.Bool(true)})
	require.NoError(t, err)
	require.Len(t, status.InstanceStatuses, 12)
}

func TestInstanceAttributes(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	id := w.run(c, func(in *ec2.RunInstancesInput) { in.UserData = aws.String("aGVsbG8=") }).InstanceId
	out, err := c.DescribeInstanceAttribute(w.ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: id, Attribute: types.InstanceAttributeNameUserData})
	require.NoError(t, err)
	require.Equal(t, "aGVsbG8=", *out.UserData.Value)
	out, err = c.DescribeInstanceAttribute(w.ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: id, Attribute: types.InstanceAttributeNameInstanceInitiatedShutdownBehavior})
	require.NoError(t, err)
	require.Equal(t, "stop", *out.InstanceInitiatedShutdownBehavior.Value)
	meta, err := c.ModifyInstanceMetadataOptions(w.ctx, &ec2.ModifyInstanceMetadataOptionsInput{InstanceId: id, HttpTokens: "required"})
	require.NoError(t, err)
	require.Equal(t, types.HttpTokensStateRequired, meta.InstanceMetadataOptions.HttpTokens)
	_, err = c.GetConsoleOutput(w.ctx, &ec2.GetConsoleOutputInput{InstanceId: id, Latest: aws.Bool(true)})
	require.NoError(t, err)
	kinds, err := c.DescribeInstanceTypes(w.ctx, &ec2.DescribeInstanceTypesInput{InstanceTypes: []types.InstanceType{"t4g.small"}})
	require.NoError(t, err)
	require.Equal(t, []types.ArchitectureType{"arm64"}, kinds.InstanceTypes[0].ProcessorInfo.SupportedArchitectures)
	offers, err := c.DescribeInstanceTypeOfferings(w.ctx, &ec2.DescribeInstanceTypeOfferingsInput{LocationType: "availability-zone", Filters: []types.Filter{filter("instance-type", "t3.small")}})
	require.NoError(t, err)
	require.Len(t, offers.InstanceTypeOfferings, 6)
}

const testKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl user@example"
