package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

// baseline is what roles are compared with: the fleet at the merge base of HEAD and a revision. After merges in both
// directions there are several, and only a role that is at each of them as it is here is one that the branch left alone.
type baseline struct {
	fleet   *roles.Fleet // nil: there is no fleet yet, or it is unknown
	unknown bool         // there is a fleet, and its digests cannot be told: it has mistakes, or no pins
	others  []baseline   // of further merge bases
}

// baseline loads the fleet at the merge base of HEAD and a revision, with its digests. A base without a fleet, or with
// one that is wrong, is no error: it may be the branch that adds the fleet or repairs it. What cannot be read, is.
func (s *session) baseline(ctx context.Context, rev string) (baseline, error) {
	rev, err := s.repo.AtRemote(ctx, cmp.Or(rev, s.mainRef()))
	if err != nil {
		return baseline{}, err
	}
	commits, err := s.repo.MergeBases(ctx, s.fleet.Revision.Commit, rev)
	if err != nil {
		return baseline{}, err
	}
	base, err := s.baselineAt(ctx, rev, commits[0])
	for _, commit := range commits[1:] {
		if err != nil {
			break
		}
		var other baseline
		other, err = s.baselineAt(ctx, rev, commit)
		base.others = append(base.others, other)
	}
	return base, err
}

// baselineAt loads the fleet at one merge base with a revision.
func (s *session) baselineAt(ctx context.Context, rev, commit string) (baseline, error) {
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

// affected lists the roles that differ from the baseline, from any of several; all of them where that is not known.
func (b baseline) affected(f *roles.Fleet) []*roles.Role {
	if b.fleet == nil {
		return f.Roles
	}
	list := f.Affected(b.fleet)
	for _, other := range b.others {
		list = union(f.Roles, list, other.affected(f))
	}
	return list
}

// union lists those of all that are in a or in b, in the order of all.
func union(all, a, b []*roles.Role) []*roles.Role {
	var out []*roles.Role
	for _, r := range all {
		if slices.Contains(a, r) || slices.Contains(b, r) {
			out = append(out, r)
		}
	}
	return out
}

// explain names what changed a role since the baseline; of several, since the first that it differs from.
func (b baseline) explain(r *roles.Role) []roles.Change {
	if b.unknown {
		return []roles.Change{{Component: "digest", Old: "unknown", New: r.Digest}}
	}
	var old *roles.Role
	if b.fleet != nil {
		old, _ = b.fleet.Role(r.Name)
	}
	changes := roles.Explain(old, r)
	for _, other := range b.others {
		if len(changes) == 0 {
			changes = other.explain(r)
		}
	}
	return changes
}
