package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
)

type rollbackOptions struct {
	to, reason string
	planOnly   bool
}

func rollbackCommand(a *app) *cobra.Command {
	o := &rollbackOptions{}
	c := &cobra.Command{
		Use:   "rollback ROLE --reason TEXT [--to IMAGE|DIGEST]",
		Short: "Move a role's pointers back now, and hold them there",
		Long: "rollback moves the role's pointer in every location to the image that was the default before, or to another one that was\n" +
			"the default once or was built from a commit of main, is verified and is not rejected. It holds the role, so that later\n" +
			"merges do not undo it, until imgops release ROLE.\n" +
			"By day, git revert and a merge do the same for good: the older image still exists and is promoted without a build.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if o.reason, err = reasonOf(c, o.reason); err != nil {
				return err
			}
			return a.runRollback(c.Context(), o, args[0])
		},
	}
	addReason(c, &o.reason)
	c.Flags().StringVar(&o.to, "to", "", "the `image` (its id in any Region), or a recipe digest or its beginning; default: the one before")
	c.Flags().BoolVar(&o.planOnly, "plan", false, "print what would change, and change nothing")
	return c
}

func (a *app) runRollback(ctx context.Context, o *rollbackOptions, name string) error {
	s, err := a.open(ctx, "HEAD")
	if err != nil {
		return err
	}
	list, err := s.fleet.Select([]string{name})
	if err != nil {
		return err
	}
	holds, err := s.holds(ctx)
	if err != nil {
		return err
	}
	found, err := holds.Of(ctx, name)
	if err != nil {
		return err
	}
	old := found[name]
	to := o.to
	if to == "" && old.Image != "" {
		to = old.Image // the same rollback: it finishes what was begun, and goes no further back by itself
		s.note("%s is %s; to go further back, name the image with --to: imgops history %s", name, old, name)
	}
	stop := s.log.beat()
	defer stop()
	s.moving = s.moves(ledger.ActionRollback, o.reason)
	p := s.promoter()
	plan, err := p.PlanRollback(ctx, promoter.RollbackRequest{
		Role: name, To: to, Reason: o.reason, Commit: s.fleet.Revision.Commit, Targets: s.targetsOf(list[0]), OnMain: s.commitOnMain,
	}, s.log.of("rollback"))
	if err != nil {
		return err
	}
	if o.planOnly {
		return s.print(plan, planTable(plan))
	}
	// The hold comes before the pointers: a merge of this very moment would move them on.
	s.intendBest(ctx, intent{Action: ledger.ActionRollback, Reason: o.reason, Commit: s.fleet.Revision.Commit, Roles: []string{name}})
	hold, err := s.holdRollback(ctx, holds, old, name, o.reason, plan.Roles[0].Image)
	if err != nil {
		return err
	}
	result, err := p.Apply(ctx, plan, s.log.of("rollback"))
	s.note("%s is held at %s until: imgops release %s", name, hold.Image, name)
	if s.recordMoves(ctx, ledger.ActionRollback, o.reason, plan, result) == 0 && !hold.When.Equal(old.When) {
		s.recordHold(ctx, ledger.ActionHold, hold, o.reason)
	}
	s.recoverLeft(ctx)
	return errors.Join(s.print(result, resultTable(result)), err, s.flush(ctx))
}

// commitOnMain says whether a commit is on main. One that is in no history any more is not.
func (s *session) commitOnMain(ctx context.Context, commit string) (bool, error) {
	if err := s.requireMain(ctx, nil); err != nil {
		return false, err
	}
	on, err := s.repo.OnMain(ctx, s.fleet.Config.Main, commit)
	if errors.Is(err, roles.ErrUnknownRevision) && !s.repo.Has(commit) {
		return false, nil
	}
	return on, err
}

// holdRollback holds the role at an image. A hold that is there gives way, unless it says the same.
func (s *session) holdRollback(ctx context.Context, holds *images.Holds, old images.Hold, role, reason, image string) (images.Hold, error) {
	hold, err := s.newHold(ctx, role, reason)
	if err != nil {
		return hold, err
	}
	hold.Image = image
	switch {
	case old.Role == "":
		return hold, holds.Create(ctx, hold)
	case old.Image == image:
		return old, nil
	}
	s.note("%s was %s; this rollback takes its place", role, old)
	return hold, holds.Replace(ctx, hold)
}

// targetsOf lists a role's targets as the promoter takes them.
func (s *session) targetsOf(r *roles.Role) []promoter.Target {
	var list []promoter.Target
	for _, t := range targets(s.fleet.Config, r.Targets) {
		list = append(list, promoter.Target{Name: t.Name, Accounts: t.Accounts, Regions: t.Regions, Mode: t.Mode, KMSKey: t.KMSKey})
	}
	return list
}
