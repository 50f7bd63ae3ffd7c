package machine

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine/machinetest"
)

var errBoom = errors.New("boom")

func testSpec(t *testing.T) Spec {
	return Spec{
		Location: images.Location{Account: "111111111111", Region: "us-east-1"},
		Image:    images.Image{ID: "ami-base", RootDevice: "/dev/xvda", DiskGiB: 2},
		Purpose:  "build", Fleet: "acme", Role: "web", Run: "r1", InstanceTypes: []string{"t3.small", "t3a.small"},
		DiskGiB: 8, SSHUser: "admin", Lifetime: time.Hour, WorkDir: filepath.Join(t.TempDir(), "work"),
	}
}

func newTest(t *testing.T) (*machinetest.Cloud, *machinetest.Server, *Launcher) {
	cloud := machinetest.NewCloud()
	server := machinetest.NewServer(t, cloud)
	return cloud, server, NewLauncher(cloud).Via(server)
}

func TestLaunchAndClose(t *testing.T) {
	cloud, _, l := newTest(t)
	spec := testSpec(t)
	spec.UserData = "packages: [curl]\nbootcmd: [[touch, /x]]\n"
	m, err := l.Launch(t.Context(), spec, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"group imgops-r1-build-web", "instance " + m.ID + " running", "key imgops-r1-build-web"}, cloud.Left())

	i := cloud.Instances()[0]
	require.Equal(t, map[string]string{
		"Name": "imgops-r1-build-web", "imgops:fleet": "acme", "imgops:role": "web", "imgops:run": "r1",
		"imgops:expires": m.Expires().Format(time.RFC3339),
	}, tagMap(i.Tags))
	require.Equal(t, "10.0.0.0/16", aws.ToString(cloud.Rules()[0].IpRanges[0].CidrIp), "the VPC of a private endpoint")

	data, err := base64.StdEncoding.DecodeString(cloud.UserData(m.ID))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(data), "#cloud-config\n"))
	var config map[string]any
	require.NoError(t, yaml.Unmarshal(data, &config))
	require.Equal(t, []any{"curl"}, config["packages"])
	require.Len(t, config["bootcmd"], 2, "imgops' own first, then the further ones")
	require.Equal(t, true, config["ssh_deletekeys"])

	for path, mode := range map[string]os.FileMode{spec.WorkDir: 0o700, m.KeyFile: 0o600, m.SSHConfig: 0o600, m.KnownHosts: 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}
	control := filepath.Dir(m.ControlPath())
	require.DirExists(t, control)

	require.NoError(t, m.Close(t.Context()))
	require.Empty(t, cloud.Left())
	require.NoDirExists(t, control)
	calls := len(cloud.Calls())
	require.NoError(t, m.Close(t.Context()))
	require.Len(t, cloud.Calls(), calls, "closing twice does nothing")
}

// Whatever fails, before or after it took effect, nothing stays.
func TestFailureLeavesNothing(t *testing.T) {
	actions := []string{
		"ImportKeyPair", "DescribeVpcs", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances", "DescribeInstances",
	}
	for _, action := range actions {
		for _, effect := range []bool{false, true} {
			t.Run(action+map[bool]string{true: " lost answer"}[effect], func(t *testing.T) {
				cloud, _, l := newTest(t)
				cloud.Fail(action, machinetest.Fault{Nth: 1, Err: errBoom, Effect: effect})
				m := l.Machine(testSpec(t))
				m.lost, m.keep = 200*time.Millisecond, true
				err := RunSteps(t.Context(), NewState(nil, "r1"), l.Steps(m)...)
				require.ErrorIs(t, err, errBoom)
				require.Empty(t, cloud.Left())
				require.False(t, errors.As(err, new(*LeftoverError)), err)
			})
		}
	}
}

