package sandbox_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"
)

func (w *world) kms(account, region string) *kms.Client {
	return kms.NewFromConfig(w.account(account, region))
}

// key makes a customer's key and returns its ARN.
func (w *world) key(account, region string) string {
	w.t.Helper()
	out, err := w.kms(account, region).CreateKey(w.ctx, &kms.CreateKeyInput{})
	require.NoError(w.t, err)
	return *out.KeyMetadata.Arn
}

// copyTo copies an image into the client's account and Region with a key, and returns the new id.
func (w *world) copyTo(c *ec2.Client, id, from, key string) string {
	w.t.Helper()
	in := &ec2.CopyImageInput{Name: aws.String("a copy"), SourceImageId: &id, SourceRegion: &from}
	if key != "" {
		in.Encrypted, in.KmsKeyId = aws.Bool(true), &key
	}
	out, err := c.CopyImage(w.ctx, in)
	require.NoError(w.t, err)
	return *out.ImageId
}

// keyPolicy gives the account root of owner everything and other what EBS needs of a shared key.
func keyPolicy(owner, other string) *string {
	return aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + owner + `:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::` + other + `:root"]},"Action":["kms:DescribeKey","kms:ReEncrypt*","kms:GenerateDataKey*","kms:Decrypt"],"Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"` + other + `"},"Action":"kms:CreateGrant","Resource":"*","Condition":{"Bool":{"kms:GrantIsForAWSResource":"true"}}}]}`)
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	c, theirs := w.kms(build, home), w.kms(consumer, home)
	made, err := c.CreateKey(w.ctx, &kms.CreateKeyInput{Description: aws.String("images"), Tags: []kmstypes.Tag{{TagKey: aws.String("a"), TagValue: aws.String("1")}}})
	require.NoError(t, err)
	id, arn := *made.KeyMetadata.KeyId, *made.KeyMetadata.Arn
	require.Equal(t, kmstypes.KeyStateEnabled, made.KeyMetadata.KeyState)
	require.Equal(t, "arn:aws:kms:"+home+":"+build+":key/"+id, arn)

	t.Run("aliases", func(t *testing.T) {
		_, err := c.CreateAlias(w.ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/images"), TargetKeyId: &id})
		require.NoError(t, err)
		_, err = c.CreateAlias(w.ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/images"), TargetKeyId: &id})
		require.Equal(t, "AlreadyExistsException", code(err))
		_, err = c.CreateAlias(w.ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/aws/mine"), TargetKeyId: &id})
		require.Equal(t, "NotAuthorizedException", code(err))
		for _, name := range []string{id, arn, "alias/images", "arn:aws:kms:" + home + ":" + build + ":alias/images"} {
			got, err := c.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: &name})
			require.NoError(t, err, name)
			require.Equal(t, arn, *got.KeyMetadata.Arn)
		}
		other := w.key(build, home)
		_, err = c.UpdateAlias(w.ctx, &kms.UpdateAliasInput{AliasName: aws.String("alias/images"), TargetKeyId: &other})
		require.NoError(t, err)
		got, err := c.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/images")})
		require.NoError(t, err)
		require.Equal(t, other, *got.KeyMetadata.Arn)
		var names []string
		pages := kms.NewListAliasesPaginator(c, &kms.ListAliasesInput{Limit: aws.Int32(1)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(w.ctx)
			require.NoError(t, err)
			for _, a := range page.Aliases {
				names = append(names, *a.AliasName)
			}
		}
		require.Equal(t, []string{"alias/aws/ebs", "alias/aws/ssm", "alias/images"}, names)
		_, err = c.DeleteAlias(w.ctx, &kms.DeleteAliasInput{AliasName: aws.String("alias/images")})
		require.NoError(t, err)
		_, err = c.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/images")})
		require.Equal(t, "NotFoundException", code(err))
	})

	t.Run("other accounts need the policy or a grant", func(t *testing.T) {
		_, err := theirs.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: &arn})
		require.Equal(t, "AccessDeniedException", code(err))
		_, err = theirs.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: &id})
		require.Equal(t, "NotFoundException", code(err), "an id is looked for in the own account")
		grant, err := c.CreateGrant(w.ctx, &kms.CreateGrantInput{KeyId: &id, GranteePrincipal: aws.String("arn:aws:iam::" + consumer + ":root"),
			Operations: []kmstypes.GrantOperation{"DescribeKey"}})
		require.NoError(t, err)
		_, err = theirs.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: &arn})
		require.NoError(t, err)
		list, err := c.ListGrants(w.ctx, &kms.ListGrantsInput{KeyId: &id})
		require.NoError(t, err)
		require.Len(t, list.Grants, 1)
		_, err = c.RevokeGrant(w.ctx, &kms.RevokeGrantInput{KeyId: &id, GrantId: grant.GrantId})
		require.NoError(t, err)
		_, err = theirs.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: &arn})
		require.Equal(t, "AccessDeniedException", code(err))
		_, err = c.PutKeyPolicy(w.ctx, &kms.PutKeyPolicyInput{KeyId: &id, Policy: keyPolicy(consumer, stranger)})
		require.Equal(t, "MalformedPolicyDocumentException", code(err), "it would lock the owner out")
		_, err = c.PutKeyPolicy(w.ctx, &kms.PutKeyPolicyInput{KeyId: &id, Policy: keyPolicy(build, consumer)})
		require.NoError(t, err)
		_, err = theirs.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: &arn})
		require.NoError(t, err)
		_, err = theirs.DisableKey(w.ctx, &kms.DisableKeyInput{KeyId: &arn})
		require.Equal(t, "AccessDeniedException", code(err))
		policy, err := c.GetKeyPolicy(w.ctx, &kms.GetKeyPolicyInput{KeyId: &id})
		require.NoError(t, err)
		require.JSONEq(t, *keyPolicy(build, consumer), *policy.Policy)
	})

	t.Run("states", func(t *testing.T) {
		_, err := c.DisableKey(w.ctx, &kms.DisableKeyInput{KeyId: &id})
		require.NoError(t, err)
		_, err = c.CreateGrant(w.ctx, &kms.CreateGrantInput{KeyId: &id, GranteePrincipal: aws.String("arn:aws:iam::" + consumer + ":root"), Operations: []kmstypes.GrantOperation{"Decrypt"}})
		require.Equal(t, "DisabledException", code(err))
		_, err = c.ScheduleKeyDeletion(w.ctx, &kms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: aws.Int32(6)})
		require.Equal(t, "ValidationException", code(err))
		_, err = c.ScheduleKeyDeletion(w.ctx, &kms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: aws.Int32(7)})
		require.NoError(t, err)
		_, err = c.EnableKey(w.ctx, &kms.EnableKeyInput{KeyId: &id})
		require.Equal(t, "KMSInvalidStateException", code(err))
		_, err = c.CancelKeyDeletion(w.ctx, &kms.CancelKeyDeletionInput{KeyId: &id})
		require.NoError(t, err)
		got, err := c.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: &id})
		require.NoError(t, err)
		require.Equal(t, kmstypes.KeyStateDisabled, got.KeyMetadata.KeyState)
		_, err = c.EnableKey(w.ctx, &kms.EnableKeyInput{KeyId: &id})
		require.NoError(t, err)
	})

	t.Run("tags", func(t *testing.T) {
		_, err := c.TagResource(w.ctx, &kms.TagResourceInput{KeyId: &id, Tags: []kmstypes.Tag{{TagKey: aws.String("b"), TagValue: aws.String("2")}}})
		require.NoError(t, err)
		_, err = c.UntagResource(w.ctx, &kms.UntagResourceInput{KeyId: &id, TagKeys: []string{"a"}})
		require.NoError(t, err)
		tags, err := c.ListResourceTags(w.ctx, &kms.ListResourceTagsInput{KeyId: &id})
		require.NoError(t, err)
		require.Equal(t, []kmstypes.Tag{{TagKey: aws.String("b"), TagValue: aws.String("2")}}, tags.Tags)
		seen, err := w.ec2(build, home).DescribeTags(w.ctx, nil)
		require.NoError(t, err)
		require.Empty(t, seen.Tags, "keys are no resources of EC2")
	})

	t.Run("the AWS managed key", func(t *testing.T) {
		got, err := c.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/aws/ebs")})
		require.NoError(t, err)
		require.Equal(t, kmstypes.KeyManagerTypeAws, got.KeyMetadata.KeyManager)
		_, err = c.DisableKey(w.ctx, &kms.DisableKeyInput{KeyId: got.KeyMetadata.Arn})
		require.Equal(t, "AccessDeniedException", code(err))
		_, err = theirs.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: got.KeyMetadata.Arn})
		require.Equal(t, "AccessDeniedException", code(err))
		keys, err := c.ListKeys(w.ctx, nil)
		require.NoError(t, err)
		require.Len(t, keys.Keys, 4, "two of the test's, and the managed ones")
	})

	_, err = c.GenerateRandom(w.ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(8)})
	require.Equal(t, "UnknownOperationException", code(err))
	require.ErrorContains(t, err, "GenerateRandom")
}

