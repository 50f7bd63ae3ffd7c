package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
)

// leaveWitness notes in the build account how far the ledger's branch has come, after events: a fresh clone cannot tell a
// branch that was reset to an older commit from one that never had more. That it does not work is no reason to fail; the
// next run does it.
func (s *session) leaveWitness(ctx context.Context, store ledger.Store) {
	branch, ok := store.(*ledger.Git)
	if !ok || !s.ledger.events || branch.Tip() == "" {
		return
	}
	w := images.Witness{Tip: branch.Tip(), Run: s.run(), At: time.Now()}
	if err := images.WriteWitness(ctx, s.clouds, s.home, s.fleet.Config.Fleet, w); err != nil {
		s.note("%v", err)
	}
}

// witnessed syncs the ledger, and is a *ledger.RewrittenError when that lacks what the build account has seen of it. The build
// account is asked first: what another run adds to both meanwhile is nothing that the ledger lacks.
func (s *session) witnessed(ctx context.Context, store ledger.Store, sync func(context.Context) error) error {
	branch, ok := store.(*ledger.Git)
	if !ok || !branch.HasRemote() {
		return sync(ctx)
	}
	fleet := s.fleet.Config.Fleet
	forget := fmt.Sprintf("aws ssm delete-parameter --region %s --name %s", s.home.Region, images.WitnessName(fleet))
	w, unread := images.ReadWitness(ctx, s.clouds, s.home, fleet)
	err := sync(ctx)
	var rewritten *ledger.RewrittenError
	if errors.As(err, &rewritten) && w.Tip != "" { // whoever accepts the branch as it is has to do so at both places
		rewritten.Fix += " && " + forget
	}
	if err == nil {
		err = unread
	}
	if err != nil || w.Tip == "" {
		return err
	}
	return branch.Lacks(ctx, w.Tip, forget)
}
