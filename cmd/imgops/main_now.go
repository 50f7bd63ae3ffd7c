package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
)

// refuseOvertaken refuses a promotion that main, as the remote has it now, does not want any more: of a commit that is not
// on main, and of roles whose pointers would go back (see overtaken).
func (s *session) refuseOvertaken(ctx context.Context, plan promoter.Plan) error {
	tip, err := s.refuseReplaced(ctx, plan)
	if err != nil {
		return err
	}
	refused, err := s.overtaken(ctx, tip, plan.Moves())
	for _, role := range slices.Sorted(maps.Keys(refused)) {
		err = errors.Join(err, refused[role])
	}
	return err
}

// refuseReplaced refuses a promotion of a commit that is not on main as the remote has it now: a pipeline's clone may be from
// before somebody replaced main's history. Where the remote cannot be asked, what contains every commit that was promoted
// before goes on, with a warning, for it takes nothing back; anything else is refused. The tip is main's; "" when it is not
// known.
func (s *session) refuseReplaced(ctx context.Context, plan promoter.Plan) (tip string, err error) {
	commit, main := s.fleet.Revision.Commit, s.fleet.Config.Main
	tip, on, err := s.repo.StillOnMain(ctx, main, commit)
	switch {
	case errors.Is(err, roles.ErrNotAsked):
		return "", s.refuseUnproven(ctx, plan, err)
	case err != nil:
		return "", fmt.Errorf("asking whether commit %s is still on %s: %w", shortCommit(commit), main, err)
	case !on:
		return "", s.replaced(tip)
	case tip == "": // there is no remote: the branch here is main
		tip, _ = s.repo.Resolve(ctx, s.mainRef()) // it was there when OnMain was asked
	}
	return tip, nil
}

// replaced is the refusal of a commit that is not on main any more.
func (s *session) replaced(tip string) error {
	return &promoter.RefusedError{
		Rule: promoter.RuleNotOnMain,
		Message: fmt.Sprintf("commit %s is not on branch %s of %s any more, whose tip is %s now; this clone is from before that was replaced",
			shortCommit(s.fleet.Revision.Commit), s.fleet.Config.Main, s.repo.Remote(), cmp.Or(shortCommit(tip), "gone")),
		Fix: fmt.Sprintf("run it on what is there: git fetch %s %s && git checkout FETCH_HEAD", s.repo.Remote(), s.fleet.Config.Main),
	}
}

// refuseUnproven decides without the remote, by the commits of the promotions before.
func (s *session) refuseUnproven(ctx context.Context, plan promoter.Plan, notAsked error) error {
	commit, main := s.fleet.Revision.Commit, s.fleet.Config.Main
	for _, before := range plan.Promoted() {
		contained, err := s.repo.IsAncestor(ctx, before, commit)
		if err != nil && !errors.Is(err, roles.ErrUnknownRevision) {
			return fmt.Errorf("asking whether commit %s contains %s, which was promoted before: %w", shortCommit(commit), shortCommit(before), err)
		}
		if !contained {
			return &promoter.RefusedError{
				Rule: promoter.RuleBackwards,
				Message: fmt.Sprintf("commit %s does not contain %s, which was promoted before, and whether it is still on %s cannot be found out: %v",
					shortCommit(commit), shortCommit(before), main, notAsked),
				Fix: fmt.Sprintf("let this job read the remote: git ls-remote %s %s has to work", s.repo.Remote(), main),
			}
		}
	}
	fmt.Fprintf(s.Stderr, "warning: whether commit %s is still on %s is taken from this clone: %v\n", shortCommit(commit), main, notAsked)
	return nil
}
