package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
)

// packerTemplate is a template as it is written for AWS: it names no endpoint, and Packer 1.6, whose AWS SDK for Go v1 reads none from
// the environment, calls ec2.us-east-1.amazonaws.com. One setting is about Debian 12, on AWS as here: the SSH server that Packer 1.6 puts between
// Ansible and the machine has an ssh-rsa (SHA-1) host key, which the OpenSSH of Debian 12 refuses, so Ansible connects by itself.
const packerTemplate = `{
  "variables": {"last": "true"},
  "builders": [{
    "type": "amazon-ebs",
    "region": "us-east-1",
    "source_ami_filter": {
      "filters": {"name": "debian-12-amd64-*", "root-device-type": "ebs", "virtualization-type": "hvm"},
      "owners": ["136693071363"],
      "most_recent": true
    },
    "instance_type": "t3.small",
    "ssh_username": "admin",
    "ami_name": "stranger",
    "ami_description": "baked by Packer",
    "ami_regions": ["eu-west-1"],
    "ami_users": ["222222222222"],
    "snapshot_users": ["222222222222"],
    "tags": {"role": "web", "base": "{{ .SourceAMI }}"},
    "snapshot_tags": {"role": "web-disk"},
    "run_tags": {"purpose": "bake"},
    "launch_block_device_mappings": [{"device_name": "/dev/sdf", "volume_size": 1, "volume_type": "gp2", "delete_on_termination": true}],
    "ami_block_device_mappings": [
      {"device_name": "/dev/sdf", "volume_size": 1, "volume_type": "gp2", "delete_on_termination": true},
      {"device_name": "/dev/sdg", "volume_size": 2, "volume_type": "gp2", "delete_on_termination": true}
    ]
  }],
  "provisioners": [
    {"type": "shell", "inline": ["cloud-init status --wait", "echo by shell | sudo tee /etc/baked-by-shell",
      "sudo mkfs.ext4 -q /dev/xvdf", "sudo mount /dev/xvdf /mnt", "echo on the volume | sudo tee /mnt/data", "sudo umount /mnt"]},
    {"type": "ansible", "playbook_file": "play.yml", "use_proxy": false, "user": "admin"},
    {"type": "shell", "inline": ["{{user ` + "`last`" + `}}"]}
  ]
}
`

const packerPlay = `- hosts: all
  become: true
  tasks:
    - name: Leave a mark
      ansible.builtin.copy: {content: "by Ansible\n", dest: /etc/baked-by-ansible}
`

// TestPacker bakes with Debian's Packer on real machines, over SSH: the image is there in both Regions, shared and
// tagged, the other account can launch the copy and finds in it what both provisioners did, on the root and on the volume besides
// it, and the empty volume that the template adds; and nothing temporary stays;
// nor does anything after a provisioner that fails.
func TestPacker(t *testing.T) {
	if testing.Short() {
		t.Skip("boots real machines; run without -short")
	}
	if _, err := exec.LookPath("packer"); err != nil {
		t.Skip("Packer is not installed; as root: apt-get install packer")
	}
	w := newRealWorld(t)
	w.sandboxUp(t, "nspawn")
	scratch := filepath.Join(w.dir, "tmp") // Packer 1.6 leaves its Ansible keys there
	require.NoError(t, os.MkdirAll(scratch, 0o700))
	w.env = append(w.env, "TMPDIR="+scratch, "AWS_POLL_DELAY_SECONDS=1", "CHECKPOINT_DISABLE=1", "PACKER_CONFIG_DIR="+w.dir)
	write(t, filepath.Join(w.dir, "template.json"), packerTemplate)
	write(t, filepath.Join(w.dir, "play.yml"), packerPlay)

	code, out, errs := w.packer(t, "-var", "last=false")
	require.NotZero(t, code)
	require.Contains(t, out+errs, "Script exited with non-zero exit status: 1")
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		w.requireOnlyImages(t, region)
	}

	code, out, errs = w.packer(t)
	require.Zero(t, code, out+errs)
	var baked types.Image
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		baked = w.requireOnlyImages(t, region, "stranger")
		w.requirePacked(t, region, baked)
	}
	w.requireMarks(t, images.Location{Account: "222222222222", Region: "eu-west-1"}, baked)
}

func (w *realWorld) packer(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	all := slices.Concat([]string{"sandbox", "exec", "--name", w.sandbox, "--", "packer", "build", "-color=false"}, args, []string{"template.json"})
	return w.try(t, w.dir, all...)
}

