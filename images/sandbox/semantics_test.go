package sandbox_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
)

// register makes an image of a snapshot.
func (w *world) register(c *ec2.Client, name string, snapshot *string) (string, string) {
	w.t.Helper()
	out, err := c.RegisterImage(w.ctx, &ec2.RegisterImageInput{Name: &name, Architecture: "x86_64", RootDeviceName: aws.String("/dev/xvda"),
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: snapshot}}}})
	if err != nil {
		return "", code(err)
	}
	return *out.ImageId, ""
}

// 2.2: a name is taken in one account and Region, by CreateImage and RegisterImage alike, until its image is deregistered.
func TestNamesAreUniquePerAccountAndRegion(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	id := w.image(c, "web-1")
	snapshot := w.see(c, id).BlockDeviceMappings[0].Ebs.SnapshotId
	_, e := w.register(c, "web-1", snapshot)
	require.Equal(t, "InvalidAMIName.Duplicate", e)
	_, e = w.register(c, "no#pe", snapshot)
	require.Equal(t, "InvalidAMIName.Malformed", e)
	w.image(w.ec2(consumer, home), "web-1")
	there := w.ec2(build, away)
	run := w.run(there, func(in *ec2.RunInstancesInput) { in.ImageId = aws.String(w.base(away)) })
	_, err := there.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: run.InstanceId, Name: aws.String("web-1")})
	require.NoError(t, err)
	_, err = c.DeregisterImage(w.ctx, &ec2.DeregisterImageInput{ImageId: &id})
	require.NoError(t, err)
	_, e = w.register(c, "web-1", snapshot)
	require.Empty(t, e, "the name is free again")
}

// 1.5: a call without a ClientToken does its work again: two snapshots, and for names and keys an error.
func TestCallsWithoutTokens(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	i := w.run(c, nil)
	seen := map[string]bool{}
	for range 2 {
		s, err := c.CreateSnapshot(w.ctx, &ec2.CreateSnapshotInput{VolumeId: i.BlockDeviceMappings[0].Ebs.VolumeId})
		require.NoError(t, err)
		seen[*s.SnapshotId] = true
	}
	require.Len(t, seen, 2)
	for n, want := range []string{"", "InvalidAMIName.Duplicate"} {
		_, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: aws.String("twice"), NoReboot: aws.Bool(true)})
		require.Equal(t, want, code(err), n)
	}
}

// The codes of item 5, with EC2's HTTP status.
func TestStatusOfErrors(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	id := w.image(c, "web-1")
	snapshot := w.see(c, id).BlockDeviceMappings[0].Ebs.SnapshotId
	group, err := c.CreateSecurityGroup(w.ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("g"), Description: aws.String("d")})
	require.NoError(t, err)
	i := w.run(c, func(in *ec2.RunInstancesInput) { in.SecurityGroupIds = []string{*group.GroupId} })
	_, err = c.ImportKeyPair(w.ctx, &ec2.ImportKeyPairInput{KeyName: aws.String("k"), PublicKeyMaterial: []byte(testKey)})
	require.NoError(t, err)
	launch := func(image, token string) error {
		_, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: &image, InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1), ClientToken: &token})
		return err
	}
	require.NoError(t, launch(id, "token"))
	for want, do := range map[string]func() error{
		"InvalidAMIID.NotFound":       func() error { return launch("ami-00000000000000000", "1") },
		"InvalidAMIID.Malformed":      func() error { return launch("ami-xyz", "2") },
		"IdempotentParameterMismatch": func() error { return launch(w.base(home), "token") },
		"InvalidAMIID.Unavailable": func() error {
			gone, _ := w.register(c, "gone", snapshot)
			_, err := c.DeregisterImage(w.ctx, &ec2.DeregisterImageInput{ImageId: &gone})
			require.NoError(t, err)
			return launch(gone, "3")
		},
		"IncorrectInstanceState": func() error {
			_, err := c.ModifyInstanceAttribute(w.ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: i.InstanceId, InstanceType: &types.AttributeValue{Value: aws.String("t3.large")}})
			return err
		},
		"DependencyViolation": func() error {
			_, err := c.DeleteSecurityGroup(w.ctx, &ec2.DeleteSecurityGroupInput{GroupId: group.GroupId})
			return err
		},
		"InvalidSnapshot.InUse": func() error {
			_, err := c.DeleteSnapshot(w.ctx, &ec2.DeleteSnapshotInput{SnapshotId: snapshot})
			return err
		},
		"InvalidKeyPair.Duplicate": func() error {
			_, err := c.ImportKeyPair(w.ctx, &ec2.ImportKeyPairInput{KeyName: aws.String("k"), PublicKeyMaterial: []byte(testKey)})
			return err
		},
		"InvalidInstanceID.NotFound": func() error {
			_, err := c.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{"i-00000000000000000"}})
			return err
		},
		"VolumeInUse": func() error {
			_, err := c.DeleteVolume(w.ctx, &ec2.DeleteVolumeInput{VolumeId: i.BlockDeviceMappings[0].Ebs.VolumeId})
			return err
		},
	} {
		err := do()
		require.Equal(t, want, code(err))
		require.Equal(t, 400, status(err), want)
	}
}

