package sandbox_test

import (
	"net/netip"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

func spotFleet(template string, overrides ...types.FleetLaunchTemplateOverridesRequest) *ec2.CreateFleetInput {
	return &ec2.CreateFleetInput{Type: types.FleetTypeInstant, ClientToken: aws.String("once"),
		TargetCapacitySpecification: &types.TargetCapacitySpecificationRequest{TotalTargetCapacity: aws.Int32(1), DefaultTargetCapacityType: types.DefaultTargetCapacityTypeSpot},
		LaunchTemplateConfigs: []types.FleetLaunchTemplateConfigRequest{{Overrides: overrides,
			LaunchTemplateSpecification: &types.FleetLaunchTemplateSpecificationRequest{LaunchTemplateName: &template, Version: aws.String("1")}}}}
}

// 1.17 to 1.20: a Spot Instance is launched by RunInstances or by a fleet of type instant, has a request that says so, and cannot be stopped.
func TestSpotInstances(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot, SpotOptions: &types.SpotMarketOptions{MaxPrice: aws.String("0.5")}}
		in.TagSpecifications = []types.TagSpecification{tagged(types.ResourceTypeSpotInstancesRequest, "a", "b")}
	})
	require.Equal(t, types.InstanceLifecycleTypeSpot, i.InstanceLifecycle)
	_, err := c.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{*i.InstanceId}})
	require.Equal(t, "UnsupportedOperation", code(err))
	request := func() types.SpotInstanceRequest {
		out, err := c.DescribeSpotInstanceRequests(w.ctx, &ec2.DescribeSpotInstanceRequestsInput{Filters: []types.Filter{filter("tag:a", "b"), filter("instance-id", *i.InstanceId)}})
		require.NoError(t, err)
		require.Len(t, out.SpotInstanceRequests, 1)
		return out.SpotInstanceRequests[0]
	}
	r := request()
	require.Equal(t, []string{*i.SpotInstanceRequestId, "0.5", "active", "fulfilled", *i.ImageId},
		[]string{*r.SpotInstanceRequestId, *r.SpotPrice, string(r.State), *r.Status.Code, *r.LaunchSpecification.ImageId})
	_, err = c.CancelSpotInstanceRequests(w.ctx, &ec2.CancelSpotInstanceRequestsInput{SpotInstanceRequestIds: []string{*i.SpotInstanceRequestId}})
	require.NoError(t, err)
	require.Equal(t, "request-canceled-and-instance-running", *request().Status.Code)
	require.Equal(t, types.InstanceStateNameRunning, w.instance(c, *i.InstanceId).State.Name)
	_, err = c.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{*i.InstanceId}})
	require.NoError(t, err)
	require.Equal(t, "instance-terminated-by-user", *request().Status.Code)
	_, err = c.DescribeSpotInstanceRequests(w.ctx, &ec2.DescribeSpotInstanceRequestsInput{SpotInstanceRequestIds: []string{"sir-nothing"}})
	require.Equal(t, "InvalidSpotInstanceRequestID.NotFound", code(err))
	for want, o := range map[string]*types.InstanceMarketOptionsRequest{
		"SpotMaxPriceTooLow":          {MarketType: types.MarketTypeSpot, SpotOptions: &types.SpotMarketOptions{MaxPrice: aws.String("0.0001")}},
		"InvalidParameterValue":       {MarketType: types.MarketTypeSpot, SpotOptions: &types.SpotMarketOptions{MaxPrice: aws.String("cheap")}},
		"InvalidParameterCombination": {MarketType: types.MarketTypeSpot, SpotOptions: &types.SpotMarketOptions{InstanceInterruptionBehavior: types.InstanceInterruptionBehaviorStop}},
		"Unsupported":                 {MarketType: types.MarketTypeSpot, SpotOptions: &types.SpotMarketOptions{SpotInstanceType: types.SpotInstanceTypePersistent}},
	} {
		_, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: i.ImageId, InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1), InstanceMarketOptions: o})
		require.Equal(t, want, code(err))
	}
}

