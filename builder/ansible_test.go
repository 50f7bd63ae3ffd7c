package builder

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/machine/machinetest"
	"github.com/imgops/imgops/roles"
)

func testPlaybook(t *testing.T, a *roles.Ansible) *playbook {
	dir := t.TempDir()
	p := &playbook{
		ansible: a, role: "web", fleet: filepath.Join(dir, "fleet"), work: filepath.Join(dir, "work"), address: "10.0.0.5", user: "admin",
		keyFile: "/w/id_ed25519", knownHosts: "/w/it's 5%/known_hosts", sshConfig: "/w/it's 5%/ssh_config", controlPath: "/tmp/imgops-1/s",
	}
	require.NoError(t, os.Mkdir(p.fleet, 0o700))
	return p
}

func env(cmd *exec.Cmd, name string) string {
	value := ""
	for _, e := range cmd.Env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v // the last one counts
		}
	}
	return value
}

func TestPlaybookCommand(t *testing.T) {
	p := testPlaybook(t, &roles.Ansible{Playbook: "plays/web.yml", Vars: map[string]any{"port": 8080}})
	require.NoError(t, p.prepare())
	cmd := p.cmd(t.Context())
	require.Equal(t, []string{
		"ansible-playbook", "--inventory", ".imgops-inventory.yml", "--extra-vars", "@" + p.varsFile(), "--extra-vars", "@" + p.connectionFile(), "plays/web.yml",
	}, cmd.Args)
	require.Equal(t, p.fleet, cmd.Dir)
	for name, want := range map[string]string{
		"ANSIBLE_PIPELINING": "True", "ANSIBLE_HOST_KEY_CHECKING": "True", "ANSIBLE_PARAMIKO_HOST_KEY_AUTO_ADD": "False", "ANSIBLE_NOCOLOR": "True", "ANSIBLE_RETRY_FILES_ENABLED": "False",
		"PATH":                     p.bin() + ":" + os.Getenv("PATH"),
		"ANSIBLE_CONFIG":           filepath.Join(p.fleet, ".imgops-ansible.cfg"),
		"ANSIBLE_ROLES_PATH":       filepath.Join(p.fleet, "roles") + ":" + filepath.Join(p.work, "galaxy/roles"),
		"ANSIBLE_COLLECTIONS_PATH": filepath.Join(p.fleet, "collections") + ":" + filepath.Join(p.work, "galaxy/collections") + ":/usr/share/ansible/collections",
		"ANSIBLE_STDOUT_CALLBACK":  os.Getenv("ANSIBLE_STDOUT_CALLBACK"),
	} {
		require.Equal(t, want, env(cmd, name), name)
	}
	require.FileExists(t, env(cmd, "ANSIBLE_CONFIG"))
	require.JSONEq(t, `{"port": 8080}`, read(t, p.varsFile()))
	require.JSONEq(t, `{"all": {
		"hosts": {"machine": {"ansible_host": "10.0.0.5", "ansible_user": "admin", "ansible_ssh_private_key_file": "/w/id_ed25519",
			"ansible_connection": "ansible.builtin.ssh"}},
		"children": {"web": {"hosts": {"machine": {}}}}}}`, read(t, filepath.Join(p.fleet, ".imgops-inventory.yml")))
}

func TestPlaybookOfARole(t *testing.T) {
	p := testPlaybook(t, &roles.Ansible{Role: "web"})
	require.NoError(t, p.prepare())
	require.Equal(t, ".imgops-playbook.yml", p.cmd(t.Context()).Args[7])
	require.JSONEq(t, `[{"name": "Role web", "hosts": "all", "become": true, "roles": ["web"]}]`, read(t, filepath.Join(p.fleet, ".imgops-playbook.yml")))
}

func TestOwnAnsibleConfigIsHonoured(t *testing.T) {
	p := testPlaybook(t, &roles.Ansible{Role: "web"})
	cfg := "[ssh_connection]\nroles_path = no\n[defaults]\nroles_path = vendor:~/x:/abs\n# collections_path = no\ncollections_path=c\n"
	require.NoError(t, os.WriteFile(filepath.Join(p.fleet, "ansible.cfg"), []byte(cfg), 0o600))
	require.NoError(t, p.prepare())
	cmd := p.cmd(t.Context())
	require.Equal(t, filepath.Join(p.fleet, "ansible.cfg"), env(cmd, "ANSIBLE_CONFIG"))
	require.True(t, strings.HasPrefix(env(cmd, "ANSIBLE_ROLES_PATH"), filepath.Join(p.fleet, "vendor")+":/abs:"+filepath.Join(p.fleet, "roles")+":"))
	require.True(t, strings.HasPrefix(env(cmd, "ANSIBLE_COLLECTIONS_PATH"), filepath.Join(p.fleet, "c")+":"))
}

