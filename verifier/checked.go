package verifier

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/imgops/imgops/images/machine"
)

// checkSSH finds out whether this side has ssh, which testinfra runs.
func checkSSH() (string, error) {
	path, err := exec.LookPath("ssh")
	if err != nil {
		return "", errors.New("there is no ssh on this machine; install it with apt-get install openssh-client")
	}
	return filepath.Abs(path)
}

// checkedSSH makes a directory for the front of PATH, with an ssh that puts its options before all others when it
// connects to the machine: the first value of an option counts, so that no setting of a test tool (such as testinfra's
// ssh_extra_args in a pytest.ini) switches off the check of the host key. Other hosts are left to the user's configuration.
func (s *suite) checkedSSH() (dir string, err error) {
	ssh, err := checkSSH()
	if err != nil {
		return "", err
	}
	dir = absolute(filepath.Join(s.machineDir(), "bin"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	checked := machine.Quote(ssh) + " -F " + machine.Quote(absolute(s.host.SSHConfig))
	for _, option := range []string{
		"StrictHostKeyChecking=yes",
		// In the value of an ssh option, % begins a token.
		`UserKnownHostsFile="` + strings.ReplaceAll(absolute(s.host.KnownHosts), "%", "%%") + `"`,
		"GlobalKnownHostsFile=/dev/null", "VerifyHostKeyDNS=no",
	} {
		checked += " -o " + machine.Quote(option)
	}
	script := "#!/bin/sh\n# Made by imgops: whoever connects to its machine checks the host key.\n" +
		"for word do\n  case $word in\n    machine|*@machine) exec " + checked + ` "$@" ;;` + "\n  esac\ndone\n" +
		"exec " + machine.Quote(ssh) + ` "$@"` + "\n"
	return dir, os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o700)
}