// requireOnlyImages: of all that a bake makes in a Region, there are the named images with a snapshot of each of the two volumes, and no more.
func (w *realWorld) requireOnlyImages(t *testing.T, region string, names ...string) (last types.Image) {
	t.Helper()
	api := w.ec2(t, images.Location{Account: "111111111111", Region: region})
	found, err := api.DescribeImages(t.Context(), &ec2.DescribeImagesInput{Owners: []string{"self"}, IncludeDeprecated: aws.Bool(true), IncludeDisabled: aws.Bool(true)})
	require.NoError(t, err)
	var have []string
	for _, last = range found.Images {
		have = append(have, *last.Name)
	}
	require.Equal(t, names, have, region)
	snapshots, err := api.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
	require.NoError(t, err)
	require.Len(t, snapshots.Snapshots, 2*len(names), region)
	w.poll(t, "the volumes of "+region+" to go, soon after their instances", func(ctx context.Context) (bool, error) {
		volumes, err := api.DescribeVolumes(ctx, nil)
		return err == nil && len(volumes.Volumes) == 0, err
	})
	keys, err := api.DescribeKeyPairs(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, keys.KeyPairs, region)
	groups, err := api.DescribeSecurityGroups(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, groups.SecurityGroups, 1, "%s: only the default group", region)
	instances, err := api.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{Filters: []types.Filter{
		{Name: aws.String("instance-state-name"), Values: []string{"pending", "running", "shutting-down", "stopping", "stopped"}}}})
	require.NoError(t, err)
	require.Empty(t, instances.Reservations, region)
	return last
}

// requirePacked: the image has all that the template asks for.
func (w *realWorld) requirePacked(t *testing.T, region string, img types.Image) {
	t.Helper()
	api := w.ec2(t, images.Location{Account: "111111111111", Region: region})
	require.Equal(t, "available", string(img.State))
	require.Equal(t, "baked by Packer", *img.Description)
	tags := map[string]string{}
	for _, tag := range img.Tags {
		tags[*tag.Key] = *tag.Value
	}
	require.Equal(t, "web", tags["role"])
	require.Regexp(t, "^ami-", tags["base"])
	launch, err := api.DescribeImageAttribute(t.Context(), &ec2.DescribeImageAttributeInput{ImageId: img.ImageId, Attribute: "launchPermission"})
	require.NoError(t, err)
	require.Equal(t, []types.LaunchPermission{{UserId: aws.String("222222222222")}}, launch.LaunchPermissions)
	require.Len(t, img.BlockDeviceMappings, 3)
	for _, d := range img.BlockDeviceMappings {
		if *d.DeviceName == "/dev/sdg" {
			require.Nil(t, d.Ebs.SnapshotId, "an empty volume")
			continue
		}
		requirePackedSnapshot(t, api, d.Ebs.SnapshotId)
	}
}

func requirePackedSnapshot(t *testing.T, api *ec2.Client, id *string) {
	t.Helper()
	disks, err := api.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*id}})
	require.NoError(t, err)
	tags := map[string]string{}
	for _, tag := range disks.Snapshots[0].Tags {
		tags[*tag.Key] = *tag.Value
	}
	require.Equal(t, "web-disk", tags["role"])
	create, err := api.DescribeSnapshotAttribute(t.Context(), &ec2.DescribeSnapshotAttributeInput{SnapshotId: id, Attribute: "createVolumePermission"})
	require.NoError(t, err)
	require.Equal(t, []types.CreateVolumePermission{{UserId: aws.String("222222222222")}}, create.CreateVolumePermissions)
}

// requireMarks boots the image there and looks for the files of both provisioners.
func (w *realWorld) requireMarks(t *testing.T, loc images.Location, img types.Image) {
	t.Helper()
	m, err := machine.NewLauncher(w.ec2(t, loc)).Launch(t.Context(), machine.Spec{
		Location: loc, Image: images.Image{ID: *img.ImageId, RootDevice: *img.RootDeviceName, DiskGiB: *img.BlockDeviceMappings[0].Ebs.VolumeSize},
		Purpose: "test", Fleet: "acme", Role: "web", Run: "packer", InstanceTypes: []string{"t3.small"}, SSHUser: "admin",
		Lifetime: time.Hour, WorkDir: filepath.Join(w.dir, "marks"),
	}, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close(t.Context())) }()
	require.NoError(t, m.WaitBooted(t.Context(), "cloud-init", nil))
	marks, err := w.command(w.dir, "ssh", "-F", m.SSHConfig, "-l", "admin", m.Address, "cat /etc/baked-by-shell /etc/baked-by-ansible; sudo mount /dev/sdf /mnt; cat /mnt/data; sudo blockdev --getsize64 /dev/sdg").CombinedOutput()
	require.NoError(t, err, string(marks))
	require.Equal(t, "by shell\nby Ansible\non the volume\n2147483648\n", string(marks))
}
