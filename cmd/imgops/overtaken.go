package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
)

// mostNewer is how many newer commits of main an older pipeline asks for what they want. One that is further back is asked
// of main's tip only: as a rule, a promotion in between has left a record that refuses it before.
const mostNewer = 200

// overtakenNow asks the remote again, when it is this run's turn: main may have gone on since the plan was made.
func (s *session) overtakenNow(ctx context.Context, moves []promoter.PointerMove) (map[string]error, error) {
	commit, main := s.fleet.Revision.Commit, s.fleet.Config.Main
	tip, on, err := s.repo.StillOnMain(ctx, main, commit)
	switch {
	case errors.Is(err, roles.ErrNotAsked): // decided, and said, when the plan was made
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("asking whether commit %s is still on %s: %w", shortCommit(commit), main, err)
	case !on:
		refused := map[string]error{}
		for _, m := range moves {
			refused[m.Role] = s.replaced(tip)
		}
		return refused, nil
	}
	return s.overtaken(ctx, tip, moves)
}

// overtaken refuses, by role, moves of pointers that newer commits of main do not want: a commit's pipeline can find nothing
// to do for a role and leave no record of it, as where a fan-out has no job for it. When main's tip has no such role (or not
// in that place) any more, the pointer stays; when a newer commit wants what the pointer names now, another one is older. A
// third image, which main's tip wants and nobody has promoted yet, is no reason to wait for.
func (s *session) overtaken(ctx context.Context, tip string, moves []promoter.PointerMove) (map[string]error, error) {
	commit := s.fleet.Revision.Commit
	if tip == "" || tip == commit || len(moves) == 0 {
		return nil, nil
	}
	newer, err := s.repo.Since(ctx, commit, tip, mostNewer)
	if err != nil {
		s.noteNewer(tip, err)
		return nil, ctx.Err()
	}
	refused := map[string]error{}
	moves = slices.Clone(moves)
	for i, at := range newer {
		f, err := s.fleetAt(ctx, at)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			if i == 0 { // those before were main's, too, and nothing is amiss where they were repaired
				s.noteNewer(tip, err)
			}
			continue
		}
		for _, m := range moves {
			if err := s.againstNewer(f, m, i == 0); err != nil && refused[m.Role] == nil {
				refused[m.Role] = err
			}
		}
		moves = slices.DeleteFunc(moves, func(m promoter.PointerMove) bool {
			r, ok := f.Role(m.Role)
			return refused[m.Role] != nil || i == 0 && ok && r.Digest == m.To // what the tip wants is never too old
		})
		if len(moves) == 0 {
			break
		}
	}
	return refused, nil
}

// againstNewer says what a newer commit of main has against a move; nil for nothing.
func (s *session) againstNewer(f *roles.Fleet, m promoter.PointerMove, isTip bool) error {
	commit, newer, main := shortCommit(s.fleet.Revision.Commit), shortCommit(f.Revision.Commit), s.fleet.Config.Main
	fix := fmt.Sprintf("nothing has to be done: the pipeline of %s decides", main)
	r, ok := f.Role(m.Role)
	switch {
	case !ok && isTip:
		return &promoter.RefusedError{
			Rule: promoter.RuleRemoved, Role: m.Role, Message: fmt.Sprintf("%s at %s has no role %s any more; commit %s is older", main, newer, m.Role, commit),
			Fix: "nothing has to be done: its pointers stay as they are until imgops retire " + m.Role,
		}
	case isTip && !slices.Contains(locations(f.Config, r.Targets), m.Location):
		return &promoter.RefusedError{
			Rule: promoter.RuleRemoved, Role: m.Role, Message: fmt.Sprintf("%s at %s has no role %s in %s any more; commit %s is older", main, newer, m.Role, m.Location, commit),
			Fix: fix,
		}
	case ok && m.From != "" && r.Digest == m.From && m.From != m.To:
		return &promoter.RefusedError{
			Rule: promoter.RuleBackwards, Role: m.Role,
			Message: fmt.Sprintf("commit %s is older than %s of %s, which wants the image that is the default in %s now (digest %s)", commit, newer, main, m.Location, short(m.From)),
			Fix:     fix,
		}
	}
	return nil
}

// fleetAt loads the fleet at another commit of main, with its digests; those of external bases come from its own lock.
func (s *session) fleetAt(ctx context.Context, commit string) (*roles.Fleet, error) {
	f, err := s.repo.LoadNear(ctx, commit, s.fleet)
	if err == nil {
		err = s.resolveBase(ctx, f)
	}
	return f, err
}

func (s *session) noteNewer(tip string, err error) {
	s.note("what %s wants at %s cannot be told, so only the records of promotions say whether commit %s is too old: %s",
		s.fleet.Config.Main, shortCommit(tip), shortCommit(s.fleet.Revision.Commit), firstLine(err))
}
