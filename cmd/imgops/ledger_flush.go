package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
)

// flushTime is how long a run waits at its end until its records are stored.
const flushTime = 2 * time.Minute

// flush stores what was kept, also what an earlier run could not store. Unless the ledger is required, what goes wrong is a
// warning: the records stay where they are.
func (s *session) flush(ctx context.Context) error {
	r := s.ledger
	if r.off() {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), flushTime, fmt.Errorf("it took longer than %s", flushTime))
	defer cancel()
	if r.spool.Empty() && len(r.errs) == 0 {
		s.drop(ctx)
		return nil
	}
	stop := s.log.beat()
	defer stop()
	s.log.say("ledger", "record", s.fleet.Config.Ledger.Store)
	err := s.store(ctx)
	s.log.done("ledger")
	if err = errors.Join(append(r.errs, err)...); err == nil {
		s.drop(ctx)
		return nil
	}
	text := fmt.Sprintf("what was done is not in the ledger yet: %v; it is kept in %s, and goes along with the next run here; without this clone, the next run on %s records what AWS tells of it", err, r.spool.Dir, s.fleet.Config.Main)
	var lacking *lackingError
	if errors.As(err, &lacking) && len(r.errs) == 0 {
		text = lacking.Error()
	}
	if r.config.Required {
		return &unrecordedError{text, err}
	}
	fmt.Fprintln(s.Stderr, "warning: "+text)
	return nil
}

// unrecordedError says that a required ledger could not be written.
type unrecordedError struct {
	text string
	err  error
}

func (e *unrecordedError) Error() string { return e.text }
func (e *unrecordedError) Unwrap() error { return e.err }

// lackingError says that the ledger took the records of a run, and has lost older ones.
type lackingError struct{ err error }

func (e *lackingError) Error() string {
	return fmt.Sprintf("what was done is in the ledger, and nothing is promoted until older records are back or given up: %v", e.err)
}
func (e *lackingError) Unwrap() error { return e.err }

func (s *session) store(ctx context.Context) error {
	store, err := s.ledgerStore(ctx, s.repo, s.fleet.Config, s.clouds)
	if err != nil {
		return err
	}
	st, place, shared := standingOf(store)
	var before images.Witness
	var unread error
	if shared && !s.ledger.spool.Empty() { // before: what is noted meanwhile is another run's
		before, unread = s.readWitness(ctx)
	}
	stored, twice, err := s.ledger.spool.Flush(ctx, store, ledgerMessage)
	for _, path := range twice {
		s.note("the ledger has %s already, as another run has told it, and keeps that", path)
	}
	if err != nil || stored == 0 || !shared {
		return err
	}
	if unread != nil {
		s.note("how far the ledger has come is not noted in the build account: %v", unread)
		return nil
	}
	return s.leaveWitness(ctx, st, place, before)
}

// ledgerMessage is the commit message. CI systems are asked to start nothing for it.
func ledgerMessage(entries []ledger.Entry) string {
	var subjects []string
	for _, e := range entries {
		r, err := ledger.Read(e.Path, e.Data)
		switch {
		case err != nil:
		case r.Image != nil:
			subjects = append(subjects, "built "+r.Image.Role+" "+r.Image.Image)
		case r.Verification != nil:
			subjects = append(subjects, "verified "+r.Verification.Role+" "+r.Verification.Image)
		case r.Event != nil:
			subjects = append(subjects, r.Event.Action+" "+r.Event.Role)
		}
	}
	title := fmt.Sprintf("imgops: %d records", len(entries))
	if len(subjects) == 1 {
		title = "imgops: " + subjects[0]
	}
	return title + "\n\n" + strings.Join(subjects, "\n") + "\n\n[skip ci]\n"
}
