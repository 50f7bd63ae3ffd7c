package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

// terraformConfiguration is what a consumer of imgops' images writes: the newest image of a role by its tags, the role's
// default by its parameter, a launch template that resolves it at launch, and an instance of each.
// The template has no user data and no tags for the instance: with either, version 5 of the provider shows a difference for
// ever on AWS too (hashicorp/terraform-provider-aws#30825).
const terraformConfiguration = `
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

# The one thing that a sandbox needs is AWS_ENDPOINT_URL; the provider is as in any account.
provider "aws" {
  region = "us-east-1"
  default_tags { tags = { fleet = "acme" } }
}

data "aws_caller_identity" "here" {}

data "aws_ami" "newest" {
  owners      = ["111111111111"]
  most_recent = true
  filter {
    name   = "name"
    values = ["acme-web-*"]
  }
  filter {
    name   = "tag:imgops:role"
    values = ["web"]
  }
}

data "aws_ssm_parameter" "web" {
  name = "/imgops/acme/web"
}

data "aws_vpc" "default" { default = true }

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

resource "aws_security_group" "web" {
  name        = "web"
  description = "Web"
  vpc_id      = data.aws_vpc.default.id
  ingress {
    from_port   = 80
    to_port     = 80
    protocol    = "tcp"
    cidr_blocks = ["10.0.0.0/8"]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_key_pair" "web" {
  key_name   = "web"
  public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMSb9Mtr6xA5sHSnMYSX2q6Al3oWTQcrPd0fT8y5V2hY web"
}

resource "aws_kms_key" "disks" {
  description             = "Disks of the web"
  deletion_window_in_days = 7
}

resource "aws_kms_alias" "disks" {
  name          = "alias/web"
  target_key_id = aws_kms_key.disks.key_id
}

resource "aws_launch_template" "web" {
  name                   = "web"
  image_id               = "resolve:ssm:/imgops/acme/web"
  instance_type          = "t3.small"
  update_default_version = true
  vpc_security_group_ids = [aws_security_group.web.id]
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size           = 9
      volume_type           = "gp3"
      delete_on_termination = true
      encrypted             = true
      kms_key_id            = aws_kms_key.disks.arn
    }
  }
  tag_specifications {
    resource_type = "volume"
    tags          = { from = "template" }
  }
}

resource "aws_instance" "default" {
  ami                    = nonsensitive(data.aws_ssm_parameter.web.value)
  instance_type          = "t3.small"
  key_name               = aws_key_pair.web.key_name
  subnet_id              = sort(data.aws_subnets.default.ids)[0]
  vpc_security_group_ids = [aws_security_group.web.id]
  user_data              = "#cloud-config\n"
  root_block_device {
    volume_size = 8
    volume_type = "gp3"
    tags        = { disk = "root" }
  }
  metadata_options {
    http_tokens = "required"
  }
  tags = { Name = "default" }
}

resource "aws_instance" "template" {
  launch_template {
    id      = aws_launch_template.web.id
    version = "$Latest"
  }
  tags = { Name = "template" }
}

output "account" { value = data.aws_caller_identity.here.account_id }
output "newest" { value = data.aws_ami.newest.id }
output "default" { value = aws_instance.default.id }
output "template" { value = aws_instance.template.id }
output "key" { value = aws_kms_key.disks.arn }
`

// The sandbox without machines is quick, so its clients need not wait long between two looks.
const (
	quick      = 20 * time.Millisecond
	waitAtMost = 30 * time.Second
)

func quickInstances(o *ec2.InstanceRunningWaiterOptions) { o.MinDelay, o.MaxDelay = quick, quick }

func quickImages(o *ec2.ImageAvailableWaiterOptions) { o.MinDelay, o.MaxDelay = quick, quick }

// terraform is a working directory, in the environment that a user has under imgops sandbox exec.
type terraform struct {
	*realWorld
	dir, binary, account string
}

var mirrorLine = regexp.MustCompile(`path\s*=\s*"([^"]+)"`)

