package sandbox_test

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/require"
)

// launch runs the smallest instance of the newest Debian 12 and terminates it at the end.
func (e *endpoint) launch(change func(*ec2.RunInstancesInput)) types.Instance {
	e.t.Helper()
	found, err := e.ec2.DescribeImages(e.ctx, &ec2.DescribeImagesInput{Owners: []string{debian}, Filters: []types.Filter{filter("name", "debian-12-amd64-*")}})
	require.NoError(e.t, err)
	newest := types.Image{}
	for _, i := range found.Images {
		if newest.CreationDate == nil || *i.CreationDate > *newest.CreationDate {
			newest = i
		}
	}
	if newest.ImageId == nil { // moto has no images
		id, _ := e.image(e.name + "-base")
		newest.ImageId = &id
	}
	in := &ec2.RunInstancesInput{ImageId: newest.ImageId, InstanceType: "t3.micro", MinCount: aws.Int32(1), MaxCount: aws.Int32(1), ClientToken: &e.name,
		TagSpecifications: []types.TagSpecification{tagged("instance", "Name", e.name), tagged("volume", "Name", e.name)}}
	if change != nil {
		change(in)
	}
	out, err := e.ec2.RunInstances(e.ctx, in)
	require.NoError(e.t, err)
	id := *out.Instances[0].InstanceId
	e.undo("instance "+id, func(ctx context.Context) error {
		if _, err := e.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}}); err != nil {
			return err
		}
		return ec2.NewInstanceTerminatedWaiter(e.ec2, func(o *ec2.InstanceTerminatedWaiterOptions) { o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Second }).
			Wait(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}}, undoAtMost)
	})
	require.NoError(e.t, ec2.NewInstanceRunningWaiter(e.ec2, func(o *ec2.InstanceRunningWaiterOptions) { o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Second }).
		Wait(e.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}}, 5*time.Minute))
	return out.Instances[0]
}

func (e *endpoint) instances() {
	i := e.launch(nil)
	require.Equal(e.t, types.InstanceStateNamePending, i.State.Name)
	ids := []string{*i.InstanceId}
	resize := func(kind string) string {
		_, err := e.ec2.ModifyInstanceAttribute(e.ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: &ids[0], InstanceType: &types.AttributeValue{Value: &kind}})
		return code(err)
	}
	require.Equal(e.t, "IncorrectInstanceState", resize("t3.small"), "while it runs")
	out, err := e.ec2.StopInstances(e.ctx, &ec2.StopInstancesInput{InstanceIds: ids})
	require.NoError(e.t, err)
	require.Equal(e.t, types.InstanceStateNameStopping, out.StoppingInstances[0].CurrentState.Name)
	require.NoError(e.t, ec2.NewInstanceStoppedWaiter(e.ec2, func(o *ec2.InstanceStoppedWaiterOptions) { o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Second }).
		Wait(e.ctx, &ec2.DescribeInstancesInput{InstanceIds: ids}, 5*time.Minute))
	_, err = e.ec2.RebootInstances(e.ctx, &ec2.RebootInstancesInput{InstanceIds: ids})
	require.Equal(e.t, "IncorrectInstanceState", code(err))
	require.Empty(e.t, resize("t3.small"))
	_, err = e.ec2.ModifyInstanceAttribute(e.ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: &ids[0], DisableApiTermination: &types.AttributeBooleanValue{Value: aws.Bool(true)}})
	require.NoError(e.t, err)
	_, err = e.ec2.TerminateInstances(e.ctx, &ec2.TerminateInstancesInput{InstanceIds: ids})
	require.Equal(e.t, "OperationNotPermitted", code(err))
	_, err = e.ec2.ModifyInstanceAttribute(e.ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: &ids[0], DisableApiTermination: &types.AttributeBooleanValue{Value: aws.Bool(false)}})
	require.NoError(e.t, err)
}

func (e *endpoint) launchTokens() {
	i := e.launch(nil)
	again := func(kind types.InstanceType) (*ec2.RunInstancesOutput, error) {
		return e.ec2.RunInstances(e.ctx, &ec2.RunInstancesInput{ImageId: i.ImageId, InstanceType: kind, MinCount: aws.Int32(1), MaxCount: aws.Int32(1), ClientToken: &e.name,
			TagSpecifications: []types.TagSpecification{tagged("instance", "Name", e.name), tagged("volume", "Name", e.name)}})
	}
	same, err := again("t3.micro")
	require.NoError(e.t, err)
	require.Equal(e.t, *i.InstanceId, *same.Instances[0].InstanceId)
	_, err = again("t3.small")
	require.Equal(e.t, "IdempotentParameterMismatch", code(err))
}

func (e *endpoint) groupInUse() {
	group, err := e.ec2.CreateSecurityGroup(e.ctx, &ec2.CreateSecurityGroupInput{GroupName: &e.name, Description: aws.String("contract")})
	require.NoError(e.t, err)
	e.undo("security group "+*group.GroupId, func(ctx context.Context) error {
		_, err := e.ec2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: group.GroupId})
		return err
	})
	e.launch(func(in *ec2.RunInstancesInput) { in.SecurityGroupIds = []string{*group.GroupId} })
	_, err = e.ec2.DeleteSecurityGroup(e.ctx, &ec2.DeleteSecurityGroupInput{GroupId: group.GroupId})
	require.Equal(e.t, "DependencyViolation", code(err))
}

