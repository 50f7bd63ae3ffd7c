package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
)

// standing is a ledger that can say how far it has come, and whether it has what it once had.
type standing interface {
	ledger.Store
	Tip() string
	Lacks(ctx context.Context, tip, accept string) error
}

// standingOf gives a ledger that others could take something away from unseen, and the name by which the witness knows it.
// What only this clone has is none.
func standingOf(store ledger.Store) (st standing, place string, ok bool) {
	switch store := store.(type) {
	case *ledger.Git:
		return store, ledger.Branch, store.HasRemote()
	case *ledger.S3:
		return store, store.String(), true
	}
	return nil, "", false
}

// readWitness asks the build account how far the ledger had come; once in a run, so that what this run adds is compared with
// what was there before.
func (s *session) readWitness(ctx context.Context) (images.Witness, error) {
	r := s.ledger
	if r.witness != nil {
		return *r.witness, nil
	}
	w, err := images.ReadWitness(ctx, s.clouds, s.home, s.fleet.Config.Fleet)
	if err == nil {
		r.witness = &w
	}
	return w, err
}

// noted is what the build account knows of the ledger, for warnLacking.
func (s *session) noted(ctx context.Context) (images.Witness, bool) {
	w, err := s.readWitness(ctx)
	return w, err == nil
}

// forgetWitness is the command that accepts a ledger as it is.
func (s *session) forgetWitness() string { return forgetWitness(s.home, s.fleet.Config.Fleet) }

func forgetWitness(home images.Location, fleet string) string {
	return fmt.Sprintf("aws ssm delete-parameter --region %s --name %s", home.Region, images.WitnessName(fleet))
}

// witnessTries is how often a run leaves its witness anew because another wrote at the same time.
const witnessTries = 20

// leaveWitness notes in the build account how far the ledger has come, after anything was recorded: a fresh clone cannot tell
// a branch that was reset to an older commit from one that never had more. before is what was noted when the run began. A
// ledger that lacks that is a *lackingError, and the witness stays. That it cannot be written is no reason to fail: the next
// run that records something does it.
func (s *session) leaveWitness(ctx context.Context, st standing, place string, before images.Witness) error {
	err := s.leave(ctx, st, place, before)
	var rewritten *ledger.RewrittenError
	if errors.As(err, &rewritten) {
		return &lackingError{err}
	}
	if err != nil {
		s.note("how far the ledger has come is not noted in the build account: %v; the next run that records something does it", err)
	}
	return nil
}

func (s *session) leave(ctx context.Context, st standing, place string, w images.Witness) error {
	if tip := w.Tips[place].Tip; tip != "" {
		if err := st.Lacks(ctx, tip, s.forgetWitness()); err != nil {
			return err
		}
	}
	for range witnessTries {
		tip := images.Tip{Tip: st.Tip(), Run: s.run(), At: time.Now()}
		now, err := images.WriteWitness(ctx, s.clouds, s.home, s.fleet.Config.Fleet, w, place, tip)
		if err != nil || now.Version == w.Version+1 {
			return err
		}
		// Another run wrote meanwhile, and may know of more.
		if err := st.Sync(ctx); err != nil || st.Tip() == tip.Tip {
			return err
		}
		w = now
	}
	return nil
}

// witnessed syncs the ledger, and is a *ledger.RewrittenError when that lacks what the build account has seen of it. The build
// account is asked first: what another run adds to both meanwhile is nothing that the ledger lacks.
func (s *session) witnessed(ctx context.Context, store ledger.Store, sync func(context.Context) error) error {
	st, place, ok := standingOf(store)
	if !ok {
		return sync(ctx)
	}
	w, unread := s.readWitness(ctx)
	tip := w.Tips[place].Tip
	err := sync(ctx)
	var rewritten *ledger.RewrittenError
	if errors.As(err, &rewritten) && tip != "" { // whoever accepts the ledger as it is has to do so at both places
		rewritten.Fix += " && " + s.forgetWitness()
	}
	if err == nil {
		err = unread
	}
	if err != nil || tip == "" {
		return err
	}
	return st.Lacks(ctx, tip, s.forgetWitness())
}
