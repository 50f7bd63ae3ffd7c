package sandbox_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"
)

// A DryRun that is neither true nor false is refused: what was to be tried only must not be done.
func TestDryRunIsABoolean(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	i := w.run(c, nil)
	terminate := "Action=TerminateInstances&InstanceId.1=" + *i.InstanceId
	for _, value := range []string{"yes", "1", "maybe", "t", "0", ""} {
		status, code, message := w.send("ec2", "", terminate+"&DryRun="+value)
		require.Equal(t, "InvalidParameterValue", code, value)
		require.Equal(t, 400, status)
		require.Contains(t, message, "DryRun")
	}
	_, e, _ := w.send("ec2", "", terminate+"&DryRun=false&DryRun=true")
	require.Equal(t, "InvalidParameterCombination", e)
	_, e, _ = w.send("ec2", "", terminate+"&DryRun=TRUE")
	require.Equal(t, "DryRunOperation", e)
	_, e, _ = w.send("ec2", "", "Action=DescribeImages&IncludeDeprecated=1")
	require.Equal(t, "InvalidParameterValue", e, "as every other boolean")
	_, e, _ = w.send("ec2", "", "Action=ModifyInstanceAttribute&Attribute=disableApiTermination&Value=yes&InstanceId="+*i.InstanceId)
	require.Equal(t, "InvalidParameterValue", e, "also in the old form")
	require.Equal(t, types.InstanceStateNameRunning, w.instance(c, *i.InstanceId).State.Name)
}

// What an answer could not show as it is, is not stored as something else.
func TestControlCharacters(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	id := w.image(c, "web")
	tag := func(value string) error {
		_, err := c.CreateTags(w.ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("a"), Value: &value}}})
		return err
	}
	for _, value := range []string{"a\x00b", "a\x1bb", "a\x0bb", "a\xffb", "a\uffffb"} {
		require.Equal(t, "InvalidParameterValue", code(tag(value)), "%q", value)
		_, err := c.ModifyImageAttribute(w.ctx, &ec2.ModifyImageAttributeInput{ImageId: &id, Description: &types.AttributeValue{Value: &value}})
		require.Equal(t, "InvalidParameterValue", code(err), "%q", value)
	}
	kept := "tab\t, lines\r\n, é, 🙂 and \ufffd"
	require.NoError(t, tag(kept))
	require.Equal(t, kept, tagMap(w.see(c, id).Tags)["a"])
}

func TestWordsAndLimits(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	id := w.image(c, "web")
	tag := func(key string) string {
		_, err := c.CreateTags(w.ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: &key, Value: aws.String("")}}})
		return code(err)
	}
	require.Empty(t, tag(strings.Repeat("k", 128)))
	require.Equal(t, "InvalidParameterValue", tag(strings.Repeat("k", 129)))

	for _, user := range []string{"foo", "1234", ""} {
		_, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{ExecutableUsers: []string{user}})
		require.Equal(t, "InvalidUserID.Malformed", code(err), user)
	}

	_, e, message := w.send("sns", "", "Action=Publish")
	require.Equal(t, "InvalidAction", e)
	require.Contains(t, message, "ec2, s3, ssm, sts and kms")

	_, err := w.ssm(build, home).PutParameter(w.ctx, &ssm.PutParameterInput{Name: aws.String("/large"), Type: "String", Value: aws.String(strings.Repeat("x", 4097))})
	require.ErrorContains(t, err, "tier Standard can have 4096 characters")
}

// A request to SSM or KMS in the form of EC2's is told what it lacks.
func TestFormsToJSONServices(t *testing.T) {
	w := newWorld(t)
	for _, service := range []string{"ssm", "kms"} {
		status, body := w.sendRaw(service, "Action=GetParameter&Name=a")
		require.Equal(t, 400, status)
		require.Contains(t, body, "UnknownOperationException")
		require.Contains(t, body, "Requests of "+service+" are JSON")
		require.Contains(t, body, "X-Amz-Target")
		require.Contains(t, body, "application/x-www-form-urlencoded")
	}
}

