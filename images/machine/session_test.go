package machine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/machine/machinetest"
)

// shell runs commands with this computer's sh, in a directory of their own.
func shell(dir string) func(machinetest.Command) int {
	return func(c machinetest.Command) int {
		cmd := exec.CommandContext(c.Ctx, "sh", "-c", c.Line)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
		cmd.WaitDelay = time.Second // stdin stays open when the client has nothing to send
		err := cmd.Run()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return exit.ExitCode()
		}
		return 0
	}
}

func launched(t *testing.T) (m *Machine, server *machinetest.Server, home string) {
	_, server, l := newTest(t)
	home = t.TempDir()
	server.Exec = shell(home)
	m, err := l.Launch(t.Context(), testSpec(t), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close(context.Background())) })
	return m, server, home
}

func TestRun(t *testing.T) {
	m, _, _ := launched(t)
	var out, errs bytes.Buffer
	require.NoError(t, m.Run(t.Context(), "cat; echo hi >&2", strings.NewReader("in"), &out, &errs))
	require.Equal(t, "in", out.String())
	require.Equal(t, "hi\n", errs.String())

	err := m.Run(t.Context(), "exit 3", nil, nil, nil)
	exit := (*ExitError)(nil)
	require.ErrorAs(t, err, &exit)
	require.NoError(t, m.Run(t.Context(), "exit 0", strings.NewReader(strings.Repeat("not read\n", 1<<20)), nil, nil))
	require.Equal(t, ExitError{Command: "exit 3", Status: 3}, *exit)

	_, err = m.Output(t.Context(), "echo why >&2; exit 1")
	require.ErrorContains(t, err, `command "echo why >&2; exit 1" exited with status 1: why`)
}

func TestRunEndsWithItsContext(t *testing.T) {
	m, server, _ := launched(t)
	started, ended := make(chan struct{}), make(chan struct{})
	server.Exec = func(c machinetest.Command) int {
		close(started)
		<-c.Ctx.Done() // told to terminate
		close(ended)
		return 0
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-started
		cancel(errBoom)
	}()
	require.ErrorIs(t, m.Run(ctx, "sleep 1000", nil, nil, nil), errBoom)
	<-ended
}

func TestRunAfterReboot(t *testing.T) {
	m, server, _ := launched(t)
	server.Drop()
	out, err := m.Output(t.Context(), "echo back")
	require.NoError(t, err)
	require.Equal(t, "back\n", string(out))
}

func TestUpload(t *testing.T) {
	m, _, home := launched(t)
	require.NoError(t, m.Upload(t.Context(), strings.NewReader("#!/bin/sh\n"), "it's here", 0o750))
	info, err := os.Stat(filepath.Join(home, "it's here"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o750), info.Mode().Perm())

	err = m.Upload(t.Context(), io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errBoom)), "half", 0o600)
	require.ErrorIs(t, err, errBoom)
	require.NoFileExists(t, filepath.Join(home, "half"))

	err = m.Upload(t.Context(), strings.NewReader("x"), "no/such/dir", 0o600)
	require.ErrorContains(t, err, "uploading no/such/dir")
	require.ErrorAs(t, err, new(*ExitError))
}

func TestUploadDir(t *testing.T) {
	m, _, home := launched(t)
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a/b/run.sh"), []byte("echo"), 0o755))
	require.NoError(t, os.Symlink("b/run.sh", filepath.Join(dir, "a/link")))
	require.NoError(t, m.UploadDir(t.Context(), dir, "deep/target dir"))
	got, err := os.ReadFile(filepath.Join(home, "deep/target dir/a/link"))
	require.NoError(t, err)
	require.Equal(t, "echo", string(got))
	info, err := os.Stat(filepath.Join(home, "deep/target dir/a/b/run.sh"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm())

	require.ErrorContains(t, m.UploadDir(t.Context(), filepath.Join(dir, "none"), "x"), "packing")
	require.ErrorAs(t, m.UploadDir(t.Context(), dir, "/proc/no"), new(*ExitError))
}

func TestWrongHostKeyIsFinal(t *testing.T) {
	cloud, server, l := newTest(t)
	server.HostKey = machinetest.OtherKey(t)
	_, err := l.Launch(t.Context(), testSpec(t), nil)
	wrong := (*HostKeyError)(nil)
	require.ErrorAs(t, err, &wrong)
	require.Contains(t, wrong.Offered, "SHA256:")
	require.Empty(t, cloud.Left())
	require.Empty(t, server.Commands())
}

// slow refuses the first connections, as a machine does that boots.
type slow struct {
	Dialer
	left int
}

func (s *slow) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if s.left--; s.left >= 0 {
		return nil, &net.OpError{Op: "dial", Err: io.ErrClosedPipe}
	}
	return s.Dialer.DialContext(ctx, network, address)
}

