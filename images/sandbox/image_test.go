package sandbox_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
)

func TestCreateImage(t *testing.T) {
	driver, disks := newFakeMachines(), newFakeDisks()
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Driver: driver, Disks: disks})
	c := w.ec2(build, home)
	inst := w.run(c, nil)
	out, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: inst.InstanceId, Name: aws.String("web-1"), TagSpecifications: []types.TagSpecification{
		tagged("image", "role", "web"), tagged("snapshot", "role", "web")}})
	require.NoError(t, err)
	i := w.awaitImage(c, *out.ImageId, types.ImageStateAvailable)
	require.Equal(t, *inst.InstanceId, *i.SourceInstanceId, "2.17")
	require.Equal(t, map[string]string{"role": "web"}, tagMap(i.Tags))
	require.Equal(t, "/dev/xvda", *i.RootDeviceName)
	snapshot := *i.BlockDeviceMappings[0].Ebs.SnapshotId
	s, err := c.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{snapshot}})
	require.NoError(t, err)
	require.Equal(t, "Created by CreateImage("+*inst.InstanceId+") for "+*out.ImageId, *s.Snapshots[0].Description, "2.16")
	require.Equal(t, types.SnapshotStateCompleted, s.Snapshots[0].State)
	require.Equal(t, map[string]string{"role": "web"}, tagMap(s.Snapshots[0].Tags), "2.7")
	require.Equal(t, 2, driver.starts(*inst.InstanceId), "a running instance is rebooted (2.5)")
	require.Equal(t, types.InstanceStateNameRunning, w.instance(c, *inst.InstanceId).State.Name)

	_, err = c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: inst.InstanceId, Name: aws.String("web-2"), NoReboot: aws.Bool(true)})
	require.NoError(t, err)
	require.Equal(t, 2, driver.starts(*inst.InstanceId))
}

func TestCreateImageRefuses(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	w.image(c, "taken")
	inst := w.run(c, nil)
	create := func(in ec2.CreateImageInput) string {
		if in.InstanceId == nil {
			in.InstanceId = inst.InstanceId
		}
		_, err := c.CreateImage(w.ctx, &in)
		return code(err)
	}
	for name, want := range map[string]string{"ok": "InvalidAMIName.Malformed", "a*b": "InvalidAMIName.Malformed",
		strings.Repeat("x", 129): "InvalidAMIName.Malformed", "taken": "InvalidAMIName.Duplicate", "web:1": "InvalidAMIName.Malformed"} {
		require.Equal(t, want, create(ec2.CreateImageInput{Name: aws.String(name)}), "2.1, 2.2: %s", name)
	}
	require.Equal(t, "InvalidParameterValue", create(ec2.CreateImageInput{Name: aws.String("new"),
		TagSpecifications: []types.TagSpecification{tagged("instance", "a", "b")}}), "2.7")
	require.Equal(t, "InvalidBlockDeviceMapping", create(ec2.CreateImageInput{Name: aws.String("new"), BlockDeviceMappings: []types.BlockDeviceMapping{
		{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{Encrypted: aws.Bool(true)}}}}), "2.8")
	_, err := c.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{*inst.InstanceId}})
	require.NoError(t, err)
	w.awaitInstance(c, *inst.InstanceId, types.InstanceStateNameTerminated)
	require.Equal(t, "InvalidParameterValue", create(ec2.CreateImageInput{Name: aws.String("new")}), "2.6")
	require.Equal(t, "InvalidInstanceID.NotFound", create(ec2.CreateImageInput{Name: aws.String("new"), InstanceId: aws.String("i-00000000000000000")}))
}

