package sandbox_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

func TestCopyDuration(t *testing.T) {
	w := newWorld(t)
	c, id := w.ec2(build, away), w.image(w.ec2(build, home), "web")
	for minutes, want := range map[int32]string{14: "InvalidParameterValue", 16: "InvalidParameterValue", 0: "InvalidParameterValue", 2895: "InvalidParameterValue", 15: "", 2880: ""} {
		out, err := c.CopyImage(w.ctx, &ec2.CopyImageInput{Name: aws.String("copy"), SourceImageId: &id, SourceRegion: aws.String(home), SnapshotCopyCompletionDurationMinutes: aws.Int64(int64(minutes))})
		require.Equal(t, want, code(err), minutes)
		if err != nil {
			continue
		}
		i := w.awaitImage(c, *out.ImageId, types.ImageStateAvailable)
		s, err := c.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*i.BlockDeviceMappings[0].Ebs.SnapshotId}})
		require.NoError(t, err)
		require.Equal(t, minutes, *s.Snapshots[0].CompletionDurationMinutes)
		require.Equal(t, types.TransferTypeTimeBased, s.Snapshots[0].TransferType)
		_, err = c.CopySnapshot(w.ctx, &ec2.CopySnapshotInput{SourceRegion: aws.String(away), SourceSnapshotId: s.Snapshots[0].SnapshotId, CompletionDurationMinutes: aws.Int32(20)})
		require.Equal(t, "InvalidParameterValue", code(err))
	}
}

// SR-IOV is switched on while the instance is stopped, and goes into its images.
func TestSriovNetSupport(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	id := w.run(c, nil).InstanceId
	set := func(value string) string {
		_, err := c.ModifyInstanceAttribute(w.ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: id, SriovNetSupport: &types.AttributeValue{Value: &value}})
		return code(err)
	}
	require.Equal(t, "IncorrectInstanceState", set("simple"))
	_, err := c.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{*id}})
	require.NoError(t, err)
	w.awaitInstance(c, *id, types.InstanceStateNameStopped)
	require.Equal(t, "InvalidParameterValue", set("none"))
	require.Empty(t, set("simple"))
	require.Equal(t, "simple", *w.instance(c, *id).SriovNetSupport)
	about, err := c.DescribeInstanceAttribute(w.ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: id, Attribute: "sriovNetSupport"})
	require.NoError(t, err)
	require.Equal(t, "simple", *about.SriovNetSupport.Value)
	made, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: id, Name: aws.String("web")})
	require.NoError(t, err)
	require.Equal(t, "simple", *w.awaitImage(c, *made.ImageId, types.ImageStateAvailable).SriovNetSupport)
}

func TestCapacityReservationSpecification(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	launch := func(s *types.CapacityReservationSpecification) (types.Instance, string) {
		out, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1), CapacityReservationSpecification: s})
		if err != nil {
			return types.Instance{}, code(err)
		}
		return out.Instances[0], ""
	}
	for given, want := range map[types.CapacityReservationPreference]types.CapacityReservationPreference{"": "open", "open": "open", "none": "none"} {
		i, e := launch(&types.CapacityReservationSpecification{CapacityReservationPreference: given})
		require.Empty(t, e)
		require.Equal(t, want, i.CapacityReservationSpecification.CapacityReservationPreference)
	}
	_, e := launch(&types.CapacityReservationSpecification{CapacityReservationPreference: "capacity-reservations-only"})
	require.Equal(t, "Unsupported", e)
	_, e = launch(&types.CapacityReservationSpecification{CapacityReservationPreference: "some"})
	require.Equal(t, "InvalidParameterValue", e)
	_, e = launch(&types.CapacityReservationSpecification{CapacityReservationTarget: &types.CapacityReservationTarget{CapacityReservationId: aws.String("cr-12345678")}})
	require.Equal(t, "InvalidCapacityReservationId.NotFound", e)
}

// Filters of the API reference (DescribeInstances, DescribeImages) that look at what seldom differs here.
func TestDocumentedFilters(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.MetadataOptions = &types.InstanceMetadataOptionsRequest{InstanceMetadataTags: "enabled"}
	})
	for name, x := range map[string]struct{ hit, miss string }{
		"instance.group-name":                     {"default", "web"},
		"network-interface.group-name":            {"default", "web"},
		"network-interface.subnet-id":             {*i.SubnetId, "subnet-12345678"},
		"network-interface.vpc-id":                {*i.VpcId, "vpc-12345678"},
		"metadata-options.instance-metadata-tags": {"enabled", "disabled"},
		"ebs-optimized":                           {"false", "true"},
		"platform-details":                        {"Linux/UNIX", "Windows"},
		"platform":                                {"", "windows"},
		"boot-mode":                               {"", "uefi"},
		"requester-id":                            {"", "autoscaling"},
		"host-id":                                 {"", "h-12345678"},
	} {
		for value, want := range map[string]int{x.hit: 1, x.miss: 0} {
			if value == "" {
				continue
			}
			out, err := c.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{Filters: []types.Filter{filter(name, value)}})
			require.NoError(t, err)
			require.Len(t, out.Reservations, want, "%s=%s", name, value)
		}
	}
	for _, name := range []string{"image-allowed", "free-tier-eligible"} {
		for value, want := range map[string]int{"true": 1, "false": 0} {
			out, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{filter(name, value)}})
			require.NoError(t, err)
			require.Len(t, out.Images, want, "%s=%s", name, value)
		}
	}
	_, err := c.EnableAllowedImagesSettings(w.ctx, &ec2.EnableAllowedImagesSettingsInput{AllowedImagesSettingsState: "audit-mode"})
	require.NoError(t, err)
	_, err = c.ReplaceImageCriteriaInAllowedImagesSettings(w.ctx, &ec2.ReplaceImageCriteriaInAllowedImagesSettingsInput{
		ImageCriteria: []types.ImageCriterionRequest{{ImageProviders: []string{stranger}}}})
	require.NoError(t, err)
	out, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{filter("image-allowed", "false")}})
	require.NoError(t, err)
	require.Len(t, out.Images, 1, "the base image is not among them")
}
