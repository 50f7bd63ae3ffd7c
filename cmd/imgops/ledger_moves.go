package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/promoter"
)

// move is a version of a pointer that imgops has written.
type move struct {
	images.PointerVersion
	images.Move
	before string
}

// movesAt reads what imgops has written in one location, newest first.
func (s *session) movesAt(ctx context.Context, role string, loc images.Location) ([]move, error) {
	pointers, err := images.OpenPointers(ctx, s.clouds, loc, s.fleet.Config.Fleet)
	if err != nil {
		return nil, err
	}
	versions, err := pointers.History(ctx, role)
	var list []move
	for i, v := range versions {
		if m, ok := images.ParseMove(v.Description); ok {
			m := move{PointerVersion: v, Move: m}
			if i+1 < len(versions) {
				m.before = versions[i+1].Image
			}
			list = append(list, m)
		}
	}
	return list, err
}

func (m move) action() string {
	if m.Rollback {
		return ledger.ActionRollback
	}
	return ledger.ActionPromote
}

func (m move) pointer() ledger.Pointer {
	return ledger.Pointer{Account: m.Location.Account, Region: m.Location.Region, Before: m.before, After: m.Image}
}

// told says that the ledger has a move.
func (m move) told(events []ledger.Event) bool {
	return slices.ContainsFunc(events, func(e ledger.Event) bool {
		near := m.Run == "" || e.By.Run == "" || e.At.Sub(m.Modified).Abs() < apart
		return e.Action == m.action() && e.Tells(m.pointer()) && near && (m.Run == "" || e.By.Run == "" || images.MoveRun(e.By.Run) == m.Run)
	})
}

// eventsOf makes events of the moves of a role that the ledger does not have: one for what one run did.
func (s *session) eventsOf(ctx context.Context, role string, moves []move, events []ledger.Event) ([]ledger.Event, error) {
	byRun := map[string]*ledger.Event{}
	for _, m := range moves {
		if m.told(events) {
			continue
		}
		key := m.action() + " " + m.Run + " " + m.Digest
		e := byRun[key]
		if e == nil {
			e = &ledger.Event{
				Role: role, Action: m.action(), By: ledger.Author{Who: m.Who, Run: m.Run}, Reason: m.Reason, Commit: m.Commit, Digest: m.Digest,
			}
			byRun[key] = e
		}
		if m.Modified.After(e.At) {
			e.At = m.Modified
		}
		e.Pointers = append(e.Pointers, m.pointer())
		if m.Location.Region == s.home.Region {
			e.Image = m.Image
		}
	}
	var list []ledger.Event
	for _, key := range slices.Sorted(maps.Keys(byRun)) {
		e := byRun[key]
		slices.SortFunc(e.Pointers, func(a, b ledger.Pointer) int {
			return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(a.Region, b.Region))
		})
		own, err := s.cat.ByDigest(ctx, s.fleet.Config.Fleet, role, e.Digest)
		if err != nil {
			return nil, err
		}
		e.Image = original(own, e.Image)
		list = append(list, *e)
	}
	return list, nil
}

// original is which image of the build location, of those of one digest, a pointer was moved to, itself or a copy; id is what
// is known of it. One that is gone is the one that the pointers of its Region name.
func original(own []images.Image, id string) string {
	if len(own) == 0 || slices.ContainsFunc(own, func(img images.Image) bool { return img.ID == id }) {
		return id
	}
	return slices.MaxFunc(own, func(a, b images.Image) int { return a.Promoted.At.Compare(b.Promoted.At) }).ID
}

// completeRecords keeps what the ledger lacks of the roles whose pointers a plan moves: the record of their images, and how the
// pointers came to name what they name now. Where nothing is missing, AWS is not asked. It is told what cannot be found out.
func (s *session) completeRecords(ctx context.Context, plan promoter.Plan) {
	if s.ledger.off() || !s.ledger.synced {
		return
	}
	store, err := s.ledgerStore(ctx, s.repo, s.fleet.Config, s.clouds)
	r := &recovery{session: s, ledger: ledger.Ledger{Store: store, Spool: s.ledger.spool, Fleet: s.fleet.Config.Fleet}, by: s.by(ctx), events: map[string][]ledger.Event{}}
	for _, role := range plan.Roles {
		if err == nil {
			err = r.complete(ctx, role)
		}
	}
	if err != nil {
		s.note("whether the ledger lacks older records of these roles could not be found out: %v", err)
	}
}

// complete keeps what is missing of one role.
func (r *recovery) complete(ctx context.Context, plan promoter.RolePlan) error {
	events, err := r.of(ctx, plan.Role)
	if err != nil {
		return err
	}
	last := (&ledger.Book{Events: events}).Pointers()
	var found []move
	moves := false
	for _, step := range plan.Steps {
		if step.Action != promoter.ActionPointer {
			continue
		}
		moves = true
		now := ledger.Pointer{Account: step.Location.Account, Region: step.Location.Region, After: step.From}
		if step.From == "" || (ledger.Event{Pointers: last}).Tells(now) {
			continue
		}
		list, err := r.movesAt(ctx, plan.Role, step.Location)
		if err != nil {
			return err
		}
		if at := slices.IndexFunc(list, func(m move) bool { return m.told(events) }); at >= 0 {
			list = list[:at]
		}
		found = append(found, list...)
	}
	if !moves {
		return nil
	}
	missing, err := r.eventsOf(ctx, plan.Role, found, events)
	if err != nil {
		return err
	}
	for _, e := range missing {
		e.Fleet, e.Recovered = r.fleet.Config.Fleet, &r.by
		r.session.ledger.keep(e)
		if err := r.image(ctx, e.Role, e.Digest, e.Image); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		r.note("%s: what moved its pointers before was not in the ledger (%d times); it is recorded now, as SSM tells it", plan.Role, len(missing))
	}
	return r.image(ctx, plan.Role, plan.Digest, plan.Image)
}

// image keeps the record of an image that the ledger does not have, as far as its tags tell: of what it holds they tell nothing.
func (r *recovery) image(ctx context.Context, role, digest, id string) error {
	about := ledger.About{Fleet: r.fleet.Config.Fleet, Role: role, Digest: digest, Image: id, Account: r.home.Account, Region: r.home.Region}
	if id == "" {
		return nil
	}
	if has, err := r.ledger.Has(ctx, about); has || err != nil {
		return err
	}
	found, err := r.cat.Get(ctx, id)
	img, ok := found[id]
	if err != nil || !ok || img.Role != role || img.Digest != digest {
		return err // what is gone tells nothing
	}
	rec := ledger.Image{
		About: about, Name: img.Name, Commit: img.Commit, Branch: img.Branch, Base: img.Base, BuiltAt: img.BuiltAt, By: ledger.Author{Run: img.Run}, Recovered: &r.by,
	}
	if of, ok := r.fleet.Role(role); ok && of.Digest == digest {
		describe(&rec, of)
	}
	r.session.ledger.keep(rec)
	if img.Verified != "" && !img.VerifiedAt.IsZero() {
		r.session.ledger.keep(ledger.Verification{About: about, TestsDigest: img.Verified, Passed: true, At: img.VerifiedAt, Recovered: &r.by})
	}
	return nil
}
