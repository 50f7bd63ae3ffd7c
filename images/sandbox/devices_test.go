package sandbox_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

func ephemeral(device, name string) types.BlockDeviceMapping {
	return types.BlockDeviceMapping{DeviceName: &device, VirtualName: &name}
}

func without(device string) types.BlockDeviceMapping {
	return types.BlockDeviceMapping{DeviceName: &device, NoDevice: aws.String("")}
}

// virtual are the image's devices of the instance store.
func virtual(i types.Image) map[string]string {
	m := map[string]string{}
	for _, d := range i.BlockDeviceMappings {
		if d.Ebs == nil {
			m[*d.DeviceName] = *d.VirtualName
		}
	}
	return m
}

// Mappings of the instance store go from the launch into images, and on into what is launched of them and copied; NoDevice ends that.
func TestInstanceStoreMappings(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	launched := w.run(c, func(in *ec2.RunInstancesInput) {
		in.BlockDeviceMappings = []types.BlockDeviceMapping{ephemeral("/dev/sdb", "ephemeral0"), ephemeral("/dev/sdc", "ephemeral1"), without("/dev/sdf")}
	})
	require.Len(t, launched.BlockDeviceMappings, 1, "an instance shows EBS volumes only")
	made, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: launched.InstanceId, Name: aws.String("web"),
		BlockDeviceMappings: []types.BlockDeviceMapping{without("/dev/sdc"), ephemeral("/dev/sdd", "ephemeral2")}})
	require.NoError(t, err)
	image := w.awaitImage(c, *made.ImageId, types.ImageStateAvailable)
	require.Equal(t, map[string]string{"/dev/sdb": "ephemeral0", "/dev/sdd": "ephemeral2"}, virtual(image))
	found, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{filter("block-device-mapping.device-name", "/dev/sdd")}})
	require.NoError(t, err)
	require.Len(t, found.Images, 1)

	copied, err := c.CopyImage(w.ctx, &ec2.CopyImageInput{Name: aws.String("copy"), SourceImageId: made.ImageId, SourceRegion: aws.String(home)})
	require.NoError(t, err)
	require.Equal(t, virtual(image), virtual(w.awaitImage(c, *copied.ImageId, types.ImageStateAvailable)))
	next := w.run(c, func(in *ec2.RunInstancesInput) {
		in.ImageId, in.BlockDeviceMappings = made.ImageId, []types.BlockDeviceMapping{without("/dev/sdb")}
	})
	made, err = c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: next.InstanceId, Name: aws.String("web-2")})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"/dev/sdd": "ephemeral2"}, virtual(w.awaitImage(c, *made.ImageId, types.ImageStateAvailable)))

	gone, err := c.DeregisterImage(w.ctx, &ec2.DeregisterImageInput{ImageId: image.ImageId, DeleteAssociatedSnapshots: aws.Bool(true)})
	require.NoError(t, err)
	require.Len(t, gone.DeleteSnapshotResults, 1)
}

func TestMappingsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	extra := func(device string, e types.EbsBlockDevice) []types.BlockDeviceMapping {
		return []types.BlockDeviceMapping{{DeviceName: &device, Ebs: &e}}
	}
	gib := aws.Int32(1)
	for name, x := range map[string]struct {
		code string
		list []types.BlockDeviceMapping
	}{
		"no size":         {"MissingParameter", extra("/dev/sdf", types.EbsBlockDevice{VolumeType: "gp3"})},
		"no such device":  {"InvalidParameterValue", extra("/dev/nvme1n1", types.EbsBlockDevice{VolumeSize: gib})},
		"no snapshot":     {"InvalidSnapshot.NotFound", extra("/dev/sdf", types.EbsBlockDevice{SnapshotId: aws.String("snap-00000000000000001")})},
		"a key only":      {"InvalidParameterDependency", extra("/dev/sdf", types.EbsBlockDevice{VolumeSize: gib, KmsKeyId: aws.String("alias/a")})},
		"two names":       {"InvalidBlockDeviceMapping", append(extra("/dev/sdf", types.EbsBlockDevice{VolumeSize: gib}), extra("/dev/xvdf", types.EbsBlockDevice{VolumeSize: gib})...)},
		"the root's twin": {"InvalidBlockDeviceMapping", extra("/dev/sda", types.EbsBlockDevice{VolumeSize: gib})},
		"volume and name": {"InvalidBlockDeviceMapping", []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/sdf"), VirtualName: aws.String("ephemeral0"), Ebs: &types.EbsBlockDevice{VolumeSize: gib}}}},
		"a device twice":  {"InvalidBlockDeviceMapping", []types.BlockDeviceMapping{without("/dev/sdb"), without("/dev/sdb")}},
		"a virtual name":  {"InvalidBlockDeviceMapping", []types.BlockDeviceMapping{ephemeral("/dev/sdb", "ephemeral24")}},
		"nothing":         {"InvalidBlockDeviceMapping", []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/sdb")}}},
		"no name":         {"MissingParameter", []types.BlockDeviceMapping{{VirtualName: aws.String("ephemeral0")}}},
		"without a root":  {"InvalidBlockDeviceMapping", []types.BlockDeviceMapping{without("/dev/xvda")}},
		"a root in store": {"InvalidBlockDeviceMapping", []types.BlockDeviceMapping{ephemeral("/dev/xvda", "ephemeral0")}},
	} {
		_, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1), BlockDeviceMappings: x.list})
		require.Equal(t, x.code, code(err), name)
	}
}

// RegisterImage as Terraform's aws_ami calls it: what was not given is sent, empty.
func TestRegisterAsTerraformDoes(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	snapshot := w.see(c, w.image(c, "web")).BlockDeviceMappings[0].Ebs.SnapshotId
	register := func(change func(*ec2.RegisterImageInput)) (types.Image, string) {
		in := &ec2.RegisterImageInput{Name: aws.String("registered"), Description: aws.String(""), ImageLocation: aws.String(""), Architecture: "x86_64",
			RootDeviceName: aws.String("/dev/xvda"), VirtualizationType: aws.String("hvm"), SriovNetSupport: aws.String("simple"), EnaSupport: aws.Bool(true),
			BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: snapshot, VolumeType: "gp3", DeleteOnTermination: aws.Bool(true)}},
				ephemeral("/dev/sdb", "ephemeral0"), without("/dev/sdc")}}
		change(in)
		out, err := c.RegisterImage(w.ctx, in)
		if err != nil {
			return types.Image{}, code(err)
		}
		i := w.see(c, *out.ImageId)
		_, err = c.DeregisterImage(w.ctx, &ec2.DeregisterImageInput{ImageId: out.ImageId})
		require.NoError(t, err)
		return i, ""
	}
	i, e := register(func(*ec2.RegisterImageInput) {})
	require.Empty(t, e)
	require.Equal(t, map[string]string{"/dev/sdb": "ephemeral0"}, virtual(i))
	i, e = register(func(in *ec2.RegisterImageInput) {
		in.BootMode, in.TpmSupport, in.UefiData = "uefi", "v2.0", aws.String("QU1aTgA=")
	})
	require.Empty(t, e)
	require.Equal(t, types.TpmSupportValuesV20, i.TpmSupport)
	for name, x := range map[string]struct {
		code   string
		change func(*ec2.RegisterImageInput)
	}{
		"manifest":        {"Unsupported", func(in *ec2.RegisterImageInput) { in.ImageLocation = aws.String("bucket/image.manifest.xml") }},
		"kernel":          {"Unsupported", func(in *ec2.RegisterImageInput) { in.KernelId = aws.String("aki-12345678") }},
		"billing":         {"Unsupported", func(in *ec2.RegisterImageInput) { in.BillingProducts = []string{"bp-1"} }},
		"UEFI data":       {"InvalidParameterValue", func(in *ec2.RegisterImageInput) { in.UefiData = aws.String("no base64") }},
		"TPM":             {"InvalidParameterCombination", func(in *ec2.RegisterImageInput) { in.TpmSupport = "v2.0" }},
		"TPM with legacy": {"InvalidParameterCombination", func(in *ec2.RegisterImageInput) { in.TpmSupport, in.BootMode = "v2.0", "legacy-bios" }},
	} {
		_, e := register(x.change)
		require.Equal(t, x.code, e, name)
	}
}

