package builder

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/images/machine/machinetest"
	"github.com/imgops/imgops/roles"
)

var errBoom = errors.New("boom")

type lab struct {
	cloud   *machinetest.Cloud
	server  *machinetest.Server
	builder *Builder
	req     Request
}

var shellFleet = map[string]string{
	"imgops.yaml":          fleetConfig,
	"roles/web/image.yaml": debianBase + "provision: [{shell: {script: setup.sh, env: {B: \"it's\", A: \"1\"}}}]\n",
	"roles/web/setup.sh":   "#!/bin/sh\n",
	"roles/web/notes.txt":  "beside the script\n",
	"unrelated":            "not part of the recipe\n",
}

func newLab(t *testing.T, files map[string]string) *lab {
	fleet := loadFleet(t, files)
	role, ok := fleet.Role("web")
	require.True(t, ok)
	cloud := machinetest.NewCloud(types.Image{
		ImageId: aws.String("ami-base"), OwnerId: aws.String("136693071363"), State: types.ImageStateAvailable,
		Architecture: types.ArchitectureValuesX8664, RootDeviceName: aws.String("/dev/xvda"),
	})
	l := &lab{cloud: cloud, server: machinetest.NewServer(t, cloud)}
	l.builder = &Builder{via: l.server, now: time.Now, ec2: func(context.Context, images.Location) (EC2API, error) { return cloud, nil }}
	l.req = Request{
		Fleet: fleet, Role: role, Base: images.Image{ID: "ami-base", RootDevice: "/dev/xvda"}, Commit: "c0ffee", Branch: "topic",
		Location: images.Location{Account: "111111111111", Region: "us-east-1"}, Run: "r1", WorkDir: t.TempDir(),
	}
	return l
}

// images lists the images that were made.
func (l *lab) images() []types.Image {
	var made []types.Image
	for _, img := range l.cloud.Images() {
		if aws.ToString(img.ImageId) != "ami-base" {
			made = append(made, img)
		}
	}
	return made
}

func (l *lab) requireNothing(t *testing.T) {
	t.Helper()
	require.Empty(t, l.cloud.Left())
	require.Empty(t, l.images())
	require.Empty(t, l.cloud.Snapshots())
}

func TestBuild(t *testing.T) {
	l := newLab(t, shellFleet)
	var script, listing string
	l.server.Exec = func(c machinetest.Command) int {
		in, _ := io.ReadAll(c.Stdin)
		switch {
		case strings.Contains(c.Line, "sh -s --"):
			script = string(in)
		case strings.Contains(c.Line, "setup.sh"):
			_, _ = io.WriteString(c.Stdout, "hello from setup\n")
		case strings.Contains(c.Line, "tar -x"):
			listing = string(in)
		}
		return 0
	}
	var log strings.Builder
	l.req.Log = &log
	var said []string
	l.req.Progress = func(step, _ string) { said = append(said, step) }

	img, err := l.builder.Build(t.Context(), l.req)
	require.NoError(t, err)
	require.Equal(t, "available", img.State)
	require.Equal(t, l.req.Role.Digest, img.Digest)
	require.Equal(t, "imgops-acme-web-"+strings.TrimPrefix(l.req.Role.Digest, "sha256:")[:12]+"-r1", img.Name)
	require.Equal(t, []string{"acme", "web", "c0ffee", "topic", "ami-base", "r1"}, []string{img.Fleet, img.Role, img.Commit, img.Branch, img.Base, img.Run})
	require.Len(t, img.Snapshots, 1)
	require.Empty(t, l.cloud.Left(), "the machine, its group and its key pair are gone")

	require.Equal(t, cleanScript, script)
	require.Contains(t, listing, "beside the script")
	require.NotContains(t, listing, "not part of the recipe")
	require.Contains(t, log.String(), "hello from setup")
	logged, err := os.ReadFile(filepath.Join(l.req.WorkDir, "shell.log"))
	require.NoError(t, err)
	require.Equal(t, "hello from setup\n", string(logged))
	require.Subset(t, said, []string{"base", "key pair", "security group", "launch", "connect", "boot", "provision", "clean", "stop", "image"})

	again, err := l.builder.Build(t.Context(), l.req)
	require.NoError(t, err)
	require.Equal(t, img.ID, again.ID, "the same run makes nothing twice")
	require.Len(t, l.cloud.Instances(), 1)
}

