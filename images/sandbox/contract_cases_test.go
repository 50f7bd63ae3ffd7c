package sandbox_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

const (
	ec2API = "AWSEC2/latest/APIReference/"
	ec2UG  = "AWSEC2/latest/UserGuide/"
	ssmAPI = "systems-manager/latest/APIReference/"
)

// contract is the rules that both this sandbox and AWS keep. A case makes all that it needs, and needs no machine.
var contract = []contractCase{
	{"an id is not found", ec2API + "errors-overview.html", "", (*endpoint).notFound},
	{"an image id is malformed", ec2API + "errors-overview.html", "a malformed image id is not found", (*endpoint).malformed},
	{"a dry run is an error with status 412", ec2API + "CommonParameters.html", "", (*endpoint).dryRun},
	{"key pairs have unique names", ec2API + "API_ImportKeyPair.html", "", (*endpoint).keyPairs},
	{"tags: 50 on a resource, filters with wildcards", ec2UG + "Using_Tags.html", "", (*endpoint).tags},
	{"tags: aws: is reserved, a key has 128 characters at most", ec2UG + "Using_Tags.html", "CreateTags checks neither prefix nor length", (*endpoint).tagRules},
	{"image names are 3 to 128 characters of a set", ec2API + "API_RegisterImage.html", "RegisterImage accepts every name", (*endpoint).imageNames},
	{"image names are unique", ec2API + "API_RegisterImage.html", "RegisterImage accepts a name twice", (*endpoint).uniqueNames},
	{"a registered image shows its mapping, and its snapshot is in use", ec2API + "API_DeleteSnapshot.html", "RegisterImage drops the block device mappings", (*endpoint).mappings},
	{"deregistering twice is Unavailable", ec2API + "errors-overview.html", "", (*endpoint).deregister},
	{"deregistering deletes snapshots when asked, and says so", ec2API + "API_DeregisterImage.html", "DeleteAssociatedSnapshots is ignored", (*endpoint).deleteSnapshots},
	{"launch permissions name accounts of 12 digits", ec2API + "API_ModifyImageAttribute.html", "", (*endpoint).launchPermissions},
	{"snapshots are shared by OperationType", ec2API + "API_ModifySnapshotAttribute.html", "", (*endpoint).snapshotPermissions},
	{"snapshots are shared by CreateVolumePermission", ec2API + "API_ModifySnapshotAttribute.html", "the struct form answers 200 and does nothing", (*endpoint).snapshotPermissionStruct},
	{"deprecation is rounded to the minute", ec2API + "API_EnableImageDeprecation.html", "EnableImageDeprecation is not there (HTTP 500)", (*endpoint).deprecation},
	{"a disabled image cannot be shared", ec2API + "API_DisableImage.html", "DisableImage is not there (HTTP 500)", (*endpoint).disabled},
	{"a copy keeps tags when asked", ec2API + "API_CopyImage.html", "CopyImage ignores CopyImageTags", (*endpoint).copyTags},
	{"a copy with an absent key fails later", ec2API + "API_CopyImage.html", "EC2 never asks KMS", (*endpoint).badKey},
	{"images come in pages", ec2API + "API_DescribeImages.html", "DescribeImages ignores MaxResults", (*endpoint).pages},
	{"unknown keys are refused", ec2API + "errors-overview.html", "unknown keys act in the default account", (*endpoint).unknownKeys},
	{"a ClientToken makes a volume once", ec2API + "ec2-api-idempotency.html", "CreateVolume ignores ClientToken", (*endpoint).tokens},
	{"launch templates have versions", ec2API + "API_CreateLaunchTemplateVersion.html", "", (*endpoint).templates},
	{"a launch template version can start from another", ec2API + "API_CreateLaunchTemplateVersion.html", "SourceVersion is ignored", (*endpoint).sourceVersion},
	{"resolve:ssm: is resolved on request", ec2API + "API_DescribeLaunchTemplateVersions.html", "ResolveAlias is ignored", (*endpoint).resolveAlias},
	{"a parameter is made once, and overwritten without tags", ssmAPI + "API_PutParameter.html", "", (*endpoint).parameters},
	{"labels move, and bad ones are no error", ssmAPI + "API_LabelParameterVersion.html", "", (*endpoint).labels},
	{"aws:ec2:image is checked later", "systems-manager/latest/userguide/parameter-store-ec2-aliases.html", "the value is not checked", (*endpoint).imageParameter},
	{"keys have aliases", "kms/latest/APIReference/API_CreateAlias.html", "", (*endpoint).keyAliases},
	{"keys have states", "kms/latest/developerguide/key-state.html", "grants are made with disabled keys, and keys pending deletion are enabled", (*endpoint).keyStates},
	{"parameters have rules", ssmAPI + "API_PutParameter.html", "a name with levels and no leading slash, a/b, is accepted", (*endpoint).parameterRules},
	{"a value of more than 4 KB needs the advanced tier", "systems-manager/latest/userguide/parameter-store-advanced-parameters.html", "a value of the standard tier can have any length", (*endpoint).parameterTiers},
	{"instances have states", ec2UG + "ec2-instance-lifecycle.html", "calls do not look at the state", (*endpoint).instances},
	{"a ClientToken launches once", ec2API + "ec2-api-idempotency.html", "RunInstances ignores ClientToken", (*endpoint).launchTokens},
	{"a security group in use stays", ec2API + "API_DeleteSecurityGroup.html", "a group in use is deleted", (*endpoint).groupInUse},
	{"an image of an instance", ec2API + "API_CreateImage.html", "CreateImage does not know TagSpecifications for snapshots (HTTP 500)", (*endpoint).createImage},
	{"volumes are attached and detached", ec2API + "API_AttachVolume.html", "a volume in use is attached once more", (*endpoint).attachments},
	{"a volume is not found, nor the snapshot for one", ec2API + "errors-overview.html", "", (*endpoint).volumeErrors},
	{"volumes that a launch adds stay, unless told", ec2UG + "preserving-volumes-on-termination.html", "an instance with block device mappings has no root volume", (*endpoint).launchVolumes},
	{"an image of several volumes", ec2API + "API_RegisterImage.html", "RegisterImage drops the block device mappings", (*endpoint).imageVolumes},
	{"callers have an identity, roles sessions with a name", "STS/latest/APIReference/API_AssumeRole.html", "RoleSessionName is not checked", (*endpoint).caller},
}

