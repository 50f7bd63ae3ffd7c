package verifier

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
)

// Conn is what the verifier does with a machine. *machine.Machine is one.
type Conn interface {
	// Run runs a shell command; an exit status other than 0 is a *machine.ExitError.
	Run(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) error
	// Upload writes a file.
	Upload(ctx context.Context, r io.Reader, remote string, mode os.FileMode) error
	// UploadDir copies what is in dir into the directory remote, which it makes.
	UploadDir(ctx context.Context, dir, remote string) error
	// WaitBooted returns when the machine has booted as far as wait (cloud-init, systemd or ssh) says.
	WaitBooted(ctx context.Context, wait string, progress images.Progress) error
	// Close ends the machine and removes what was made for it; it must not depend on ctx being alive.
	Close(ctx context.Context) error
}

// Host is a machine under test.
type Host struct {
	Conn
	ID        string // i-...
	User      string // who logs in
	SSHConfig string // `ssh -F SSHConfig machine` reaches it; testinfra and serverspec use it

	KnownHosts string // the file of the only host key that is accepted
}

// LaunchFunc launches a machine of an image. On an error it has removed what it made.
type LaunchFunc func(ctx context.Context, spec machine.Spec, progress images.Progress) (*Host, error)

// On makes the LaunchFunc of a launcher.
func On(l *machine.Launcher) LaunchFunc {
	return func(ctx context.Context, spec machine.Spec, progress images.Progress) (*Host, error) {
		m, err := l.Launch(ctx, spec, progress)
		if err != nil {
			return nil, err
		}
		return &Host{Conn: m, ID: m.ID, User: m.User, SSHConfig: m.SSHConfig, KnownHosts: m.KnownHosts}, nil
	}
}

// exited tells whether a command ran to its end, and with which status; if not ok, err says why the machine did not answer.
func exited(err error) (status int, ok bool) {
	var exit *machine.ExitError
	if errors.As(err, &exit) {
		return exit.Status, true
	}
	return 0, err == nil
}
