package builder

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/imgops/imgops/images/machine"
)

// sshOptions come before all others on ssh's command line: there, not even what a module adds (synchronize turns the
// check off) can undo them.
func (p *playbook) sshOptions() []string { return machine.CheckedOptions(p.sshConfig, p.knownHosts) }

// connectionVars are given as the last --extra-vars: they beat ansible.cfg, the environment, keywords of plays and all
// other variables. Each name of an option is here, for Ansible takes the last one that it finds. Where the
// machine is (ansible_host, ansible_connection) is not: it would also send to the machine what a play delegates to localhost.
func (p *playbook) connectionVars() map[string]any {
	var args []string
	for _, word := range append(p.sshOptions(), "-o", "ControlMaster=auto", "-o", "ControlPersist=60s", "-o", "ControlPath="+machine.OptionPath(p.controlPath)) {
		if !strings.HasPrefix(word, "-") { // from a value that begins and ends with a quote, Ansible takes both
			word = shellWord(word)
		}
		args = append(args, word)
	}
	return map[string]any{
		"ansible_host_key_checking": true, "ansible_ssh_host_key_checking": true,
		"ansible_paramiko_host_key_checking": true, "ansible_paramiko_host_key_auto_add": false,
		"ansible_ssh_args": strings.Join(args, " "), "ansible_ssh_common_args": "", "ansible_ssh_extra_args": "",
		"ansible_sftp_extra_args": "", "ansible_scp_extra_args": "",
		"ansible_ssh_executable": "ssh", "ansible_sftp_executable": "sftp", "ansible_scp_executable": "scp",
	}
}

func (p *playbook) connectionFile() string { return filepath.Join(p.work, "connection.json") }

// bin is put first on PATH. It holds an ssh for programs that Ansible's modules start here, such as rsync.
func (p *playbook) bin() string { return filepath.Join(p.work, "bin") }

// writeSSH writes that ssh.
func (p *playbook) writeSSH() error { return machine.CheckedSSH(p.bin(), p.sshOptions(), p.address) }

// connectionSettings are the prefixes of the variables by which the caller's environment would say how Ansible connects.
func connectionSettings() []string {
	return []string{
		"ANSIBLE_SSH_", "ANSIBLE_SFTP_", "ANSIBLE_SCP_", "ANSIBLE_PARAMIKO_", "ANSIBLE_LIBSSH_", "ANSIBLE_HOST_KEY_", "ANSIBLE_TRANSPORT=",
		"ANSIBLE_CONNECTION_", "ANSIBLE_REMOTE_", "ANSIBLE_PRIVATE_KEY_FILE=",
	}
}

// callersEnv is the environment of imgops without the connection settings.
func callersEnv() []string {
	var kept []string
	for _, e := range os.Environ() {
		if !hasAnyPrefix(e, connectionSettings()) {
			kept = append(kept, e)
		}
	}
	return kept
}

func hasAnyPrefix(s string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}

// findTool finds a program that a bake needs on this computer.
func findTool(name string) (string, error) {
	if name == "ssh" {
		return machine.FindSSH()
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not on PATH: install Ansible, with `apt-get install ansible-core` or `pipx install ansible-core`", name)
	}
	return filepath.Abs(path)
}