// snapshot makes an empty snapshot of 1 GiB.
func (e *endpoint) snapshot() string {
	e.t.Helper()
	v, err := e.ec2.CreateVolume(e.ctx, &ec2.CreateVolumeInput{AvailabilityZone: &e.zone, Size: aws.Int32(1)})
	require.NoError(e.t, err)
	e.undo("volume "+*v.VolumeId, func(ctx context.Context) error {
		_, err := e.ec2.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: v.VolumeId})
		return err
	})
	require.NoError(e.t, ec2.NewVolumeAvailableWaiter(e.ec2, func(o *ec2.VolumeAvailableWaiterOptions) { o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Second }).
		Wait(e.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{*v.VolumeId}}, 5*time.Minute))
	s, err := e.ec2.CreateSnapshot(e.ctx, &ec2.CreateSnapshotInput{VolumeId: v.VolumeId})
	require.NoError(e.t, err)
	e.undo("snapshot "+*s.SnapshotId, func(ctx context.Context) error {
		_, err := e.ec2.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: s.SnapshotId})
		if code(err) == "InvalidSnapshot.NotFound" {
			return nil
		}
		return err
	})
	require.NoError(e.t, ec2.NewSnapshotCompletedWaiter(e.ec2, func(o *ec2.SnapshotCompletedWaiterOptions) { o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Second }).
		Wait(e.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*s.SnapshotId}}, 5*time.Minute))
	return *s.SnapshotId
}