func TestCancelInEachCallLeavesNothing(t *testing.T) {
	cause := errors.New("interrupted")
	for _, action := range []string{"ImportKeyPair", "DescribeVpcs", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances", "DescribeInstances"} {
		t.Run(action, func(t *testing.T) {
			cloud, _, l := newTest(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			cloud.Fail(action, machinetest.Fault{Nth: 1, Before: func() { cancel(cause) }})
			_, err := l.Launch(ctx, testSpec(t), nil)
			require.Error(t, err)
			require.True(t, errors.Is(err, cause) || errors.Is(err, context.Canceled), err)
			require.Empty(t, cloud.Left())
		})
	}
}

func TestWhatCannotBeRemovedIsNamed(t *testing.T) {
	for action, names := range map[string][]string{
		"TerminateInstances":  {"instance imgops-r1-build-web i-", "security group imgops-r1-build-web sg-"},
		"DeleteSecurityGroup": {"security group imgops-r1-build-web sg-"},
		"DeleteKeyPair":       {"key pair imgops-r1-build-web in 111111111111/us-east-1"},
	} {
		t.Run(action, func(t *testing.T) {
			cloud, _, l := newTest(t)
			m, err := l.Launch(t.Context(), testSpec(t), nil)
			require.NoError(t, err)
			cloud.Fail(action, machinetest.Fault{Err: errBoom})
			err = m.Close(t.Context())
			left := (*LeftoverError)(nil)
			require.ErrorAs(t, err, &left)
			require.Len(t, left.Errs, len(names))
			require.ErrorContains(t, err, "imgops gc --run "+testSpec(t).Run)
			for i, name := range names {
				require.ErrorContains(t, left.Errs[i], name)
			}
			cloud.Heal()
			require.NoError(t, m.Close(t.Context()), "a second Close removes what was left")
			require.Empty(t, cloud.Left())
		})
	}
}

func TestCapacity(t *testing.T) {
	tests := map[string]struct {
		refuse func(*types.Instance) error
		want   string // error; empty: the second type is launched
	}{
		"refused at once":  {refuse: func(*types.Instance) error { return machinetest.Error("InsufficientInstanceCapacity") }},
		"not in this zone": {refuse: func(*types.Instance) error { return machinetest.Error("Unsupported") }},
		"found out later": {refuse: func(i *types.Instance) error {
			i.State = &types.InstanceState{Name: types.InstanceStateNameTerminated}
			i.StateReason = &types.StateReason{Code: aws.String("Server.InsufficientInstanceCapacity")}
			return nil
		}},
		"quota": {refuse: func(*types.Instance) error { return machinetest.Error("VcpuLimitExceeded") }, want: "VcpuLimitExceeded"},
		"bad key": {refuse: func(i *types.Instance) error {
			i.State = &types.InstanceState{Name: types.InstanceStateNameTerminated}
			i.StateReason = &types.StateReason{Code: aws.String("Client.InternalError"), Message: aws.String("Client error on launch")}
			return nil
		}, want: "it is terminated instead of running: Client.InternalError Client error on launch"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cloud, _, l := newTest(t)
			cloud.BeforeRun = func(i *types.Instance) error {
				if i.InstanceType == "t3.small" {
					return tt.refuse(i)
				}
				return nil
			}
			m, err := l.Launch(t.Context(), testSpec(t), nil)
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				require.Empty(t, cloud.Left())
				return
			}
			require.NoError(t, err)
			require.NoError(t, m.Close(t.Context()))
			require.Empty(t, cloud.Left())
		})
	}
}

// A process of the run was killed; the next one takes its place, and what the first one made goes away.
func TestRunAgainAfterKill(t *testing.T) {
	cloud, _, l := newTest(t)
	first, err := l.Launch(t.Context(), testSpec(t), nil)
	require.NoError(t, err)
	second, err := l.Launch(t.Context(), testSpec(t), nil)
	require.NoError(t, err)
	require.NotEqual(t, first.ID, second.ID)
	require.Equal(t, []string{"group imgops-r1-build-web", "instance " + second.ID + " running", "key imgops-r1-build-web"}, cloud.Left())
	require.NoError(t, second.Close(t.Context()))
	require.Empty(t, cloud.Left())
	require.NoError(t, first.Close(t.Context()))
}

func TestForeignNamesAreNotTouched(t *testing.T) {
	cloud, _, l := newTest(t)
	m, err := l.Launch(t.Context(), testSpec(t), nil)
	require.NoError(t, err)
	before := cloud.Left()
	theirs := testSpec(t)
	theirs.Run = "r2"
	other := l.Machine(theirs)
	other.name = m.name // as if the names of two runs met
	err = RunSteps(t.Context(), NewState(nil, "r1"), l.Steps(other)...)
	require.ErrorContains(t, err, "not of run r2")
	require.Equal(t, before, cloud.Left())
	require.NoError(t, m.Close(t.Context()))
}

