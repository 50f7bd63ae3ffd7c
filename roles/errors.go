package roles

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of opening a repository and reading a fleet from it; compare with errors.Is.
var (
	// ErrNotRepository means that neither the directory nor one above it is a Git repository.
	ErrNotRepository = errors.New("not a Git repository")
	// ErrUnbornBranch means that the repository has no commit yet.
	ErrUnbornBranch = errors.New("no commit yet")
	// ErrNoFleet means that there is no imgops.yaml.
	ErrNoFleet = errors.New("no imgops.yaml")
	// ErrNoWorktree means that a working tree was asked of a bare repository.
	ErrNoWorktree = errors.New("bare repository: no working tree")
	// ErrUnknownRevision means that a revision names no commit here.
	ErrUnknownRevision = errors.New("unknown revision")
	// ErrNowhere comes with ErrUnknownRevision when the clone is whole and its remote, where it has one, was asked, too:
	// the commit is in no history any more.
	ErrNowhere = errors.New("in no history")
	// ErrUnsupported means that the repository is of a form that imgops cannot read.
	ErrUnsupported = errors.New("unsupported form of repository")
	// ErrShallow means that the history ends before the question can be answered.
	ErrShallow = errors.New("shallow clone: history is missing")
	// ErrUnrelated means that two revisions have no commit in common.
	ErrUnrelated = errors.New("no merge base: the histories share no commit")
	// ErrIncomplete means that content which a role consists of, or an object that Git must have, is not in this clone.
	ErrIncomplete = errors.New("incomplete clone")
	// ErrDamaged means that an object of the repository cannot be read, or is not what its name says.
	ErrDamaged = errors.New("the object is damaged")
	// ErrChanged means that a file changed after the fleet was loaded.
	ErrChanged = errors.New("file changed since the fleet was loaded")
)

// UnknownRoleError is returned by Fleet.Select for names that are no role of the fleet.
type UnknownRoleError struct {
	Names []string // the unknown ones, as given
	Known []string // all roles, sorted
}

// Error names each unknown role, the nearest known one, and all that exist.
func (e *UnknownRoleError) Error() string {
	parts := make([]string, len(e.Names))
	for i, n := range e.Names {
		parts[i] = fmt.Sprintf("no role %q", n)
		if near := nearest(n, e.Known); near != "" {
			parts[i] += fmt.Sprintf(" (did you mean %q?)", near)
		}
	}
	return strings.Join(parts, ", ") + "; roles of this fleet: " + strings.Join(e.Known, ", ")
}

// MissingPinsError is returned by Fleet.Resolve when external bases have no image id.
type MissingPinsError struct {
	Externals []External
	Region    string // the build Region
}

// Error names every base without a pin and the roles that need it.
func (e *MissingPinsError) Error() string {
	users, elsewhere := map[string][]string{}, map[string][]string{}
	for _, x := range e.Externals {
		users[x.Key], elsewhere[x.Key] = append(users[x.Key], x.Role), x.PinnedIn
	}
	lines := make([]string, 0, len(users))
	for key, names := range users {
		slices.Sort(names)
		state := "not pinned to an image"
		if regions := elsewhere[key]; len(regions) > 0 {
			state = fmt.Sprintf("pinned in %s, not in %s, where imgops.yaml says to build", strings.Join(regions, ", "), e.Region)
		}
		lines = append(lines, fmt.Sprintf("base %s of %s is %s", key, strings.Join(names, ", "), state))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\nrun `imgops update` and commit imgops.lock"
}

// nowhereError is an ErrUnknownRevision that is an ErrNowhere, too; it reads as the former.
type nowhereError struct{ error }

func (e nowhereError) Unwrap() error        { return e.error }
func (e nowhereError) Is(target error) bool { return target == ErrNowhere }
