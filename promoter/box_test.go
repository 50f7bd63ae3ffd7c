package promoter_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/promoter"
)

var (
	buildAt = images.Location{Account: "111111111111", Region: "us-east-1"}
	shared  = promoter.Target{Name: "production", Accounts: []string{"222222222222", "333333333333"}, Regions: []string{"us-east-1", "eu-west-1"}}
	owned   = promoter.Target{Name: "own", Accounts: []string{"444444444444"}, Regions: []string{"eu-west-1"}, Mode: promoter.ModeCopy}
	errCut  = errors.New("the process was killed")
)

// cloud is a sandbox without machines, behind clients that count the calls and can die with the answer of one.
type cloud struct {
	url string

	mu       sync.Mutex
	ec2      map[images.Location]*ec2.Client
	ssm      map[images.Location]*ssm.Client
	calls    map[string]int
	changes  int
	cutAfter int // dies with the answer of this mutating call; 0: never
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	box, err := sandbox.New(t.Context(), sandbox.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	server := httptest.NewServer(box.Handler())
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, box.Close())
	})
	return &cloud{url: server.URL, calls: map[string]int{}, ec2: map[images.Location]*ec2.Client{}, ssm: map[images.Location]*ssm.Client{}}
}

func (c *cloud) config(loc images.Location) aws.Config {
	return aws.Config{
		Region: loc.Region, BaseEndpoint: aws.String(c.url),
		Credentials: credentials.NewStaticCredentialsProvider("SANDBOX"+loc.Account, "sandbox", ""),
		APIOptions:  []func(*middleware.Stack) error{c.watch},
	}
}

func (c *cloud) EC2(_ context.Context, loc images.Location) (*ec2.Client, error) {
	return once(c, c.ec2, loc, func(cfg aws.Config) *ec2.Client { return ec2.NewFromConfig(cfg) }), nil
}

func (c *cloud) SSM(_ context.Context, loc images.Location) (*ssm.Client, error) {
	return once(c, c.ssm, loc, func(cfg aws.Config) *ssm.Client { return ssm.NewFromConfig(cfg) }), nil
}

// once makes one client for each location.
func once[T any](c *cloud, made map[images.Location]*T, loc images.Location, make func(aws.Config) *T) *T {
	c.mu.Lock()
	defer c.mu.Unlock()
	if made[loc] == nil {
		made[loc] = make(c.config(loc))
	}
	return made[loc]
}

func (c *cloud) watch(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("watch",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			if c.dead() {
				return middleware.InitializeOutput{}, middleware.Metadata{}, errCut
			}
			out, metadata, err := next.HandleInitialize(ctx, in)
			if c.count(middleware.GetOperationName(ctx)); err == nil && c.dead() {
				err = errCut
			}
			return out, metadata, err
		}), middleware.Before)
}

func (c *cloud) dead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cutAfter > 0 && c.changes >= c.cutAfter
}

func (c *cloud) count(op string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[op]++
	if !strings.HasPrefix(op, "Describe") && !strings.HasPrefix(op, "Get") {
		c.changes++
	}
}

// forget starts a new count; the process lives.
func (c *cloud) forget(cutAfter int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls, c.changes, c.cutAfter = map[string]int{}, 0, cutAfter
}

// candidate registers a verified image of role web in the build location.
func (c *cloud) candidate(t *testing.T, digest string) images.Image {
	t.Helper()
	return c.register(t, images.Image{
		Name: "acme-web-" + digest, Fleet: "acme", Role: "web", Digest: "sha256:" + digest, Commit: "b1", Run: "run-1", Verified: "sha256:t1",
	})
}

// register makes an available image in the build location.
func (c *cloud) register(t *testing.T, img images.Image) images.Image {
	t.Helper()
	ctx := t.Context()
	api, err := c.EC2(ctx, buildAt)
	require.NoError(t, err)
	volume, err := api.CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1a"), Size: aws.Int32(1)})
	require.NoError(t, err)
	require.NoError(t, ec2.NewVolumeAvailableWaiter(api, func(o *ec2.VolumeAvailableWaiterOptions) { o.MinDelay = 10 * time.Millisecond }).
		Wait(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{*volume.VolumeId}}, time.Minute))
	snapshot, err := api.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: volume.VolumeId})
	require.NoError(t, err)
	require.NoError(t, ec2.NewSnapshotCompletedWaiter(api, func(o *ec2.SnapshotCompletedWaiterOptions) { o.MinDelay = 10 * time.Millisecond }).
		Wait(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*snapshot.SnapshotId}}, time.Minute))

	tags := img.BuildTags()
	if img.Verified != "" {
		tags[images.TagVerified], tags[images.TagVerifiedAt] = img.Verified, "2026-03-01T00:00:00Z"
	}
	out, err := api.RegisterImage(ctx, &ec2.RegisterImageInput{
		Name: aws.String(img.Name), RootDeviceName: aws.String("/dev/xvda"), Architecture: types.ArchitectureValuesX8664,
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: snapshot.SnapshotId}}},
		TagSpecifications:   []types.TagSpecification{{ResourceType: types.ResourceTypeImage, Tags: images.EC2Tags(tags)}},
	})
	require.NoError(t, err)
	found, err := images.NewCatalogue(buildAt, api).Wait(ctx, *out.ImageId, nil)
	require.NoError(t, err)
	return found
}
