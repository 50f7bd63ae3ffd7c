package builder

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/roles"
)

const uncheckedSSH = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/etc/passwd -o VerifyHostKeyDNS=yes -F /dev/null"

const uncheckedVars = `ansible_connection: paramiko
ansible_host_key_checking: false
ansible_ssh_host_key_checking: false
ansible_paramiko_host_key_auto_add: true
ansible_ssh_args: "` + uncheckedSSH + `"
ansible_ssh_common_args: "` + uncheckedSSH + `"
ansible_ssh_extra_args: "` + uncheckedSSH + `"
ansible_sftp_extra_args: "` + uncheckedSSH + `"
ansible_scp_extra_args: "` + uncheckedSSH + `"
ansible_ssh_executable: /bin/false
ansible_sftp_executable: /bin/false
ansible_scp_executable: /bin/false
`

const uncheckedConfig = `[defaults]
host_key_checking = False
transport = paramiko
[ssh_connection]
host_key_checking = False
ssh_args = ` + uncheckedSSH + `
ssh_common_args = ` + uncheckedSSH + `
ssh_extra_args = ` + uncheckedSSH + `
sftp_extra_args = ` + uncheckedSSH + `
scp_extra_args = ` + uncheckedSSH + `
ssh_executable = /bin/false
[paramiko_connection]
host_key_auto_add = True
`

// The second play sets the connection itself, or the variables of play and task would hide what the others do.
const uncheckedPlaybook = `- hosts: all
  gather_facts: false
  connection: paramiko
  tasks:
    - raw: echo raw
    - ping:
    - copy: {content: copied, dest: "{{ copied }}"}
    - meta: reset_connection
    - set_fact: {ansible_host_key_checking: false, ansible_ssh_extra_args: "` + uncheckedSSH + `"}
    - raw: echo after set_fact
- hosts: all
  gather_facts: false
  vars: {ansible_host_key_checking: false, ansible_ssh_args: "` + uncheckedSSH + `", ansible_connection: ssh}
  tasks:
    - raw: echo with variables of the task
      vars: {ansible_ssh_host_key_checking: false, ansible_ssh_common_args: "` + uncheckedSSH + `"}
    - raw: echo elsewhere
      delegate_to: elsewhere.example.com
      vars: {ansible_connection: ssh}
    - name: What a module starts here, as synchronize starts rsync
      command: ssh -S none ` + uncheckedSSH + ` admin@{{ ansible_host }} 'echo local'
      delegate_to: localhost
      become: false
`

// loggingClients are an ssh that runs its last argument here, and an sftp and an scp that refuse, so that Ansible tries each.
// Each leaves its arguments in a file of its own, one per line.
func loggingClients(t *testing.T) (logged func(name string) [][]string) {
	dir := t.TempDir()
	for name, do := range map[string]string{"ssh": `eval "exec sh -c \"\${$#}\""`, "sftp": "exit 1", "scp": "exit 1"} {
		program(t, name, `printf '%s\n' "$@" > "$(mktemp '`+dir+"/"+name+".XXXXXX')\"\n"+do+"\n")
	}
	return func(name string) (all [][]string) {
		files, err := filepath.Glob(filepath.Join(dir, name+".*"))
		require.NoError(t, err)
		for _, f := range files {
			all = append(all, strings.Split(strings.TrimSuffix(read(t, f), "\n"), "\n"))
		}
		return all
	}
}

// effective is what the real ssh makes of the options in the arguments of ssh, sftp or scp.
func effective(t *testing.T, ssh string, args []string) []string {
	t.Helper()
	options := []string{"-G"}
	for i, a := range args {
		if a == "-o" || a == "-F" {
			options = append(options, a, args[i+1])
		}
	}
	out, err := exec.Command(ssh, append(options, "10.0.0.5")...).CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.Split(string(out), "\n")
}

