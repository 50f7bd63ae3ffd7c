package promoter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/imgops/imgops/images"
)

// turnLasts is how long a run that was killed keeps others, among them a person with a rollback, from moving pointers. One
// that lives renews its turn until it has moved all of its own.
const turnLasts = time.Minute

// turnName is the SSM parameter of the build location that says which run moves a fleet's pointers.
func turnName(fleet string) string { return "/imgops/" + fleet + "/promoting" }

// turnActions are what is done in turn: what other runs decide by.
var turnActions = []Action{ActionPointer, ActionDefault, ActionUndefault, ActionConfirm, ActionUndeprecate}

// turn waits until no other run moves pointers of the fleet, and looks again at what this run is about to change. The
// function that it returns lets the next run go on.
func (a *applier) turn(ctx context.Context) (giveBack func()) {
	giveBack = func() {}
	var open []RolePlan
	for _, s := range a.steps {
		listed := slices.ContainsFunc(open, func(r RolePlan) bool { return r.Role == s.Role })
		if slices.Contains(turnActions, s.Action) && !listed && ctx.Err() == nil {
			open = append(open, a.roles[s.Role])
		}
	}
	if len(open) == 0 {
		return giveBack
	}
	lease, err := a.takeTurn(ctx, open[0].Commit, a.progress)
	if err == nil {
		a.lease = lease
		giveBack = func() { a.returnTurn(ctx, lease) }
		err = a.lookAgain(ctx, open)
	}
	if err == nil {
		err = a.announce(ctx)
	}
	if err != nil {
		for _, r := range open {
			a.fail(r.Role, err)
		}
	}
	return giveBack
}

// announce tells of the roles whose pointers still have to move.
func (a *applier) announce(ctx context.Context) error {
	var moving []string
	for _, s := range a.steps {
		if s.Action == ActionPointer && a.blocked(s) == nil && !slices.Contains(moving, s.Role) {
			moving = append(moving, s.Role)
		}
	}
	if a.opts.Moving == nil || len(moving) == 0 {
		return nil
	}
	return a.opts.Moving(ctx, moving)
}

func (p *Promoter) takeTurn(ctx context.Context, commit string, progress images.Progress) (*images.KeptLease, error) {
	leases, err := images.OpenLeases(ctx, p.clients, p.opts.Build, p.opts.Clock)
	if err != nil {
		return nil, err
	}
	lease, err := leases.Take(ctx, turnName(p.opts.Fleet), p.opts.Run, commit, turnLasts, func(other images.Lease) {
		progress.Say("wait for the turn", "run "+other.Run+" moves pointers (commit "+short(other.Commit)+"); if it was killed, its turn ends at "+other.Ends()+", or with imgops gc --run "+other.Run)
	})
	if err != nil {
		return nil, err
	}
	return leases.Keep(ctx, lease, turnLasts), nil
}

// InTurn does something while no other run moves pointers of the fleet. do is given a function that says, as an error,
// when the turn is over; it has to ask it before each change.
func (p *Promoter) InTurn(ctx context.Context, commit string, progress images.Progress, do func(ctx context.Context, mine func() error) error) error {
	lease, err := p.takeTurn(ctx, commit, progress)
	if err != nil {
		return err
	}
	defer p.returnTurn(ctx, lease)
	return do(ctx, func() error {
		if !lease.Has() {
			return errors.New("it took too long, and it is another run's turn by now; what was done is kept, run it again")
		}
		return nil
	})
}

// returnTurn works on when the run is interrupted: the next one would wait until the lease expires.
func (p *Promoter) returnTurn(ctx context.Context, lease *images.KeptLease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	_ = lease.Return(ctx) // it expires by itself
}

// inTurn says whether the turn still lasts.
func (a *applier) inTurn() error {
	if a.lease == nil || !a.lease.Has() {
		return errors.New("moving the pointers took too long, and it is another run's turn by now; run it again")
	}
	return nil
}

// fail ends what is left of a role.
func (a *applier) fail(role string, err error) {
	for _, s := range a.steps {
		if s.Role == role && slices.Contains(turnActions, s.Action) && !a.done[s] {
			a.end(s, err)
		}
	}
}

// drop takes what is left of a role off the list: it is neither done nor missing.
func (a *applier) drop(role string) (dropped []Step) {
	a.steps = slices.DeleteFunc(a.steps, func(s *Step) bool {
		gone := s.Role == role && slices.Contains(turnActions, s.Action)
		if gone {
			dropped = append(dropped, *s)
		}
		return gone
	})
	return dropped
}

// lookAgain reads what may have changed since the plan, for all roles at once, and settles each.
func (a *applier) lookAgain(ctx context.Context, open []RolePlan) error {
	var reqs []Request
	var places [][]place
	for _, r := range open {
		reqs, places = append(reqs, r.req), append(places, r.places)
	}
	w, err := a.observe(ctx, a.need(reqs, places))
	if err != nil {
		return err
	}
	overtaken, err := a.overtaken(ctx, open, w)
	if err != nil {
		return err
	}
	for _, r := range open {
		if err := overtaken[r.Role]; err != nil {
			a.fail(r.Role, err)
			continue
		}
		a.settleRole(ctx, r, w)
	}
	return nil
}

