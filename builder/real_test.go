package builder

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/images/sandbox/baseimage"
	"github.com/imgops/imgops/images/sandbox/disk"
	"github.com/imgops/imgops/images/sandbox/imds"
	"github.com/imgops/imgops/images/sandbox/machines"
)

const debianOwner = "136693071363"

var buildPlace = images.Location{Account: "111111111111", Region: "us-east-1"}

// realClients are clients of a sandbox in this process.
type realClients struct{ url string }

func (c realClients) EC2(ctx context.Context, loc images.Location) (*ec2.Client, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(loc.Region), config.WithBaseEndpoint(c.url),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("SANDBOX"+loc.Account, "sandbox", "")))
	cfg.HTTPClient = images.PlainBodies{HTTPClient: http.DefaultClient}
	return ec2.NewFromConfig(cfg), err
}

func (realClients) SSM(context.Context, images.Location) (*ssm.Client, error) { return nil, nil }

// realCloud starts a sandbox with machines, or skips the test with the reason.
func realCloud(t *testing.T) realClients {
	t.Helper()
	if testing.Short() {
		t.Skip("starts machines")
	}
	for _, probe := range []func() error{machines.Probe, baseimage.Probe} {
		if err := probe(); err != nil {
			t.Skip(err)
		}
	}
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		t.Skip("ansible-playbook is not on PATH (apt-get install ansible-core)")
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	var cloud atomic.Pointer[sandbox.Cloud]
	metadata := imds.Handler(func(a netip.Addr) (imds.Document, bool) {
		if c := cloud.Load(); c != nil {
			return c.InstanceMetadata(a)
		}
		return imds.Document{}, false
	})
	dir := t.TempDir()
	driver, err := machines.NewNspawn(t.Context(), machines.Options{Dir: filepath.Join(dir, "machines"), Name: "builder-test", Metadata: metadata, Log: log})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, driver.Down(context.Background()))
		require.NoError(t, driver.Close())
	})
	disks, err := disk.Open(filepath.Join(dir, "disks"))
	require.NoError(t, err)
	c, err := sandbox.New(t.Context(), sandbox.Options{Dir: filepath.Join(dir, "cloud"), Driver: driver, Disks: disks, Log: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	cloud.Store(c)
	registerBase(t, c)
	server := httptest.NewServer(c.Handler())
	t.Cleanup(server.Close)
	return realClients{server.URL}
}

func registerBase(t *testing.T, c *sandbox.Cloud) {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	base, err := baseimage.Make(t.Context(), baseimage.Options{Dir: filepath.Join(cache, "imgops", "base")})
	require.NoError(t, err)
	require.NoError(t, c.RegisterBase(t.Context(), sandbox.Base{
		Owner: debianOwner, Name: base.Name, Architecture: base.Architecture, RawPath: base.Path, SizeBytes: base.SizeBytes, Created: base.Created,
	}))
}

var realFleet = map[string]string{
	"imgops.yaml":                    fleetConfig,
	"group_vars/web.yml":             "greeting: from group_vars\n",
	"roles/web/image.yaml":           debianBase + "provision: [{ansible: {role: web, vars: {port: 8080}}}, {shell: {script: after.sh, env: {WHO: \"it's me\"}}}]\n",
	"roles/web/tasks/main.yml":       realTasks,
	"roles/web/templates/site.j2":    "{{ greeting }} on {{ port }}\n",
	"roles/web/handlers/main.yml":    "- name: mark\n  ansible.builtin.copy: {content: handled, dest: /etc/handled}\n",
	"roles/web/files/authorized_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKeptKeptKeptKeptKeptKeptKeptKeptKeptKeptKep ops\n",
	"roles/web/after.sh":             "#!/bin/sh\nset -eu\necho \"$WHO as $(id -un) beside $(cat files/authorized_key | cut -d' ' -f3)\" >/etc/after\ntouch /tmp/left /var/tmp/left /root/.bash_history\n",
}

const realTasks = `- name: Write the site
  ansible.builtin.template: {src: site.j2, dest: /etc/site}
  notify: mark
- name: Let the operators in
  ansible.builtin.lineinfile:
    path: /home/admin/.ssh/authorized_keys
    line: "{{ lookup('file', 'authorized_key') }}"
- name: Note who this machine is
  ansible.builtin.shell: cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub > /etc/was
`

func realRequest(t *testing.T, clients realClients, files map[string]string) Request {
	t.Helper()
	fleet := loadFleet(t, files)
	role, ok := fleet.Role("web")
	require.True(t, ok)
	catalogue, err := images.Open(t.Context(), clients, buildPlace)
	require.NoError(t, err)
	name := images.BaseName{Owner: debianOwner, Pattern: "debian-12-amd64-*", Architecture: "x86_64"}
	newest, err := catalogue.Newest(t.Context(), name)
	base := newest[name]
	require.NoError(t, err)
	return Request{
		Fleet: fleet, Role: role, Base: base, Location: buildPlace, Run: fmt.Sprintf("r%d", os.Getpid()), Commit: "c0ffee", WorkDir: t.TempDir(),
		Progress: func(step, waiting string) { t.Log(time.Now().Format("05.000"), step, waiting) },
	}
}

// A role is baked with real Ansible on a real machine, and a machine of its image has what the role says and nothing
// of the machine on which it was made.
func TestBakeOnARealMachine(t *testing.T) {
	clients := realCloud(t)
	req := realRequest(t, clients, realFleet)
	began := time.Now()
	img, err := New(clients).Build(t.Context(), req)
	require.NoError(t, err)
	t.Logf("baked in %v", time.Since(began).Round(time.Millisecond))
	requireNoMachines(t, clients)

	api, err := clients.EC2(t.Context(), buildPlace)
	require.NoError(t, err)
	began = time.Now()
	m, err := machine.NewLauncher(api).Launch(t.Context(), machine.Spec{
		Location: buildPlace, Image: img, Purpose: "verify", Fleet: "acme", Role: "web", Run: req.Run, InstanceTypes: []string{"t3.small"},
		SSHUser: "admin", Lifetime: time.Hour, WorkDir: t.TempDir(),
	}, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close(context.Background())) }()
	require.NoError(t, m.WaitBooted(t.Context(), machine.WaitCloudInit, nil))
	t.Logf("SSH and cloud-init done after %v", time.Since(began).Round(time.Millisecond))
	require.NoError(t, m.WaitBooted(t.Context(), machine.WaitSystemd, nil))

	for command, want := range map[string]string{
		"cat /etc/site":                                "from group_vars on 8080",
		"cat /etc/handled":                             "handled",
		"cat /etc/after":                               "it's me as root beside ops",
		"grep -c ^ssh- ~/.ssh/authorized_keys":         "2", // the operators', and this machine's own
		"grep -c ' ops$' ~/.ssh/authorized_keys":       "1",
		"sudo wc -l < /etc/machine-id":                 "1",
		"grep -cF \"$(cat /etc/machine-id)\" /etc/was": "0",
		"grep -cF \"$(sudo cat /etc/ssh/ssh_host_ed25519_key.pub)\" /etc/was": "0",
		"ls -d ~/.imgops ~/.ansible /etc/ssh/ssh_host_rsa_key 2>/dev/null":    "",
		"ls -d /tmp/left /var/tmp/left /root/.bash_history 2>/dev/null":       "",
		"ls -A /var/lib/apt/lists":                            "",
		"ls /var/lib/cloud/instances":                         m.ID,
		"systemctl is-active imgops-expiry.timer":             "active",
		"find /etc/systemd /usr/lib/systemd -name 'imgops-*'": "",
	} {
		out, err := m.Output(t.Context(), command+" || true")
		require.NoError(t, err, command)
		require.Equal(t, want, strings.TrimSpace(string(out)), command)
	}
	// Other programs reach it by its files.
	out, err := exec.Command("ssh", "-F", m.SSHConfig, "machine", "hostname").CombinedOutput()
	require.NoError(t, err, string(out))

	// The machine ends itself when its time is over: here, the timer's unit is started by hand.
	_ = m.Run(t.Context(), "sudo systemctl start imgops-expiry.service", nil, nil, nil) // the connection may break first
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, images.Poll(ctx, func(ctx context.Context) (bool, error) {
		out, err := api.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{m.ID}})
		return err == nil && out.Reservations[0].Instances[0].State.Name == types.InstanceStateNameTerminated, err
	}))
}