// What a lost answer, a refusal or an interruption leaves behind at any call is nothing.
func TestFailureOfAnyCallLeavesNothing(t *testing.T) {
	calls := map[string]int{
		"DescribeImages": 2, "ImportKeyPair": 1, "DescribeVpcs": 1, "CreateSecurityGroup": 1, "AuthorizeSecurityGroupIngress": 1,
		"RunInstances": 1, "DescribeInstances": 1, "StopInstances": 1, "CreateImage": 1,
	}
	for action, nth := range calls {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, shellFleet)
			l.cloud.Fail(action, machinetest.Fault{Nth: nth, Err: errBoom, Effect: true})
			_, err := l.builder.Build(t.Context(), l.req)
			require.ErrorIs(t, err, errBoom)
			require.ErrorContains(t, err, "building role web: ")
			l.requireNothing(t)
		})
		t.Run(action+" interrupted", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, shellFleet)
			ctx, cancel := context.WithCancelCause(t.Context())
			l.cloud.Fail(action, machinetest.Fault{Nth: nth, Before: func() { cancel(errBoom) }})
			_, err := l.builder.Build(ctx, l.req)
			require.True(t, errors.Is(err, errBoom) || errors.Is(err, context.Canceled), err)
			l.requireNothing(t)
		})
	}
}

func TestFailureOnTheMachineLeavesNothing(t *testing.T) {
	for name, tt := range map[string]struct{ command, want string }{
		"first boot": {"cloud-init status", "cloud-init says:\nit broke"},
		"upload":     {"tar -x", "uploading"},
		"script":     {"setup.sh", "shell setup.sh exited with status 3:\nit broke\n(log: "},
		"clean":      {"sh -s --", "cleaning machine"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, shellFleet)
			l.server.Exec = func(c machinetest.Command) int {
				if !strings.Contains(c.Line, tt.command) {
					return 0
				}
				_, _ = io.WriteString(c.Stdout, "it broke\n")
				return 3
			}
			_, err := l.builder.Build(t.Context(), l.req)
			require.ErrorContains(t, err, tt.want)
			l.requireNothing(t)
			require.NotContains(t, l.cloud.Calls(), "CreateImage")
		})
	}
}

func TestInterruptedOnTheMachine(t *testing.T) {
	l := newLab(t, shellFleet)
	ctx, cancel := context.WithCancelCause(t.Context())
	l.server.Exec = func(c machinetest.Command) int {
		if strings.Contains(c.Line, "setup.sh") {
			cancel(errBoom)
			<-c.Ctx.Done()
		}
		return 0
	}
	_, err := l.builder.Build(ctx, l.req)
	require.ErrorIs(t, err, errBoom)
	l.requireNothing(t)
}

func TestTimeout(t *testing.T) {
	l := newLab(t, shellFleet)
	l.req.Role.Build.Timeout = roles.Duration(500 * time.Millisecond)
	l.server.Exec = func(c machinetest.Command) int {
		if strings.Contains(c.Line, "setup.sh") {
			<-c.Ctx.Done()
		}
		return 0
	}
	_, err := l.builder.Build(t.Context(), l.req)
	require.ErrorContains(t, err, "the bake took longer than build.timeout (500ms)")
	l.requireNothing(t)
}

func TestImageThatFails(t *testing.T) {
	l := newLab(t, shellFleet)
	l.cloud.ImageState = types.ImageStateFailed
	_, err := l.builder.Build(t.Context(), l.req)
	require.ErrorContains(t, err, "is failed: Server.InternalError the snapshot failed")
	l.requireNothing(t)
}

func TestCreateImageRefusedForAMoment(t *testing.T) {
	l := newLab(t, shellFleet)
	l.cloud.Fail("CreateImage", machinetest.Fault{Nth: 1, Err: machinetest.Error("InvalidParameterValue")})
	_, err := l.builder.Build(t.Context(), l.req)
	require.NoError(t, err)
	require.Len(t, l.images(), 1)
}

