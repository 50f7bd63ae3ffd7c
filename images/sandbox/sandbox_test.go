package sandbox_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
)

const (
	build    = "111111111111"
	consumer = "222222222222"
	stranger = "333333333333"
	debian   = "136693071363"
	home     = "us-east-1"
	away     = "eu-west-1"
	baseName = "debian-12-amd64-20260101-1"
)

// world is a sandbox behind a listener, with clients of real SDKs.
type world struct {
	t     testing.TB
	ctx   context.Context
	cloud *sandbox.Cloud
	url   string
}

func newWorld(t testing.TB) *world { return openWorld(t, sandbox.Options{Dir: t.TempDir()}) }

// openWorld makes or opens the sandbox and closes it at the end of the test.
func openWorld(t testing.TB, opts sandbox.Options) *world {
	t.Helper()
	c, err := sandbox.New(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return serve(t, c)
}

// serve puts the sandbox behind a listener until the test ends.
func serve(t testing.TB, c *sandbox.Cloud) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	server := httptest.NewServer(c.Handler())
	t.Cleanup(server.Close)
	raw := filepath.Join(t.TempDir(), "base.raw")
	require.NoError(t, os.WriteFile(raw, make([]byte, 64<<10), 0o600))
	require.NoError(t, c.RegisterBase(ctx, sandbox.Base{Owner: debian, Name: baseName, Description: "Debian 12", Architecture: "x86_64",
		RawPath: raw, SizeBytes: 2 << 30, Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}))
	return &world{t: t, ctx: ctx, cloud: c, url: server.URL}
}

func (w *world) config(key, secret, token, region string) aws.Config {
	return aws.Config{HTTPClient: images.PlainBodies{HTTPClient: http.DefaultClient}, Region: region, BaseEndpoint: aws.String(w.url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, token)}
}

func (w *world) account(account, region string) aws.Config {
	return w.config("SANDBOX"+account, "sandbox", "", region)
}

func (w *world) ec2(account, region string) *ec2.Client {
	return ec2.NewFromConfig(w.account(account, region))
}

func (w *world) ssm(account, region string) *ssm.Client {
	return ssm.NewFromConfig(w.account(account, region))
}

func (w *world) sts(account string) *sts.Client { return sts.NewFromConfig(w.account(account, home)) }

// base is the id of the base image.
func (w *world) base(region string) string {
	w.t.Helper()
	out, err := w.ec2(build, region).DescribeImages(w.ctx, &ec2.DescribeImagesInput{Owners: []string{debian}, Filters: []types.Filter{filter("name", baseName)}})
	require.NoError(w.t, err)
	require.Len(w.t, out.Images, 1)
	return *out.Images[0].ImageId
}

// run launches one instance and waits for it to run.
func (w *world) run(c *ec2.Client, change func(*ec2.RunInstancesInput)) types.Instance {
	w.t.Helper()
	in := &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)}
	if change != nil {
		change(in)
	}
	out, err := c.RunInstances(w.ctx, in)
	require.NoError(w.t, err)
	require.Equal(w.t, types.InstanceStateNamePending, out.Instances[0].State.Name)
	return w.awaitInstance(c, *out.Instances[0].InstanceId, types.InstanceStateNameRunning)
}

func (w *world) instance(c *ec2.Client, id string) types.Instance {
	w.t.Helper()
	out, err := c.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	require.NoError(w.t, err)
	require.Len(w.t, out.Reservations, 1)
	return out.Reservations[0].Instances[0]
}

func (w *world) awaitInstance(c *ec2.Client, id string, state types.InstanceStateName) types.Instance {
	w.t.Helper()
	var i types.Instance
	w.await(func() bool { i = w.instance(c, id); return i.State.Name == state })
	return i
}

// image makes an available image of a fresh instance.
func (w *world) image(c *ec2.Client, name string, tags ...types.TagSpecification) string {
	w.t.Helper()
	i := w.run(c, nil)
	out, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: aws.String(name), TagSpecifications: tags})
	require.NoError(w.t, err)
	w.awaitImage(c, *out.ImageId, types.ImageStateAvailable)
	return *out.ImageId
}

func (w *world) see(c *ec2.Client, id string) types.Image {
	w.t.Helper()
	out, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}, IncludeDisabled: aws.Bool(true)})
	require.NoError(w.t, err)
	require.Len(w.t, out.Images, 1)
	return out.Images[0]
}

func (w *world) awaitImage(c *ec2.Client, id string, state types.ImageState) types.Image {
	w.t.Helper()
	var i types.Image
	w.await(func() bool { i = w.see(c, id); return i.State == state })
	return i
}

func (w *world) await(done func() bool) {
	w.t.Helper()
	require.Eventually(w.t, done, 20*time.Second, 2*time.Millisecond)
}

func (w *world) share(c *ec2.Client, id string, accounts ...string) {
	w.t.Helper()
	_, err := c.ModifyImageAttribute(w.ctx, &ec2.ModifyImageAttributeInput{ImageId: &id, Attribute: aws.String("launchPermission"),
		OperationType: types.OperationTypeAdd, UserIds: accounts})
	require.NoError(w.t, err)
}

// code is the API's code of an error, or "" when there is none.
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	if err != nil {
		return "not an API error: " + err.Error()
	}
	return ""
}

func status(err error) int {
	var e *awshttp.ResponseError
	if errors.As(err, &e) {
		return e.HTTPStatusCode()
	}
	return 0
}

func tagged(kind types.ResourceType, pairs ...string) types.TagSpecification {
	spec := types.TagSpecification{ResourceType: kind}
	for i := 0; i < len(pairs); i += 2 {
		spec.Tags = append(spec.Tags, types.Tag{Key: aws.String(pairs[i]), Value: aws.String(pairs[i+1])})
	}
	return spec
}

func tagMap(tags []types.Tag) map[string]string {
	m := map[string]string{}
	for _, t := range tags {
		m[*t.Key] = *t.Value
	}
	return m
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}