// 2.10, 2.15: an image that cannot be made is failed and says why; while it is pending it has no snapshot ids (2.16).
func TestImageStates(t *testing.T) {
	disks := newFakeDisks()
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Driver: newFakeMachines(), Disks: disks})
	c := w.ec2(build, home)
	inst := w.run(c, nil)
	disks.set(errors.New("disk full"), false)
	out, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: inst.InstanceId, Name: aws.String("web-1")})
	require.NoError(t, err)
	i := w.awaitImage(c, *out.ImageId, types.ImageStateFailed)
	require.Contains(t, *i.StateReason.Message, "disk full")
	require.Equal(t, types.InstanceStateNameRunning, w.instance(c, *inst.InstanceId).State.Name, "the machine is started again")

	disks.set(nil, true)
	out, err = c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: inst.InstanceId, Name: aws.String("web-2")})
	require.NoError(t, err)
	pending := w.see(c, *out.ImageId)
	require.Equal(t, types.ImageStatePending, pending.State)
	require.Nil(t, pending.BlockDeviceMappings[0].Ebs.SnapshotId)
	_, err = c.CopyImage(w.ctx, &ec2.CopyImageInput{Name: aws.String("x-1"), SourceImageId: out.ImageId, SourceRegion: aws.String(home)})
	require.Equal(t, "InvalidAMIID.Unavailable", code(err), "3.3")
	_, err = c.DeregisterImage(w.ctx, &ec2.DeregisterImageInput{ImageId: out.ImageId})
	require.NoError(t, err, "2.19")
	_, err = c.DeregisterImage(w.ctx, &ec2.DeregisterImageInput{ImageId: out.ImageId})
	require.Equal(t, "InvalidAMIID.Unavailable", code(err), "6.9")
}

func TestVisibility(t *testing.T) {
	w := newWorld(t)
	owner, other, third := w.ec2(build, home), w.ec2(consumer, home), w.ec2(stranger, home)
	id := w.image(owner, "web-1", tagged("image", "role", "web", "ec2:SharedTag/team", "a"))
	ask := &ec2.DescribeImagesInput{ImageIds: []string{id}}
	_, err := other.DescribeImages(w.ctx, ask)
	require.Equal(t, "InvalidAMIID.NotFound", code(err))
	_, err = other.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: &id, InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.Equal(t, "InvalidAMIID.NotFound", code(err))

	w.share(owner, id, consumer)
	i := w.see(other, id)
	require.Equal(t, build, *i.OwnerId, "4.13")
	require.Equal(t, map[string]string{"ec2:SharedTag/team": "a"}, tagMap(i.Tags), "4.12: tags are invisible to others")
	_, err = third.DescribeImages(w.ctx, ask)
	require.Equal(t, "InvalidAMIID.NotFound", code(err))
	w.run(other, func(in *ec2.RunInstancesInput) { in.ImageId = &id }) // 4.5: without snapshot permission

	for _, x := range []struct {
		name string
		in   ec2.DescribeImagesInput
		want int
	}{
		{"owner id", ec2.DescribeImagesInput{Owners: []string{build}}, 1},
		{"self", ec2.DescribeImagesInput{Owners: []string{"self"}}, 0},
		{"executable by self", ec2.DescribeImagesInput{ExecutableUsers: []string{"self"}}, 1},
		{"executable by all", ec2.DescribeImagesInput{ExecutableUsers: []string{"all"}}, 1}, // the base image
		{"executable by a third account", ec2.DescribeImagesInput{ExecutableUsers: []string{stranger}}, 0},
		{"public", ec2.DescribeImagesInput{Filters: []types.Filter{filter("is-public", "false")}}, 1},
		{"everything", ec2.DescribeImagesInput{}, 2},
		{"tag of the owner", ec2.DescribeImagesInput{Filters: []types.Filter{filter("tag:role", "web")}}, 0},
		{"name pattern (2.4)", ec2.DescribeImagesInput{Filters: []types.Filter{filter("name", "we?-*")}}, 1},
		{"escaped pattern (2.4)", ec2.DescribeImagesInput{Filters: []types.Filter{filter("name", `web-\*`)}}, 0},
	} {
		out, err := other.DescribeImages(w.ctx, &x.in)
		require.NoError(t, err, x.name)
		require.Len(t, out.Images, x.want, x.name)
	}
	_, err = other.CreateTags(w.ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("default"), Value: aws.String("yes")}}})
	require.NoError(t, err, "4.12: each account has its own tags")
	require.Equal(t, map[string]string{"default": "yes", "ec2:SharedTag/team": "a"}, tagMap(w.see(other, id).Tags))
	require.NotContains(t, tagMap(w.see(owner, id).Tags), "default")

	_, err = other.ModifyImageAttribute(w.ctx, &ec2.ModifyImageAttributeInput{ImageId: &id, Description: &types.AttributeValue{Value: aws.String("mine")}})
	require.Equal(t, "AuthFailure", code(err), "4.4")
	_, err = other.DescribeImageAttribute(w.ctx, &ec2.DescribeImageAttributeInput{ImageId: &id, Attribute: "launchPermission"})
	require.Equal(t, "AuthFailure", code(err), "4.13")
	_, err = other.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Owners: []string{"nobody"}})
	require.Equal(t, "InvalidUserID.Malformed", code(err))
}

