package sandbox_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/images/sandbox/disk"
)

// What a killed server had begun goes when the next one starts: half-made disks, disks whose volume is gone, contents that
// are of no object, stored snapshots that nothing names. What a record names stays, and so do files of other kinds.
func TestLeftovers(t *testing.T) {
	requireExt4(t)
	dir := t.TempDir()
	store, err := disk.Open(filepath.Join(dir, "disks"))
	require.NoError(t, err)
	options := sandbox.Options{Dir: dir, Driver: newFakeMachines(), Disks: store}
	c, err := sandbox.New(context.Background(), options)
	require.NoError(t, err)
	var volume, image string
	t.Run("before", func(t *testing.T) {
		w := serve(t, c)
		require.NoError(t, c.RegisterBase(w.ctx, ext4Base(t, dir)))
		ec := w.ec2(build, home)
		i := w.run(ec, func(in *ec2.RunInstancesInput) { in.ImageId = w.named(ec, "debian-12-whole").ImageId })
		volume = *i.BlockDeviceMappings[0].Ebs.VolumeId
		image = *w.named(ec, "debian-12-whole").ImageId
		objects := w.s3(build, home)
		_, err := objects.CreateBucket(w.ctx, &s3.CreateBucketInput{Bucket: aws.String("bucket")})
		require.NoError(t, err)
		_, err = objects.PutObject(w.ctx, &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("k")})
		require.NoError(t, err)
	})
	require.NoError(t, c.Close())
	recorded := files(t, dir)
	require.Contains(t, recorded, filepath.Join("volumes", volume+".raw"))

	for _, name := range []string{
		"volumes/" + volume + ".raw.tmp", "volumes/vol-00000000000000001.raw.tmp", "volumes/vol-00000000000000002.raw",
		"s3/object-00000000000000003", "s3/.object-000000000000000041234",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600))
	}
	require.NoError(t, store.Import(t.Context(), filepath.Join(dir, "base.raw"), "snap-00000000000000005"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "volumes", "notes"), nil, 0o600))

	w := openWorld(t, options)
	require.ElementsMatch(t, append(recorded, filepath.Join("volumes", "notes")), files(t, dir))
	w.run(w.ec2(build, home), func(in *ec2.RunInstancesInput) { in.ImageId = &image })
}

// A server that is killed between storing a base's disk and recording it: the next one stores it again.
func TestBaseStoredButNotRecorded(t *testing.T) {
	requireExt4(t)
	dir := t.TempDir()
	base := ext4Base(t, dir)
	store, err := disk.Open(filepath.Join(dir, "disks"))
	require.NoError(t, err)
	c, err := sandbox.New(t.Context(), sandbox.Options{Dir: filepath.Join(dir, "a"), Driver: newFakeMachines(), Disks: store})
	require.NoError(t, err)
	require.NoError(t, c.RegisterBase(t.Context(), base))
	require.NoError(t, c.Close())
	require.NotEmpty(t, store.IDs())

	w := openWorld(t, sandbox.Options{Dir: filepath.Join(dir, "b"), Driver: newFakeMachines(), Disks: store}) // whose records do not know it
	require.NoError(t, w.cloud.RegisterBase(w.ctx, base))
}

// The machines of the none driver end with nobody: instances that were running are running, and can be rebooted.
func TestRecoveryWithoutMachines(t *testing.T) {
	dir := t.TempDir()
	c, err := sandbox.New(context.Background(), sandbox.Options{Dir: dir})
	require.NoError(t, err)
	var runs, rests string
	t.Run("before", func(t *testing.T) {
		w := serve(t, c)
		ec := w.ec2(build, home)
		runs, rests = *w.run(ec, nil).InstanceId, *w.run(ec, nil).InstanceId
		_, err := ec.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{rests}})
		require.NoError(t, err)
		w.awaitInstance(ec, rests, types.InstanceStateNameStopped)
	})
	require.NoError(t, c.Close())
	w := openWorld(t, sandbox.Options{Dir: dir})
	ec := w.ec2(build, home)
	require.Equal(t, types.InstanceStateNameRunning, w.instance(ec, runs).State.Name)
	require.Equal(t, types.InstanceStateNameStopped, w.instance(ec, rests).State.Name)
	_, err = ec.RebootInstances(w.ctx, &ec2.RebootInstancesInput{InstanceIds: []string{runs}})
	require.NoError(t, err)
	_, err = ec.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: &runs, Name: aws.String("web-1")}) // comes after the reboot in the instance's lane
	require.NoError(t, err)
	w.await(func() bool { return w.named(ec, "web-1").State == types.ImageStateAvailable })
	require.Equal(t, types.InstanceStateNameRunning, w.instance(ec, runs).State.Name)
}

// files lists the files below a directory of the sandbox that hold the bytes of resources.
func files(t *testing.T, dir string) (out []string) {
	t.Helper()
	for _, sub := range []string{"disks", "s3", "volumes"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		require.NoError(t, err)
		for _, e := range entries {
			out = append(out, filepath.Join(sub, e.Name()))
		}
	}
	return out
}
