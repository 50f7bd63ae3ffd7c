package verifier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/verifier/gossagent"
)

// The test binary is the imgops that is copied to the machine.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == gossagent.Command {
		os.Exit(gossagent.RunAgent(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// localConn is a machine whose commands really run, on this one, in a directory of their own.
type localConn struct {
	home string
	path string // PATH of its commands

	boot   error                  // what WaitBooted says
	run    func(cmd string) error // asked before each command; an error means that the machine does not answer
	closed atomic.Int32
}

// newLocal makes a machine whose sudo changes nothing: commands keep the tester's identity.
func newLocal(t *testing.T) *localConn {
	t.Helper()
	home := t.TempDir()
	bin := filepath.Join(home, "bin")
	require.NoError(t, os.Mkdir(bin, 0o755))
	sudo := "#!/bin/sh\nwhile :; do case $1 in -p) shift 2 ;; -*) shift ;; *) exec \"$@\" ;; esac; done\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "sudo"), []byte(sudo), 0o755))
	return &localConn{home: home, path: bin + ":" + os.Getenv("PATH")}
}

// hide takes programs out of the machine's PATH.
func (l *localConn) hide(t *testing.T, names ...string) {
	t.Helper()
	bin := filepath.Join(l.home, "all")
	require.NoError(t, os.Mkdir(bin, 0o755))
	hidden := map[string]bool{}
	for _, n := range names {
		hidden[n] = true
	}
	for _, dir := range filepath.SplitList(l.path) {
		entries, _ := os.ReadDir(dir) // a PATH may name what is not there
		for _, e := range entries {
			if !hidden[e.Name()] {
				_ = os.Symlink(filepath.Join(dir, e.Name()), filepath.Join(bin, e.Name())) // the first one wins
			}
		}
	}
	l.path = bin
}

func (l *localConn) Run(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) error {
	if l.run != nil {
		if err := l.run(command); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = l.home, stdin, stdout, stderr
	cmd.Env = []string{"HOME=" + l.home, "TMPDIR=" + l.home, "PATH=" + l.path, "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("running a command: %w", context.Cause(ctx))
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return &machine.ExitError{Command: command, Status: exit.ExitCode()}
	}
	return err
}

func (l *localConn) Upload(_ context.Context, r io.Reader, remote string, mode os.FileMode) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(remote, data, mode); err != nil {
		return err
	}
	return os.Chmod(remote, mode)
}

func (l *localConn) UploadDir(ctx context.Context, dir, remote string) error {
	return exec.CommandContext(ctx, "sh", "-c", `mkdir -p "$2" && cp -a "$1/." "$2"`, "sh", dir, remote).Run()
}

func (l *localConn) WaitBooted(ctx context.Context, _ string, _ images.Progress) error {
	if l.boot != nil {
		return l.boot
	}
	return ctx.Err()
}

func (l *localConn) Close(ctx context.Context) error {
	l.closed.Add(1)
	return ctx.Err() // a Close that gets a dead context leaves the machine
}

// launcher hands out machines in order of the suites' names, and keeps what it was asked for.
type launcher struct {
	conns map[string]*localConn // by suite
	specs chan machine.Spec
	err   error
}

func (l *launcher) launch(_ context.Context, spec machine.Spec, _ images.Progress) (*Host, error) {
	l.specs <- spec
	if l.err != nil {
		return nil, l.err
	}
	conn, ok := l.conns[spec.Suffix]
	if !ok {
		return nil, errors.New("no machine for suite " + spec.Suffix)
	}
	if err := os.MkdirAll(spec.WorkDir, 0o700); err != nil { // as the real one does for its keys
		return nil, err
	}
	return &Host{Conn: conn, ID: "i-" + spec.Suffix, User: "admin", SSHConfig: filepath.Join(conn.home, "ssh_config"), KnownHosts: filepath.Join(conn.home, "known_hosts")}, nil
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(strings.TrimPrefix(text, "\n")), 0o644))
	}
}
