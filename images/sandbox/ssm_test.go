package sandbox_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"
)

func (w *world) put(c *ssm.Client, name, value string, change func(*ssm.PutParameterInput)) (int64, string) {
	w.t.Helper()
	in := &ssm.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeString}
	if change != nil {
		change(in)
	}
	out, err := c.PutParameter(w.ctx, in)
	if err != nil {
		return 0, code(err)
	}
	return out.Version, ""
}

func overwrite(in *ssm.PutParameterInput) { in.Overwrite = aws.Bool(true) }

func asImage(in *ssm.PutParameterInput) {
	in.Overwrite, in.DataType = aws.Bool(true), aws.String("aws:ec2:image")
}

func TestParameters(t *testing.T) {
	w := newWorld(t)
	c := w.ssm(build, home)
	v, e := w.put(c, "/a/b", "one", func(in *ssm.PutParameterInput) {
		in.Tags = []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}
	})
	require.Empty(t, e)
	require.Equal(t, int64(1), v)
	_, e = w.put(c, "/a/b", "two", nil)
	require.Equal(t, "ParameterAlreadyExists", e, "5.3")
	_, e = w.put(c, "/a/b", "two", func(in *ssm.PutParameterInput) {
		overwrite(in)
		in.Tags = []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}
	})
	require.Equal(t, "ValidationException", e, "5.4")
	v, e = w.put(c, "/a/b", "two", overwrite)
	require.Empty(t, e)
	require.Equal(t, int64(2), v)

	_, err := c.LabelParameterVersion(w.ctx, &ssm.LabelParameterVersionInput{Name: aws.String("/a/b"), ParameterVersion: aws.Int64(1), Labels: []string{"stable"}})
	require.NoError(t, err)
	arn := "arn:aws:ssm:" + home + ":" + build + ":parameter/a/b"
	for name, want := range map[string]string{"/a/b": "two", "/a/b:1": "one", "/a/b:stable": "one", arn: "two", arn + ":1": "one"} {
		out, err := c.GetParameter(w.ctx, &ssm.GetParameterInput{Name: &name})
		require.NoError(t, err, name)
		require.Equal(t, want, *out.Parameter.Value, name)
		require.Equal(t, arn, *out.Parameter.ARN)
		require.Equal(t, "text", *out.Parameter.DataType)
	}
	for name, want := range map[string]string{"/a/c": "ParameterNotFound", "/a/b:7": "ParameterVersionNotFound", "/a/b:none": "ParameterVersionNotFound"} {
		_, err := c.GetParameter(w.ctx, &ssm.GetParameterInput{Name: &name})
		require.Equal(t, want, code(err), name)
	}
	got, err := c.GetParameters(w.ctx, &ssm.GetParametersInput{Names: []string{"/a/b", "/a/c"}})
	require.NoError(t, err)
	require.Len(t, got.Parameters, 1)
	require.Equal(t, []string{"/a/c"}, got.InvalidParameters)
	hist, err := c.GetParameterHistory(w.ctx, &ssm.GetParameterHistoryInput{Name: aws.String("/a/b")})
	require.NoError(t, err)
	require.Len(t, hist.Parameters, 2)
	require.Equal(t, []string{"stable"}, hist.Parameters[0].Labels)
	require.Equal(t, "arn:aws:iam::"+build+":user/sandbox", *hist.Parameters[1].LastModifiedUser)
	tags, err := c.ListTagsForResource(w.ctx, &ssm.ListTagsForResourceInput{ResourceType: "Parameter", ResourceId: aws.String("/a/b")})
	require.NoError(t, err)
	require.Equal(t, "v", *tags.TagList[0].Value)

	_, err = w.ssm(consumer, home).GetParameter(w.ctx, &ssm.GetParameterInput{Name: aws.String("/a/b")})
	require.Equal(t, "ParameterNotFound", code(err))
	_, err = w.ssm(build, away).GetParameter(w.ctx, &ssm.GetParameterInput{Name: aws.String("/a/b")})
	require.Equal(t, "ParameterNotFound", code(err))
	_, err = c.DeleteParameter(w.ctx, &ssm.DeleteParameterInput{Name: aws.String("/a/b")})
	require.NoError(t, err)
	_, err = c.DeleteParameter(w.ctx, &ssm.DeleteParameterInput{Name: aws.String("/a/b")})
	require.Equal(t, "ParameterNotFound", code(err))
}