// settleRole decides whether a role's pointers may move now.
func (a *applier) settleRole(ctx context.Context, r RolePlan, w *world) {
	if hold := w.hold(r.req); hold != nil {
		a.drop(r.Role)
		a.held = append(a.held, *hold)
		return
	}
	img, ok := w.source(a.opts.Build, r.Image)
	err := errors.Join(r.req.present(img)...)
	if !ok {
		err = fmt.Errorf("%w: %s of role %s is no longer in %s", images.ErrNotFound, r.Image, r.Role, a.opts.Build)
	}
	if err == nil && r.req.back == nil {
		err = a.backwards(ctx, r.req, w.promoted(r.req, a.Promoter, r.places))
	}
	moves := slices.ContainsFunc(a.steps, func(s *Step) bool {
		return s.Role == r.Role && slices.Contains(turnActions, s.Action) && s.Action != ActionConfirm && s.Action != ActionUndeprecate
	})
	var refused *RefusedError
	switch {
	case errors.As(err, &refused) && refused.Rule == RuleBackwards && !moves:
		a.drop(r.Role) // overtaken, and it would have changed nothing
	case err != nil:
		a.fail(r.Role, err)
	case a.moved(r, w):
		r.Steps = a.drop(r.Role)
		a.again = append(a.again, r)
	default:
		a.tagAnew(r, w)
	}
}

// moved brings the pointer steps up to date: what others have put right meanwhile is done. It says whether a pointer
// that the plan had found in place is in place no more.
func (a *applier) moved(r RolePlan, w *world) bool {
	for _, at := range r.places {
		ptr := w.pointers[at.Location][r.Role]
		want := a.known[spot{r.Role, a.where(at)}].ID
		right := ptr.Image == want && ptr.DataType == images.PointerDataType
		step := slices.IndexFunc(a.steps, func(s *Step) bool {
			return s.Action == ActionPointer && s.Role == r.Role && s.Location == at.Location
		})
		switch {
		case step < 0 && !right:
			return true
		case step >= 0 && right && a.looked[a.steps[step]]:
			a.done[a.steps[step]] = true
			a.steps = slices.Delete(a.steps, step, step+1)
		case step >= 0:
			a.steps[step].From = ptr.Image
		}
	}
	return false
}

// where is the location of the image that serves a place.
func (p *Promoter) where(at place) images.Location {
	if at.own {
		return at.Location
	}
	return p.home(at.Region)
}

// tagAnew plans anew which images are the default no more, and which are deprecated though they are the default.
func (a *applier) tagAnew(r RolePlan, w *world) {
	a.steps = slices.DeleteFunc(a.steps, func(s *Step) bool { return s.Role == r.Role && s.Action == ActionUndefault })
	add := func(where images.Location, own bool) {
		img, ok := a.known[spot{r.Role, where}]
		if !ok {
			return // it could not be made
		}
		for _, s := range w.undefault(r.Role, where, img.ID, own) {
			a.steps = append(a.steps, &s)
		}
		a.undeprecated(r.Role, w.find(img.ID), own)
	}
	for _, home := range a.homes(r.places) {
		add(home, false)
	}
	for _, at := range r.places {
		if at.own {
			add(at.Location, true)
		}
	}
}

// undeprecated plans to take back the deprecation of an image that gc has deprecated since the plan was made.
func (a *applier) undeprecated(role string, img images.Image, own bool) {
	planned := slices.ContainsFunc(a.steps, func(s *Step) bool {
		return s.Role == role && s.Action == ActionUndeprecate && s.Location == img.Location
	})
	if img.DeprecatedByUs() && !planned {
		a.steps = append(a.steps, &Step{Action: ActionUndeprecate, Role: role, Location: img.Location, Image: img.ID, own: own})
	}
}

// confirm notes on the images which main commit wants them, with one call for all that want the same noted.
func (a *applier) confirm(ctx context.Context) {
	byCommit := map[string][]*Step{}
	for _, s := range a.of(stage{ActionConfirm, false}) {
		if ctx.Err() == nil && a.blocked(s) == nil {
			byCommit[s.Tags[images.TagConfirmed]] = append(byCommit[s.Tags[images.TagConfirmed]], s)
		}
	}
	for _, commit := range slices.Sorted(maps.Keys(byCommit)) {
		var ids []string
		for _, s := range byCommit[commit] {
			ids = append(ids, s.Image)
		}
		tags := map[string]string{images.TagConfirmed: images.Promoted{Commit: commit, At: a.opts.Clock()}.String()}
		catalogue, err := images.Open(ctx, a.clients, a.opts.Build)
		if err == nil {
			err = catalogue.TagImages(ctx, ids, tags)
		}
		for _, s := range byCommit[commit] {
			s.Tags = tags
			a.end(s, err)
		}
	}
}

// replan plans roles again whose pointers have moved.
func (p *Promoter) replan(ctx context.Context, roles []RolePlan, progress images.Progress) (Plan, error) {
	var reqs []Request
	var places [][]place
	for _, r := range roles {
		reqs, places = append(reqs, r.req), append(places, r.places)
	}
	return p.plan(ctx, nil, reqs, places, progress)
}
