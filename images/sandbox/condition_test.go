package sandbox_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
)

// sleeper is a clock on which sleeping takes no time, and that notes how long was slept. Sleeps of at least stuck do not
// end before their context.
type sleeper struct {
	fakeClock
	stuck time.Duration
	note  sync.Mutex
	slept []time.Duration
}

func newSleeper() *sleeper { return &sleeper{fakeClock: fakeClock{at: time.Now()}} }

func (s *sleeper) sleep(ctx context.Context, d time.Duration) error {
	s.note.Lock()
	s.slept = append(s.slept, d)
	s.note.Unlock()
	if s.stuck > 0 && d >= s.stuck {
		<-ctx.Done()
		return ctx.Err()
	}
	s.add(d)
	return ctx.Err()
}

func (s *sleeper) sleeps() []time.Duration {
	s.note.Lock()
	defer s.note.Unlock()
	return append([]time.Duration(nil), s.slept...)
}

// under opens a sandbox with conditions.
func under(t *testing.T, s *sleeper, latency, consistency, throttle string, seed uint64, faults ...string) *world {
	t.Helper()
	c, err := sandbox.ParseConditions(latency, consistency, throttle, faults, seed)
	require.NoError(t, err)
	return openWorld(t, sandbox.Options{Dir: t.TempDir(), Clock: s.now, Sleep: s.sleep, Conditions: c})
}

func TestFaultError(t *testing.T) {
	w := under(t, newSleeper(), "", "", "", 1, "ec2:RunInstances:2:error=InsufficientInstanceCapacity", "ssm:PutParameter:every:error=ThrottlingException",
		"ec2/"+away+":DescribeRegions:every:error=UnauthorizedOperation")
	c := w.ec2(build, home)
	w.run(c, nil)
	launch := &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)}
	_, err := c.RunInstances(w.ctx, launch)
	require.Equal(t, "InsufficientInstanceCapacity", code(err))
	require.Equal(t, http.StatusInternalServerError, status(err), "1.11")
	_, err = c.RunInstances(w.ctx, launch)
	require.NoError(t, err)
	_, e := w.put(w.ssm(build, home), "/p", "v", nil)
	require.Equal(t, "ThrottlingException", e)
	_, err = c.DescribeRegions(w.ctx, nil)
	require.NoError(t, err)
	_, err = w.ec2(build, away).DescribeRegions(w.ctx, nil)
	require.Equal(t, http.StatusForbidden, status(err))
	require.Contains(t, w.cloud.Status().Conditions, "fault ec2:RunInstances:2:error=InsufficientInstanceCapacity (struck 1 of 3 calls)")
}

// The call takes effect and its answer is lost: the connection ends. A client that calls again meets its own image.
func TestFaultLost(t *testing.T) {
	w := under(t, newSleeper(), "", "", "", 1, "ec2:CreateImage:1:lost", "ssm:PutParameter:1:lost")
	c := w.ec2(build, home)
	i := w.run(c, nil)
	create := &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: aws.String("web-1")}
	_, err := c.CreateImage(w.ctx, create)
	require.Error(t, err)
	require.Zero(t, status(err), "there was no answer: %v", err)
	_, err = c.CreateImage(w.ctx, create)
	require.Equal(t, "InvalidAMIName.Duplicate", code(err), "2.1")
	out, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Owners: []string{"self"}})
	require.NoError(t, err)
	require.Len(t, out.Images, 1)
	w.awaitImage(c, *out.Images[0].ImageId, types.ImageStateAvailable)
	_, e := w.put(w.ssm(build, home), "/p", "v", nil)
	require.NotEmpty(t, e)
	_, e = w.put(w.ssm(build, home), "/p", "v", nil)
	require.Equal(t, "ParameterAlreadyExists", e)
}

