package machine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"
)

// socketLimit is what a path of a Unix socket may have (108 on Linux, 104 on BSD), less what ssh adds while it makes one.
const socketLimit = 104 - 20

// writeFiles writes known_hosts and ssh_config for ssh, Ansible and testinfra.
func (m *Machine) writeFiles() error {
	dir := filepath.Dir(m.KeyFile)
	if m.controlDir == "" {
		control, err := m.makeControlDir()
		if err != nil {
			return err
		}
		m.controlDir = control
	}
	m.KnownHosts, m.SSHConfig = filepath.Join(dir, "known_hosts"), filepath.Join(dir, "ssh_config")
	line := knownhosts.Line([]string{m.Address}, m.hostKey) + "\n"
	if err := os.WriteFile(m.KnownHosts, []byte(line), 0o600); err != nil {
		return err
	}
	return os.WriteFile(m.SSHConfig, []byte(m.sshConfig()), 0o600)
}

// makeControlDir makes a private directory whose path is short enough for a socket in it.
func (m *Machine) makeControlDir() (string, error) {
	parent := os.TempDir()
	if len(parent) > socketLimit-len("/imgops-0123456789/s") {
		parent = "/tmp"
	}
	return os.MkdirTemp(parent, "imgops-")
}

// ControlPath is the socket by which ssh processes share one connection.
func (m *Machine) ControlPath() string { return filepath.Join(m.controlDir, "s") }

func (m *Machine) sshConfig() string {
	var b strings.Builder
	set := func(key, value string) { fmt.Fprintf(&b, "  %s %s\n", key, value) }
	fmt.Fprintf(&b, "# Made by imgops for one temporary machine.\nHost machine %s\n", m.Address)
	set("HostName", m.Address)
	set("Port", "22")
	set("User", m.User)
	set("IdentityFile", configPath(m.KeyFile))
	set("IdentitiesOnly", "yes")
	set("IdentityAgent", "none")
	set("UserKnownHostsFile", configPath(m.KnownHosts))
	set("GlobalKnownHostsFile", "/dev/null")
	set("StrictHostKeyChecking", "yes")
	set("HostKeyAlgorithms", "ssh-ed25519")
	set("UpdateHostKeys", "no")
	set("PasswordAuthentication", "no")
	set("KbdInteractiveAuthentication", "no")
	set("BatchMode", "yes")
	set("ForwardAgent", "no")
	set("ConnectTimeout", "20")
	set("ServerAliveInterval", "15")
	set("ServerAliveCountMax", "3")
	set("ControlMaster", "auto")
	set("ControlPersist", "60")
	set("ControlPath", configPath(m.ControlPath()))
	return b.String()
}

// configPath quotes a path for ssh_config, where % begins a token.
func configPath(path string) string { return `"` + strings.ReplaceAll(path, "%", "%%") + `"` }

// disconnect ends the kept connection and the one that ssh processes share, which would otherwise outlive the machine.
func (m *Machine) disconnect(ctx context.Context) error {
	m.mu.Lock()
	client := m.client
	m.mu.Unlock()
	if client != nil {
		m.forget(client)
	}
	if m.controlDir == "" {
		return nil
	}
	if _, err := os.Stat(m.ControlPath()); err == nil {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		// An error means that no process listens any more: that is what is wanted.
		_ = exec.CommandContext(ctx, "ssh", "-F", m.SSHConfig, "-O", "exit", "machine").Run()
	}
	if err := os.RemoveAll(m.controlDir); err != nil {
		return fmt.Errorf("removing the SSH sockets of %s: %w", m, err)
	}
	m.controlDir = ""
	return nil
}
