package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
)

// settleTime is how old an intent is when its run does nothing of it any more: it is written anew when a turn to move pointers
// begins. Should a run be slower and then be killed, the next promotion of the role finds it (completeRecords).
const settleTime = 10 * time.Minute

// clocks is how far apart those of SSM in two Regions may be.
const clocks = time.Minute

// recovery brings records into the ledger that a run has not left there: it was killed, or was lost with its clone.
type recovery struct {
	*session
	view   images.View
	ledger ledger.Ledger
	by     ledger.Author
	events map[string][]ledger.Event // by role, as the ledger has them
}

// recover keeps what other runs did and have not recorded, as their intents and AWS tell it. Where no run has left an intent,
// nothing is asked. What cannot be found out is left to the next run.
func (s *session) recover(ctx context.Context, view images.View) {
	intents := slices.DeleteFunc(slices.Clone(view.Intents), func(i images.Intent) bool { return i.Name == s.ledger.intent })
	if s.ledger.off() || len(intents) == 0 {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, fmt.Errorf("no answer within %s", checkTime))
	defer cancel()
	store, err := s.ledgerStore(ctx, s.repo, s.fleet.Config, s.clouds)
	if err == nil {
		err = store.Sync(ctx)
	}
	r := &recovery{session: s, view: view, ledger: ledger.Ledger{Store: store, Spool: s.ledger.spool, Fleet: s.fleet.Config.Fleet}, by: s.by(ctx), events: map[string][]ledger.Event{}}
	for _, i := range intents {
		if err == nil {
			err = r.one(ctx, i)
		}
	}
	if err != nil {
		s.note("whether the ledger has all that other runs did could not be found out: %v; the next run on %s looks again", err, s.fleet.Config.Main)
	}
}

// recoverLeft is recover for a command that has not looked at everything. It asks first whether there is anything to recover.
func (s *session) recoverLeft(ctx context.Context) {
	if s.ledger.off() {
		return
	}
	intents, err := images.ReadIntents(ctx, s.clouds, s.home, s.fleet.Config.Fleet)
	if err != nil || len(intents) == 0 || len(intents) == 1 && intents[0].Name == s.ledger.intent {
		return // it is the next run's, then
	}
	view, err := images.Look(ctx, s.clouds, s.query())
	if err != nil {
		s.note("whether the ledger has all that other runs did could not be found out: %v", err)
		return
	}
	s.recover(ctx, view)
}

// one keeps what is missing of one intent.
func (r *recovery) one(ctx context.Context, i images.Intent) error {
	var in intent
	var missing []ledger.Event
	var err error
	if json.Unmarshal([]byte(i.Value), &in) == nil {
		switch in.Action {
		case ledger.ActionPromote, ledger.ActionRollback:
			if missing, err = r.moves(ctx, in, i.At); err == nil && len(missing) == 0 {
				missing, err = r.hold(ctx, in, i.At)
			}
		case ledger.ActionHold:
			missing, err = r.hold(ctx, in, i.At)
		case ledger.ActionRelease:
			missing, err = r.release(ctx, in, i.At)
		case ledger.ActionReject:
			missing, err = r.rejections(ctx, in, i.At)
		case ledger.ActionRetire:
			missing, err = r.retirement(ctx, in, i.At)
		}
	}
	if err != nil {
		return err
	}
	for _, e := range missing {
		e.Fleet, e.By, e.Recovered = r.fleet.Config.Fleet, in.By, &r.by
		r.note("%s of %s by run %s was not in the ledger; it is recorded now, as AWS tells it", e.Action, e.Role, e.By.Run)
		r.session.ledger.keep(e)
		r.events[e.Role] = append(r.events[e.Role], e)
		if err := r.image(ctx, e.Role, e.Digest, e.Image); err != nil {
			return err
		}
	}
	if time.Since(i.At) > settleTime || r.settled(in, i.At) {
		r.session.ledger.settled = append(r.session.ledger.settled, i.Name)
	}
	return nil
}

// settled says that the run itself has recorded what it did, which it does at its end.
func (r *recovery) settled(in intent, at time.Time) bool {
	for _, role := range in.Roles {
		if slices.ContainsFunc(r.events[role], func(e ledger.Event) bool {
			return e.Recovered == nil && e.By.Run == in.By.Run && !e.At.Before(at.Add(-clocks))
		}) {
			return true
		}
	}
	return false
}

// of gives what the ledger has of a role, and what this run has added.
func (r *recovery) of(ctx context.Context, role string) ([]ledger.Event, error) {
	if list, ok := r.events[role]; ok {
		return list, nil
	}
	list, err := r.ledger.Events(ctx, role)
	r.events[role] = list
	return list, err
}

// has says whether the ledger tells of something that a run did about a role.
func (r *recovery) has(ctx context.Context, role, run string, actions ...string) (bool, error) {
	list, err := r.of(ctx, role)
	return slices.ContainsFunc(list, func(e ledger.Event) bool { return e.By.Run == run && slices.Contains(actions, e.Action) }), err
}

// moves finds the pointers that a run moved, in the versions that SSM keeps of them.
func (r *recovery) moves(ctx context.Context, in intent, at time.Time) ([]ledger.Event, error) {
	roles := in.Roles
	if roles == nil {
		for _, pointers := range r.view.Pointers {
			roles = slices.AppendSeq(roles, maps.Keys(pointers))
		}
		slices.Sort(roles)
		roles = slices.Compact(roles)
	}
	var missing []ledger.Event
	for _, role := range roles {
		var found []move
		for _, loc := range slices.SortedFunc(maps.Keys(r.view.Pointers), images.Location.Compare) {
			if ptr, ok := r.view.Pointers[loc][role]; !ok || ptr.Modified.Before(at.Add(-clocks)) {
				continue
			}
			list, err := r.movesAt(ctx, role, loc)
			if err != nil {
				return nil, err
			}
			found = append(found, slices.DeleteFunc(list, func(m move) bool {
				return m.Run != images.MoveRun(in.By.Run) || m.Modified.Before(at.Add(-clocks))
			})...)
		}
		if len(found) == 0 {
			continue
		}
		events, err := r.of(ctx, role)
		if err != nil {
			return nil, err
		}
		list, err := r.eventsOf(ctx, role, found, events)
		if err != nil {
			return nil, err
		}
		missing = append(missing, list...)
	}
	return missing, nil
}
