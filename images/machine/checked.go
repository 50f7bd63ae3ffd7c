package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNoSSH says that this computer has no OpenSSH client.
var ErrNoSSH = errors.New("ssh is not on PATH: install OpenSSH, with `apt-get install openssh-client`")

// FindSSH finds the OpenSSH client of this computer, or ErrNoSSH.
func FindSSH() (string, error) {
	path, err := exec.LookPath("ssh")
	if err != nil {
		return "", ErrNoSSH
	}
	return filepath.Abs(path)
}

// CheckedOptions are the ssh options by which the machine's host key is checked against a file, whatever a configuration
// says: the first value of an option counts, so they come before all others.
func CheckedOptions(config, knownHosts string) []string {
	return []string{
		"-F", config,
		"-o", "StrictHostKeyChecking=yes",
		"-o", "UserKnownHostsFile=" + OptionPath(knownHosts),
		"-o", "GlobalKnownHostsFile=/dev/null",
		"-o", "VerifyHostKeyDNS=no",
	}
}

// OptionPath quotes a path in the value of an ssh option, where % begins a token.
func OptionPath(path string) string { return `"` + strings.ReplaceAll(path, "%", "%%") + `"` }

// CheckedSSH writes an ssh into a directory that is to be put first on PATH, for programs that run ssh by themselves and
// could be told not to check host keys: it puts the options before all others when it connects to the machine, which is
// called machine, or by one of the addresses. Connections to other hosts, such as those of git, are left alone.
func CheckedSSH(dir string, options []string, addresses ...string) error {
	real, err := FindSSH()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the directory of the checked ssh: %w", err)
	}
	run := Quote(real)
	checked := run
	for _, word := range options {
		checked += " " + Quote(word)
	}
	patterns := "machine|*@machine"
	for _, a := range addresses {
		patterns += "|" + Quote(a) + "|*@" + Quote(a)
	}
	script := "#!/bin/sh\n# Made by imgops: whoever connects to its machine checks the host key.\n" +
		"for word do\n  case $word in\n    " + patterns + ") exec " + checked + ` "$@" ;;` +
		"\n  esac\ndone\nexec " + run + ` "$@"` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o700); err != nil {
		return fmt.Errorf("writing the checked ssh: %w", err)
	}
	return nil
}
