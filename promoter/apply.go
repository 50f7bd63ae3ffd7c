package promoter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/imgops/imgops/images"
)

// Apply does the steps of a plan. Every stage of the work is over, for all roles and locations, before the next begins,
// so no pointer moves before everything is ready. What fails in a location, or in the Region's image that it is served
// from, leaves out the rest of that location only. A pointer moves only to an image that its account has just been
// seen to see.
//
// One run of a fleet at a time moves pointers. When its turn comes it looks again: a role that is held by now is left
// alone (Result.Held), one that a newer commit was promoted for is refused, and where a pointer has moved that the plan
// had found in place, the role is planned and applied again. The error, if any, is an *IncompleteError.
func (p *Promoter) Apply(ctx context.Context, plan Plan, progress images.Progress) (Result, error) {
	all := Result{Done: []Step{}, Left: []Left{}}
	for try := 0; ; try++ {
		a := p.applier(plan, progress)
		a.run(ctx)
		all.add(a.result(ctx))
		if len(a.again) == 0 {
			break
		}
		err := pause(ctx, try)
		if err == nil {
			plan, err = p.replan(ctx, a.again, progress)
		}
		if err == nil && try == tries {
			err = errors.New("its pointers keep being moved by others")
		}
		if err != nil {
			all.leave(a.again, err)
			break
		}
	}
	if len(all.Left) > 0 {
		return all, &IncompleteError{all.Left}
	}
	return all, nil
}

// tries is how often a role is planned again because others have moved its pointers.
const tries = 5

// pause waits before a role is planned again, at first not at all and 7.5 seconds in sum: what looks like a move can be an
// answer from before this run's own, since a read of SSM can be seconds old (SSM has no strongly consistent reads).
func pause(ctx context.Context, try int) error {
	if try == 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(250 * time.Millisecond << try):
		return nil
	}
}

func (p *Promoter) applier(plan Plan, progress images.Progress) *applier {
	a := &applier{
		Promoter: p, progress: progress, roles: map[string]RolePlan{}, known: map[spot]images.Image{},
		failed: map[spot]error{}, done: map[*Step]bool{}, looked: map[*Step]bool{},
	}
	for _, r := range plan.Roles {
		a.roles[r.Role] = r
		if r.Held != nil {
			a.held = append(a.held, *r.Held)
		}
		for loc, img := range r.known {
			a.known[spot{r.Role, loc}] = img
		}
		for _, s := range r.Steps {
			a.steps = append(a.steps, &s)
		}
	}
	for _, s := range a.steps {
		if s.Action == ActionPointer || s.Action == ActionLook {
			a.served = append(a.served, s)
		}
	}
	return a
}

func (a *applier) run(ctx context.Context) {
	a.copies(ctx, false)
	a.stage(ctx, stage{ActionTag, false}, a.tag)
	a.stage(ctx, stage{ActionShareSnapshots, false}, a.shareSnapshots)
	a.stage(ctx, stage{ActionShare, false}, a.share)
	a.copies(ctx, true)
	a.stage(ctx, stage{ActionTag, true}, a.tag)
	a.look(ctx)
	giveBack := a.turn(ctx)
	a.stage(ctx, stage{ActionPointer, false}, a.point)
	a.stage(ctx, stage{ActionDefault, false}, a.mark)
	a.stage(ctx, stage{ActionUndefault, false}, a.unmark)
	a.confirm(ctx)
	a.stage(ctx, stage{ActionUndeprecate, false}, a.undeprecate)
	giveBack()
	a.stage(ctx, stage{ActionUnshare, false}, a.unshare)
}

// spot is a role in a location.
type spot struct {
	role string
	loc  images.Location
}

// applier is the state of one Apply.
type applier struct {
	*Promoter
	progress images.Progress
	roles    map[string]RolePlan
	steps    []*Step
	served   []*Step // the pointer and look steps
	again    []RolePlan
	held     []images.Hold
	lease    *images.KeptLease // the turn

	mu     sync.Mutex
	known  map[spot]images.Image
	failed map[spot]error
	done   map[*Step]bool
	looked map[*Step]bool // pointer steps whose account sees the image
}