func TestLaunchPermissions(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	id := w.image(c, "web-1")
	org := "arn:aws:organizations::111111111111:organization/o-abcdefghij"
	modify := func(add, remove []types.LaunchPermission) string {
		_, err := c.ModifyImageAttribute(w.ctx, &ec2.ModifyImageAttributeInput{ImageId: &id, LaunchPermission: &types.LaunchPermissionModifications{Add: add, Remove: remove}})
		return code(err)
	}
	get := func() []types.LaunchPermission {
		out, err := c.DescribeImageAttribute(w.ctx, &ec2.DescribeImageAttributeInput{ImageId: &id, Attribute: "launchPermission"})
		require.NoError(t, err)
		return out.LaunchPermissions
	}
	require.Empty(t, modify([]types.LaunchPermission{{UserId: aws.String(consumer)}, {OrganizationArn: &org}}, nil))
	require.Empty(t, modify([]types.LaunchPermission{{UserId: aws.String(consumer)}}, nil), "adding twice is no error")
	require.Equal(t, []types.LaunchPermission{{UserId: aws.String(consumer)}, {OrganizationArn: &org}}, get(), "4.1, 4.3")
	require.Equal(t, "InvalidAMIAttributeItemValue", modify([]types.LaunchPermission{{UserId: aws.String("12345")}}, nil), "4.19")
	require.Equal(t, "InvalidAMIAttributeItemValue", modify([]types.LaunchPermission{{OrganizationArn: aws.String("o-abcdefghij")}}, nil), "4.3")
	require.Equal(t, "InvalidAMIAttributeItemValue", modify([]types.LaunchPermission{{Group: "friends"}}, nil))
	var many []types.LaunchPermission
	for n := range 1001 {
		many = append(many, types.LaunchPermission{UserId: aws.String(fmt.Sprintf("%012d", n))})
	}
	require.Equal(t, "ResourceLimitExceeded", modify(many, nil), "4.2")
	require.Len(t, get(), 2)
	require.Empty(t, modify(nil, []types.LaunchPermission{{OrganizationArn: &org}}))
	_, err := c.ResetImageAttribute(w.ctx, &ec2.ResetImageAttributeInput{ImageId: &id, Attribute: "launchPermission"})
	require.NoError(t, err)
	require.Empty(t, get())

	_, err = c.ModifyImageAttribute(w.ctx, &ec2.ModifyImageAttributeInput{ImageId: &id, ImdsSupport: &types.AttributeValue{Value: aws.String("v2.0")}})
	require.NoError(t, err)
	i := w.run(c, func(in *ec2.RunInstancesInput) { in.ImageId = &id })
	require.Equal(t, types.HttpTokensStateRequired, i.MetadataOptions.HttpTokens, "1.23")
	require.Equal(t, int32(2), *i.MetadataOptions.HttpPutResponseHopLimit, "1.23")
}