func (e *endpoint) createImage() {
	i := e.launch(nil)
	out, err := e.ec2.CreateImage(e.ctx, &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: &e.name, NoReboot: aws.Bool(true),
		TagSpecifications: []types.TagSpecification{tagged("image", "role", "web"), tagged("snapshot", "role", "disk")}})
	require.NoError(e.t, err)
	e.forget(*out.ImageId)
	_, err = e.ec2.CreateImage(e.ctx, &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: &e.name, NoReboot: aws.Bool(true)})
	require.Equal(e.t, "InvalidAMIName.Duplicate", code(err), "there is no token: the name tells")
	require.NoError(e.t, ec2.NewImageAvailableWaiter(e.ec2, func(o *ec2.ImageAvailableWaiterOptions) { o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Second }).
		Wait(e.ctx, &ec2.DescribeImagesInput{ImageIds: []string{*out.ImageId}}, 9*time.Minute))
	seen, err := e.ec2.DescribeImages(e.ctx, &ec2.DescribeImagesInput{ImageIds: []string{*out.ImageId}})
	require.NoError(e.t, err)
	image := seen.Images[0]
	require.Equal(e.t, "web", tagMap(image.Tags)["role"])
	require.Equal(e.t, *i.InstanceId, *image.SourceInstanceId)
	s, err := e.ec2.DescribeSnapshots(e.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*image.BlockDeviceMappings[0].Ebs.SnapshotId}})
	require.NoError(e.t, err)
	require.Equal(e.t, "Created by CreateImage("+*i.InstanceId+") for "+*out.ImageId, *s.Snapshots[0].Description)
	require.Equal(e.t, "disk", tagMap(s.Snapshots[0].Tags)["role"])
}

func (e *endpoint) parameterRules() {
	for name, want := range map[string]string{"/aws/x": "AccessDeniedException", "/ssm/x": "ValidationException", "a/b": "ValidationException"} {
		_, err := e.ssm.PutParameter(e.ctx, &ssm.PutParameterInput{Name: &name, Value: aws.String("v"), Type: "String"})
		require.Equal(e.t, want, code(err), name)
	}
	name := e.parameter("1", nil)
	_, err := e.ssm.PutParameter(e.ctx, &ssm.PutParameterInput{Name: &name, Value: aws.String("x"), Type: "String", Overwrite: aws.Bool(true), AllowedPattern: aws.String(`^\d+$`)})
	require.Equal(e.t, "ParameterPatternMismatchException", code(err))
	deleted, err := e.ssm.DeleteParameters(e.ctx, &ssm.DeleteParametersInput{Names: []string{name, name + "/none"}})
	require.NoError(e.t, err)
	require.Equal(e.t, []string{name}, deleted.DeletedParameters)
	require.Equal(e.t, []string{name + "/none"}, deleted.InvalidParameters)
}

func (e *endpoint) parameterTiers() {
	name := e.parameter("1", nil)
	described := func() ssmtypes.ParameterTier {
		out, err := e.ssm.DescribeParameters(e.ctx, &ssm.DescribeParametersInput{ParameterFilters: []ssmtypes.ParameterStringFilter{{Key: aws.String("Name"), Values: []string{name}}}})
		require.NoError(e.t, err)
		return out.Parameters[0].Tier
	}
	require.Equal(e.t, ssmtypes.ParameterTierStandard, described())
	large := strings.Repeat("x", 4097)
	_, err := e.ssm.PutParameter(e.ctx, &ssm.PutParameterInput{Name: &name, Value: &large, Type: "String", Overwrite: aws.Bool(true)})
	require.Equal(e.t, "ValidationException", code(err))
}

func (e *endpoint) keyStates() {
	made, err := e.kms.CreateKey(e.ctx, &kms.CreateKeyInput{})
	require.NoError(e.t, err)
	id := made.KeyMetadata.KeyId
	gone := false
	e.undo("key "+*id, func(ctx context.Context) error {
		if gone {
			return nil
		}
		_, err := e.kms.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)})
		return err
	})
	_, err = e.kms.DisableKey(e.ctx, &kms.DisableKeyInput{KeyId: id})
	require.NoError(e.t, err)
	_, err = e.kms.CreateGrant(e.ctx, &kms.CreateGrantInput{KeyId: id, GranteePrincipal: made.KeyMetadata.AWSAccountId, Operations: []kmstypes.GrantOperation{"Decrypt"}})
	require.Equal(e.t, "DisabledException", code(err))
	_, err = e.kms.ScheduleKeyDeletion(e.ctx, &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)})
	require.NoError(e.t, err)
	gone = true
	_, err = e.kms.EnableKey(e.ctx, &kms.EnableKeyInput{KeyId: id})
	require.Equal(e.t, "KMSInvalidStateException", code(err))
}

func (e *endpoint) caller() {
	out, err := sts.NewFromConfig(e.cfg).GetCallerIdentity(e.ctx, nil)
	require.NoError(e.t, err)
	require.Regexp(e.t, `^\d{12}$`, *out.Account)
	require.Contains(e.t, *out.Arn, *out.Account)
	_, err = sts.NewFromConfig(e.cfg).AssumeRole(e.ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + *out.Account + ":role/" + e.name), RoleSessionName: aws.String("not ok")})
	require.Equal(e.t, "ValidationError", code(err))
}
