package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/imgops/imgops/images/ledger"
)

// examineLedger looks whether a promotion could rely on its record, and write it: whether it can be read, is whole and has all
// that the build account has seen of it, holds nothing but records, and would take more, as far as can be told without adding any.
func (s *session) examineLedger(ctx context.Context, found *findings) {
	store, err := s.ledgerStore(ctx, s.repo, s.fleet.Config, s.clouds)
	if err != nil {
		found.add("ledger", "", err)
		return
	}
	_, _, shared := standingOf(store)
	_, unread := s.readWitness(ctx)
	if unread == nil {
		err = s.witnessed(ctx, store, store.Sync)
	} else {
		err = store.Sync(ctx)
	}
	count, list := s.countRecords(ctx, store)
	if whole := found.add("ledger", strings.Join(append([]string{store.String(), count}, s.waiting()...), ", "), errors.Join(err, list)); whole && unread != nil && shared && !errors.Is(unread, errNoCredentials) {
		found.add("ledger as the build account knows it", "", unread)
	}
	var broken *ledger.RewrittenError
	if err != nil && !errors.As(err, &broken) {
		return // it is out of reach, or none
	}
	problems, err := ledger.Ledger{Store: store}.Check(ctx)
	if err == nil && len(problems) > 0 {
		err = errors.New(strings.ReplaceAll((&garbageError{store.String(), problems}).what(), "\n", " "))
	}
	found.add("records in the ledger", "all of them can be read", err)
	if broken == nil {
		found.add("writing to the ledger", "nothing speaks against it", store.Ready(ctx))
	}
}

// countRecords says how much the ledger has.
func (s *session) countRecords(ctx context.Context, store ledger.Store) (string, error) {
	items, err := store.List(ctx, "")
	return fmt.Sprintf("%d records", len(items)), err
}

// waiting says what is kept for the next run.
func (s *session) waiting() []string {
	kept, err := s.ledger.spool.Entries()
	if err != nil || len(kept) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("and %d in %s, which the next run here adds", len(kept), s.ledger.spool.Dir)}
}