func TestFleets(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	_, err := c.CreateLaunchTemplate(w.ctx, &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("packer"), LaunchTemplateData: &types.RequestLaunchTemplateData{
		ImageId: aws.String(w.base(home)), InstanceMarketOptions: &types.LaunchTemplateInstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot,
			SpotOptions: &types.LaunchTemplateSpotMarketOptionsRequest{MaxPrice: aws.String("0.5")}},
		TagSpecifications: []types.LaunchTemplateTagSpecificationRequest{{ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}}}})
	require.NoError(t, err)
	in := spotFleet("packer", types.FleetLaunchTemplateOverridesRequest{InstanceType: "t4g.small"}, types.FleetLaunchTemplateOverridesRequest{InstanceType: "t3.small"})
	out, err := c.CreateFleet(w.ctx, in)
	require.NoError(t, err)
	require.Len(t, out.Errors, 1, "the first type has another architecture than the image")
	require.Equal(t, "InvalidParameterValue", *out.Errors[0].ErrorCode)
	require.Len(t, out.Instances, 1)
	require.Equal(t, types.InstanceType("t3.small"), out.Instances[0].InstanceType)
	i := w.awaitInstance(c, out.Instances[0].InstanceIds[0], types.InstanceStateNameRunning)
	require.Equal(t, types.InstanceLifecycleTypeSpot, i.InstanceLifecycle)
	require.Equal(t, "b", tagMap(i.Tags)["a"])
	again, err := c.CreateFleet(w.ctx, in)
	require.NoError(t, err)
	require.Equal(t, *out.FleetId, *again.FleetId)
	require.Equal(t, out.Instances[0].InstanceIds, again.Instances[0].InstanceIds)

	in = spotFleet("packer", types.FleetLaunchTemplateOverridesRequest{InstanceType: "t9.small"})
	in.ClientToken = nil
	out, err = c.CreateFleet(w.ctx, in)
	require.NoError(t, err, "what cannot be launched is told in the answer")
	require.Empty(t, out.Instances)
	require.Len(t, out.Errors, 1)
	in.Type = types.FleetTypeMaintain
	_, err = c.CreateFleet(w.ctx, in)
	require.Equal(t, "Unsupported", code(err))
}

func TestImageAncestry(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	id := w.image(c, "web-1")
	copied, err := w.ec2(build, away).CopyImage(w.ctx, &ec2.CopyImageInput{Name: aws.String("web-1"), SourceImageId: &id, SourceRegion: aws.String(home)})
	require.NoError(t, err)
	chain := func(c *ec2.Client, id string) (out []string) {
		found, err := c.GetImageAncestry(w.ctx, &ec2.GetImageAncestryInput{ImageId: &id})
		require.NoError(t, err)
		for _, e := range found.ImageAncestryEntries {
			out = append(out, *e.ImageId)
		}
		return out
	}
	require.Equal(t, []string{*copied.ImageId, id, w.base(home)}, chain(w.ec2(build, away), *copied.ImageId))
	require.Equal(t, []string{w.base(home)}, chain(w.ec2(stranger, home), w.base(home)))
	_, err = w.ec2(stranger, home).GetImageAncestry(w.ctx, &ec2.GetImageAncestryInput{ImageId: &id})
	require.Equal(t, "InvalidAMIID.NotFound", code(err))
}

// What the metadata service says of an instance: the volumes that it began with, not those that came later; and that it is a Spot Instance.
func TestMetadataOfDevices(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot}
		in.BlockDeviceMappings = []types.BlockDeviceMapping{
			{DeviceName: aws.String("/dev/sdg"), Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(1)}},
			{DeviceName: aws.String("/dev/sdf"), Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(1)}},
		}
	})
	doc, ok := w.cloud.InstanceMetadata(netip.MustParseAddr(*i.PrivateIpAddress))
	require.True(t, ok)
	require.Equal(t, []string{"/dev/sdf", "/dev/sdg"}, doc.EBSDevices)
	require.Equal(t, *i.RootDeviceName, doc.RootDevice)
	require.True(t, doc.Spot)
}
