package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/images/sandbox/machines"
)

// realWorld is imgops as users have it: the built binary, a sandbox of its own, and fleets in Git.
type realWorld struct {
	dir      string
	binary   string
	sandbox  string
	env      []string
	url      string
	patience time.Duration // with what is waited for; 0: two minutes
	inside   []string      // what leads to the namespaces in which commands run, if not here
}

func newRealWorld(t *testing.T) *realWorld {
	t.Helper()
	if err := machines.Probe(); err != nil {
		t.Skipf("real machines cannot run here: %v", err)
	}
	return newMachinelessWorld(t)
}

// newMachinelessWorld is a realWorld on a host that need not be able to run machines.
func newMachinelessWorld(t *testing.T) *realWorld {
	t.Helper()
	dir := t.TempDir()
	w := &realWorld{dir: dir, binary: filepath.Join(dir, "bin", "imgops"), sandbox: fmt.Sprintf("test-%d", os.Getpid())}
	w.build(t)
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); !strings.HasPrefix(name, "AWS_") && !strings.HasPrefix(name, "GIT_") && !strings.HasPrefix(name, "IMGOPS_") {
			w.env = append(w.env, kv)
		}
	}
	w.env = append(w.env, "XDG_STATE_HOME="+filepath.Join(dir, "state"), "IMGOPS_SANDBOX="+w.sandbox, "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_CONFIG_NOSYSTEM=1", "AWS_EC2_METADATA_DISABLED=true", "GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@example.com", "GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@example.com",
		"PATH="+filepath.Dir(w.binary)+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
	return w
}

// build takes the binary that make has built, or builds one, linked statically as the Makefile does it.
func (w *realWorld) build(t *testing.T) {
	t.Helper()
	if made := os.Getenv("IMGOPS_BINARY"); made != "" {
		w.binary = made
		return
	}
	build := exec.Command("go", "build", "-o", w.binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
}

func (w *realWorld) sandboxUp(t *testing.T, driver string) {
	t.Helper()
	w.imgops(t, w.dir, "sandbox", "up", "--name", w.sandbox, "--machines", driver)
	t.Cleanup(func() { _ = w.command(w.dir, w.binary, "sandbox", "reset", "--name", w.sandbox).Run() })
	out, _ := w.imgops(t, w.dir, "sandbox", "env", "--name", w.sandbox)
	for line := range strings.Lines(out) {
		if url, ok := strings.CutPrefix(line, "export AWS_ENDPOINT_URL="); ok {
			w.url = strings.TrimSpace(url)
		}
	}
}

func (w *realWorld) command(dir, name string, args ...string) *exec.Cmd {
	all := slices.Concat(w.inside, []string{name}, args)
	cmd := exec.Command(all[0], all[1:]...)
	cmd.Dir, cmd.Env = dir, w.env
	return cmd
}

// try runs imgops and returns its exit code and output.
func (w *realWorld) try(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := w.command(dir, w.binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	t.Logf("imgops %s: exit %d\n%s%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), out.String(), errs.String())
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func (w *realWorld) imgops(t *testing.T, dir string, args ...string) (stdout, stderr string) {
	t.Helper()
	code, stdout, stderr := w.try(t, dir, args...)
	require.Zero(t, code, "imgops %s: %s", strings.Join(args, " "), stderr)
	return stdout, stderr
}

func (w *realWorld) git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := w.command(dir, "git", args...).CombinedOutput()
	require.NoError(t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

// newFleet makes the fleet of imgops init, with a bare origin, committed and pushed to main.
func (w *realWorld) newFleet(t *testing.T) string {
	t.Helper()
	fleet, origin := filepath.Join(w.dir, "fleet"), filepath.Join(w.dir, "origin.git")
	w.git(t, w.dir, "init", "-q", "--bare", "-b", "main", origin)
	w.imgops(t, w.dir, "init", "--fleet", "acme", fleet)
	w.git(t, fleet, "add", "-A")
	w.git(t, fleet, "commit", "-qm", "Begin the fleet")
	w.git(t, fleet, "remote", "add", "origin", origin)
	w.git(t, fleet, "push", "-qu", "origin", "main")
	return fleet
}

// ec2 gives a plain SDK client of a location of the sandbox.
func (w *realWorld) ec2(t *testing.T, loc images.Location) *ec2.Client {
	t.Helper()
	return ec2.NewFromConfig(w.config(t, loc))
}

func (w *realWorld) config(t *testing.T, loc images.Location) aws.Config {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion(loc.Region), config.WithBaseEndpoint(w.url),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("SANDBOX"+loc.Account, "sandbox", "")))
	require.NoError(t, err)
	cfg.HTTPClient = images.PlainBodies{HTTPClient: http.DefaultClient}
	return cfg
}

// plainAnsible launches a machine of the fleet's base image and runs the web role on it with nothing but Ansible, with
// pipelining: what a bake costs at the least.
func (w *realWorld) plainAnsible(ctx context.Context, t *testing.T, fleet string) (playbook, launch time.Duration) {
	t.Helper()
	loc := images.Location{Account: "111111111111", Region: "us-east-1"}
	api := w.ec2(t, loc)
	all, err := images.NewCatalogue(loc, api).OfFleet(ctx, "acme")
	require.NoError(t, err)
	var base images.Image
	for _, img := range all {
		if img.Role == "base" {
			base = img
		}
	}
	began := time.Now()
	m, err := machine.NewLauncher(api).Launch(ctx, machine.Spec{
		Location: loc, Image: base, Purpose: "bench", Fleet: "acme", Role: "web", Run: "bench", InstanceTypes: []string{"t3.small"},
		SSHUser: "admin", Lifetime: time.Hour, WorkDir: filepath.Join(w.dir, "bench"),
	}, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close(ctx)) }()
	require.NoError(t, m.WaitBooted(ctx, "cloud-init", nil))
	launch = time.Since(began)
	inventory := filepath.Join(w.dir, "bench", "hosts")
	write(t, inventory, "machine ansible_host="+m.Address+" ansible_user=admin\n")
	play := filepath.Join(w.dir, "bench", "play.yml")
	write(t, play, "- hosts: all\n  become: true\n  roles: [{role: web, web_greeting: Hello from imgops}]\n")
	cmd := w.command(fleet, "ansible-playbook", "-i", inventory, play)
	cmd.Env = append(cmd.Env, "ANSIBLE_PIPELINING=True", "ANSIBLE_ROLES_PATH="+filepath.Join(fleet, "roles"),
		"ANSIBLE_SSH_ARGS=-F "+m.SSHConfig+" -o ControlMaster=auto -o ControlPersist=60s")
	return timed(t, cmd), launch
}
