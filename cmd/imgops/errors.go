package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
	"github.com/imgops/imgops/verifier"
)

// The exit codes of imgops.
const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2
	exitVerify      = 3
	exitRefused     = 4
	exitChanges     = 5
	exitInterrupted = 130
)

const exitCodes = `Exit codes: 0 done, 1 error, 2 bad usage or definition, 3 verification failed, 4 promotion refused,
5 changes or drift found (only with --detailed-exitcode), 130 interrupted.`

// errChanges makes the exit code 5, without a message.
var errChanges = errors.New("changes found")

// exitStatus carries the exit code of a command that imgops ran for the user, which has said what it had to say.
type exitStatus struct{ code int }

func (e *exitStatus) Error() string {
	return fmt.Sprintf("the command ended with exit status %d", e.code)
}

// usageError is a mistake on the command line.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(c *cobra.Command, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), hint: "see '" + c.CommandPath() + " --help'"}
}

// badFleet are what can be wrong with the repository that the user named; their messages say what to run.
var badFleet = []error{roles.ErrNotRepository, roles.ErrUnsupported, roles.ErrUnbornBranch, roles.ErrNoFleet, roles.ErrNoWorktree,
	roles.ErrUnknownRevision, roles.ErrShallow, roles.ErrUnrelated, roles.ErrIncomplete, roles.ErrDamaged,
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
}

// exitCode is the one table from errors to exit codes. Several errors can be joined: the first row that fits wins.
func exitCode(ctx context.Context, err error) int {
	var (
		usage    *usageError
		problems *roles.ProblemsError
		unknown  *roles.UnknownRoleError
		failed   *verifier.FailedError
		refused  *promoter.RefusedError
		status   *exitStatus
		pins     *roles.MissingPinsError
	)
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage), errors.As(err, &problems), errors.As(err, &unknown),
		errors.As(err, &pins), isAny(err, badFleet...):
		return exitUsage
	case errors.As(err, &failed):
		return exitVerify
	case errors.As(err, &refused):
		return exitRefused
	case errors.Is(err, errChanges):
		return exitChanges
	case errors.As(err, &status):
		return status.code
	}
	return exitError
}

// hint adds what to do about errors that come from outside and do not say it themselves.
func (a *app) hint(err error) string {
	if h := a.sandboxHint(err); h != "" {
		return h
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return usage.hint
	}
	if errors.Is(err, errNoCredentials) {
		return "set AWS_PROFILE or the like, as for any AWS tool; or use a sandbox: imgops sandbox up && eval \"$(imgops sandbox env)\""
	}
	switch images.Code(err) {
	case "UnauthorizedOperation", "AccessDenied", "AccessDeniedException":
		return "the role in use lacks a permission that the message names"
	case "ExpiredToken", "RequestExpired", "ExpiredTokenException":
		return "the credentials have expired: get new ones and run the same command again, it goes on where it was"
	case "AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException":
		return "the credentials are not accepted; for the sandbox: eval \"$(imgops sandbox env)\""
	case "SignatureDoesNotMatch", "InvalidSignatureException":
		return "the secret key is not that of the access key id, or this computer's clock is wrong; for the sandbox: eval \"$(imgops sandbox env)\""
	}
	if errors.Is(err, fs.ErrPermission) {
		return "it belongs to another user; what was run as root once (a sandbox with nspawn machines is) needs sudo again, or other directories: XDG_STATE_HOME, XDG_CACHE_HOME"
	}
	return ""
}

// sandboxHint is for --sandbox NAME: since the flag can stand alone, and the words after it are roles, a name has to be joined to it by an =.
func (a *app) sandboxHint(err error) string {
	for i, word := range a.Args[:max(len(a.Args)-1, 0)] {
		name := a.Args[i+1]
		switch {
		case word == "--":
			return ""
		case word == "--sandbox" && sandboxName().MatchString(name) && (errors.Is(err, errNotRunning) || strings.Contains(err.Error(), strconv.Quote(name))):
			return fmt.Sprintf("--sandbox alone is the sandbox default, and %s after it is an argument of its own; a sandbox of that name is --sandbox=%[1]s", name)
		}
	}
	return ""
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// failures finds every failed verification in an error, also among joined ones.
func failures(err error) []*verifier.FailedError {
	switch e := err.(type) { //nolint:errorlint // walks the tree itself
	case nil:
		return nil
	case *verifier.FailedError:
		return []*verifier.FailedError{e}
	case interface{ Unwrap() []error }:
		var list []*verifier.FailedError
		for _, sub := range e.Unwrap() {
			list = append(list, failures(sub)...)
		}
		return list
	}
	return failures(errors.Unwrap(err))
}

// report prints an error for a person and returns the exit code.
func (a *app) report(ctx context.Context, err error) int {
	code := exitCode(ctx, err)
	var status *exitStatus
	if err == nil || errors.Is(err, errChanges) || errors.As(err, &status) {
		return code
	}
	var problems *roles.ProblemsError
	if errors.As(err, &problems) {
		fmt.Fprintf(a.Stderr, "imgops: %s in the fleet's files; nothing was started\n%s\n", count(len(problems.Problems), "mistake"), errorText(problems))
		return code
	}
	fmt.Fprintf(a.Stderr, "imgops: %s\n", errorText(err))
	for _, f := range failures(err) {
		for _, line := range f.Report.Summary() {
			fmt.Fprintln(a.Stderr, line)
		}
		if f.Dir != "" {
			fmt.Fprintf(a.Stderr, "the whole report: %s and %s in %s\n", verifier.JSONFile, verifier.JUnitFile, f.Dir)
		}
	}
	if h := a.hint(err); h != "" {
		fmt.Fprintf(a.Stderr, "hint: %s\n", h)
	}
	return code
}
