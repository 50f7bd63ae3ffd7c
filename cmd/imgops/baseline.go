package main

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

// baseline is what roles are compared with: the fleet at the merge base of HEAD and a revision.
type baseline struct {
	fleet   *roles.Fleet // nil: there is no fleet yet, or it is unknown
	unknown bool         // there is a fleet, and its digests cannot be told: it has mistakes, or no pins
}

// baseline loads the fleet at the merge base of HEAD and a revision, with its digests. A base without a fleet, or with
// one that is wrong, is no error: it may be the branch that adds the fleet or repairs it. What cannot be read, is.
func (s *session) baseline(ctx context.Context, rev string) (baseline, error) {
	rev, err := s.repo.AtRemote(ctx, cmp.Or(rev, s.mainRef()))
	if err != nil {
		return baseline{}, err
	}
	commit, err := s.repo.MergeBase(ctx, s.fleet.Revision.Commit, rev)
	if err != nil {
		return baseline{}, err
	}
	where := rev
	if !strings.HasPrefix(commit, rev) {
		where = shortCommit(commit) + " (the merge base with " + rev + ")"
	}
	f, err := s.repo.LoadNear(ctx, commit, s.fleet)
	if errors.Is(err, roles.ErrNoFleet) {
		s.note("base %s has no fleet yet: all roles are new", where)
		return baseline{}, nil
	}
	if err == nil {
		err = s.resolveBase(ctx, f)
	}
	if err != nil && wrongFleet(err) {
		first, _, _ := strings.Cut(err.Error(), "\n")
		s.note("base %s does not load, so all roles are taken as affected; there: %s", where, first)
		return baseline{unknown: true}, nil
	}
	return baseline{fleet: f}, err
}

func (s *session) resolveBase(ctx context.Context, f *roles.Fleet) error {
	pins, err := s.app.pins(ctx, f, s.clouds)
	if err != nil {
		return err
	}
	return f.Resolve(pins)
}

// wrongFleet says that an error is about what the fleet's files say, not about reading them.
func wrongFleet(err error) bool {
	var problems *roles.ProblemsError
	var pins *roles.MissingPinsError
	return errors.As(err, &problems) || errors.As(err, &pins) || errors.Is(err, images.ErrNotFound) // of a base's owner and name
}

// affected lists the roles that differ from the baseline; all of them where that is not known.
func (b baseline) affected(f *roles.Fleet) []*roles.Role {
	if b.fleet == nil {
		return f.Roles
	}
	return f.Affected(b.fleet)
}

// explain names what changed a role since the baseline.
func (b baseline) explain(r *roles.Role) []roles.Change {
	if b.unknown {
		return []roles.Change{{Component: "digest", Old: "unknown", New: r.Digest}}
	}
	var old *roles.Role
	if b.fleet != nil {
		old, _ = b.fleet.Role(r.Name)
	}
	return roles.Explain(old, r)
}
