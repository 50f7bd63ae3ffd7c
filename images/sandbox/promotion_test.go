package sandbox_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/hashicorp/packer-plugin-sdk/multistep"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/promoter"
)

// fleetClients are imgops' clients: with the SDK's retries, as many as imgops has.
type fleetClients struct{ *world }

func (f fleetClients) config(loc images.Location) aws.Config {
	cfg := f.account(loc.Account, loc.Region)
	cfg.RetryMaxAttempts = 8
	return cfg
}

func (f fleetClients) EC2(_ context.Context, loc images.Location) (*ec2.Client, error) {
	return ec2.NewFromConfig(f.config(loc)), nil
}

func (f fleetClients) SSM(_ context.Context, loc images.Location) (*ssm.Client, error) {
	return ssm.NewFromConfig(f.config(loc)), nil
}

// laterClock is the real clock, moved on by what a test does not want to wait for.
type laterClock struct{ offset atomic.Int64 }

func (c *laterClock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

func (c *laterClock) add(d time.Duration) { c.offset.Add(int64(d)) }

// pass is a step that lets time go by.
type pass struct {
	clock *laterClock
	time  time.Duration
}

func (p pass) Run(context.Context, multistep.StateBag) multistep.StepAction {
	p.clock.add(p.time)
	return multistep.ActionContinue
}

func (pass) Cleanup(multistep.StateBag) {}

type oneLine struct{}

func (oneLine) IsAncestor(_ context.Context, a, b string) (bool, error) { return a <= b, nil }

// A promotion to two accounts in two Regions ends as it does on a quick machine, with reads that lag behind, AWS's limits,
// and a call in ten that fails. It is made twice, for two images, and once more with nothing to do.
func TestPromotionUnderConditions(t *testing.T) {
	t.Parallel()
	conditions, err := sandbox.ParseConditions("", "aws:0.03", "aws", []string{"ec2:DescribeImages:10%:error=InternalError", "ssm:PutParameter:1:error=InternalServerError",
		"ec2:CopyImage:1:lost", "ec2:ModifyImageAttribute:1:lost"}, 1)
	require.NoError(t, err)
	clock := &laterClock{}
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Conditions: conditions, Clock: clock.now})
	clients := fleetClients{world: w}
	at := images.Location{Account: build, Region: home}
	target := promoter.Target{Name: "production", Accounts: []string{consumer, stranger}, Regions: []string{home, away}}
	for n, commit := range []string{"m1", "m2", "m2"} {
		img := clients.candidate([]string{"d1", "d2", "d2"}[n])
		clock.add(3 * time.Second) // a candidate has been verified since
		p := promoter.New(clients, promoter.Options{Fleet: "acme", Build: at, Run: "run-" + commit, History: oneLine{}, Accounts: target.Accounts})
		plan, err := p.Plan(w.ctx, []promoter.Request{{Role: "web", Image: img, TestsDigest: "sha256:t1", Commit: commit, OnMain: true, Targets: []promoter.Target{target}}}, nil)
		require.NoError(t, err)
		_, err = p.Apply(w.ctx, plan, nil)
		require.NoError(t, err)
		for _, account := range target.Accounts {
			for _, region := range target.Regions {
				clients.requireDefault(images.Location{Account: account, Region: region}, img)
			}
		}
	}
	for _, line := range w.cloud.Status().Conditions {
		require.NotContains(t, line, "struck 0", "every rule had its turn")
	}
}