// pluginMirror finds a directory with the AWS provider unpacked, since a test must not download it: IMGOPS_TF_MIRROR, the
// mirror in Terraform's own configuration, or a place where Terraform looks by itself.
func pluginMirror(t *testing.T) string {
	t.Helper()
	home, _ := os.UserHomeDir()
	candidates := []string{os.Getenv("IMGOPS_TF_MIRROR")}
	for _, file := range []string{os.Getenv("TF_CLI_CONFIG_FILE"), filepath.Join(home, ".terraformrc")} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, m := range mirrorLine.FindAllStringSubmatch(string(text), -1) {
			candidates = append(candidates, m[1])
		}
	}
	candidates = append(candidates, os.Getenv("TF_PLUGIN_CACHE_DIR"), filepath.Join(home, ".terraform.d", "plugins"),
		filepath.Join(home, ".local", "share", "terraform", "plugins"), "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins")
	for _, dir := range candidates {
		if dir == "" {
			continue
		}
		if found, _ := filepath.Glob(filepath.Join(dir, "*", "hashicorp", "aws", "*")); len(found) > 0 {
			return dir
		}
	}
	t.Skip("there is no local copy of Terraform's AWS provider; set IMGOPS_TF_MIRROR to a filesystem mirror (terraform providers mirror DIR)")
	return ""
}

// newTerraform has Terraform take its provider from the mirror and nowhere else.
func newTerraform(t *testing.T, w *realWorld, account string) *terraform {
	t.Helper()
	tf := &terraform{realWorld: w, dir: filepath.Join(w.dir, "terraform"), account: account}
	var err error
	if tf.binary, err = exec.LookPath("terraform"); err != nil {
		t.Skip("Terraform is not installed, and Debian has no package of it; get it from developer.hashicorp.com/terraform/install and put it on PATH")
	}
	mirror := pluginMirror(t)
	require.NoError(t, os.MkdirAll(tf.dir, 0o755))
	rc := filepath.Join(w.dir, "terraform.rc")
	write(t, rc, fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror { path = %q }\n}\n", mirror))
	w.env = append(w.env, "TF_CLI_CONFIG_FILE="+rc, "TF_IN_AUTOMATION=1", "TF_INPUT=0")
	return tf
}

// run runs terraform through imgops sandbox exec and returns its exit code and output.
func (tf *terraform) run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := tf.command(tf.dir, tf.realWorld.binary, append([]string{"sandbox", "exec", "--name", tf.sandbox, "--account", tf.account, "--", tf.binary}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	t.Logf("terraform %s: exit %d\n%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), out.String())
	return cmd.ProcessState.ExitCode(), out.String()
}

// outputs are the values of the configuration's outputs.
func (tf *terraform) outputs(t *testing.T) map[string]string {
	t.Helper()
	code, text := tf.run(t, "output", "-json")
	require.Zero(t, code)
	var raw map[string]struct{ Value string }
	require.NoError(t, json.Unmarshal([]byte(text), &raw))
	out := map[string]string{}
	for name, o := range raw {
		out[name] = o.Value
	}
	return out
}

// roleDefault makes two images of the role web in the build account, shares them with the target account, and makes the
// first one the target's default there, as imgops does. It returns the images' ids.
func roleDefault(t *testing.T, w *realWorld, target images.Location) (first, second string) {
	t.Helper()
	builder := w.ec2(t, images.Location{Account: "111111111111", Region: target.Region})
	base, err := builder.DescribeImages(t.Context(), &ec2.DescribeImagesInput{Owners: []string{"136693071363"}})
	require.NoError(t, err)
	require.NotEmpty(t, base.Images)
	run, err := builder.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: base.Images[0].ImageId, InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.NoError(t, err)
	ids := []string{*run.Instances[0].InstanceId}
	require.NoError(t, ec2.NewInstanceRunningWaiter(builder, quickInstances).Wait(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: ids}, waitAtMost))
	var made []string
	for _, name := range []string{"acme-web-1", "acme-web-2"} {
		out, err := builder.CreateImage(t.Context(), &ec2.CreateImageInput{InstanceId: &ids[0], Name: aws.String(name), TagSpecifications: []types.TagSpecification{
			{ResourceType: "image", Tags: []types.Tag{{Key: aws.String("imgops:role"), Value: aws.String("web")}}}}})
		require.NoError(t, err)
		require.NoError(t, ec2.NewImageAvailableWaiter(builder, quickImages).Wait(t.Context(), &ec2.DescribeImagesInput{ImageIds: []string{*out.ImageId}}, waitAtMost))
		_, err = builder.ModifyImageAttribute(t.Context(), &ec2.ModifyImageAttributeInput{ImageId: out.ImageId, OperationType: "add", UserIds: []string{target.Account}})
		require.NoError(t, err)
		_, err = w.ec2(t, target).CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{*out.ImageId},
			Tags: []types.Tag{{Key: aws.String("imgops:role"), Value: aws.String("web")}}})
		require.NoError(t, err)
		made = append(made, *out.ImageId)
	}
	w.setDefault(t, target, made[0])
	return made[0], made[1]
}