func TestGalaxyCommand(t *testing.T) {
	p := testPlaybook(t, &roles.Ansible{Role: "web"})
	require.Empty(t, p.requirements())
	require.NoError(t, os.Mkdir(filepath.Join(p.fleet, "collections"), 0o700))
	for _, name := range []string{"requirements.yml", "collections/requirements.yml"} {
		require.NoError(t, os.WriteFile(filepath.Join(p.fleet, name), nil, 0o600))
	}
	require.Equal(t, []string{"requirements.yml", "collections/requirements.yml"}, p.requirements())
	cmd := p.galaxyCmd(t.Context(), "requirements.yml")
	require.Equal(t, []string{"ansible-galaxy", "install", "--role-file", "requirements.yml"}, cmd.Args)
	require.Equal(t, filepath.Join(p.work, "galaxy/roles"), env(cmd, "ANSIBLE_ROLES_PATH"))
	require.Equal(t, filepath.Join(p.work, "galaxy/collections"), env(cmd, "ANSIBLE_COLLECTIONS_PATH"))
}

var ansibleFleet = map[string]string{
	"imgops.yaml":              fleetConfig,
	"roles/web/image.yaml":     debianBase,
	"roles/web/tasks/main.yml": "- ping:\n",
}

// program puts a program before all others on PATH.
func program(t *testing.T, name, script string) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestAnsibleFailureIsTold(t *testing.T) {
	l := newLab(t, ansibleFleet)
	program(t, "ansible-playbook", `echo 'TASK [web : Write] ***'; echo 'fatal: [machine]: FAILED! => {"msg": "disk full"}'; exit 2`)
	_, err := l.builder.Build(t.Context(), l.req)
	failed := (*ProvisionError)(nil)
	require.ErrorAs(t, err, &failed)
	log := filepath.Join(l.req.WorkDir, "ansible.log")
	require.Equal(t, ProvisionError{Provisioner: "ansible", What: "role web", Task: "web : Write", Message: "disk full", Status: 2, Log: log}, *failed)
	require.ErrorContains(t, err, `ansible role web exited with status 2 in task "web : Write":`+"\ndisk full\n(log: "+log+")")
	require.Contains(t, read(t, log), "fatal: [machine]")
	l.requireNothing(t)
}

func TestAnsibleThatRunsNothingIsAnError(t *testing.T) {
	l := newLab(t, ansibleFleet)
	program(t, "ansible-playbook", "echo 'PLAY [webservers] ***'; echo 'skipping: no hosts matched'")
	_, err := l.builder.Build(t.Context(), l.req)
	require.ErrorContains(t, err, "did nothing: no play of it is for the machine, which is in the groups all and web")
	l.requireNothing(t)
}

func TestAnsibleMissing(t *testing.T) {
	l := newLab(t, ansibleFleet)
	t.Setenv("PATH", t.TempDir())
	_, err := l.builder.Build(t.Context(), l.req)
	require.ErrorContains(t, err, "ansible-playbook is not on PATH: install Ansible")
	require.Empty(t, l.cloud.Instances(), "found before a machine was launched")
	l.requireNothing(t)
}

// An interrupt reaches Ansible as SIGINT, which lets it end its connections.
func TestAnsibleInterrupted(t *testing.T) {
	l := newLab(t, ansibleFleet)
	mark := filepath.Join(t.TempDir(), "interrupted")
	program(t, "ansible-playbook", "trap 'echo yes >"+mark+"; exit 99' INT\necho 'TASK [x] ***'\nwhile :; do sleep 0.1; done\n")
	ctx, cancel := context.WithCancelCause(t.Context())
	l.req.Progress = func(_, waiting string) {
		if waiting == "ansible: x" {
			cancel(errBoom)
		}
	}
	_, err := l.builder.Build(ctx, l.req)
	require.ErrorIs(t, err, errBoom)
	require.FileExists(t, mark)
	l.requireNothing(t)
}

func TestPuppet(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		want   string
	}{
		"nothing to do": {0, ""}, "changes": {2, ""}, "failures": {6, "puppet site.pp exited with status 6:\nError: x"},
		"no puppet": {127, "there is no puppet on the machine"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, map[string]string{
				"imgops.yaml": fleetConfig, "roles/web/image.yaml": debianBase + "provision: [{puppet: {manifest: site.pp}}]\n",
				"roles/web/site.pp": "# nothing\n",
			})
			l.server.Exec = puppetAnswers(tt.status)
			_, err := l.builder.Build(t.Context(), l.req)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			l.requireNothing(t)
		})
	}
}

func puppetAnswers(status int) func(machinetest.Command) int {
	return func(c machinetest.Command) int {
		if !strings.Contains(c.Line, "puppet apply") {
			return 0
		}
		_, _ = io.WriteString(c.Stdout, "Error: x\n")
		return status
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}