func TestCopiesWithBadKeysFailLater(t *testing.T) {
	w := newWorld(t)
	c, there := w.ec2(build, home), w.ec2(build, away)
	id := w.image(c, "plain")
	off, gone, dead := w.key(build, away), w.key(build, home), w.key(build, away)
	_, err := w.kms(build, away).DisableKey(w.ctx, &kms.DisableKeyInput{KeyId: &off})
	require.NoError(t, err)
	_, err = w.kms(build, away).ScheduleKeyDeletion(w.ctx, &kms.ScheduleKeyDeletionInput{KeyId: &dead})
	require.NoError(t, err)
	rsa, err := w.kms(build, away).CreateKey(w.ctx, &kms.CreateKeyInput{KeySpec: kmstypes.KeySpecRsa2048})
	require.NoError(t, err)
	for name, key := range map[string]string{"disabled": off, "of another region": gone, "being deleted": dead, "absent": "alias/nothing",
		"nonsense": "arn:nonsense", "of another account": w.key(consumer, away), "asymmetric": *rsa.KeyMetadata.Arn} {
		t.Run(name, func(t *testing.T) {
			copied := w.copyTo(there, id, home, key)
			i := w.awaitImage(there, copied, types.ImageStateFailed)
			require.Contains(t, *i.StateReason.Message, "Given key ID is not accessible")
		})
	}
	snaps, err := there.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: []types.Filter{filter("status", "error")}})
	require.NoError(t, err)
	require.Len(t, snaps.Snapshots, 7)
	require.Contains(t, *snaps.Snapshots[0].StateMessage, "Given key ID is not accessible")

	good := w.key(build, away)
	i := w.awaitImage(there, w.copyTo(there, id, home, good), types.ImageStateAvailable)
	require.Equal(t, good, *i.BlockDeviceMappings[0].Ebs.KmsKeyId)
	_, err = there.CopyImage(w.ctx, &ec2.CopyImageInput{Name: aws.String("no flag"), SourceImageId: &id, SourceRegion: aws.String(home), KmsKeyId: &good})
	require.Equal(t, "InvalidParameterDependency", code(err))
}

