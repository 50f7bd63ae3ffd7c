package sandbox_test

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"
)

func (e *endpoint) template(image string) *string {
	made, err := e.ec2.CreateLaunchTemplate(e.ctx, &ec2.CreateLaunchTemplateInput{LaunchTemplateName: &e.name,
		LaunchTemplateData: &types.RequestLaunchTemplateData{ImageId: &image, InstanceType: "t3.micro"}})
	require.NoError(e.t, err)
	e.undo("launch template "+e.name, func(ctx context.Context) error {
		_, err := e.ec2.DeleteLaunchTemplate(ctx, &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: &e.name})
		return err
	})
	return made.LaunchTemplate.LaunchTemplateId
}

func (e *endpoint) templates() {
	id := e.template("ami-00000000000000001")
	_, err := e.ec2.CreateLaunchTemplate(e.ctx, &ec2.CreateLaunchTemplateInput{LaunchTemplateName: &e.name, LaunchTemplateData: &types.RequestLaunchTemplateData{InstanceType: "t3.micro"}})
	require.Equal(e.t, "InvalidLaunchTemplateName.AlreadyExistsException", code(err))
	v, err := e.ec2.CreateLaunchTemplateVersion(e.ctx, &ec2.CreateLaunchTemplateVersionInput{LaunchTemplateId: id,
		LaunchTemplateData: &types.RequestLaunchTemplateData{InstanceType: "t3.small"}})
	require.NoError(e.t, err)
	require.Equal(e.t, int64(2), *v.LaunchTemplateVersion.VersionNumber)
	require.Nil(e.t, v.LaunchTemplateVersion.LaunchTemplateData.ImageId)
	for selector, want := range map[string]int64{"$Latest": 2, "$Default": 1} {
		out, err := e.ec2.DescribeLaunchTemplateVersions(e.ctx, &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: id, Versions: []string{selector}})
		require.NoError(e.t, err)
		require.Equal(e.t, want, *out.LaunchTemplateVersions[0].VersionNumber)
	}
	_, err = e.ec2.DescribeLaunchTemplates(e.ctx, &ec2.DescribeLaunchTemplatesInput{LaunchTemplateNames: []string{e.name + "-none"}})
	require.Equal(e.t, "InvalidLaunchTemplateName.NotFoundException", code(err))
}

func (e *endpoint) sourceVersion() {
	v, err := e.ec2.CreateLaunchTemplateVersion(e.ctx, &ec2.CreateLaunchTemplateVersionInput{LaunchTemplateId: e.template("ami-00000000000000001"), SourceVersion: aws.String("1"),
		LaunchTemplateData: &types.RequestLaunchTemplateData{InstanceType: "t3.small"}})
	require.NoError(e.t, err)
	require.Equal(e.t, aws.String("ami-00000000000000001"), v.LaunchTemplateVersion.LaunchTemplateData.ImageId)
	require.Equal(e.t, types.InstanceTypeT3Small, v.LaunchTemplateVersion.LaunchTemplateData.InstanceType)
}

// parameter makes a parameter of the case's name.
func (e *endpoint) parameter(value string, kind *string) string {
	name := "/" + e.name + "/web"
	_, err := e.ssm.PutParameter(e.ctx, &ssm.PutParameterInput{Name: &name, Value: &value, Type: "String", DataType: kind})
	require.NoError(e.t, err)
	e.undo("parameter "+name, func(ctx context.Context) error {
		_, err := e.ssm.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &name})
		if code(err) == "ParameterNotFound" {
			return nil
		}
		return err
	})
	return name
}

func (e *endpoint) resolveAlias() {
	image, _ := e.image(e.name)
	name := e.parameter(image, aws.String("aws:ec2:image"))
	id := e.template("resolve:ssm:" + name)
	require.Eventually(e.t, func() bool {
		out, err := e.ec2.DescribeLaunchTemplateVersions(e.ctx, &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: id, Versions: []string{"1"}, ResolveAlias: aws.Bool(true)})
		return err == nil && *out.LaunchTemplateVersions[0].LaunchTemplateData.ImageId == image
	}, time.Minute, 10*time.Millisecond)
}