func TestCopyImage(t *testing.T) {
	w := newWorld(t)
	here, there := w.ec2(build, home), w.ec2(build, away)
	id := w.image(here, "web-1", tagged("image", "role", "web"))
	copyIn := &ec2.CopyImageInput{Name: aws.String("web-1"), SourceImageId: &id, SourceRegion: aws.String(home), CopyImageTags: aws.Bool(true),
		ClientToken: aws.String("copy-1"), TagSpecifications: []types.TagSpecification{tagged("image", "more", "1"), tagged("snapshot", "s", "1")}}
	out, err := there.CopyImage(w.ctx, copyIn)
	require.NoError(t, err)
	i := w.awaitImage(there, *out.ImageId, types.ImageStateAvailable)
	require.Equal(t, id, *i.SourceImageId, "2.17")
	require.Equal(t, home, *i.SourceImageRegion)
	require.Equal(t, map[string]string{"role": "web", "more": "1"}, tagMap(i.Tags), "3.4")
	again, err := there.CopyImage(w.ctx, copyIn)
	require.NoError(t, err)
	require.Equal(t, *out.ImageId, *again.ImageId, "3.1")
	copyIn.Name = aws.String("web-2")
	_, err = there.CopyImage(w.ctx, copyIn)
	require.Equal(t, "IdempotentParameterMismatch", code(err), "1.3")
	copyIn.Name, copyIn.ClientToken = aws.String("web-1"), nil
	same, err := there.CopyImage(w.ctx, copyIn)
	require.NoError(t, err, "2.3: names of copies need not be unique")
	require.NotEqual(t, *out.ImageId, *same.ImageId)
	_, err = there.DescribeImages(w.ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}})
	require.Equal(t, "InvalidAMIID.NotFound", code(err), "images live in one Region")

	copyIn.ClientToken, copyIn.KmsKeyId = nil, aws.String("alias/images") // the SDK has filled a token in
	_, err = there.CopyImage(w.ctx, copyIn)
	require.Equal(t, "InvalidParameterDependency", code(err), "3.6")
	key := w.key(build, away)
	_, err = w.kms(build, away).CreateAlias(w.ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/images"), TargetKeyId: &key})
	require.NoError(t, err)
	copyIn.ClientToken, copyIn.Encrypted = nil, aws.Bool(true)
	out, err = there.CopyImage(w.ctx, copyIn)
	require.NoError(t, err)
	i = w.awaitImage(there, *out.ImageId, types.ImageStateAvailable)
	require.True(t, *i.BlockDeviceMappings[0].Ebs.Encrypted)
	require.Equal(t, key, *i.BlockDeviceMappings[0].Ebs.KmsKeyId)
	copyIn.ClientToken, copyIn.KmsKeyId = nil, nil
	out, err = there.CopyImage(w.ctx, copyIn)
	require.NoError(t, err)
	w.awaitImage(there, *out.ImageId, types.ImageStateAvailable)
	_, err = there.ModifyImageAttribute(w.ctx, &ec2.ModifyImageAttributeInput{ImageId: out.ImageId, LaunchPermission: &types.LaunchPermissionModifications{
		Add: []types.LaunchPermission{{UserId: aws.String(consumer)}}}})
	require.Equal(t, "OperationNotPermitted", code(err), "4.7: the default key cannot be shared")
}

// 4.6: copying a shared image needs snapshot permission as well.
func TestCopySharedImage(t *testing.T) {
	w := newWorld(t)
	owner, other := w.ec2(build, home), w.ec2(consumer, home)
	id := w.image(owner, "web-1")
	w.share(owner, id, consumer)
	in := &ec2.CopyImageInput{Name: aws.String("web-1"), SourceImageId: &id, SourceRegion: aws.String(home)}
	_, err := other.CopyImage(w.ctx, in)
	require.Equal(t, "InvalidRequest", code(err))
	snapshot := w.see(owner, id).BlockDeviceMappings[0].Ebs.SnapshotId
	_, err = owner.ModifySnapshotAttribute(w.ctx, &ec2.ModifySnapshotAttributeInput{SnapshotId: snapshot,
		CreateVolumePermission: &types.CreateVolumePermissionModifications{Add: []types.CreateVolumePermission{{UserId: aws.String(consumer)}}}})
	require.NoError(t, err)
	out, err := other.CopyImage(w.ctx, in)
	require.NoError(t, err)
	i := w.awaitImage(other, *out.ImageId, types.ImageStateAvailable)
	require.Equal(t, consumer, *i.OwnerId)
	perms, err := other.DescribeImageAttribute(w.ctx, &ec2.DescribeImageAttributeInput{ImageId: out.ImageId, Attribute: "launchPermission"})
	require.NoError(t, err)
	require.Empty(t, perms.LaunchPermissions, "3.5")
}