// 7.10: a thousand resources in a call, and no more.
func TestResourcesOfCreateTags(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	snapshot := w.see(c, w.image(c, "web-0")).BlockDeviceMappings[0].Ebs.SnapshotId
	var ids []string
	for n := range 1001 {
		id, e := w.register(c, fmt.Sprintf("web-%d", n+1), snapshot)
		require.Empty(t, e)
		ids = append(ids, id)
	}
	tag := func(ids []string) string {
		_, err := c.CreateTags(w.ctx, &ec2.CreateTagsInput{Resources: ids, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}}})
		return code(err)
	}
	require.Equal(t, "InvalidParameterValue", tag(ids))
	require.Empty(t, tag(ids[:1000]))
	require.Equal(t, "InvalidAMIID.NotFound", tag([]string{ids[1000], "ami-00000000000000000"}))
	pages, found := ec2.NewDescribeImagesPaginator(c, &ec2.DescribeImagesInput{Owners: []string{"self"}, MaxResults: aws.Int32(300), Filters: []types.Filter{filter("tag:a", "1")}}), 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(w.ctx)
		require.NoError(t, err)
		found += len(page.Images)
	}
	require.Equal(t, 1000, found, "one bad id fails the whole call: the last image has no tag")
}

// 6.12: the owner learns of the last launch, a day late.
func TestLastLaunchedTime(t *testing.T) {
	clock := &fakeClock{at: time.Now()}
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Clock: clock.now})
	late := func(account string) *ec2.Client {
		return ec2.NewFromConfig(w.account(account, home), func(o *ec2.Options) { o.HTTPSignerV4 = clockSigner{clock} })
	}
	c, other := late(build), late(consumer)
	id := w.image(c, "web-1")
	w.share(c, id, consumer)
	require.Nil(t, w.see(c, id).LastLaunchedTime, "never")
	launched := w.run(other, func(in *ec2.RunInstancesInput) { in.ImageId = &id })
	require.Nil(t, w.see(c, id).LastLaunchedTime, "too early to tell")
	clock.add(25 * time.Hour)
	require.Equal(t, launched.LaunchTime.Format(time.RFC3339), *w.see(c, id).LastLaunchedTime)
	require.Nil(t, w.see(other, id).LastLaunchedTime, "the owner's only")
	out, err := c.DescribeImageAttribute(w.ctx, &ec2.DescribeImageAttributeInput{ImageId: &id, Attribute: types.ImageAttributeNameLastLaunchedTime})
	require.NoError(t, err)
	require.Equal(t, launched.LaunchTime.Format(time.RFC3339), *out.LastLaunchedTime.Value)
}

// Every filter of DescribeImages that means something for images such as these, with a value that fits and one that does not.
func TestImageFilters(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	id := w.image(c, "web-1", tagged("image", "role", "web"))
	_, err := c.ModifyImageAttribute(w.ctx, &ec2.ModifyImageAttributeInput{ImageId: &id, Description: &types.AttributeValue{Value: aws.String("the web")}})
	require.NoError(t, err)
	i := w.see(c, id)
	copied := w.awaitImage(c, w.copyTo(c, id, home, ""), types.ImageStateAvailable)
	find := func(name, value string) []string {
		out, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{filter(name, value)}})
		require.NoError(t, err, name)
		var ids []string
		for _, i := range out.Images {
			ids = append(ids, *i.ImageId)
		}
		return ids
	}
	root := i.BlockDeviceMappings[0]
	for name, value := range map[string]string{
		"architecture": "x86_64", "creation-date": (*i.CreationDate)[:10] + "*", "description": "the ?eb", "image-id": id, "image-type": "machine", "is-public": "false",
		"name": "w*-1", "owner-id": build, "root-device-name": "/dev/xvda", "root-device-type": "ebs", "state": "avail*", "virtualization-type": "hvm", "ena-support": "true",
		"hypervisor": "xen", "source-instance-id": *i.SourceInstanceId, "tag:role": "w?b", "tag-key": "role", "tag-value": "web", "manifest-location": build + "/*",
		"block-device-mapping.device-name": "/dev/xvda", "block-device-mapping.snapshot-id": *root.Ebs.SnapshotId, "block-device-mapping.volume-size": fmt.Sprint(*root.Ebs.VolumeSize),
		"block-device-mapping.volume-type": string(root.Ebs.VolumeType), "block-device-mapping.encrypted": "false", "block-device-mapping.delete-on-termination": "true",
	} {
		require.Contains(t, find(name, value), id, name)
		require.Empty(t, find(name, "no"+value), name)
	}
	require.Equal(t, []string{*copied.ImageId}, find("source-image-id", id))
	require.ElementsMatch(t, []string{id, *copied.ImageId}, find("source-image-region", home), "CreateImage and CopyImage set it (EC2 API Reference, Image)")
	_, err = c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{filter("colour", "red")}})
	require.Equal(t, "InvalidParameterValue", code(err))

	_, err = c.DisableImage(w.ctx, &ec2.DisableImageInput{ImageId: &id})
	require.NoError(t, err)
	require.Empty(t, find("image-id", id), "hidden while disabled")
	require.Len(t, w.ownImages(c), 2, "but for IncludeDisabled")
	require.Equal(t, types.ImageStateDisabled, w.see(c, id).State)
}