func TestEncryptedImagesOfOthersNeedTheKey(t *testing.T) {
	w := newWorld(t)
	c, theirs := w.ec2(build, home), w.ec2(consumer, home)
	key := w.key(build, home)
	id := w.copyTo(c, w.image(c, "plain"), home, key)
	i := w.awaitImage(c, id, types.ImageStateAvailable)
	snap := i.BlockDeviceMappings[0].Ebs.SnapshotId
	w.share(c, id, consumer)
	_, err := c.ModifySnapshotAttribute(w.ctx, &ec2.ModifySnapshotAttributeInput{SnapshotId: snap, OperationType: types.OperationTypeAdd, UserIds: []string{consumer}})
	require.NoError(t, err)

	launch := func() string {
		out, err := theirs.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: &id, InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
		require.NoError(t, err, "the call is accepted whatever the key")
		return *out.Instances[0].InstanceId
	}
	refused := w.awaitInstance(theirs, launch(), types.InstanceStateNameTerminated)
	require.Equal(t, "Client.InternalError", *refused.StateReason.Code)
	w.awaitImage(theirs, w.copyTo(theirs, id, home, w.key(consumer, home)), types.ImageStateFailed)

	grant, err := w.kms(build, home).CreateGrant(w.ctx, &kms.CreateGrantInput{KeyId: &key, GranteePrincipal: aws.String("arn:aws:iam::" + consumer + ":root"),
		Operations: []kmstypes.GrantOperation{"DescribeKey", "CreateGrant", "Decrypt", "ReEncryptFrom"}})
	require.NoError(t, err)
	w.awaitImage(theirs, w.copyTo(theirs, id, home, w.key(consumer, home)), types.ImageStateAvailable)
	_, err = w.kms(build, home).RevokeGrant(w.ctx, &kms.RevokeGrantInput{KeyId: &key, GrantId: grant.GrantId})
	require.NoError(t, err)
	w.awaitImage(theirs, w.copyTo(theirs, id, home, ""), types.ImageStateFailed)

	_, err = w.kms(build, home).PutKeyPolicy(w.ctx, &kms.PutKeyPolicyInput{KeyId: &key, Policy: keyPolicy(build, consumer)})
	require.NoError(t, err)
	runs := w.awaitInstance(theirs, launch(), types.InstanceStateNameRunning)
	v, err := theirs.DescribeVolumes(w.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{*runs.BlockDeviceMappings[0].Ebs.VolumeId}})
	require.NoError(t, err)
	ebs, err := w.kms(consumer, home).DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/aws/ebs")})
	require.NoError(t, err)
	require.Equal(t, *ebs.KeyMetadata.Arn, *v.Volumes[0].KmsKeyId, "re-encrypted with the consumer's own default key")

	copied := w.awaitImage(theirs, w.copyTo(theirs, id, home, ""), types.ImageStateAvailable)
	require.Equal(t, *ebs.KeyMetadata.Arn, *copied.BlockDeviceMappings[0].Ebs.KmsKeyId)
	_, err = theirs.ModifyImageAttribute(w.ctx, &ec2.ModifyImageAttributeInput{ImageId: copied.ImageId, OperationType: types.OperationTypeAdd, UserIds: []string{stranger}})
	require.Equal(t, "OperationNotPermitted", code(err), "images on the default key cannot be shared")
}