// The answer of CreateImage was lost and the SDK sent the request again: EC2 refuses the name, the image is ours.
func TestDuplicateNameIsAdopted(t *testing.T) {
	l := newLab(t, shellFleet)
	l.cloud.Fail("CreateImage", machinetest.Fault{Nth: 1, Err: machinetest.Error("InvalidAMIName.Duplicate"), Effect: true})
	img, err := l.builder.Build(t.Context(), l.req)
	require.NoError(t, err)
	require.Equal(t, "available", img.State)
	require.Len(t, l.images(), 1)
}

func TestForeignImageWithTheNameIsNotTouched(t *testing.T) {
	l := newLab(t, shellFleet)
	name := imageName("acme", "web", l.req.Role.Digest, "r1")
	foreign := types.Image{ImageId: aws.String("ami-foreign"), Name: &name, State: types.ImageStateAvailable}
	base := l.cloud.Images()[0]
	l.cloud = machinetest.NewCloud(base, foreign)
	l.server = machinetest.NewServer(t, l.cloud)
	l.builder.via, l.builder.ec2 = l.server, func(context.Context, images.Location) (EC2API, error) { return l.cloud, nil }
	_, err := l.builder.Build(t.Context(), l.req)
	require.ErrorContains(t, err, "not of run r1")
	require.Empty(t, l.cloud.Left())
	require.Len(t, l.cloud.Images(), 2)
}

func TestFinishedAfterAKill(t *testing.T) {
	for _, state := range []types.ImageState{types.ImageStatePending, types.ImageStateFailed} {
		t.Run(string(state), func(t *testing.T) {
			l := newLab(t, shellFleet)
			first, err := l.builder.Build(t.Context(), l.req)
			require.NoError(t, err)
			l.cloud.SetImageState(first.ID, state)
			second, err := l.builder.Build(t.Context(), l.req)
			require.NoError(t, err)
			require.Equal(t, state == types.ImageStatePending, first.ID == second.ID, "a pending image is waited for, a failed one replaced")
			require.Len(t, l.images(), 1)
		})
	}
}

func TestLeftoverAfterSuccess(t *testing.T) {
	l := newLab(t, shellFleet)
	l.cloud.Fail("DeleteKeyPair", machinetest.Fault{Err: errBoom})
	img, err := l.builder.Build(t.Context(), l.req)
	require.ErrorAs(t, err, new(*machine.LeftoverError))
	require.ErrorContains(t, err, "key pair imgops-r1-build-web")
	require.Equal(t, "available", img.State, "the image is good all the same")
	require.Len(t, l.images(), 1)
}

func TestUnfitBase(t *testing.T) {
	l := newLab(t, shellFleet)
	parent := &roles.Role{Name: "base", Digest: "sha256:1", Base: roles.Base{Owner: "136693071363", Architecture: "arm64"}}
	for name, tt := range map[string]struct {
		role *roles.Role
		base images.Image
		want string
	}{
		"architecture": {l.req.Role, images.Image{ID: "ami-1", Architecture: "arm64", Owner: "136693071363"}, "is for arm64, role web wants x86_64"},
		"owner":        {l.req.Role, images.Image{ID: "ami-1", Architecture: "x86_64", Owner: "999999999999"}, "belongs to account 999999999999"},
		"of the parent's parent": {
			&roles.Role{Name: "web", Base: roles.Base{Role: "base"}, Parent: parent},
			images.Image{ID: "ami-1", Architecture: "x86_64", Role: "base", Digest: "sha256:1"}, "wants arm64",
		},
		"old parent": {
			&roles.Role{Name: "web", Base: roles.Base{Role: "base"}, Parent: parent},
			images.Image{ID: "ami-1", Architecture: "arm64", Role: "base", Digest: "sha256:0"}, "builds on base with digest sha256:1",
		},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorContains(t, fits(tt.role, tt.base), tt.want) })
	}
	l.req.Base.ID = "ami-gone"
	_, err := l.builder.Build(t.Context(), l.req)
	require.ErrorIs(t, err, images.ErrNotFound)
	l.requireNothing(t)
}

func TestImageName(t *testing.T) {
	name := imageName(strings.Repeat("f", 200), strings.Repeat("r/", 200), "sha256:0123456789abcdef", "run: "+strings.Repeat("x", 99))
	require.LessOrEqual(t, len(name), 128)
	require.Regexp(t, `^[a-zA-Z0-9._-]+$`, name)
	require.NotEqual(t, nameWord("a b", 40), nameWord("a-b", 40))
}
