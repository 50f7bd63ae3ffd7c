package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
)

// intent is what a run is about to do, as it stands in the build account until that is in the ledger (images.Intent).
type intent struct {
	Action string        `json:"action"`
	By     ledger.Author `json:"by"`
	Reason string        `json:"reason,omitempty"`
	Commit string        `json:"commit,omitempty"`
	// Roles that it is about; nil: any.
	Roles []string     `json:"roles,omitempty"`
	Hold  *images.Hold `json:"hold,omitempty"` // that a release ends
	// Pointers are those that a retirement removes.
	Pointers []ledger.Pointer `json:"pointers,omitempty"`
}

// encode gives the value of a parameter. What does not fit is left out, the list of roles last.
func (in intent) encode() (string, error) {
	for _, less := range []func(){func() {}, func() { in.Pointers = nil }, func() { in.Roles = nil }, func() { in.Reason = "" }} {
		less()
		value, err := json.Marshal(in)
		if err != nil {
			return "", fmt.Errorf("encoding what is about to be done: %w", err)
		}
		if len(value) <= images.MaxIntent {
			return string(value), nil
		}
	}
	return "", errors.New("what is about to be done is too long to note")
}

// intend notes in the build account what this run is about to do. It takes the place of what it noted before.
func (s *session) intend(ctx context.Context, in intent) error {
	r := s.ledger
	if r.off() {
		return nil
	}
	in.By = s.by(ctx)
	value, err := in.encode()
	if err != nil {
		return err
	}
	r.mu.Lock()
	if r.intent == "" { // jobs of one pipeline may share the name of their run
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		r.intent = images.IntentName(s.fleet.Config.Fleet, s.run()[:min(len(s.run()), 100)]+"-"+hex.EncodeToString(b[:]))
	}
	r.mu.Unlock()
	return images.PutIntent(ctx, s.clouds, s.home, r.intent, value)
}

// intendBest is intend for what a person waits for: that it cannot be noted is no reason not to do it.
func (s *session) intendBest(ctx context.Context, in intent) {
	if err := s.intend(ctx, in); err != nil {
		s.note("should this run be killed, its record may be lost: %v", err)
	}
}

// drop removes the notes of which everything is in the ledger now. What cannot be removed, another run finds and removes.
func (s *session) drop(ctx context.Context) {
	r := s.ledger
	names := r.settled
	if r.intent != "" {
		names = append(names, r.intent)
	}
	r.intent, r.settled = "", nil
	for _, name := range names {
		if err := images.DropIntent(ctx, s.clouds, s.home, name); err != nil {
			s.note("%v; the next run does it", err)
		}
	}
}

// moves says what is about to move when pointers move. Where the ledger is required, what is kept for it has to be stored
// before, so that one that takes nothing has nothing promoted.
func (s *session) moves(action, reason string) func(context.Context, []string) error {
	if s.ledger.off() {
		return nil
	}
	return func(ctx context.Context, roles []string) error {
		in := intent{Action: action, Reason: reason, Commit: s.fleet.Revision.Commit, Roles: roles}
		if action == ledger.ActionPromote && s.ledger.config.Required {
			if err := s.intend(ctx, in); err != nil {
				return fmt.Errorf("imgops.yaml requires the ledger: %w", err)
			}
			return nil
		}
		s.intendBest(ctx, in)
		return nil
	}
}

// announcer is a store that shows only by writing whether it can be written to.
type announcer interface {
	Announce(ctx context.Context, message string) error
}

// storeAhead has a required ledger take what is kept for it, before pointers move.
func (s *session) storeAhead(ctx context.Context, names []string) error {
	if s.ledger.off() || !s.ledger.config.Required {
		return nil
	}
	s.log.say("ledger", "record what is known before pointers move", s.fleet.Config.Ledger.Store)
	defer s.log.done("ledger")
	err := s.announce(ctx, names)
	if err != nil {
		return fmt.Errorf("nothing is promoted: imgops.yaml requires the ledger, and it takes no record: %w", err)
	}
	return nil
}

func (s *session) announce(ctx context.Context, names []string) error {
	if !s.ledger.spool.Empty() {
		return s.store(ctx)
	}
	store, err := s.ledgerStore(ctx, s.repo, s.fleet.Config, s.clouds)
	if err != nil {
		return err
	}
	a, ok := store.(announcer)
	if !ok {
		return nil // it was asked already (Ready)
	}
	return a.Announce(ctx, "imgops: about to promote "+strings.Join(names, ", ")+"\n\nRun "+s.run()+"\n\n[skip ci]\n")
}

// retiring are the pointers that a retirement removes.
func retiring(role string, defaults []images.Default) []ledger.Pointer {
	var list []ledger.Pointer
	for _, d := range defaults {
		if d.Role == role && d.Image != "" {
			list = append(list, ledger.Pointer{Account: d.Account, Region: d.Region, Before: d.Image})
		}
	}
	return list
}