func TestFailedBakeOnARealMachine(t *testing.T) {
	clients := realCloud(t)
	files := map[string]string{}
	for name, text := range realFleet {
		files[name] = text
	}
	files["roles/web/tasks/main.yml"] = "- name: Ask too much\n  ansible.builtin.shell: echo no such luck >&2; exit 7\n"
	req := realRequest(t, clients, files)
	_, err := New(clients).Build(t.Context(), req)
	failed := (*ProvisionError)(nil)
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "web : Ask too much", failed.Task)
	require.Contains(t, failed.Message, "no such luck")
	require.Equal(t, 2, failed.Status)
	requireNoMachines(t, clients)
	catalogue, err := images.Open(t.Context(), clients, buildPlace)
	require.NoError(t, err)
	made, err := catalogue.OfFleet(t.Context(), "acme")
	require.NoError(t, err)
	require.Empty(t, made)
}

// requireNoMachines requires that nothing temporary is left in the build account.
func requireNoMachines(t *testing.T, clients realClients) {
	t.Helper()
	api, err := clients.EC2(t.Context(), buildPlace)
	require.NoError(t, err)
	running, err := api.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{})
	require.NoError(t, err)
	for _, r := range running.Reservations {
		for _, i := range r.Instances {
			require.Equal(t, types.InstanceStateNameTerminated, i.State.Name)
		}
	}
	keys, err := api.DescribeKeyPairs(t.Context(), &ec2.DescribeKeyPairsInput{})
	require.NoError(t, err)
	require.Empty(t, keys.KeyPairs)
	groups, err := api.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{})
	require.NoError(t, err)
	for _, g := range groups.SecurityGroups {
		require.Equal(t, "default", *g.GroupName)
	}
	// Volumes go a moment after their instance.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, images.Poll(ctx, func(ctx context.Context) (bool, error) {
		volumes, err := api.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{})
		return err == nil && len(volumes.Volumes) == 0, err
	}))
}