func (e *endpoint) registration(name, snapshot string) *ec2.RegisterImageInput {
	return &ec2.RegisterImageInput{Name: &name, Architecture: "x86_64", RootDeviceName: aws.String("/dev/xvda"), VirtualizationType: aws.String("hvm"),
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: &snapshot}}}}
}

// image registers an image of a fresh snapshot.
func (e *endpoint) image(name string) (id, snapshot string) {
	e.t.Helper()
	snapshot = e.snapshot()
	out, err := e.ec2.RegisterImage(e.ctx, e.registration(name, snapshot))
	require.NoError(e.t, err)
	e.forget(*out.ImageId)
	require.NoError(e.t, ec2.NewImageAvailableWaiter(e.ec2, func(o *ec2.ImageAvailableWaiterOptions) { o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Second }).
		Wait(e.ctx, &ec2.DescribeImagesInput{ImageIds: []string{*out.ImageId}}, 5*time.Minute))
	return *out.ImageId, snapshot
}

// forget deregisters an image at the end, with the snapshots of a copy.
func (e *endpoint) forget(id string) {
	e.undo("image "+id, func(ctx context.Context) error {
		_, err := e.ec2.DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: &id, DeleteAssociatedSnapshots: aws.Bool(true)})
		if c := code(err); c == "InvalidAMIID.Unavailable" || c == "InvalidAMIID.NotFound" { // it is gone already, as a failed copy goes by itself
			return nil
		}
		return err
	})
}

func (e *endpoint) malformed() {
	_, err := e.ec2.DescribeImages(e.ctx, &ec2.DescribeImagesInput{ImageIds: []string{"ami-nonsense"}})
	require.Equal(e.t, "InvalidAMIID.Malformed", code(err))
	require.Equal(e.t, 400, status(err))
}

func (e *endpoint) notFound() {
	_, err := e.ec2.DescribeImages(e.ctx, &ec2.DescribeImagesInput{ImageIds: []string{"ami-00000000000000001"}})
	require.Equal(e.t, "InvalidAMIID.NotFound", code(err))
	require.Equal(e.t, 400, status(err))
	_, err = e.ec2.DescribeInstances(e.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{"i-00000000000000001"}})
	require.Equal(e.t, "InvalidInstanceID.NotFound", code(err))
	_, err = e.ec2.DescribeSnapshots(e.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{"snap-00000000000000001"}})
	require.Equal(e.t, "InvalidSnapshot.NotFound", code(err))
}

func (e *endpoint) dryRun() {
	_, err := e.ec2.CreateVolume(e.ctx, &ec2.CreateVolumeInput{AvailabilityZone: &e.zone, Size: aws.Int32(1), DryRun: aws.Bool(true)})
	require.Equal(e.t, "DryRunOperation", code(err))
	require.Equal(e.t, 412, status(err))
}

func (e *endpoint) keyPairs() {
	_, err := e.ec2.CreateKeyPair(e.ctx, &ec2.CreateKeyPairInput{KeyName: &e.name})
	require.NoError(e.t, err)
	remove := func(ctx context.Context) error {
		_, err := e.ec2.DeleteKeyPair(ctx, &ec2.DeleteKeyPairInput{KeyName: &e.name})
		return err
	}
	e.undo("key pair "+e.name, remove)
	_, err = e.ec2.CreateKeyPair(e.ctx, &ec2.CreateKeyPairInput{KeyName: &e.name})
	require.Equal(e.t, "InvalidKeyPair.Duplicate", code(err))
	require.NoError(e.t, remove(e.ctx))
	require.NoError(e.t, remove(e.ctx), "deleting what is not there is no error")
}

