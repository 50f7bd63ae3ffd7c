package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

// volumesConfiguration has volumes in all the ways of the provider: with an instance, attached to one, in images that are made of
// an instance, copied and registered, and of these in an instance again.
const volumesConfiguration = `
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" { region = "us-east-1" }

data "aws_ami" "debian" {
  owners      = ["136693071363"]
  most_recent = true
  filter {
    name   = "name"
    values = ["debian-12-amd64-*"]
  }
}

resource "aws_instance" "disks" {
  ami           = data.aws_ami.debian.id
  instance_type = "t3.small"
  ebs_block_device {
    device_name = "/dev/sdf"
    volume_size = 2
    volume_type = "gp3"
    tags        = { disk = "data" }
  }
  ebs_block_device {
    device_name           = "/dev/sdg"
    volume_size           = 3
    encrypted             = true
    delete_on_termination = true
  }
  tags = { Name = "disks" }
}

resource "aws_ebs_volume" "extra" {
  availability_zone = aws_instance.disks.availability_zone
  size              = 4
  tags              = { disk = "extra" }
}

resource "aws_instance" "host" {
  ami               = data.aws_ami.debian.id
  instance_type     = "t3.small"
  availability_zone = aws_instance.disks.availability_zone
}

resource "aws_volume_attachment" "extra" {
  device_name = "/dev/sdh"
  volume_id   = aws_ebs_volume.extra.id
  instance_id = aws_instance.host.id
}

resource "aws_ebs_snapshot" "root" {
  volume_id = aws_instance.disks.root_block_device[0].volume_id
}

resource "aws_ebs_snapshot" "extra" {
  volume_id = aws_ebs_volume.extra.id
}

resource "aws_ami_from_instance" "disks" {
  name               = "disks"
  source_instance_id = aws_instance.disks.id
}

resource "aws_ami_copy" "disks" {
  name              = "disks-copy"
  source_ami_id     = aws_ami_from_instance.disks.id
  source_ami_region = "us-east-1"
}

resource "aws_ami" "registered" {
  name                = "registered"
  virtualization_type = "hvm"
  root_device_name    = "/dev/xvda"
  ena_support         = true
  ebs_block_device {
    device_name = "/dev/xvda"
    snapshot_id = aws_ebs_snapshot.root.id
    volume_type = "gp3"
  }
  ebs_block_device {
    device_name           = "/dev/sdf"
    snapshot_id           = aws_ebs_snapshot.extra.id
    volume_size           = 6
    delete_on_termination = false
  }
  ebs_block_device {
    device_name = "/dev/sdg"
    volume_size = 7
  }
}

resource "aws_ami_launch_permission" "registered" {
  image_id   = aws_ami.registered.id
  account_id = "222222222222"
}

resource "aws_instance" "again" {
  ami           = aws_ami.registered.id
  instance_type = "t3.small"
}

output "disks" { value = aws_ami_from_instance.disks.id }
output "copy" { value = aws_ami_copy.disks.id }
output "registered" { value = aws_ami.registered.id }
output "again" { value = aws_instance.again.id }
`

// TestTerraformVolumes has Terraform make all that, plan it again without a difference, and take it down to the last volume and snapshot.
func TestTerraformVolumes(t *testing.T) {
	if testing.Short() {
		t.Skip("runs terraform; run without -short")
	}
	w := newMachinelessWorld(t)
	here := images.Location{Account: "111111111111", Region: "us-east-1"}
	tf := newTerraform(t, w, here.Account)
	w.sandboxUp(t, "none")
	write(t, filepath.Join(tf.dir, "main.tf"), volumesConfiguration)
	for _, args := range []string{"init", "apply -auto-approve", "plan -detailed-exitcode"} {
		code, out := tf.run(t, append(strings.Fields(args), "-no-color")...)
		require.Zero(t, code, "%s: %s", args, out)
	}
	api, got := w.ec2(t, here), tf.outputs(t)
	for name, want := range map[string]int{"disks": 3, "copy": 3, "registered": 3} {
		seen, err := api.DescribeImages(t.Context(), &ec2.DescribeImagesInput{ImageIds: []string{got[name]}})
		require.NoError(t, err)
		require.Len(t, seen.Images[0].BlockDeviceMappings, want, name)
	}
	again, err := api.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{got["again"]}})
	require.NoError(t, err)
	require.Len(t, again.Reservations[0].Instances[0].BlockDeviceMappings, 3)

	code, out := tf.run(t, "destroy", "-auto-approve", "-no-color")
	require.Zero(t, code, out)
	left, err := api.DescribeVolumes(t.Context(), nil)
	require.NoError(t, err)
	var kept []int32
	for _, v := range left.Volumes {
		kept = append(kept, *v.Size)
	}
	require.Equal(t, []int32{6}, kept, "the one that the image says stays")
	snapshots, err := api.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
	require.NoError(t, err)
	require.Empty(t, snapshots.Snapshots)
}
