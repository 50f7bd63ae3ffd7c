package sandbox_test

import (
	"encoding/base64"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"
)

// pointer puts an image behind a parameter of type aws:ec2:image and waits until it is stored.
func (w *world) pointer(account, name, image string) {
	w.t.Helper()
	c := w.ssm(account, home)
	_, err := c.PutParameter(w.ctx, &ssm.PutParameterInput{Name: &name, Value: &image, Type: "String", DataType: aws.String("aws:ec2:image"), Overwrite: aws.Bool(true)})
	require.NoError(w.t, err)
	w.await(func() bool {
		out, err := c.GetParameter(w.ctx, &ssm.GetParameterInput{Name: &name})
		return err == nil && *out.Parameter.Value == image
	})
}

func TestLaunchTemplates(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	in := &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("web"), ClientToken: aws.String("t"), VersionDescription: aws.String("first"),
		TagSpecifications: []types.TagSpecification{tagged("launch-template", "a", "1")},
		LaunchTemplateData: &types.RequestLaunchTemplateData{ImageId: aws.String("resolve:ssm:/imgops/acme/web"), InstanceType: "t3.small",
			UserData: aws.String(base64.StdEncoding.EncodeToString([]byte("hello"))), EbsOptimized: aws.Bool(false),
			MetadataOptions:     &types.LaunchTemplateInstanceMetadataOptionsRequest{HttpTokens: "required", HttpPutResponseHopLimit: aws.Int32(3)},
			BlockDeviceMappings: []types.LaunchTemplateBlockDeviceMappingRequest{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.LaunchTemplateEbsBlockDeviceRequest{VolumeSize: aws.Int32(9)}}},
			TagSpecifications: []types.LaunchTemplateTagSpecificationRequest{{ResourceType: "instance", Tags: []types.Tag{
				{Key: aws.String("from"), Value: aws.String("template")}, {Key: aws.String("both"), Value: aws.String("template")}}}}}}
	made, err := c.CreateLaunchTemplate(w.ctx, in)
	require.NoError(t, err)
	id := made.LaunchTemplate.LaunchTemplateId
	again, err := c.CreateLaunchTemplate(w.ctx, in)
	require.NoError(t, err)
	require.Equal(t, *id, *again.LaunchTemplate.LaunchTemplateId, "the same token")
	in.ClientToken = nil
	_, err = c.CreateLaunchTemplate(w.ctx, in)
	require.Equal(t, "InvalidLaunchTemplateName.AlreadyExistsException", code(err))

	second, err := c.CreateLaunchTemplateVersion(w.ctx, &ec2.CreateLaunchTemplateVersionInput{LaunchTemplateId: id, SourceVersion: aws.String("1"),
		LaunchTemplateData: &types.RequestLaunchTemplateData{InstanceType: "t3.large", KeyName: aws.String("none")}})
	require.NoError(t, err)
	require.Equal(t, int64(2), *second.LaunchTemplateVersion.VersionNumber)
	require.Equal(t, int32(9), *second.LaunchTemplateVersion.LaunchTemplateData.BlockDeviceMappings[0].Ebs.VolumeSize, "from its source")
	require.Nil(t, second.LaunchTemplateVersion.LaunchTemplateData.DisableApiStop, "what was not said is not shown")

	t.Run("versions", func(t *testing.T) {
		get := func(in ec2.DescribeLaunchTemplateVersionsInput) []types.LaunchTemplateVersion {
			in.LaunchTemplateId = id
			out, err := c.DescribeLaunchTemplateVersions(w.ctx, &in)
			require.NoError(t, err)
			return out.LaunchTemplateVersions
		}
		require.Len(t, get(ec2.DescribeLaunchTemplateVersionsInput{}), 2)
		require.Equal(t, int64(2), *get(ec2.DescribeLaunchTemplateVersionsInput{Versions: []string{"$Latest"}})[0].VersionNumber)
		require.Equal(t, int64(1), *get(ec2.DescribeLaunchTemplateVersionsInput{Versions: []string{"$Default"}})[0].VersionNumber)
		require.Len(t, get(ec2.DescribeLaunchTemplateVersionsInput{MinVersion: aws.String("2")}), 1)
		_, err := c.DescribeLaunchTemplateVersions(w.ctx, &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: id, Versions: []string{"7"}})
		require.Equal(t, "InvalidLaunchTemplateId.VersionNotFound", code(err))
		all, err := c.DescribeLaunchTemplateVersions(w.ctx, &ec2.DescribeLaunchTemplateVersionsInput{Versions: []string{"$Latest"}})
		require.NoError(t, err)
		require.Len(t, all.LaunchTemplateVersions, 1)
	})

	t.Run("resolve:ssm:", func(t *testing.T) {
		first, next := w.image(c, "web-1"), w.image(c, "web-2")
		run := &ec2.RunInstancesInput{LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateId: id}, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
			TagSpecifications: []types.TagSpecification{tagged("instance", "both", "request")}}
		_, err := c.RunInstances(w.ctx, run)
		require.Equal(t, "InvalidParameterValue", code(err), "the parameter is not there yet")
		w.pointer(build, "/imgops/acme/web", first)
		resolved, err := c.DescribeLaunchTemplateVersions(w.ctx, &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: id, Versions: []string{"1"}, ResolveAlias: aws.Bool(true)})
		require.NoError(t, err)
		require.Equal(t, first, *resolved.LaunchTemplateVersions[0].LaunchTemplateData.ImageId)
		launch := func() types.Instance {
			run.ClientToken = nil
			out, err := c.RunInstances(w.ctx, run)
			require.NoError(t, err)
			return w.awaitInstance(c, *out.Instances[0].InstanceId, types.InstanceStateNameRunning)
		}
		i := launch()
		require.Equal(t, first, *i.ImageId)
		require.Equal(t, types.InstanceTypeT3Small, i.InstanceType)
		require.Equal(t, types.HttpTokensStateRequired, i.MetadataOptions.HttpTokens)
		require.Equal(t, map[string]string{"from": "template", "both": "request", "aws:ec2launchtemplate:id": *id, "aws:ec2launchtemplate:version": "1"}, tagMap(i.Tags))
		v, err := c.DescribeVolumes(w.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{*i.BlockDeviceMappings[0].Ebs.VolumeId}})
		require.NoError(t, err)
		require.Equal(t, int32(9), *v.Volumes[0].Size)
		data, err := c.DescribeInstanceAttribute(w.ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: i.InstanceId, Attribute: "userData"})
		require.NoError(t, err)
		require.Equal(t, *in.LaunchTemplateData.UserData, *data.UserData.Value)
		_, err = c.DeleteTags(w.ctx, &ec2.DeleteTagsInput{Resources: []string{*i.InstanceId}})
		require.NoError(t, err)
		require.Len(t, w.instance(c, *i.InstanceId).Tags, 2, "EC2's own tags stay")

		w.pointer(build, "/imgops/acme/web", next)
		require.Equal(t, next, *launch().ImageId, "a moved default, an unchanged template")
		run.InstanceType = "t3.medium"
		require.Equal(t, types.InstanceTypeT3Medium, launch().InstanceType, "the request goes over the template")
		run.LaunchTemplate.Version, run.ClientToken = aws.String("$Latest"), nil
		_, err = c.RunInstances(w.ctx, run)
		require.Equal(t, "InvalidKeyPair.NotFound", code(err), "checked at launch, not when the version was made")
	})

	t.Run("default and deletion", func(t *testing.T) {
		out, err := c.ModifyLaunchTemplate(w.ctx, &ec2.ModifyLaunchTemplateInput{LaunchTemplateName: aws.String("web"), DefaultVersion: aws.String("2")})
		require.NoError(t, err)
		require.Equal(t, int64(2), *out.LaunchTemplate.DefaultVersionNumber)
		gone, err := c.DeleteLaunchTemplateVersions(w.ctx, &ec2.DeleteLaunchTemplateVersionsInput{LaunchTemplateId: id, Versions: []string{"1", "2", "9"}})
		require.NoError(t, err)
		require.Len(t, gone.SuccessfullyDeletedLaunchTemplateVersions, 1)
		require.Len(t, gone.UnsuccessfullyDeletedLaunchTemplateVersions, 2)
		list, err := c.DescribeLaunchTemplates(w.ctx, &ec2.DescribeLaunchTemplatesInput{Filters: []types.Filter{filter("tag:a", "1"), filter("launch-template-name", "w*")}})
		require.NoError(t, err)
		require.Len(t, list.LaunchTemplates, 1)
		_, err = w.ec2(consumer, home).DescribeLaunchTemplates(w.ctx, &ec2.DescribeLaunchTemplatesInput{LaunchTemplateIds: []string{*id}})
		require.Equal(t, "InvalidLaunchTemplateId.NotFound", code(err))
		_, err = c.DeleteLaunchTemplate(w.ctx, &ec2.DeleteLaunchTemplateInput{LaunchTemplateId: id})
		require.NoError(t, err)
		_, err = c.DescribeLaunchTemplates(w.ctx, &ec2.DescribeLaunchTemplatesInput{LaunchTemplateNames: []string{"web"}})
		require.Equal(t, "InvalidLaunchTemplateName.NotFoundException", code(err))
	})
}

func TestBadTemplates(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	for name, data := range map[string]*types.RequestLaunchTemplateData{
		"InvalidUserData.Malformed": {UserData: aws.String("no base64!")},
		"InvalidParameterValue":     {TagSpecifications: []types.LaunchTemplateTagSpecificationRequest{{ResourceType: "image", Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}}},
		"UnknownParameter":          {KernelId: aws.String("aki-1"), LicenseSpecifications: []types.LaunchTemplateLicenseConfigurationRequest{{LicenseConfigurationArn: aws.String("arn")}}},
	} {
		_, err := c.CreateLaunchTemplate(w.ctx, &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("bad"), LaunchTemplateData: data})
		require.Equal(t, name, code(err))
	}
	_, err := c.CreateLaunchTemplate(w.ctx, &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("a"), LaunchTemplateData: &types.RequestLaunchTemplateData{InstanceType: "t3.small"}})
	require.Equal(t, "InvalidLaunchTemplateName.MalformedException", code(err))
	_, err = c.DescribeLaunchTemplates(w.ctx, &ec2.DescribeLaunchTemplatesInput{LaunchTemplateIds: []string{"lt-1"}})
	require.Equal(t, "InvalidLaunchTemplateId.Malformed", code(err))
}