func TestRetirement(t *testing.T) {
	w := newWorld(t)
	owner, other := w.ec2(build, home), w.ec2(consumer, home)
	id := w.image(owner, "web-1")
	w.share(owner, id, consumer)
	sees := func(include bool) int {
		out, err := other.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Owners: []string{build}, IncludeDeprecated: &include})
		require.NoError(t, err)
		return len(out.Images)
	}
	deprecate := func(at time.Time) string {
		_, err := owner.EnableImageDeprecation(w.ctx, &ec2.EnableImageDeprecationInput{ImageId: &id, DeprecateAt: &at})
		return code(err)
	}
	require.Equal(t, "InvalidParameterValue", deprecate(time.Now().Add(-time.Hour)), "6.1")
	require.Equal(t, "InvalidParameterValue", deprecate(time.Now().AddDate(11, 0, 0)), "6.1")
	at := time.Date(time.Now().Year()+1, 1, 1, 0, 0, 31, 0, time.UTC)
	require.Empty(t, deprecate(at))
	require.Contains(t, *w.see(owner, id).DeprecationTime, "-01-01T00:01:00", "6.1: rounded to the minute")
	require.Equal(t, 1, sees(false))

	_, err := owner.DisableImage(w.ctx, &ec2.DisableImageInput{ImageId: &id})
	require.NoError(t, err)
	require.Equal(t, 0, sees(true), "6.4: disabling takes the shares away")
	_, err = owner.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: &id, InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.Equal(t, "InvalidAMIID.Unavailable", code(err), "6.4")
	_, err = owner.EnableImage(w.ctx, &ec2.EnableImageInput{ImageId: &id})
	require.NoError(t, err)
	require.Equal(t, 0, sees(true), "6.4: enabling does not bring them back")

	_, err = owner.EnableImageDeregistrationProtection(w.ctx, &ec2.EnableImageDeregistrationProtectionInput{ImageId: &id})
	require.NoError(t, err)
	_, err = owner.DeregisterImage(w.ctx, &ec2.DeregisterImageInput{ImageId: &id})
	require.Equal(t, "OperationNotPermitted", code(err), "6.6")
	_, err = owner.DisableImageDeregistrationProtection(w.ctx, &ec2.DisableImageDeregistrationProtectionInput{ImageId: &id})
	require.NoError(t, err)

	snapshot := w.see(owner, id).BlockDeviceMappings[0].Ebs.SnapshotId
	_, err = owner.DeleteSnapshot(w.ctx, &ec2.DeleteSnapshotInput{SnapshotId: snapshot})
	require.Equal(t, "InvalidSnapshot.InUse", code(err), "6.9")
	_, err = owner.RegisterImage(w.ctx, &ec2.RegisterImageInput{Name: aws.String("web-1b"), RootDeviceName: aws.String("/dev/xvda"), BlockDeviceMappings: []types.BlockDeviceMapping{
		{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: snapshot}}}})
	require.NoError(t, err)
	out, err := owner.DeregisterImage(w.ctx, &ec2.DeregisterImageInput{ImageId: &id, DeleteAssociatedSnapshots: aws.Bool(true)})
	require.NoError(t, err)
	require.Equal(t, types.SnapshotReturnCodesWarnSkipped, out.DeleteSnapshotResults[0].ReturnCode, "6.7: another image uses it")
	gone, err := owner.DescribeImages(w.ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}})
	require.NoError(t, err, "6.9: a deregistered id gives nothing, not an error")
	require.Empty(t, gone.Images)
	left, err := owner.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{filter("block-device-mapping.snapshot-id", *snapshot)}})
	require.NoError(t, err)
	out, err = owner.DeregisterImage(w.ctx, &ec2.DeregisterImageInput{ImageId: left.Images[0].ImageId, DeleteAssociatedSnapshots: aws.Bool(true)})
	require.NoError(t, err)
	require.Equal(t, types.SnapshotReturnCodesSuccess, out.DeleteSnapshotResults[0].ReturnCode)
}

// 6.2: what is deprecated is hidden from others unless they ask for it, never from the owner.
func TestDeprecatedImages(t *testing.T) {
	clock := &fakeClock{at: time.Now()}
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Clock: clock.now})
	owner, other := w.ec2(build, home), w.ec2(consumer, home)
	id := w.image(owner, "web-1")
	w.share(owner, id, consumer)
	at := clock.now().Add(3 * time.Minute)
	_, err := owner.EnableImageDeprecation(w.ctx, &ec2.EnableImageDeprecationInput{ImageId: &id, DeprecateAt: &at})
	require.NoError(t, err)
	clock.add(10 * time.Minute)
	count := func(c *ec2.Client, in ec2.DescribeImagesInput) int {
		in.Owners = []string{build}
		out, err := c.DescribeImages(w.ctx, &in)
		require.NoError(t, err)
		return len(out.Images)
	}
	require.Equal(t, 1, count(owner, ec2.DescribeImagesInput{}))
	require.Equal(t, 0, count(other, ec2.DescribeImagesInput{}))
	require.Equal(t, 1, count(other, ec2.DescribeImagesInput{IncludeDeprecated: aws.Bool(true)}))
	require.Equal(t, 1, count(other, ec2.DescribeImagesInput{ImageIds: []string{id}}))
	w.run(other, func(in *ec2.RunInstancesInput) { in.ImageId = &id })
}