// stage does the steps of one stage in parallel; those of a spot that has failed are left out.
func (a *applier) stage(ctx context.Context, st stage, do func(context.Context, *Step) error) {
	var work []func() error
	for _, s := range a.of(st) {
		work = append(work, func() error {
			if ctx.Err() != nil || a.blocked(s) != nil {
				return nil //nolint:nilerr // what is not done is listed as left, with this reason
			}
			a.progress.Say(s.Role+": "+string(s.Action), s.Location.String())
			a.end(s, do(ctx, s))
			return nil
		})
	}
	_ = a.parallel(work) // the errors are in a.failed
}

// of lists the steps of a stage, with the image that each is about.
func (a *applier) of(st stage) []*Step {
	var list []*Step
	for _, s := range a.steps {
		if s.stage() != slices.Index(stages, st) {
			continue
		}
		if s.Image == "" {
			s.Image = a.image(s).ID
		}
		list = append(list, s)
	}
	return list
}

// end records how a step ended.
func (a *applier) end(s *Step, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.done[s] = true
		return
	}
	if a.failed[a.spot(s)] == nil {
		a.failed[a.spot(s)] = err
	}
}

// spot is where a failure of the step counts: for its own location.
func (a *applier) spot(s *Step) spot { return spot{s.Role, s.Location} }

// source is where the image of a step is.
func (a *applier) source(s *Step) spot {
	if s.own {
		return a.spot(s)
	}
	return spot{s.Role, a.home(s.Location.Region)}
}

// image is what is known of the image that the step is about.
func (a *applier) image(s *Step) images.Image {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.image.ID != "" {
		return s.image
	}
	return a.known[a.source(s)]
}

func (a *applier) learn(at spot, img images.Image) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[at] = img
}

// blocked is the failure that keeps a step from being done: one of its own location, or of the Region's image. The
// tags that tell of the default follow the pointers instead: the new one is marked as soon as one pointer names it,
// the old one is unmarked when none does any more.
func (a *applier) blocked(s *Step) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	home := spot{s.Role, a.home(s.Location.Region)}
	if s.Action != ActionDefault && s.Action != ActionUndefault {
		return errors.Join(a.failed[a.spot(s)], only(home != a.spot(s), a.failed[home]))
	}
	var errs []error
	reached := 0
	for _, p := range a.served {
		if p.Role != s.Role || !a.serves(s, p) {
			continue
		}
		if a.done[p] {
			reached++
			continue
		}
		errs = append(errs, fmt.Errorf("the pointer in %s has not moved", p.Location))
	}
	if len(errs) == 0 || s.Action == ActionDefault && reached > 0 {
		return a.failed[a.spot(s)]
	}
	return errors.Join(errs...)
}

// serves says that the image of a tagging step is, or was, what the pointer of another step names. The build location's
// image is the source of all copies.
func (a *applier) serves(s, pointer *Step) bool {
	if s.own {
		return pointer.Location == s.Location
	}
	return s.Location == a.opts.Build || pointer.Location.Region == s.Location.Region
}

func only(cond bool, err error) error {
	if cond {
		return err
	}
	return nil
}

// byLocation groups steps by where their calls go.
func byLocation(steps []*Step) map[images.Location][]*Step {
	groups := map[images.Location][]*Step{}
	for _, s := range steps {
		groups[s.Location] = append(groups[s.Location], s)
	}
	return groups
}

// atEach does the work of each location in parallel.
func (a *applier) atEach(groups map[images.Location][]*Step, do func(images.Location, []*Step)) {
	var work []func() error
	for _, loc := range slices.SortedFunc(maps.Keys(groups), images.Location.Compare) {
		work = append(work, func() error {
			do(loc, groups[loc])
			return nil
		})
	}
	_ = a.parallel(work) // the errors are in a.failed
}