func TestConnectWaitsForSSH(t *testing.T) {
	_, server, l := newTest(t)
	m, err := l.Via(&slow{server, 3}).Launch(t.Context(), testSpec(t), nil)
	require.NoError(t, err)
	require.NoError(t, m.Close(t.Context()))
}

func TestConnectTellsTheLastAnswer(t *testing.T) {
	cloud, server, l := newTest(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	s := &slow{server, 1 << 30}
	l = l.Via(dialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
		if s.left < 1<<30-2 {
			cancel(errBoom)
		}
		return s.DialContext(ctx, network, address)
	}))
	_, err := l.Launch(ctx, testSpec(t), nil)
	require.ErrorIs(t, err, errBoom)
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.Empty(t, cloud.Left())
}

type dialFunc func(context.Context, string, string) (net.Conn, error)

func (f dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

func TestWaitBooted(t *testing.T) {
	for name, tt := range map[string]struct {
		wait   string
		answer map[string]string // by a part of the command: "status text"
		want   string
	}{
		"ssh":        {wait: WaitSSH},
		"unknown":    {wait: "forever", want: `unknown condition "forever"`},
		"cloud-init": {answer: map[string]string{"cloud-init status": "0 status: done", "is-system-running": "1 degraded"}},
		"warnings":   {answer: map[string]string{"cloud-init status": "2 status: done\nextended_status: degraded done"}},
		"first boot failed": {
			answer: map[string]string{"cloud-init status": "1 ....status: error", "cloud-init.log": "0 ERROR: no such package nginz"},
			want:   "cloud-init says:\nstatus: error\nERROR: no such package nginz",
		},
		"no cloud-init": {answer: map[string]string{"cloud-init status": "127 "}, want: "the image has no cloud-init"},
		"systemd":       {wait: WaitSystemd, answer: map[string]string{"is-system-running": "0 running"}},
		"degraded": {
			wait:   WaitSystemd,
			answer: map[string]string{"is-system-running": "1 degraded", "systemctl --failed": "0 web.service loaded failed"},
			want:   "is degraded, failed units:\nweb.service loaded failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, server, _ := launched(t)
			server.Exec = func(c machinetest.Command) int {
				for part, answer := range tt.answer {
					if strings.Contains(c.Line, part) {
						status, text, _ := strings.Cut(answer, " ")
						_, _ = io.WriteString(c.Stdout, text+"\n")
						return map[string]int{"0": 0, "1": 1, "2": 2, "127": 127}[status]
					}
				}
				return 0
			}
			err := m.WaitBooted(t.Context(), tt.wait, nil)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// The first boot may reboot the machine while it is waited for.
func TestWaitBootedOverAReboot(t *testing.T) {
	m, server, _ := launched(t)
	asked := 0
	server.Exec = func(c machinetest.Command) int {
		if strings.Contains(c.Line, "cloud-init status") {
			if asked++; asked == 1 {
				server.Drop()
			}
		}
		return 0
	}
	require.NoError(t, m.WaitBooted(t.Context(), WaitCloudInit, nil))
	require.Equal(t, 2, asked)
}

func TestSSHConfigIsWhatSSHUnderstands(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("ssh is not installed (apt-get install openssh-client)")
	}
	m, _, _ := launched(t)
	for _, host := range []string{"machine", m.Address} {
		out, err := exec.Command("ssh", "-G", "-F", m.SSHConfig, host).CombinedOutput()
		require.NoError(t, err, string(out))
		for _, line := range []string{
			"hostname " + m.Address, "user admin", "stricthostkeychecking true", "identityfile " + m.KeyFile,
			"userknownhostsfile " + m.KnownHosts, "controlpath " + m.ControlPath(), "identitiesonly yes",
		} {
			require.Contains(t, string(out), line+"\n")
		}
	}
}