func TestParameterRules(t *testing.T) {
	w := newWorld(t)
	c := w.ssm(build, home)
	for _, x := range []struct {
		name, value, code string
		change            func(*ssm.PutParameterInput)
	}{
		{"a/b", "v", "ValidationException", nil},
		{"/a b", "v", "ValidationException", nil},
		{"/aws/x", "v", "AccessDeniedException", nil},
		{"/ssm/x", "v", "ValidationException", nil},
		{"/" + strings.Repeat("x/", 15) + "x", "v", "HierarchyLevelLimitExceededException", nil},
		{"/" + strings.Repeat("x", 1011), "v", "ValidationException", nil},
		{"/a", strings.Repeat("x", 4097), "ValidationException", nil},
		{"/a", "v", "ValidationException", func(in *ssm.PutParameterInput) { in.Type = "" }},
		{"/a", "v", "ValidationException", func(in *ssm.PutParameterInput) { in.DataType = aws.String("aws:other") }},
		{"/a", "v", "ParameterPatternMismatchException", func(in *ssm.PutParameterInput) { in.AllowedPattern = aws.String(`\d+`) }},
		{"/a", "v", "", func(in *ssm.PutParameterInput) { in.Tier = "Advanced" }},
		{"/a", "v", "ValidationException", func(in *ssm.PutParameterInput) { overwrite(in); in.Tier = "Standard" }},
		{"/a", "v", "HierarchyTypeMismatchException", func(in *ssm.PutParameterInput) { overwrite(in); in.Type = "SecureString" }},
	} {
		_, e := w.put(c, x.name, x.value, x.change)
		require.Equal(t, x.code, e, "5.7, 5.10: %.30s", x.name)
	}
	_, e := w.put(c, "/secret", "s3", func(in *ssm.PutParameterInput) { in.Type = "SecureString" })
	require.Empty(t, e)
	for decrypt, same := range map[bool]bool{true: true, false: false} {
		out, err := c.GetParameter(w.ctx, &ssm.GetParameterInput{Name: aws.String("/secret"), WithDecryption: &decrypt})
		require.NoError(t, err)
		require.Equal(t, same, *out.Parameter.Value == "s3")
	}
	bad, err := c.LabelParameterVersion(w.ctx, &ssm.LabelParameterVersionInput{Name: aws.String("/secret"), Labels: []string{"1st", "aws-x", "good"}})
	require.NoError(t, err)
	require.Equal(t, []string{"1st", "aws-x"}, bad.InvalidLabels, "5.8: bad labels are no error")
}

// 5.8: a hundred versions, the oldest of which goes unless it has a label.
func TestParameterVersions(t *testing.T) {
	w := newWorld(t)
	c := w.ssm(build, home)
	for n := range 101 {
		v, e := w.put(c, "/v", fmt.Sprint(n), overwrite)
		require.Empty(t, e)
		require.Equal(t, int64(n+1), v)
	}
	_, err := c.GetParameter(w.ctx, &ssm.GetParameterInput{Name: aws.String("/v:1")})
	require.Equal(t, "ParameterVersionNotFound", code(err))
	_, err = c.LabelParameterVersion(w.ctx, &ssm.LabelParameterVersionInput{Name: aws.String("/v"), ParameterVersion: aws.Int64(2), Labels: []string{"stable"}})
	require.NoError(t, err)
	_, e := w.put(c, "/v", "x", overwrite)
	require.Equal(t, "ParameterMaxVersionLimitExceeded", e)
	_, err = c.LabelParameterVersion(w.ctx, &ssm.LabelParameterVersionInput{Name: aws.String("/v"), Labels: []string{"stable"}})
	require.NoError(t, err)
	_, e = w.put(c, "/v", "x", overwrite)
	require.Empty(t, e)
}