func TestADisabledKeyKeepsInstancesFromStarting(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	key := w.key(build, home)
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{Encrypted: aws.Bool(true), KmsKeyId: &key}}}
	})
	ids := []string{*i.InstanceId}
	_, err := c.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: ids})
	require.NoError(t, err)
	w.awaitInstance(c, ids[0], types.InstanceStateNameStopped)
	_, err = w.kms(build, home).DisableKey(w.ctx, &kms.DisableKeyInput{KeyId: &key})
	require.NoError(t, err)
	_, err = c.StartInstances(w.ctx, &ec2.StartInstancesInput{InstanceIds: ids})
	require.NoError(t, err)
	w.await(func() bool {
		now := w.instance(c, ids[0])
		return now.State.Name == types.InstanceStateNameStopped && now.StateReason != nil && *now.StateReason.Code == "Client.InternalError"
	})
	out, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: &ids[0], Name: aws.String("locked")})
	require.NoError(t, err)
	w.awaitImage(c, *out.ImageId, types.ImageStateFailed)
}

func TestEncryptionByDefault(t *testing.T) {
	w := newWorld(t)
	c, there := w.ec2(build, home), w.ec2(build, away)
	id := w.image(c, "plain")
	got, err := there.GetEbsEncryptionByDefault(w.ctx, nil)
	require.NoError(t, err)
	require.False(t, *got.EbsEncryptionByDefault)
	_, err = there.EnableEbsEncryptionByDefault(w.ctx, nil)
	require.NoError(t, err)
	name, err := there.GetEbsDefaultKmsKeyId(w.ctx, nil)
	require.NoError(t, err)
	require.Equal(t, "alias/aws/ebs", *name.KmsKeyId)
	i := w.awaitImage(there, w.copyTo(there, id, home, ""), types.ImageStateAvailable)
	require.True(t, *i.BlockDeviceMappings[0].Ebs.Encrypted)

	_, err = there.ModifyEbsDefaultKmsKeyId(w.ctx, &ec2.ModifyEbsDefaultKmsKeyIdInput{KmsKeyId: aws.String("alias/none")})
	require.Equal(t, "InvalidParameterValue", code(err))
	key := w.key(build, away)
	_, err = there.ModifyEbsDefaultKmsKeyId(w.ctx, &ec2.ModifyEbsDefaultKmsKeyIdInput{KmsKeyId: &key})
	require.NoError(t, err)
	i = w.awaitImage(there, w.copyTo(there, id, home, ""), types.ImageStateAvailable)
	require.Equal(t, key, *i.BlockDeviceMappings[0].Ebs.KmsKeyId)
	w.share(there, *i.ImageId, consumer)
	reset, err := there.ResetEbsDefaultKmsKeyId(w.ctx, nil)
	require.NoError(t, err)
	require.Equal(t, "alias/aws/ebs", *reset.KmsKeyId)
	_, err = there.DisableEbsEncryptionByDefault(w.ctx, nil)
	require.NoError(t, err)
	w.awaitImage(c, w.copyTo(c, id, home, ""), types.ImageStateAvailable)
}