func (e *endpoint) parameters() {
	name := e.parameter("1", nil)
	put := func(in ssm.PutParameterInput) string {
		in.Name, in.Value, in.Type = &name, aws.String("2"), "String"
		_, err := e.ssm.PutParameter(e.ctx, &in)
		return code(err)
	}
	require.Equal(e.t, "ParameterAlreadyExists", put(ssm.PutParameterInput{}))
	require.Equal(e.t, "ValidationException", put(ssm.PutParameterInput{Overwrite: aws.Bool(true), Tags: []ssmtypes.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}))
	require.Empty(e.t, put(ssm.PutParameterInput{Overwrite: aws.Bool(true)}))
	out, err := e.ssm.GetParameter(e.ctx, &ssm.GetParameterInput{Name: aws.String(name + ":1")})
	require.NoError(e.t, err)
	require.Equal(e.t, "1", *out.Parameter.Value)
	history, err := e.ssm.GetParameterHistory(e.ctx, &ssm.GetParameterHistoryInput{Name: &name})
	require.NoError(e.t, err)
	require.Len(e.t, history.Parameters, 2)
	list, err := e.ssm.GetParametersByPath(e.ctx, &ssm.GetParametersByPathInput{Path: aws.String("/" + e.name)})
	require.NoError(e.t, err)
	require.Len(e.t, list.Parameters, 1)
	_, err = e.ssm.GetParameter(e.ctx, &ssm.GetParameterInput{Name: aws.String(name + "/none")})
	require.Equal(e.t, "ParameterNotFound", code(err))
}

func (e *endpoint) labels() {
	name := e.parameter("1", nil)
	_, err := e.ssm.PutParameter(e.ctx, &ssm.PutParameterInput{Name: &name, Value: aws.String("2"), Type: "String", Overwrite: aws.Bool(true)})
	require.NoError(e.t, err)
	for _, version := range []int64{1, 2} {
		out, err := e.ssm.LabelParameterVersion(e.ctx, &ssm.LabelParameterVersionInput{Name: &name, ParameterVersion: &version, Labels: []string{"stable", "1st"}})
		require.NoError(e.t, err)
		require.Equal(e.t, []string{"1st"}, out.InvalidLabels)
	}
	got, err := e.ssm.GetParameter(e.ctx, &ssm.GetParameterInput{Name: aws.String(name + ":stable")})
	require.NoError(e.t, err)
	require.Equal(e.t, "2", *got.Parameter.Value)
}

func (e *endpoint) imageParameter() {
	image, _ := e.image(e.name)
	name := e.parameter("ami-00000000000000001", aws.String("aws:ec2:image"))
	_, err := e.ssm.PutParameter(e.ctx, &ssm.PutParameterInput{Name: &name, Value: &image, Type: "String", DataType: aws.String("aws:ec2:image"), Overwrite: aws.Bool(true)})
	require.NoError(e.t, err)
	require.Eventually(e.t, func() bool {
		out, err := e.ssm.GetParameter(e.ctx, &ssm.GetParameterInput{Name: &name})
		return err == nil && *out.Parameter.Value == image
	}, time.Minute, 10*time.Millisecond)
	history, err := e.ssm.GetParameterHistory(e.ctx, &ssm.GetParameterHistoryInput{Name: &name})
	require.NoError(e.t, err)
	require.Len(e.t, history.Parameters, 1, "the absent image was never stored")
}

func (e *endpoint) keyAliases() {
	made, err := e.kms.CreateKey(e.ctx, &kms.CreateKeyInput{})
	require.NoError(e.t, err)
	id := made.KeyMetadata.KeyId
	e.undo("key "+*id, func(ctx context.Context) error {
		_, err := e.kms.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)})
		return err
	})
	alias := aws.String("alias/" + e.name)
	_, err = e.kms.CreateAlias(e.ctx, &kms.CreateAliasInput{AliasName: alias, TargetKeyId: id})
	require.NoError(e.t, err)
	_, err = e.kms.CreateAlias(e.ctx, &kms.CreateAliasInput{AliasName: alias, TargetKeyId: id})
	require.Equal(e.t, "AlreadyExistsException", code(err))
	got, err := e.kms.DescribeKey(e.ctx, &kms.DescribeKeyInput{KeyId: alias})
	require.NoError(e.t, err)
	require.Equal(e.t, *id, *got.KeyMetadata.KeyId)
	_, err = e.kms.DeleteAlias(e.ctx, &kms.DeleteAliasInput{AliasName: alias})
	require.NoError(e.t, err)
	_, err = e.kms.DescribeKey(e.ctx, &kms.DescribeKeyInput{KeyId: alias})
	require.Equal(e.t, "NotFoundException", code(err))
}