// candidate is the verified image with the digest in the build location; it is made when there is none.
func (f fleetClients) candidate(digest string) images.Image {
	f.t.Helper()
	at := images.Location{Account: build, Region: home}
	api, err := f.EC2(f.ctx, at)
	require.NoError(f.t, err)
	catalogue := images.NewCatalogue(at, api)
	found, err := catalogue.ByDigest(f.ctx, "acme", "web", "sha256:"+digest)
	require.NoError(f.t, err)
	if len(found) > 0 {
		return found[0]
	}
	want := images.Image{Name: "acme-web-" + digest, Fleet: "acme", Role: "web", Digest: "sha256:" + digest, Commit: "b1", Run: "run-1"}
	tags := want.BuildTags()
	tags[images.TagVerified], tags[images.TagVerifiedAt] = "sha256:t1", "2026-03-01T00:00:00Z"
	var snapshot string
	retry := func(do func() error) { f.await(func() bool { return do() == nil }) }
	volume, err := api.CreateVolume(f.ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String(home + "a"), Size: aws.Int32(1)})
	require.NoError(f.t, err)
	retry(func() error {
		s, err := api.CreateSnapshot(f.ctx, &ec2.CreateSnapshotInput{VolumeId: volume.VolumeId})
		if err == nil {
			snapshot = *s.SnapshotId
		}
		return err
	})
	var id string
	retry(func() error {
		i, err := api.RegisterImage(f.ctx, &ec2.RegisterImageInput{Name: &want.Name, RootDeviceName: aws.String("/dev/xvda"), Architecture: "x86_64",
			BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: &snapshot}}},
			TagSpecifications:   []types.TagSpecification{{ResourceType: "image", Tags: images.EC2Tags(tags)}}})
		if err == nil {
			id = *i.ImageId
		}
		return err
	})
	img, err := catalogue.Wait(f.ctx, id, nil)
	require.NoError(f.t, err)
	return img
}

// requireDefault: the pointer of the location names an image with the digest, which the account sees and can launch.
func (f fleetClients) requireDefault(loc images.Location, want images.Image) {
	f.t.Helper()
	parameters, err := f.SSM(f.ctx, loc)
	require.NoError(f.t, err)
	pointer, err := parameters.GetParameter(f.ctx, &ssm.GetParameterInput{Name: aws.String("/imgops/acme/web/default")})
	require.NoError(f.t, err)
	api, err := f.EC2(f.ctx, images.Location{Account: build, Region: loc.Region})
	require.NoError(f.t, err)
	catalogue := images.NewCatalogue(images.Location{Account: build, Region: loc.Region}, api)
	f.await(func() bool { // a search that lags behind may miss the image, or its tags
		found, err := catalogue.ByDigest(f.ctx, "acme", "web", want.Digest)
		return err == nil && len(found) == 1 && found[0].ID == *pointer.Parameter.Value && found[0].Default
	})
	theirs, err := f.EC2(f.ctx, loc)
	require.NoError(f.t, err)
	f.await(func() bool {
		_, err := theirs.RunInstances(f.ctx, &ec2.RunInstancesInput{ImageId: aws.String("resolve:ssm:/imgops/acme/web/default"), InstanceType: "t3.small",
			MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
		return err == nil
	})
}

// imgops' launcher takes the next instance type when there is no room for the first, be it said at once or later.
func TestLaunchFallsBack(t *testing.T) {
	for _, rule := range []string{"ec2:RunInstances:1:error=InsufficientInstanceCapacity", "ec2:RunInstances:1:terminated=Server.InsufficientInstanceCapacity"} {
		t.Run(rule, func(t *testing.T) {
			conditions, err := sandbox.ParseConditions("", "aws:0.05", "", []string{rule}, 1)
			require.NoError(t, err)
			clock := &laterClock{}
			w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Conditions: conditions, Clock: clock.now})
			at := images.Location{Account: build, Region: home}
			api, err := fleetClients{world: w}.EC2(w.ctx, at)
			require.NoError(t, err)
			m := machine.NewLauncher(api).Machine(machine.Spec{Location: at, Image: images.Image{ID: w.base(home), RootDevice: "/dev/xvda", DiskGiB: 2},
				Purpose: "build", Fleet: "acme", Role: "web", Run: "r1", InstanceTypes: []string{"t3.small", "t3a.small"}, SSHUser: "admin",
				Lifetime: time.Hour, WorkDir: filepath.Join(t.TempDir(), "work")})
			require.NoError(t, machine.RunSteps(w.ctx, machine.NewState(nil, "r1"), machine.KeyPair(m), machine.SecurityGroup(m), machine.Start(m), pass{clock, 3 * time.Second}))
			i := w.awaitInstance(api, m.ID, types.InstanceStateNameTerminated) // the steps undo what they made
			require.Equal(t, "t3a.small", string(i.InstanceType))
		})
	}
}
