package ledger

import (
	"fmt"
	"net/url"
	"strings"
)

// sshError says in a line why an ssh remote cannot be used; what ssh says fills a screen, or says nothing of what to do.
type sshError struct {
	text string
	err  error
}

func (e *sshError) Error() string { return e.text }
func (e *sshError) Unwrap() error { return e.err }

// explainSSH is the error for what go-git or ssh(1) says about host keys and logins. Any other error is returned as it is.
func explainSSH(err error, remote string) error {
	if err == nil {
		return nil
	}
	says := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(err.Error(), w) {
				return true
			}
		}
		return false
	}
	host, scan := sshHost(remote)
	switch {
	case host == "":
		return err
	case says("REMOTE HOST IDENTIFICATION HAS CHANGED", "key mismatch"):
		return &sshError{fmt.Sprintf("the ssh host %s has another host key than known_hosts says, so somebody may be in between; if it was replaced on purpose: "+
			"ssh-keygen -R '%[1]s', and add the new one as for a new host", host), err}
	case says("Host key verification failed", "key is unknown", "unable to find any valid known_hosts file"):
		return &sshError{fmt.Sprintf("the ssh host %s is not in known_hosts; compare the fingerprints that '%s | ssh-keygen -lf -' prints "+
			"with those that it publishes, then: %[2]s >> ~/.ssh/known_hosts", host, scan), err}
	case says("Permission denied (", "unable to authenticate"):
		return &sshError{fmt.Sprintf("the ssh host %s takes none of the keys that are offered (ssh-add -l lists the agent's); "+
			"let one of them push to the repository, such as a deploy key with write access", host), err}
	}
	return err
}

// sshHost is the host of an ssh remote as known_hosts has it, and the command that asks for its keys; "" for another remote.
func sshHost(remote string) (host, scan string) {
	if u, err := url.Parse(remote); err == nil && strings.Contains(remote, "://") {
		if u.Scheme != "ssh" && u.Scheme != "git+ssh" && u.Scheme != "ssh+git" {
			return "", ""
		}
		if port := u.Port(); port != "" && port != "22" {
			return "[" + u.Hostname() + "]:" + port, "ssh-keyscan -p " + port + " " + u.Hostname()
		}
		return u.Hostname(), "ssh-keyscan " + u.Hostname()
	}
	before, _, colon := strings.Cut(remote, ":") // user@host:path
	if !colon || strings.Contains(before, "/") {
		return "", ""
	}
	_, name, at := strings.Cut(before, "@")
	if !at {
		name = before
	}
	return name, "ssh-keyscan " + name
}
