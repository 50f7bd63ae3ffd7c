package main

import (
	"context"
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

// askWitness is a *ledger.RewrittenError when the ledger, which was just synced, lacks what the build account has seen of it.
func (s *session) askWitness(ctx context.Context, store ledger.Store) error {
	branch, ok := store.(*ledger.Git)
	if !ok || !branch.HasRemote() {
		return nil
	}
	w, err := images.ReadWitness(ctx, s.clouds, s.home, s.fleet.Config.Fleet)
	if err != nil || w.Tip == "" {
		return err
	}
	return branch.Lacks(ctx, w.Tip, fmt.Sprintf("aws ssm delete-parameter --region %s --name %s", s.home.Region, images.WitnessName(s.fleet.Config.Fleet)))
}
