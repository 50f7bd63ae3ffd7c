package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

const (
	manyImages = 10_000
	manyCalls  = 10_000
	callers    = 8
)

// figureScale measures the server without machines: 10,000 images in one account, made, searched by tag, and then a mix of
// the calls that imgops makes. The clients are the AWS SDK's and share the two cores with the server, so the server's own
// time per call is told too.
func (w *realWorld) figureScale(t *testing.T) {
	w.sandboxUp(t, "none")
	defer w.imgops(t, w.dir, "sandbox", "reset", "--name", w.sandbox)
	status, _ := w.imgops(t, w.dir, "sandbox", "status", "--name", w.sandbox, "-o", "json")
	pid := decode[struct{ PID int }](t, status).PID
	empty := memory(t, pid, "VmRSS")

	api := w.ec2(t, durableHome)
	snapshot := w.anySnapshot(t, api)
	w.figureCalls(t, pid, "RegisterImage with two tags", manyImages, 1000, func(ctx context.Context, n int) error {
		_, err := api.RegisterImage(ctx, taggedImage(n, snapshot))
		return err
	})

	w.figureSearch(t, api, "one tag", "", 1)
	w.figureSearch(t, api, "two tags, the first on half of the images", "web", 1)
	w.figureSearch(t, api, "one tag with a wildcard, for 100 images", "", 100)

	parameters := ssm.NewFromConfig(w.config(t, durableHome))
	_, err := parameters.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/imgops/acme/web/default"), Value: aws.String("1"), Type: "String"})
	require.NoError(t, err)
	w.figureCalls(t, pid, "a mix of DescribeImages by tag, GetParameter, DescribeInstances and CreateTags", manyCalls, 1000, func(ctx context.Context, n int) (err error) {
		switch n % 4 {
		case 0:
			_, err = api.DescribeImages(ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{{Name: aws.String("tag:imgops:digest"), Values: []string{fmt.Sprint(n)}}}})
		case 1:
			_, err = parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/imgops/acme/web/default")})
		case 2:
			_, err = api.DescribeInstances(ctx, nil)
		default:
			_, err = api.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{snapshot}, Tags: []types.Tag{{Key: aws.String("n"), Value: aws.String(fmt.Sprint(n))}}})
		}
		return err
	})
	t.Logf("FIGURE sandbox: memory of the server: %d MiB empty, %d MiB at its peak with %d images", empty>>20, memory(t, pid, "VmHWM")>>20, manyImages)
}

// figureSearch looks for images by the tag of their digest, and that of their role if there is one.
func (w *realWorld) figureSearch(t *testing.T, api *ec2.Client, what, role string, want int) {
	t.Helper()
	var searches []time.Duration
	for n := range 100 {
		pattern := fmt.Sprint(9000 + 2*n)
		if want > 1 {
			pattern = fmt.Sprintf("%d??", 10+n%90)
		}
		filters := []types.Filter{{Name: aws.String("tag:imgops:digest"), Values: []string{pattern}}}
		if role != "" {
			filters = append([]types.Filter{{Name: aws.String("tag:imgops:role"), Values: []string{role}}}, filters...)
		}
		began := time.Now()
		found, err := api.DescribeImages(t.Context(), &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: filters})
		require.NoError(t, err)
		searches = append(searches, time.Since(began))
		require.Len(t, found.Images, want)
	}
	took := median(searches)
	t.Logf("FIGURE sandbox: DescribeImages by %s, %d images in the account: %v, of 20ms %.2f (median of %d)",
		what, manyImages, took.Round(10*time.Microsecond), took.Seconds()/0.020, len(searches))
}

// figureCalls makes n calls from several clients at once, and tells how many there were in a second and what they cost the server.
func (w *realWorld) figureCalls(t *testing.T, pid int, what string, n int, want float64, call func(ctx context.Context, n int) error) {
	t.Helper()
	var next atomic.Int64
	g, ctx := errgroup.WithContext(t.Context())
	began, spent := time.Now(), cpuTime(t, pid)
	for range callers {
		g.Go(func() error {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if err := call(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	took, server := time.Since(began), cpuTime(t, pid)-spent
	rate, alone := float64(n)/took.Seconds(), 2*float64(n)/server.Seconds()
	t.Logf("FIGURE sandbox: %s: %.0f calls per second with the clients on the same cores, of %.0f %.2f; %v of the server's processor time each, which is %.0f per second on two cores (%.2f)",
		what, rate, want, rate/want, (server / time.Duration(n)).Round(time.Microsecond), alone, alone/want)
}

// anySnapshot is a snapshot for images to be registered on.
func (w *realWorld) anySnapshot(t *testing.T, api *ec2.Client) string {
	t.Helper()
	volume, err := api.CreateVolume(t.Context(), &ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1a"), Size: aws.Int32(1)})
	require.NoError(t, err)
	require.NoError(t, ec2.NewVolumeAvailableWaiter(api, func(o *ec2.VolumeAvailableWaiterOptions) { o.MinDelay, o.MaxDelay = quick, quick }).
		Wait(t.Context(), &ec2.DescribeVolumesInput{VolumeIds: []string{*volume.VolumeId}}, waitAtMost))
	made, err := api.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: volume.VolumeId})
	require.NoError(t, err)
	require.NoError(t, ec2.NewSnapshotCompletedWaiter(api, func(o *ec2.SnapshotCompletedWaiterOptions) { o.MinDelay, o.MaxDelay = quick, quick }).
		Wait(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*made.SnapshotId}}, waitAtMost))
	return *made.SnapshotId
}

func taggedImage(n int, snapshot string) *ec2.RegisterImageInput {
	return &ec2.RegisterImageInput{Name: aws.String(fmt.Sprint("image-", n)), RootDeviceName: aws.String("/dev/xvda"),
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: &snapshot}}},
		TagSpecifications: []types.TagSpecification{{ResourceType: "image", Tags: []types.Tag{
			{Key: aws.String("imgops:role"), Value: aws.String([]string{"web", "worker"}[n%2])}, {Key: aws.String("imgops:digest"), Value: aws.String(fmt.Sprint(n))}}}}}
}

// memory is what /proc says of a process, in bytes: VmRSS now, VmHWM at its peak.
func memory(t *testing.T, pid int, field string) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "status"))
	require.NoError(t, err)
	m := regexp.MustCompile(`(?m)^` + field + `:\s+(\d+) kB$`).FindSubmatch(text)
	require.NotNil(t, m, "%s of process %d", field, pid)
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	require.NoError(t, err)
	return n << 10
}

// cpuTime is the processor time that a process has taken so far, user and system, of all its threads (proc(5), stat: fields
// 14 and 15, in hundredths of a second).
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "stat"))
	require.NoError(t, err)
	m := regexp.MustCompile(`\) \S(?: -?\d+){10} (\d+) (\d+) `).FindSubmatch(text)
	require.NotNil(t, m, "%s", text)
	user, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	system, err := strconv.Atoi(string(m[2]))
	require.NoError(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}