// 2.8: CreateImage may change what becomes of the volume, and RegisterImage says what the volumes are to be.
func TestMappings(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	i := w.run(c, nil)
	out, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: aws.String("kept"), BlockDeviceMappings: []types.BlockDeviceMapping{
		{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{DeleteOnTermination: aws.Bool(false)}}}})
	require.NoError(t, err)
	image := w.awaitImage(c, *out.ImageId, types.ImageStateAvailable)
	root := image.BlockDeviceMappings[0].Ebs
	require.False(t, *root.DeleteOnTermination)
	kept := w.run(c, func(in *ec2.RunInstancesInput) { in.ImageId = out.ImageId })
	_, err = c.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{*kept.InstanceId}})
	require.NoError(t, err)
	w.awaitInstance(c, *kept.InstanceId, types.InstanceStateNameTerminated)
	require.NoError(t, ec2.NewVolumeAvailableWaiter(c, func(o *ec2.VolumeAvailableWaiterOptions) { o.MinDelay, o.MaxDelay = time.Millisecond, time.Millisecond }).
		Wait(w.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{*kept.BlockDeviceMappings[0].Ebs.VolumeId}}, time.Minute))

	registered, err := c.RegisterImage(w.ctx, &ec2.RegisterImageInput{Name: aws.String("large"), RootDeviceName: aws.String("/dev/sda1"), BlockDeviceMappings: []types.BlockDeviceMapping{
		{DeviceName: aws.String("/dev/sda1"), Ebs: &types.EbsBlockDevice{SnapshotId: root.SnapshotId, VolumeSize: aws.Int32(20), VolumeType: "io1", Iops: aws.Int32(200), DeleteOnTermination: aws.Bool(true)}}}})
	require.NoError(t, err)
	d := w.see(c, *registered.ImageId).BlockDeviceMappings[0]
	require.Equal(t, "/dev/sda1", *d.DeviceName)
	require.Equal(t, []any{int32(20), types.VolumeTypeIo1, int32(200), true}, []any{*d.Ebs.VolumeSize, d.Ebs.VolumeType, *d.Ebs.Iops, *d.Ebs.DeleteOnTermination})
	large := w.run(c, func(in *ec2.RunInstancesInput) { in.ImageId = registered.ImageId })
	v, err := c.DescribeVolumes(w.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{*large.BlockDeviceMappings[0].Ebs.VolumeId}})
	require.NoError(t, err)
	require.Equal(t, int32(20), *v.Volumes[0].Size)
}

// 7.7: a page of a filtered list may be empty and still lead to the next one.
func TestEmptyPages(t *testing.T) {
	w := newWorld(t)
	c := w.ssm(build, home)
	for n := range 9 {
		_, e := w.put(c, fmt.Sprintf("/p/%d", n), "x", nil)
		require.Empty(t, e)
	}
	_, e := w.put(c, "/p/z", "x", func(in *ssm.PutParameterInput) { in.Type = ssmtypes.ParameterTypeStringList })
	require.Empty(t, e)
	list := ssmtypes.ParameterStringFilter{Key: aws.String("Type"), Values: []string{"StringList"}}
	described := ssm.NewDescribeParametersPaginator(c, &ssm.DescribeParametersInput{MaxResults: aws.Int32(3), ParameterFilters: []ssmtypes.ParameterStringFilter{list}})
	sizes := []int{}
	for described.HasMorePages() {
		page, err := described.NextPage(w.ctx)
		require.NoError(t, err)
		sizes = append(sizes, len(page.Parameters))
	}
	require.Equal(t, []int{0, 0, 0, 1}, sizes)
	got := ssm.NewGetParametersByPathPaginator(c, &ssm.GetParametersByPathInput{Path: aws.String("/p"), MaxResults: aws.Int32(5), ParameterFilters: []ssmtypes.ParameterStringFilter{list}})
	sizes = []int{}
	for got.HasMorePages() {
		page, err := got.NextPage(w.ctx)
		require.NoError(t, err)
		sizes = append(sizes, len(page.Parameters))
	}
	require.Equal(t, []int{0, 1}, sizes)
}