func TestVolumeLimits(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	zone := aws.String(home + "a")
	for _, x := range []struct {
		kind                   types.VolumeType
		size, iops, throughput int32
		code                   string
	}{
		{"gp3", 200, 80000, 2000, ""}, {"gp3", 1, 3000, 125, ""}, {"gp3", 1, 0, 0, ""}, {"gp3", 65536, 0, 750, ""}, {"gp2", 16384, 0, 0, ""},
		{"io1", 4, 200, 0, ""}, {"io2", 256, 256000, 0, ""}, {"st1", 125, 0, 0, ""}, {"sc1", 16384, 0, 0, ""}, {"standard", 1024, 0, 0, ""},
		{"gp3", 200, 2999, 0, "InvalidParameterValue"}, {"gp3", 200, 80001, 0, "InvalidParameterValue"}, {"gp3", 7, 3501, 0, "InvalidParameterValue"},
		{"gp3", 200, 0, 124, "InvalidParameterValue"}, {"gp3", 1000, 80000, 2001, "InvalidParameterValue"}, {"gp3", 200, 3000, 751, "InvalidParameterValue"},
		{"gp3", 65537, 0, 0, "InvalidParameterValue"}, {"gp3", 8, -1, 0, "InvalidParameterValue"},
		{"gp2", 8, 3000, 0, "InvalidParameterCombination"}, {"gp2", 8, 0, 125, "InvalidParameterCombination"}, {"gp2", 16385, 0, 0, "InvalidParameterValue"},
		{"io1", 100, 0, 0, "MissingParameter"}, {"io1", 100, 99, 0, "InvalidParameterValue"}, {"io1", 4, 201, 0, "InvalidParameterValue"},
		{"io1", 16384, 64001, 0, "InvalidParameterValue"}, {"io1", 3, 100, 0, "InvalidParameterValue"}, {"io2", 100, 100, 125, "InvalidParameterCombination"},
		{"io2", 300, 256001, 0, "InvalidParameterValue"}, {"st1", 124, 0, 0, "InvalidParameterValue"}, {"standard", 1025, 0, 0, "InvalidParameterValue"},
		{"gp9", 8, 0, 0, "InvalidParameterValue"},
	} {
		in := &ec2.CreateVolumeInput{AvailabilityZone: zone, VolumeType: x.kind, Size: aws.Int32(x.size), DryRun: aws.Bool(true)}
		if x.iops != 0 {
			in.Iops = &x.iops
		}
		if x.throughput != 0 {
			in.Throughput = &x.throughput
		}
		want := x.code
		if want == "" {
			want = "DryRunOperation"
		}
		_, err := c.CreateVolume(w.ctx, in)
		require.Equal(t, want, code(err), "%v: %v", x, err)
	}
	root := func(e *types.EbsBlockDevice) string {
		_, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
			DryRun: aws.Bool(true), BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: e}}})
		return code(err)
	}
	require.Equal(t, "InvalidParameterValue", root(&types.EbsBlockDevice{Iops: aws.Int32(100)}))
	require.Equal(t, "InvalidParameterCombination", root(&types.EbsBlockDevice{VolumeType: "gp2", Iops: aws.Int32(3000)}))
	require.Equal(t, "InvalidParameterValue", root(&types.EbsBlockDevice{VolumeInitializationRate: aws.Int32(99)}))
	require.Equal(t, "DryRunOperation", root(&types.EbsBlockDevice{VolumeInitializationRate: aws.Int32(300)}))
}