func (w *realWorld) setDefault(t *testing.T, target images.Location, image string) {
	t.Helper()
	client := ssm.NewFromConfig(w.config(t, target))
	_, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/imgops/acme/web"), Value: &image, Type: ssmtypes.ParameterTypeString,
		DataType: aws.String("aws:ec2:image"), Overwrite: aws.Bool(true)})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		p, err := client.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/imgops/acme/web")})
		return err == nil && *p.Parameter.Value == image
	}, waitAtMost, quick)
}

// TestTerraform has Terraform and its AWS provider, unmodified, look images and defaults up, launch the default of a role
// in a target account, read everything back without a difference, follow a moved default, and take it all down.
func TestTerraform(t *testing.T) {
	if testing.Short() {
		t.Skip("runs terraform; run without -short")
	}
	w := newMachinelessWorld(t)
	target := images.Location{Account: "222222222222", Region: "us-east-1"}
	tf := newTerraform(t, w, target.Account)
	w.sandboxUp(t, "none")
	first, second := roleDefault(t, w, target)
	write(t, filepath.Join(tf.dir, "main.tf"), terraformConfiguration)
	code, out := tf.run(t, "init", "-no-color")
	require.Zero(t, code, out)
	code, out = tf.run(t, "apply", "-auto-approve", "-no-color")
	require.Zero(t, code, out)

	got := tf.outputs(t)
	require.Equal(t, target.Account, got["account"])
	require.Equal(t, second, got["newest"], "most_recent")
	api := w.ec2(t, target)
	require.Equal(t, first, tf.image(t, api, got["default"]), "the parameter's image")
	require.Equal(t, first, tf.image(t, api, got["template"]), "resolve:ssm: at launch")
	code, out = tf.run(t, "plan", "-detailed-exitcode", "-no-color")
	require.Zero(t, code, "read back with a difference: %s", out)

	t.Log("the default moves: the plan replaces the instance of the parameter")
	w.setDefault(t, target, second)
	code, out = tf.run(t, "plan", "-detailed-exitcode", "-no-color")
	require.Equal(t, 2, code)
	require.Contains(t, out, "aws_instance.default must be replaced")
	code, out = tf.run(t, "apply", "-auto-approve", "-no-color")
	require.Zero(t, code, out)
	require.Equal(t, second, tf.image(t, api, tf.outputs(t)["default"]))
	code, out = tf.run(t, "plan", "-detailed-exitcode", "-no-color")
	require.Zero(t, code, "read back with a difference: %s", out)

	code, out = tf.run(t, "destroy", "-auto-approve", "-no-color")
	require.Zero(t, code, out)
	left, err := api.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: aws.String("instance-state-name"), Values: []string{"pending", "running", "stopping", "stopped", "shutting-down"}}}})
	require.NoError(t, err)
	require.Empty(t, left.Reservations)
	templates, err := api.DescribeLaunchTemplates(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, templates.LaunchTemplates)
}

func (tf *terraform) image(t *testing.T, api *ec2.Client, id string) string {
	t.Helper()
	out, err := api.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	require.NoError(t, err)
	return *out.Reservations[0].Instances[0].ImageId
}