func (e *endpoint) tags() {
	s := e.snapshot()
	var many []types.Tag
	for n := range 51 {
		many = append(many, types.Tag{Key: aws.String(fmt.Sprint("key", n)), Value: &e.name})
	}
	_, err := e.ec2.CreateTags(e.ctx, &ec2.CreateTagsInput{Resources: []string{s}, Tags: many})
	require.Equal(e.t, "TagLimitExceeded", code(err))
	_, err = e.ec2.CreateTags(e.ctx, &ec2.CreateTagsInput{Resources: []string{s}, Tags: many[:50]})
	require.NoError(e.t, err)
	out, err := e.ec2.DescribeSnapshots(e.ctx, &ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("tag:key7", e.name[:len(e.name)-2]+"*")}})
	require.NoError(e.t, err)
	require.Len(e.t, out.Snapshots, 1)
	_, err = e.ec2.CreateTags(e.ctx, &ec2.CreateTagsInput{Resources: []string{"snap-00000000000000001"}, Tags: many[:1]})
	require.Equal(e.t, "InvalidSnapshot.NotFound", code(err))
}

func (e *endpoint) tagRules() {
	s := e.snapshot()
	for _, key := range []string{"aws:mine", strings.Repeat("k", 129)} {
		_, err := e.ec2.CreateTags(e.ctx, &ec2.CreateTagsInput{Resources: []string{s}, Tags: []types.Tag{{Key: &key, Value: aws.String("")}}})
		require.Equal(e.t, "InvalidParameterValue", code(err))
	}
}

func (e *endpoint) imageNames() {
	s := e.snapshot()
	for _, name := range []string{"ab", "no#pe", strings.Repeat("n", 129)} {
		_, err := e.ec2.RegisterImage(e.ctx, e.registration(name, s))
		require.Equal(e.t, "InvalidAMIName.Malformed", code(err))
	}
}

func (e *endpoint) uniqueNames() {
	_, s := e.image(e.name)
	_, err := e.ec2.RegisterImage(e.ctx, e.registration(e.name, s))
	require.Equal(e.t, "InvalidAMIName.Duplicate", code(err))
}

func (e *endpoint) mappings() {
	id, s := e.image(e.name)
	out, err := e.ec2.DescribeImages(e.ctx, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{filter("block-device-mapping.snapshot-id", s)}})
	require.NoError(e.t, err)
	require.Len(e.t, out.Images, 1)
	require.Equal(e.t, id, *out.Images[0].ImageId)
	_, err = e.ec2.DeleteSnapshot(e.ctx, &ec2.DeleteSnapshotInput{SnapshotId: &s})
	require.Equal(e.t, "InvalidSnapshot.InUse", code(err))
}

func (e *endpoint) deregister() {
	id, _ := e.image(e.name)
	_, err := e.ec2.DeregisterImage(e.ctx, &ec2.DeregisterImageInput{ImageId: &id})
	require.NoError(e.t, err)
	_, err = e.ec2.DeregisterImage(e.ctx, &ec2.DeregisterImageInput{ImageId: &id})
	require.Equal(e.t, "InvalidAMIID.Unavailable", code(err))
}

func (e *endpoint) deleteSnapshots() {
	id, s := e.image(e.name)
	other, err := e.ec2.RegisterImage(e.ctx, e.registration(e.name+"-2", s))
	require.NoError(e.t, err)
	e.forget(*other.ImageId)
	out, err := e.ec2.DeregisterImage(e.ctx, &ec2.DeregisterImageInput{ImageId: &id, DeleteAssociatedSnapshots: aws.Bool(true)})
	require.NoError(e.t, err)
	require.Len(e.t, out.DeleteSnapshotResults, 1)
	require.Equal(e.t, types.SnapshotReturnCodesWarnSkipped, out.DeleteSnapshotResults[0].ReturnCode, "the other image uses it")
	out, err = e.ec2.DeregisterImage(e.ctx, &ec2.DeregisterImageInput{ImageId: other.ImageId, DeleteAssociatedSnapshots: aws.Bool(true)})
	require.NoError(e.t, err)
	require.Len(e.t, out.DeleteSnapshotResults, 1)
	require.Equal(e.t, types.SnapshotReturnCodesSuccess, out.DeleteSnapshotResults[0].ReturnCode)
}