// A call that hangs is carried out afterwards, unless the client has given up by then.
func TestFaultHang(t *testing.T) {
	s := newSleeper()
	w := under(t, s, "", "", "", 1, "ec2:CreateKeyPair:1:hang=45s", "ec2:CreateKeyPair:2:hang=1h")
	s.stuck = time.Hour
	c := w.ec2(build, home)
	_, err := c.CreateKeyPair(w.ctx, &ec2.CreateKeyPairInput{KeyName: aws.String("patient")})
	require.NoError(t, err)
	require.Equal(t, []time.Duration{45 * time.Second}, s.sleeps())
	ctx, cancel := context.WithCancel(w.ctx)
	gave := make(chan error, 1)
	go func() {
		_, err := c.CreateKeyPair(ctx, &ec2.CreateKeyPairInput{KeyName: aws.String("hasty")})
		gave <- err
	}()
	w.await(func() bool { return len(s.sleeps()) == 2 })
	cancel()
	require.ErrorIs(t, <-gave, context.Canceled)
	keys, err := c.DescribeKeyPairs(w.ctx, nil)
	require.NoError(t, err)
	require.Len(t, keys.KeyPairs, 1)
}

// What a call makes fails later: the call succeeds, and the reason is in the image and the snapshot.
func TestFaultFailed(t *testing.T) {
	disks := newFakeDisks()
	c, err := sandbox.ParseConditions("", "", "", []string{"ec2:CreateImage:1:failed", "ec2/" + away + ":CopyImage:1:failed=Client.InternalError", "ec2:CreateSnapshot:1:failed"}, 1)
	require.NoError(t, err)
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Driver: newFakeMachines(), Disks: disks, Conditions: c})
	here, there := w.ec2(build, home), w.ec2(build, away)
	i := w.run(here, nil)
	made, err := here.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: aws.String("web-1")})
	require.NoError(t, err)
	img := w.awaitImage(here, *made.ImageId, types.ImageStateFailed)
	require.Equal(t, "Server.InternalError", *img.StateReason.Code)
	require.Equal(t, types.InstanceStateNameRunning, w.instance(here, *i.InstanceId).State.Name)
	snaps, err := here.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
	require.NoError(t, err)
	require.Equal(t, types.SnapshotStateError, snaps.Snapshots[0].State)
	require.Contains(t, *snaps.Snapshots[0].StateMessage, "fault rule")
	w.await(func() bool { return disks.count() == 1 })

	good := w.image(here, "web-2")
	copied, err := there.CopyImage(w.ctx, &ec2.CopyImageInput{Name: aws.String("web-2"), SourceImageId: &good, SourceRegion: aws.String(home)})
	require.NoError(t, err)
	img = w.awaitImage(there, *copied.ImageId, types.ImageStateFailed)
	require.Equal(t, "Client.InternalError", *img.StateReason.Code)
	snap, err := here.CreateSnapshot(w.ctx, &ec2.CreateSnapshotInput{VolumeId: i.BlockDeviceMappings[0].Ebs.VolumeId})
	require.NoError(t, err)
	w.await(func() bool {
		out, err := here.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*snap.SnapshotId}})
		return err == nil && out.Snapshots[0].State == types.SnapshotStateError
	})
}

// 1.12: capacity that lacks only after the launch was accepted.
func TestFaultTerminated(t *testing.T) {
	w := under(t, newSleeper(), "", "", "", 1, "ec2:RunInstances:1:terminated=Server.InsufficientInstanceCapacity")
	c := w.ec2(build, home)
	_, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String("ami-12345678"), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.Equal(t, "InvalidAMIID.NotFound", code(err))
	out, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.NoError(t, err)
	i := w.awaitInstance(c, *out.Instances[0].InstanceId, types.InstanceStateNameTerminated)
	require.Equal(t, "Server.InsufficientInstanceCapacity", *i.StateReason.Code)
	w.run(c, nil)
	require.Contains(t, w.cloud.Status().Conditions[0], "struck 1 of 2 calls", "the refused one does not count")
}

// The same seed gives the same luck.
func TestFaultsAreRepeatable(t *testing.T) {
	luck := func(seed uint64) (struck []bool) {
		w := under(t, newSleeper(), "", "", "", seed, "ec2:DescribeRegions:40%:error=InternalError")
		c := w.ec2(build, home)
		for range 40 {
			_, err := c.DescribeRegions(w.ctx, nil)
			struck = append(struck, err != nil)
		}
		return struck
	}
	one := luck(1)
	require.Equal(t, one, luck(1))
	require.NotEqual(t, one, luck(2))
	require.Contains(t, one, true)
	require.Contains(t, one, false)
}

