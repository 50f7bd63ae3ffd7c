package images_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
)

// cleaner keeps one image of each role, in a far future.
func (c *clients) cleaner(keep int) *images.Cleaner {
	return &images.Cleaner{
		Clients: c, Policy: images.Retention{Keep: keep, MinAge: time.Hour}, Clock: func() time.Time { return time.Now().AddDate(1, 0, 0) },
		Query: images.Query{Fleet: "acme", Build: buildAt, Want: []images.Wanted{{Role: "web", Locations: []images.Location{targetA, targetB}}}},
	}
}

func found(t *testing.T, c *images.Cleaner) []string {
	t.Helper()
	list, err := c.Find(t.Context())
	require.NoError(t, err)
	ids := []string{}
	for _, o := range list {
		require.NotEmpty(t, o.Why)
		ids = append(ids, o.ID())
	}
	return ids
}

// TestCleanerKeepsWhatIsUsed has an old image for each kind of use.
func TestCleanerKeepsWhatIsUsed(t *testing.T) {
	c := newClients(t)
	old := map[string]images.Image{}
	for _, use := range []string{"pointer", "instance", "stopped", "template", "parameter", "held", "base", "free"} {
		old[use] = c.register(t, web(use), targetA, targetB)
	}
	child := web("child")
	child.Base = old["base"].ID
	c.register(t, child, targetA)
	c.point(t, targetA, "web", old["pointer"].ID)
	api, err := c.EC2(t.Context(), targetB)
	require.NoError(t, err)
	launch := func(id string) string {
		out, err := api.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: aws.String(id), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
		require.NoError(t, err)
		return *out.Instances[0].InstanceId
	}
	instance, stopped := launch(old["instance"].ID), launch(old["stopped"].ID)
	require.NoError(t, ec2.NewInstanceRunningWaiter(api, func(o *ec2.InstanceRunningWaiterOptions) { o.MinDelay = 10 * time.Millisecond }).
		Wait(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{instance, stopped}}, time.Minute))
	_, err = api.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: []string{stopped}})
	require.NoError(t, err)
	_, err = api.CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String("template"), LaunchTemplateData: &types.RequestLaunchTemplateData{ImageId: aws.String(old["template"].ID)},
	})
	require.NoError(t, err)
	pointers, err := images.OpenPointers(t.Context(), c, targetB, "other")
	require.NoError(t, err)
	_, err = pointers.Set(t.Context(), "x", old["parameter"].ID, "another fleet's")
	require.NoError(t, err)

	require.Equal(t, []string{old["held"].ID, old["free"].ID}, found(t, c.cleaner(1)), "the newest, the child, keeps its base")
	require.NoError(t, c.holds(t).Create(t.Context(), images.Hold{Role: "web", Reason: "x"}))
	require.Empty(t, found(t, c.cleaner(1)), "all of a held role")
	_, _, err = c.holds(t).Release(t.Context(), "web")
	require.NoError(t, err)
	wanted := c.cleaner(1)
	wanted.Policy.Wanted = map[string]bool{"sha256:free": true}
	require.Equal(t, []string{old["held"].ID}, found(t, wanted))
	require.Empty(t, found(t, c.cleaner(20)))

	c.Close(targetB.Account)
	_, err = c.cleaner(1).Find(t.Context())
	require.ErrorIs(t, err, sandboxtest.ErrClosed, "where nobody can look, nothing is removed")
}

// TestCleanerIsInterrupted kills the process with the answer of each changing call: the next run finishes.
func TestCleanerIsInterrupted(t *testing.T) {
	c := newClients(t)
	always := func() error { return nil }
	keep := c.register(t, web("keep"))
	for cut := 1; ; cut++ {
		for i := range 2 {
			img := web(fmt.Sprintf("d%d-%d", cut, i))
			img.BuiltAt, img.Volumes = time.Now(), []images.Volume{{Device: "/dev/sdf"}}
			c.register(t, img)
		}
		cleaner := c.cleaner(1)
		cleaner.Policy.Wanted = map[string]bool{keep.Digest: true}
		list, err := cleaner.Find(t.Context())
		require.NoError(t, err)
		require.NotEmpty(t, list)
		c.Forget(cut)
		_, err = cleaner.Clean(t.Context(), list, always, nil)
		if err == nil {
			require.Greater(t, cut, 2)
			break
		}
		require.ErrorIs(t, err, sandboxtest.ErrCut)
		c.Forget(0)
		list, err = cleaner.Find(t.Context())
		require.NoError(t, err)
		_, err = cleaner.Clean(t.Context(), list, always, nil)
		require.NoError(t, err)
		require.Empty(t, found(t, cleaner))
	}
	c.Forget(0)
	api, err := c.EC2(t.Context(), buildAt)
	require.NoError(t, err)
	left, err := images.NewCatalogue(buildAt, api).OfFleet(t.Context(), "acme")
	require.NoError(t, err)
	require.Len(t, left, 2, "the wanted one, and the newest")
	snapshots, err := api.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
	require.NoError(t, err)
	require.Len(t, snapshots.Snapshots, 3, "snapshots go with their images: the newest has a volume besides its root")
}

// TestCleanerFindsSnapshotsThatWereLeft has one that EC2 did not delete with its image, and one that another image uses.
func TestCleanerFindsSnapshotsThatWereLeft(t *testing.T) {
	c := newClients(t)
	gone, other := web("gone"), web("other")
	pair := c.RegisterAll(t, buildAt, gone, other)
	alone := c.register(t, web("alone"))
	api, err := c.EC2(t.Context(), buildAt)
	require.NoError(t, err)
	_, err = api.CreateTags(t.Context(), &ec2.CreateTagsInput{
		Resources: []string{alone.Snapshots[0], pair[0].Snapshots[0]}, Tags: images.EC2Tags(map[string]string{images.TagRemoving: "2026-01-01T00:00:00Z"}),
	})
	require.NoError(t, err)
	for _, id := range []string{alone.ID, pair[0].ID} {
		_, err = api.DeregisterImage(t.Context(), &ec2.DeregisterImageInput{ImageId: aws.String(id)})
		require.NoError(t, err)
	}
	cleaner := c.cleaner(5)
	list, err := cleaner.Find(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, alone.Snapshots[0], list[0].Snapshot)
	_, err = cleaner.Clean(t.Context(), list, func() error { return nil }, nil)
	require.NoError(t, err)
	require.Empty(t, found(t, cleaner))
}
