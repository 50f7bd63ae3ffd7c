package sandbox_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
)

// clockSigner signs requests with the time of a clock, for clients whose sandbox is days ahead.
type clockSigner struct{ *fakeClock }

func (c clockSigner) SignHTTP(ctx context.Context, creds aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) error {
	return v4.NewSigner().SignHTTP(ctx, creds, r, hash, service, region, c.now(), opts...)
}

// Multi-Region keys: one id, a resource of its own in each Region (3.9).
func TestMultiRegionKeys(t *testing.T) {
	w := newWorld(t)
	here, there := w.kms(build, home), w.kms(build, away)
	made, err := here.CreateKey(w.ctx, &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
	require.NoError(t, err)
	id := made.KeyMetadata.KeyId
	require.Regexp(t, "^mrk-[0-9a-f]{32}$", *id)
	require.Equal(t, kmstypes.MultiRegionKeyTypePrimary, made.KeyMetadata.MultiRegionConfiguration.MultiRegionKeyType)
	_, err = there.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: id})
	require.Equal(t, "NotFoundException", code(err), "not there before it is replicated")

	replicate := func(c *kms.Client, id *string, region string) string {
		_, err := c.ReplicateKey(w.ctx, &kms.ReplicateKeyInput{KeyId: id, ReplicaRegion: &region})
		return code(err)
	}
	require.Empty(t, replicate(here, id, away))
	require.Equal(t, "AlreadyExistsException", replicate(here, id, away))
	require.Equal(t, "AlreadyExistsException", replicate(here, id, home))
	require.Equal(t, "ValidationException", replicate(here, id, "mars-1"))
	require.Equal(t, "UnsupportedOperationException", replicate(there, id, "eu-west-2"), "only the primary is replicated")
	plain := w.key(build, home)
	require.Equal(t, "UnsupportedOperationException", replicate(here, &plain, away))
	replica, err := there.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: id})
	require.NoError(t, err)
	require.Equal(t, "arn:aws:kms:"+away+":"+build+":key/"+*id, *replica.KeyMetadata.Arn)
	c := replica.KeyMetadata.MultiRegionConfiguration
	require.Equal(t, kmstypes.MultiRegionKeyTypeReplica, c.MultiRegionKeyType)
	require.Equal(t, *made.KeyMetadata.Arn, *c.PrimaryKey.Arn)
	require.Equal(t, away, *c.ReplicaKeys[0].Region)

	image := w.image(w.ec2(build, home), "plain")
	encrypted := w.awaitImage(w.ec2(build, home), w.copyTo(w.ec2(build, home), image, home, *id), types.ImageStateAvailable)
	copied := w.awaitImage(w.ec2(build, away), w.copyTo(w.ec2(build, away), *encrypted.ImageId, home, *id), types.ImageStateAvailable)
	require.Equal(t, *replica.KeyMetadata.Arn, *copied.BlockDeviceMappings[0].Ebs.KmsKeyId, "the same id, the key of the destination")
	w.awaitImage(w.ec2(build, away), w.copyTo(w.ec2(build, away), image, home, *made.KeyMetadata.Arn), types.ImageStateFailed)
	_, err = there.DisableKey(w.ctx, &kms.DisableKeyInput{KeyId: id})
	require.NoError(t, err)
	state, err := here.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: id})
	require.NoError(t, err)
	require.Equal(t, kmstypes.KeyStateEnabled, state.KeyMetadata.KeyState, "states are not shared")
	_, err = there.EnableKey(w.ctx, &kms.EnableKeyInput{KeyId: id})
	require.NoError(t, err)

	_, err = here.UpdatePrimaryRegion(w.ctx, &kms.UpdatePrimaryRegionInput{KeyId: id, PrimaryRegion: aws.String(away)})
	require.NoError(t, err)
	require.Empty(t, replicate(there, id, "eu-west-2"))
	gone, err := there.ScheduleKeyDeletion(w.ctx, &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)})
	require.NoError(t, err)
	require.Equal(t, kmstypes.KeyStatePendingReplicaDeletion, gone.KeyState, "a primary waits for its replicas")
	require.Nil(t, gone.DeletionDate)
	_, err = there.CancelKeyDeletion(w.ctx, &kms.CancelKeyDeletionInput{KeyId: id})
	require.NoError(t, err)
}

// A key is there until its waiting period ends, and then it is gone: with it what it encrypts (6.18).
func TestKeyDeletion(t *testing.T) {
	clock := &fakeClock{at: time.Now()}
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Clock: clock.now})
	c := kms.NewFromConfig(w.account(build, home), func(o *kms.Options) { o.HTTPSignerV4 = clockSigner{clock} })
	there := kms.NewFromConfig(w.account(build, away), func(o *kms.Options) { o.HTTPSignerV4 = clockSigner{clock} })
	api := ec2.NewFromConfig(w.account(build, home), func(o *ec2.Options) { o.HTTPSignerV4 = clockSigner{clock} })
	key := w.key(build, home)
	locked := w.copyTo(api, w.image(api, "plain"), home, key)
	w.awaitImage(api, locked, types.ImageStateAvailable)
	many, err := c.CreateKey(w.ctx, &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
	require.NoError(t, err)
	multi := many.KeyMetadata.KeyId
	_, err = c.ReplicateKey(w.ctx, &kms.ReplicateKeyInput{KeyId: multi, ReplicaRegion: aws.String(away)})
	require.NoError(t, err)
	schedule := func(c *kms.Client, id string) {
		_, err := c.ScheduleKeyDeletion(w.ctx, &kms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: aws.Int32(7)})
		require.NoError(t, err)
	}
	state := func(c *kms.Client, id string) kmstypes.KeyState {
		out, err := c.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: &id})
		if err != nil {
			return kmstypes.KeyState(code(err))
		}
		return out.KeyMetadata.KeyState
	}
	schedule(c, key)
	schedule(c, *multi)
	schedule(there, *multi)
	clock.add(7*24*time.Hour - time.Minute)
	require.Equal(t, kmstypes.KeyStatePendingDeletion, state(c, key))
	require.Equal(t, kmstypes.KeyStatePendingReplicaDeletion, state(c, *multi))
	clock.add(2 * time.Minute)
	require.Equal(t, kmstypes.KeyState("NotFoundException"), state(c, key))
	require.Equal(t, kmstypes.KeyState("NotFoundException"), state(there, *multi))
	require.Equal(t, kmstypes.KeyStatePendingDeletion, state(c, *multi), "the replica is gone: the primary's own wait begins")
	_, err = c.CancelKeyDeletion(w.ctx, &kms.CancelKeyDeletionInput{KeyId: &key})
	require.Equal(t, "NotFoundException", code(err), "too late")
	keys, err := c.ListKeys(w.ctx, nil)
	require.NoError(t, err)
	require.Len(t, keys.Keys, 3, "the managed ones, and the primary")
	out, err := api.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: &locked, InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.NoError(t, err)
	i := w.awaitInstance(api, *out.Instances[0].InstanceId, types.InstanceStateNameTerminated)
	require.Equal(t, "Client.InternalError", *i.StateReason.Code)
	clock.add(7 * 24 * time.Hour)
	require.Equal(t, kmstypes.KeyState("NotFoundException"), state(c, *multi))
}