func (e *endpoint) launchPermissions() {
	id, _ := e.image(e.name)
	share := func(account string) error {
		_, err := e.ec2.ModifyImageAttribute(e.ctx, &ec2.ModifyImageAttributeInput{ImageId: &id,
			LaunchPermission: &types.LaunchPermissionModifications{Add: []types.LaunchPermission{{UserId: &account}}}})
		return err
	}
	require.Equal(e.t, "InvalidAMIAttributeItemValue", code(share("12345")))
	require.NoError(e.t, share(consumer))
	out, err := e.ec2.DescribeImageAttribute(e.ctx, &ec2.DescribeImageAttributeInput{ImageId: &id, Attribute: "launchPermission"})
	require.NoError(e.t, err)
	require.Equal(e.t, []types.LaunchPermission{{UserId: aws.String(consumer)}}, out.LaunchPermissions)
}

func (e *endpoint) sharedWith(snapshot string) []types.CreateVolumePermission {
	out, err := e.ec2.DescribeSnapshotAttribute(e.ctx, &ec2.DescribeSnapshotAttributeInput{SnapshotId: &snapshot, Attribute: "createVolumePermission"})
	require.NoError(e.t, err)
	return out.CreateVolumePermissions
}

func (e *endpoint) snapshotPermissions() {
	s := e.snapshot()
	_, err := e.ec2.ModifySnapshotAttribute(e.ctx, &ec2.ModifySnapshotAttributeInput{SnapshotId: &s, Attribute: "createVolumePermission", OperationType: "add", UserIds: []string{consumer}})
	require.NoError(e.t, err)
	require.Equal(e.t, []types.CreateVolumePermission{{UserId: aws.String(consumer)}}, e.sharedWith(s))
}

func (e *endpoint) snapshotPermissionStruct() {
	s := e.snapshot()
	_, err := e.ec2.ModifySnapshotAttribute(e.ctx, &ec2.ModifySnapshotAttributeInput{SnapshotId: &s,
		CreateVolumePermission: &types.CreateVolumePermissionModifications{Add: []types.CreateVolumePermission{{UserId: aws.String(consumer)}}}})
	require.NoError(e.t, err)
	require.Len(e.t, e.sharedWith(s), 1)
}

func (e *endpoint) deprecation() {
	id, _ := e.image(e.name)
	at := time.Now().Add(time.Hour).Truncate(time.Minute).Add(17 * time.Second)
	_, err := e.ec2.EnableImageDeprecation(e.ctx, &ec2.EnableImageDeprecationInput{ImageId: &id, DeprecateAt: &at})
	require.NoError(e.t, err)
	out, err := e.ec2.DescribeImages(e.ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}})
	require.NoError(e.t, err)
	seen, err := time.Parse(time.RFC3339, *out.Images[0].DeprecationTime)
	require.NoError(e.t, err)
	require.WithinDuration(e.t, at, seen, 30*time.Second)
	require.Zero(e.t, seen.Second())
	past := time.Now().Add(-time.Hour)
	_, err = e.ec2.EnableImageDeprecation(e.ctx, &ec2.EnableImageDeprecationInput{ImageId: &id, DeprecateAt: &past})
	require.NotEmpty(e.t, code(err))
}

func (e *endpoint) disabled() {
	id, _ := e.image(e.name)
	_, err := e.ec2.DisableImage(e.ctx, &ec2.DisableImageInput{ImageId: &id})
	require.NoError(e.t, err)
	_, err = e.ec2.ModifyImageAttribute(e.ctx, &ec2.ModifyImageAttributeInput{ImageId: &id,
		LaunchPermission: &types.LaunchPermissionModifications{Add: []types.LaunchPermission{{UserId: aws.String(consumer)}}}})
	require.NotEmpty(e.t, code(err))
	hidden, err := e.ec2.DescribeImages(e.ctx, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{filter("name", e.name)}})
	require.NoError(e.t, err)
	require.Empty(e.t, hidden.Images, "without IncludeDisabled")
	_, err = e.ec2.EnableImage(e.ctx, &ec2.EnableImageInput{ImageId: &id})
	require.NoError(e.t, err)
}