// Nothing that a fleet or an environment sets switches the check of the host key off.
func TestHostKeyIsAlwaysChecked(t *testing.T) {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("ssh is not installed (apt-get install openssh-client)")
	}
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		t.Skip("ansible-playbook is not on PATH (apt-get install ansible-core)")
	}
	logged := loggingClients(t)
	t.Setenv("HOME", t.TempDir())
	for _, name := range []string{"SSH_ARGS", "SSH_COMMON_ARGS", "SSH_EXTRA_ARGS", "SFTP_EXTRA_ARGS", "SCP_EXTRA_ARGS"} {
		t.Setenv("ANSIBLE_"+name, uncheckedSSH)
	}
	for name, value := range map[string]string{
		"HOST_KEY_CHECKING": "False", "SSH_HOST_KEY_CHECKING": "False", "PARAMIKO_HOST_KEY_AUTO_ADD": "True", "SSH_EXECUTABLE": "/bin/false",
		"TRANSPORT": "paramiko", "CONNECTION_PLUGINS": "/nonexistent", "REMOTE_PORT": "1",
	} {
		t.Setenv("ANSIBLE_"+name, value)
	}
	copied := filepath.Join(t.TempDir(), "copied")
	p := testPlaybook(t, &roles.Ansible{Playbook: "web.yml", Vars: map[string]any{
		"copied": copied, "ansible_host_key_checking": false, "ansible_ssh_extra_args": uncheckedSSH,
	}})
	work := filepath.Join(filepath.Dir(p.work), "it's 5% of it")
	p.keyFile, p.knownHosts, p.sshConfig = filepath.Join(work, "key"), filepath.Join(work, "known_hosts"), filepath.Join(work, "ssh_config")
	writeAll(t, work, map[string]string{"ssh_config": "Host *\n  StrictHostKeyChecking yes\n"})
	writeAll(t, p.fleet, map[string]string{
		"ansible.cfg": uncheckedConfig, "group_vars/all.yml": uncheckedVars, "group_vars/web.yml": uncheckedVars,
		"host_vars/machine.yml": strings.Replace(uncheckedVars, "ansible_connection: paramiko\n", "", 1), "web.yml": uncheckedPlaybook,
	})
	require.NoError(t, p.prepare())
	out, err := p.cmd(t.Context()).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "copied", read(t, copied))

	var commands []string
	for _, name := range []string{"ssh", "sftp", "scp"} {
		calls := logged(name)
		require.NotEmpty(t, calls, "%s was not used:\n%s", name, out)
		for _, args := range calls {
			commands = append(commands, args[len(args)-1])
			got := effective(t, ssh, args)
			for _, want := range []string{
				"stricthostkeychecking true", "userknownhostsfile " + p.knownHosts, "globalknownhostsfile /dev/null", "verifyhostkeydns false",
			} {
				require.Contains(t, got, want, "%s %q", name, args)
			}
			require.False(t, slices.ContainsFunc(got, func(line string) bool {
				return strings.HasPrefix(line, "hostkeyalias ") || strings.HasPrefix(line, "proxycommand ")
			}), "%s %q", name, args)
		}
	}
	for _, want := range []string{"raw", "after set_fact", "with variables of the task", "elsewhere", "local"} {
		require.Contains(t, strings.Join(commands, "\n"), want)
	}
}

// The ssh of modules leaves other hosts to the user's configuration.
func TestSSHOfModules(t *testing.T) {
	logged := loggingClients(t)
	p := testPlaybook(t, &roles.Ansible{Role: "web"})
	require.NoError(t, p.prepare())
	for _, to := range []string{"git@example.com", "10.0.0.55", "10.0.0.5", "admin@10.0.0.5", "machine"} {
		require.NoError(t, exec.Command(filepath.Join(p.bin(), "ssh"), "-v", to, "true").Run())
	}
	checked := 0
	for _, args := range logged("ssh") {
		if slices.Contains(args, "StrictHostKeyChecking=yes") {
			checked++
			require.Equal(t, []string{"-F", p.sshConfig, "-o"}, args[:3], "before all that the caller says")
		} else {
			require.Contains(t, []string{"git@example.com", "10.0.0.55"}, args[1])
		}
	}
	require.Equal(t, 3, checked)
}

func TestMissingGalaxyIsFoundBeforeTheLaunch(t *testing.T) {
	files := map[string]string{"requirements.yml": "roles: []\n"}
	for name, text := range ansibleFleet {
		files[name] = text
	}
	l := newLab(t, files)
	program(t, "ansible-playbook", "exit 0")
	program(t, "ssh", "exit 0")
	first, _, _ := strings.Cut(os.Getenv("PATH"), ":")
	require.NoError(t, os.Rename(mustLook(t, "ansible-playbook"), filepath.Join(first, "ansible-playbook")))
	t.Setenv("PATH", first)
	_, err := l.builder.Build(t.Context(), l.req)
	require.ErrorContains(t, err, "ansible-galaxy is not on PATH: install Ansible")
	require.Empty(t, l.cloud.Instances())
	l.requireNothing(t)
}

func mustLook(t *testing.T, name string) string {
	path, err := exec.LookPath(name)
	require.NoError(t, err)
	return path
}

func writeAll(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
}