func TestBlockPublicAccess(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	id := w.image(c, "plain")
	snap := w.see(c, id).BlockDeviceMappings[0].Ebs.SnapshotId
	state, err := c.GetImageBlockPublicAccessState(w.ctx, nil)
	require.NoError(t, err)
	require.Equal(t, "unblocked", *state.ImageBlockPublicAccessState)
	_, err = c.EnableImageBlockPublicAccess(w.ctx, &ec2.EnableImageBlockPublicAccessInput{ImageBlockPublicAccessState: types.ImageBlockPublicAccessEnabledStateBlockNewSharing})
	require.NoError(t, err)
	public := &ec2.ModifyImageAttributeInput{ImageId: &id, OperationType: types.OperationTypeAdd, UserGroups: []string{"all"}}
	_, err = c.ModifyImageAttribute(w.ctx, public)
	require.Equal(t, "OperationNotPermitted", code(err))
	w.share(c, id, consumer)
	_, err = c.DisableImageBlockPublicAccess(w.ctx, nil)
	require.NoError(t, err)
	_, err = c.ModifyImageAttribute(w.ctx, public)
	require.NoError(t, err)
	_, err = c.EnableImageBlockPublicAccess(w.ctx, &ec2.EnableImageBlockPublicAccessInput{ImageBlockPublicAccessState: types.ImageBlockPublicAccessEnabledStateBlockNewSharing})
	require.NoError(t, err)
	require.True(t, *w.see(w.ec2(stranger, home), id).Public, "what was public stays public")

	_, err = c.ModifySnapshotAttribute(w.ctx, &ec2.ModifySnapshotAttributeInput{SnapshotId: snap, OperationType: types.OperationTypeAdd, GroupNames: []string{"all"}})
	require.NoError(t, err)
	sees := func() string {
		_, err := w.ec2(stranger, home).DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*snap}})
		return code(err)
	}
	require.Empty(t, sees())
	_, err = c.EnableSnapshotBlockPublicAccess(w.ctx, &ec2.EnableSnapshotBlockPublicAccessInput{State: types.SnapshotBlockPublicAccessStateBlockAllSharing})
	require.NoError(t, err)
	require.Equal(t, "InvalidSnapshot.NotFound", sees())
	_, err = c.DisableSnapshotBlockPublicAccess(w.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, sees())
}