// 5.1, 5.2: a value of type aws:ec2:image is accepted at once and kept only if it is an image the account can use.
func TestImageParameters(t *testing.T) {
	w := newWorld(t)
	owner := w.ec2(build, home)
	id := w.image(owner, "web-1")
	c := w.ssm(consumer, home)
	name := "/imgops/acme/web/default"
	value := func() string {
		out, err := c.GetParameter(w.ctx, &ssm.GetParameterInput{Name: &name})
		if err != nil {
			return code(err)
		}
		return *out.Parameter.Value
	}
	v, e := w.put(c, name, id, asImage)
	require.Empty(t, e, "the answer does not tell")
	require.Equal(t, int64(1), v)
	_, e = w.put(c, "/after", "x", nil) // is answered after the check of the one before has been asked for
	require.Empty(t, e)
	require.Never(t, func() bool { return value() != "ParameterNotFound" }, 50e6, 5e6, "not shared with this account")

	w.share(owner, id, consumer)
	_, e = w.put(c, name, id, asImage)
	require.Empty(t, e)
	w.await(func() bool { return value() == id })
	for _, bad := range []string{"ami-xyz", "ami-00000000000000000", "text"} {
		_, e = w.put(c, name, bad, asImage)
		require.Empty(t, e)
	}
	next, e := w.put(c, name, id, asImage)
	require.Empty(t, e)
	w.await(func() bool {
		out, err := c.GetParameterHistory(w.ctx, &ssm.GetParameterHistoryInput{Name: &name})
		return err == nil && len(out.Parameters) == 2 && next >= 2
	})
	require.Equal(t, id, value())

	i := w.run(w.ec2(consumer, home), func(in *ec2.RunInstancesInput) { in.ImageId = aws.String("resolve:ssm:" + name) })
	require.Equal(t, id, *i.ImageId, "5.12")
	i = w.run(w.ec2(consumer, home), func(in *ec2.RunInstancesInput) { in.ImageId = aws.String("resolve:ssm:" + name + ":1") })
	require.Equal(t, id, *i.ImageId)
	_, e = w.put(c, "/text", id, nil)
	require.Empty(t, e)
	for _, ref := range []string{"/text", "/none"} {
		_, err := w.ec2(consumer, home).RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String("resolve:ssm:" + ref), InstanceType: "t3.small",
			MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
		require.Equal(t, "InvalidParameterValue", code(err), "5.5: %s", ref)
	}
}

func TestParameterLists(t *testing.T) {
	w := newWorld(t)
	c := w.ssm(build, home)
	for n := range 12 {
		_, e := w.put(c, fmt.Sprintf("/fleet/role%02d/default", n), "x", nil)
		require.Empty(t, e)
	}
	_, e := w.put(c, "/fleet/top", "x", func(in *ssm.PutParameterInput) {
		in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}}
	})
	require.Empty(t, e)
	count, pages := 0, 0
	p := ssm.NewGetParametersByPathPaginator(c, &ssm.GetParametersByPathInput{Path: aws.String("/fleet"), Recursive: aws.Bool(true)})
	for p.HasMorePages() {
		out, err := p.NextPage(w.ctx)
		require.NoError(t, err)
		count, pages = count+len(out.Parameters), pages+1
	}
	require.Equal(t, 13, count)
	require.Equal(t, 2, pages)
	flat, err := c.GetParametersByPath(w.ctx, &ssm.GetParametersByPathInput{Path: aws.String("/fleet")})
	require.NoError(t, err)
	require.Len(t, flat.Parameters, 1)
	for _, x := range []struct {
		key, option string
		values      []string
		want        int
	}{
		{"Name", "BeginsWith", []string{"/fleet/role0"}, 10},
		{"Name", "Contains", []string{"role1"}, 2},
		{"Path", "Recursive", []string{"/fleet"}, 13},
		{"Path", "", []string{"/fleet"}, 1},
		{"tag:team", "", []string{"a"}, 1},
		{"Type", "", []string{"SecureString"}, 0},
	} {
		f := types.ParameterStringFilter{Key: &x.key, Values: x.values}
		if x.option != "" {
			f.Option = &x.option
		}
		out, err := c.DescribeParameters(w.ctx, &ssm.DescribeParametersInput{ParameterFilters: []types.ParameterStringFilter{f}})
		require.NoError(t, err)
		require.Len(t, out.Parameters, x.want, "%s %s", x.key, x.option)
	}
	_, err = c.DescribeParameters(w.ctx, &ssm.DescribeParametersInput{NextToken: aws.String("nonsense")})
	require.Equal(t, "InvalidNextToken", code(err))
	del, err := c.DeleteParameters(w.ctx, &ssm.DeleteParametersInput{Names: []string{"/fleet/top", "/none"}})
	require.NoError(t, err)
	require.Equal(t, []string{"/none"}, del.InvalidParameters)
}