// A token of one call is none of another call, account or Region.
func TestTokensOfOtherCalls(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	one := aws.Int32(1)
	w.image(c, "web")
	first, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{MaxResults: one})
	require.NoError(t, err)
	token := first.NextToken
	require.NotNil(t, token)
	_, err = c.DescribeSubnets(w.ctx, &ec2.DescribeSubnetsInput{NextToken: token})
	require.Equal(t, "InvalidParameterValue", code(err))
	_, err = w.ec2(consumer, home).DescribeImages(w.ctx, &ec2.DescribeImagesInput{NextToken: token})
	require.Equal(t, "InvalidParameterValue", code(err))
	_, err = w.ec2(build, away).DescribeImages(w.ctx, &ec2.DescribeImagesInput{NextToken: token})
	require.Equal(t, "InvalidParameterValue", code(err))
	_, err = w.ssm(build, home).DescribeParameters(w.ctx, &ssm.DescribeParametersInput{NextToken: token})
	require.Equal(t, "InvalidNextToken", code(err))
	second, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{MaxResults: one, NextToken: token})
	require.NoError(t, err)
	require.Len(t, second.Images, 1)
}

func TestUnlabelParameterVersion(t *testing.T) {
	w := newWorld(t)
	c, name := w.ssm(build, home), aws.String("/a")
	_, e := w.put(c, *name, "1", nil)
	require.Empty(t, e)
	_, err := c.LabelParameterVersion(w.ctx, &ssm.LabelParameterVersionInput{Name: name, Labels: []string{"blue", "green"}})
	require.NoError(t, err)
	out, err := c.UnlabelParameterVersion(w.ctx, &ssm.UnlabelParameterVersionInput{Name: name, ParameterVersion: aws.Int64(1), Labels: []string{"blue", "red"}})
	require.NoError(t, err)
	require.Equal(t, []string{"blue"}, out.RemovedLabels)
	require.Equal(t, []string{"red"}, out.InvalidLabels)
	history, err := c.GetParameterHistory(w.ctx, &ssm.GetParameterHistoryInput{Name: name})
	require.NoError(t, err)
	require.Equal(t, []string{"green"}, history.Parameters[0].Labels)
	_, err = c.UnlabelParameterVersion(w.ctx, &ssm.UnlabelParameterVersionInput{Name: name, ParameterVersion: aws.Int64(2), Labels: []string{"green"}})
	require.Equal(t, "ParameterVersionNotFound", code(err))
	_, err = c.UnlabelParameterVersion(w.ctx, &ssm.UnlabelParameterVersionInput{Name: aws.String("/none"), ParameterVersion: aws.Int64(1), Labels: []string{"green"}})
	require.Equal(t, "ParameterNotFound", code(err))
}

func TestCancelImageLaunchPermission(t *testing.T) {
	w := newWorld(t)
	c, theirs := w.ec2(build, home), w.ec2(consumer, home)
	id := w.image(c, "web")
	cancel := func(c *ec2.Client, id string) string {
		_, err := c.CancelImageLaunchPermission(w.ctx, &ec2.CancelImageLaunchPermissionInput{ImageId: &id})
		return code(err)
	}
	require.Equal(t, "InvalidAMIID.NotFound", cancel(theirs, id))
	w.share(c, id, consumer, stranger)
	require.Empty(t, cancel(theirs, id))
	_, err := theirs.DescribeImages(w.ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}})
	require.Equal(t, "InvalidAMIID.NotFound", code(err))
	shares, err := c.DescribeImageAttribute(w.ctx, &ec2.DescribeImageAttributeInput{ImageId: &id, Attribute: "launchPermission"})
	require.NoError(t, err)
	require.Equal(t, []types.LaunchPermission{{UserId: aws.String(stranger)}}, shares.LaunchPermissions)
	require.Equal(t, "OperationNotPermitted", cancel(c, id), "its owner")
	require.Equal(t, "OperationNotPermitted", cancel(theirs, w.base(home)), "public")
}
