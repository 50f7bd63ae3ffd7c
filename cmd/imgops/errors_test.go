package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"syscall"
	"testing"

	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"
)

func TestHints(t *testing.T) {
	refused := func(code string) error {
		return fmt.Errorf("listing images: %w", &smithy.GenericAPIError{Code: code, Message: "no"})
	}
	notRunning := fmt.Errorf("%w: default", errNotRunning)
	for name, c := range map[string]struct {
		args []string
		err  error
		hint string
	}{
		"wrong secret":           {nil, refused("SignatureDoesNotMatch"), "the secret key is not that of the access key id"},
		"wrong secret, SSM":      {nil, refused("InvalidSignatureException"), "the secret key is not that of the access key id"},
		"unknown key":            {nil, refused("AuthFailure"), "the credentials are not accepted"},
		"others' file":           {nil, fmt.Errorf("reading state: %w", &fs.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}), "it belongs to another user"},
		"nothing to add":         {nil, errors.New("strange"), ""},
		"name after --sandbox":   {[]string{"plan", "--sandbox", "other"}, notRunning, "--sandbox=other"},
		"role after --sandbox":   {[]string{"plan", "--sandbox", "web"}, errors.New("strange"), ""},
		"flag after --sandbox":   {[]string{"plan", "--sandbox", "--debug"}, notRunning, ""},
		"name with =":            {[]string{"plan", "--sandbox=other", "other"}, notRunning, ""},
		"command after --":       {[]string{"login", "--", "--sandbox", "other"}, notRunning, ""},
		"nothing behind it":      {[]string{"plan", "--sandbox"}, notRunning, ""},
		"no arguments, as tests": {nil, notRunning, ""},
	} {
		hint := (&app{world: world{Args: c.args}}).hint(c.err)
		if c.hint == "" {
			require.Empty(t, hint, name)
			continue
		}
		require.Contains(t, hint, c.hint, name)
	}
}

// A key whose secret is another is told apart from one that is not known.
func TestWrongSecretKey(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	_, stderr := w.do(exitError, "list")
	require.Contains(t, stderr, "hint: ")
	require.Contains(t, stderr, "imgops sandbox env")
}

// A machine that does not answer is not said to be gone for good: it may be starting.
func TestLoginFails(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("ssh is missing: apt-get install openssh-client")
	}
	w := newAPIWorld(t)
	w.commit("one")
	w.write(".imgops/runs/run-1/web/default/ssh_config", "Host machine\n  HostName 127.0.0.1\n  ProxyCommand false\n")
	_, stderr := w.do(exitError, "login", "web")
	require.Contains(t, stderr, "logging in to web/default (after a start, such as by sandbox up, it takes a while to answer: try again; when its time was over, it is gone: imgops verify --keep web)")
	_, stderr = w.do(exitError, "login", "other")
	require.Contains(t, stderr, "no machine of other was kept; there are: web/default")
}