func TestSourceAddress(t *testing.T) {
	vpc := types.Vpc{VpcId: aws.String("vpc-1"), CidrBlock: aws.String("10.0.0.0/16")}
	public := struct{ EC2API }{} // has no Options: nothing says that the endpoint is private
	for name, tt := range map[string]struct {
		api        EC2API
		cidr, want string
		err        string
	}{
		"private endpoint":          {api: machinetest.NewCloud(), want: "10.0.0.0/16"},
		"the user's word":           {api: public, cidr: "203.0.113.7/32", want: "203.0.113.7/32"},
		"everybody, as written":     {api: public, cidr: "0.0.0.0/0", want: "0.0.0.0/0"},
		"IPv6":                      {api: public, cidr: "2001:db8::1/128", want: "2001:db8::1/128"},
		"a public cloud, not asked": {api: public, err: "build.ssh_cidr is needed"},
		"nonsense":                  {api: public, cidr: "203.0.113.7", err: "such as 203.0.113.7/32"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (&Machine{api: tt.api, spec: Spec{SSHCIDR: tt.cidr}}).source(vpc)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got.String())
		})
	}
}

func TestNamesAndTokens(t *testing.T) {
	s := testSpec(t)
	s.Suffix = "default"
	require.Equal(t, "imgops-r1-build-web-default", resourceName(s))
	s.Role = strings.Repeat("ü", 300)
	require.LessOrEqual(t, len(resourceName(s)), 255)
	require.Regexp(t, `^[a-zA-Z0-9._-]+$`, resourceName(s))
	other := s
	other.Role += "x"
	require.NotEqual(t, resourceName(s), resourceName(other))

	m, same := &Machine{spec: s}, &Machine{spec: s}
	require.Equal(t, m.clientToken("t3.small", 0), same.clientToken("t3.small", 0), "the same in another process")
	require.NotEqual(t, m.clientToken("t3.small", 0), m.clientToken("t3.large", 0))
	require.NotEqual(t, m.clientToken("t3.small", 0), m.clientToken("t3.small", 1))
	require.LessOrEqual(t, len(m.clientToken("t3.small", 0)), 64)
}

func TestBadSpecs(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Spec)
		want   string
	}{
		"disk too small":     {func(s *Spec) { s.DiskGiB = 1 }, "less than the 2 GiB of image ami-base"},
		"no type":            {func(s *Spec) { s.InstanceTypes = nil }, "no instance type"},
		"foreign host keys":  {func(s *Spec) { s.UserData = "ssh_keys: {}" }, "sets ssh_keys"},
		"no cloud-config":    {func(s *Spec) { s.UserData = "#!/bin/sh\necho" }, "must be a cloud-config"},
		"too much user data": {func(s *Spec) { s.UserData = "x: " + strings.Repeat("y", 17000) }, "more than EC2's 16384"},
	} {
		t.Run(name, func(t *testing.T) {
			cloud, _, l := newTest(t)
			s := testSpec(t)
			tt.change(&s)
			_, err := l.Launch(t.Context(), s, nil)
			require.ErrorContains(t, err, tt.want)
			require.Empty(t, cloud.Left())
			require.NotContains(t, cloud.Calls(), "RunInstances")
		})
	}
}

func tagMap(tags []types.Tag) map[string]string {
	got := map[string]string{}
	for _, t := range tags {
		got[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return got
}

func TestAYoungMachineThatEC2DoesNotKnowYetIsEndedAllTheSame(t *testing.T) {
	cloud, _, l := newTest(t)
	m, err := l.Launch(t.Context(), testSpec(t), nil)
	require.NoError(t, err)
	for nth := range 2 {
		cloud.Fail("TerminateInstances", machinetest.Fault{Nth: nth + 1, Err: machinetest.Error("InvalidInstanceID.NotFound")})
	}
	require.NoError(t, m.Close(t.Context()))
	require.Empty(t, cloud.Left())
}