func (e *endpoint) copyTags() {
	id, _ := e.image(e.name)
	_, err := e.ec2.CreateTags(e.ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("role"), Value: aws.String("web")}}})
	require.NoError(e.t, err)
	out, err := e.ec2.CopyImage(e.ctx, &ec2.CopyImageInput{Name: aws.String(e.name + "-copy"), SourceImageId: &id, SourceRegion: &e.cfg.Region, CopyImageTags: aws.Bool(true)})
	require.NoError(e.t, err)
	e.forget(*out.ImageId)
	require.NoError(e.t, ec2.NewImageAvailableWaiter(e.ec2, func(o *ec2.ImageAvailableWaiterOptions) { o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Second }).
		Wait(e.ctx, &ec2.DescribeImagesInput{ImageIds: []string{*out.ImageId}}, 10*time.Minute))
	seen, err := e.ec2.DescribeImages(e.ctx, &ec2.DescribeImagesInput{ImageIds: []string{*out.ImageId}})
	require.NoError(e.t, err)
	require.Equal(e.t, "web", tagMap(seen.Images[0].Tags)["role"])
}

func (e *endpoint) badKey() {
	id, _ := e.image(e.name)
	out, err := e.ec2.CopyImage(e.ctx, &ec2.CopyImageInput{Name: aws.String(e.name + "-copy"), SourceImageId: &id, SourceRegion: &e.cfg.Region,
		Encrypted: aws.Bool(true), KmsKeyId: aws.String("alias/" + e.name)})
	require.NoError(e.t, err, "the key is looked at later")
	e.forget(*out.ImageId)
	require.Eventually(e.t, func() bool {
		seen, err := e.ec2.DescribeImages(e.ctx, &ec2.DescribeImagesInput{ImageIds: []string{*out.ImageId}})
		return err == nil && len(seen.Images) == 1 && seen.Images[0].State == types.ImageStateFailed && seen.Images[0].StateReason != nil
	}, 5*time.Minute, 10*time.Millisecond)
}

func (e *endpoint) pages() {
	_, s := e.image(e.name + "-1")
	second, err := e.ec2.RegisterImage(e.ctx, e.registration(e.name+"-2", s))
	require.NoError(e.t, err)
	e.forget(*second.ImageId)
	pages, n := ec2.NewDescribeImagesPaginator(e.ec2, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{filter("name", e.name+"*")}, MaxResults: aws.Int32(1)}), 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(e.ctx)
		require.NoError(e.t, err)
		require.LessOrEqual(e.t, len(page.Images), 1)
		n += len(page.Images)
	}
	require.Equal(e.t, 2, n)
}

func (e *endpoint) unknownKeys() {
	cfg := e.cfg.Copy()
	cfg.Credentials = credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "nobody's", "")
	_, err := ec2.NewFromConfig(cfg).DescribeRegions(e.ctx, nil)
	require.Equal(e.t, "AuthFailure", code(err))
	require.Equal(e.t, 401, status(err))
}

func (e *endpoint) tokens() {
	in := &ec2.CreateVolumeInput{AvailabilityZone: &e.zone, Size: aws.Int32(1), ClientToken: &e.name}
	first, err := e.ec2.CreateVolume(e.ctx, in)
	require.NoError(e.t, err)
	e.undo("volume "+*first.VolumeId, func(ctx context.Context) error {
		_, err := e.ec2.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: first.VolumeId})
		return err
	})
	again, err := e.ec2.CreateVolume(e.ctx, in)
	require.NoError(e.t, err)
	require.Equal(e.t, *first.VolumeId, *again.VolumeId)
	in.Size = aws.Int32(2)
	_, err = e.ec2.CreateVolume(e.ctx, in)
	require.Equal(e.t, "IdempotentParameterMismatch", code(err))
}
