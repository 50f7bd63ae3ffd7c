package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"golang.org/x/crypto/ssh"
)

// ExitError says that a command ran on the machine and did not succeed.
type ExitError struct {
	Command string
	Status  int    // 128 and more where a signal ended it
	Signal  string // KILL, TERM, ...; empty when the command exited by itself
}

func (e *ExitError) Error() string {
	command := e.Command
	if line, _, more := strings.Cut(command, "\n"); more || len(line) > 120 {
		command = line[:min(len(line), 120)] + "..."
	}
	if e.Signal != "" {
		return fmt.Sprintf("command %q was ended by signal %s", command, e.Signal)
	}
	return fmt.Sprintf("command %q exited with status %d", command, e.Status)
}

// Run runs a command line in the user's login shell, over the kept connection (made again when the machine has
// rebooted). It returns an *ExitError when the command does not exit with 0. When ctx ends, the command is told to
// terminate and the context's cause is returned. A nil stdin is empty; nil outputs are discarded.
func (m *Machine) Run(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) error {
	session, err := m.session(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	session.Stdout, session.Stderr = stdout, stderr
	var source *feed
	if stdin != nil {
		if source, err = newFeed(session, stdin); err != nil {
			return fmt.Errorf("giving input to %s: %w", m, err)
		}
	}
	if err := session.Start(command); err != nil {
		return fmt.Errorf("starting a command on %s: %w", m, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Wait() }()
	aborted := source.start()
	select {
	case err = <-ended:
	case err := <-aborted:
		abort(session, ssh.SIGKILL) // at the end of its input it would go on
		return fmt.Errorf("reading the input of a command on %s: %w", m, err)
	case <-ctx.Done():
		abort(session, ssh.SIGTERM)
		return fmt.Errorf("running a command on %s: %w", m, context.Cause(ctx))
	}
	if exit := (*ssh.ExitError)(nil); errors.As(err, &exit) {
		return &ExitError{Command: command, Status: exit.ExitStatus(), Signal: exit.Signal()}
	}
	if err != nil {
		return fmt.Errorf("running a command on %s: %w", m, err)
	}
	return nil
}

// abort ends a command; closing the session alone would leave it running.
func abort(session *ssh.Session, signal ssh.Signal) {
	_ = session.Signal(signal)
	_ = session.Close()
}

// feed gives a command its input. Unlike ssh.Session.Stdin it tells an input that could not be read, which must not
// look like its end, from a command that does not want all of it, which is no error.
type feed struct {
	from io.Reader
	to   io.WriteCloser
	err  error
}

func newFeed(session *ssh.Session, from io.Reader) (*feed, error) {
	to, err := session.StdinPipe()
	return &feed{from: from, to: to}, err
}

// Read remembers the error of the source.
func (f *feed) Read(p []byte) (int, error) {
	n, err := f.from.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// start begins the copying; the channel gives the source's error, if it has one. A nil feed has nothing to copy.
func (f *feed) start() <-chan error {
	aborted := make(chan error, 1)
	if f == nil {
		return aborted
	}
	go func() {
		if _, _ = io.Copy(f.to, f); f.err != nil {
			aborted <- f.err
			return
		}
		_ = f.to.Close()
	}()
	return aborted
}

// Output runs a command as Run does and returns the last MiB of its standard output; its standard error becomes part of
// the error.
func (m *Machine) Output(ctx context.Context, command string) ([]byte, error) {
	var out, errs tail
	out.limit, errs.limit = 1<<20, 4<<10
	err := m.Run(ctx, command, nil, &out, &errs)
	if text := strings.TrimSpace(string(errs.buf)); err != nil && text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return out.buf, err
}

// Upload writes what r gives to a file on the machine, as the SSH user, and gives it the mode. A file that is
// there is replaced when the new one is complete. A relative path starts at the user's home.
func (m *Machine) Upload(ctx context.Context, r io.Reader, remote string, mode fs.FileMode) error {
	target, part := Quote(remote), Quote(remote+".part")
	command := fmt.Sprintf("umask 077 && cat > %s && chmod %04o %s && mv -f %s %s", part, mode.Perm(), part, part, target)
	var errs tail
	errs.limit = 4 << 10
	if err := m.Run(ctx, command, r, nil, &errs); err != nil {
		return fmt.Errorf("uploading %s to %s: %w%s", remote, m, err, errs.note())
	}
	return nil
}

// AsRoot makes a command line of Run one that root runs. The user's sudo must not ask for a password.
func (m *Machine) AsRoot(command string) string {
	if m.User == "root" {
		return command
	}
	return "sudo -n sh -c " + Quote(command)
}

// Quote quotes a word for a POSIX shell.
func Quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// String names the machine in messages.
func (m *Machine) String() string { return "machine " + m.ID + " (" + m.Address + ")" }

// tail keeps the last bytes that were written to it.
type tail struct {
	limit int
	buf   []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.limit; over > 0 {
		t.buf = t.buf[over:]
	}
	return len(p), nil
}

func (t *tail) note() string {
	if text := strings.TrimSpace(string(t.buf)); text != "" {
		return ": " + text
	}
	return ""
}