func TestThrottle(t *testing.T) {
	s := newSleeper()
	w := under(t, s, "", "", "aws", 1)
	c := w.ec2(build, home)
	launch := &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)}
	run := func(c *ec2.Client) (n int, err error) {
		for ; err == nil; n++ {
			_, err = c.RunInstances(w.ctx, launch)
		}
		return n - 1, err
	}
	n, err := run(c)
	require.Equal(t, 5, n, "7.1")
	require.Equal(t, "RequestLimitExceeded", code(err))
	require.Equal(t, http.StatusServiceUnavailable, status(err))
	n, _ = run(w.ec2(consumer, home))
	require.Equal(t, 5, n, "another account's bucket")
	s.add(time.Second)
	n, _ = run(c)
	require.Equal(t, 2, n)
	e := ""
	for n = 0; e == ""; n++ {
		_, e = w.put(w.ssm(build, home), "/p", "v", overwrite)
	}
	require.Equal(t, 4, n, "5.15: three, and the one that is refused")
	require.Equal(t, "ThrottlingException", e)
	for err = nil; err == nil; n++ {
		_, err = w.kms(build, home).CreateKey(w.ctx, nil)
	}
	require.Equal(t, 4+6, n, "five, and the one that is refused")
	require.Equal(t, "ThrottlingException", code(err))
	require.Equal(t, http.StatusBadRequest, status(err))
	for err = nil; err == nil; {
		_, err = w.sts(build).GetCallerIdentity(w.ctx, nil)
	}
	require.Equal(t, "Throttling", code(err))
}

func TestLatency(t *testing.T) {
	s := newSleeper()
	w := under(t, s, "aws:0.01", "", "", 3)
	c := w.ec2(build, home)
	for range 5 {
		_, err := c.DescribeRegions(w.ctx, nil)
		require.NoError(t, err)
	}
	first := s.sleeps()
	require.Len(t, first, 5)
	for _, d := range first {
		require.True(t, d >= 400*time.Microsecond && d <= 2*time.Millisecond, d)
	}
	i := w.run(c, nil)
	_, err := c.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{*i.InstanceId}})
	require.NoError(t, err)
	w.awaitInstance(c, *i.InstanceId, types.InstanceStateNameStopped)

	again := newSleeper()
	other := under(t, again, "aws:0.01", "", "", 3)
	for range 5 {
		_, err := other.ec2(build, home).DescribeRegions(other.ctx, nil)
		require.NoError(t, err)
	}
	require.Equal(t, first, again.sleeps(), "the same seed, the same calls: the same times")
}

// An image takes its minutes after the disk was read; meanwhile the instance is free, and a sandbox that is killed does
// not read the disk again.
func TestLatencyOfAnImage(t *testing.T) {
	s := newSleeper()
	s.stuck = 90 * time.Second // the least time of an image
	conditions, err := sandbox.ParseConditions("aws", "", "", nil, 1)
	require.NoError(t, err)
	dir, driver, disks := t.TempDir(), newFakeMachines(), newFakeDisks()
	c, err := sandbox.New(context.Background(), sandbox.Options{Dir: dir, Driver: driver, Disks: disks, Sleep: s.sleep, Conditions: conditions})
	require.NoError(t, err)
	var image, snap string
	t.Run("before", func(t *testing.T) {
		w := serve(t, c)
		ec := w.ec2(build, home)
		i := w.run(ec, nil)
		volume := i.BlockDeviceMappings[0].Ebs.VolumeId
		out, err := ec.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: aws.String("web-1")})
		require.NoError(t, err)
		image = *out.ImageId
		snapshot, err := ec.CreateSnapshot(w.ctx, &ec2.CreateSnapshotInput{VolumeId: volume})
		require.NoError(t, err)
		snap = *snapshot.SnapshotId
		w.await(func() bool { return disks.count() == 3 })
		_, err = ec.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{*i.InstanceId}})
		require.NoError(t, err)
		w.awaitInstance(ec, *i.InstanceId, types.InstanceStateNameTerminated)
		require.Equal(t, types.ImageStatePending, w.see(ec, image).State)
	})
	require.NoError(t, c.Close())
	disks.set(errors.New("the disk is read twice"), false)
	w := openWorld(t, sandbox.Options{Dir: dir, Driver: driver, Disks: disks})
	ec := w.ec2(build, home)
	w.awaitImage(ec, image, types.ImageStateAvailable)
	w.await(func() bool {
		out, err := ec.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{snap}})
		return err == nil && out.Snapshots[0].State == types.SnapshotStateCompleted
	})
}
