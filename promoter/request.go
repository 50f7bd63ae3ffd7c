package promoter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/imgops/imgops/images"
)

// place is a location of a request, and how the image gets there.
type place struct {
	images.Location
	own bool   // an own copy; never in the build account, which owns the image anyway
	key string // of the own copy
}

// Plan finds out what is missing until the images are the defaults of their roles; it changes nothing. The error may
// hold RefusedErrors, one for each rule that each request breaks.
func (p *Promoter) Plan(ctx context.Context, reqs []Request, progress images.Progress) (Plan, error) {
	return p.PlanFrom(ctx, nil, reqs, progress)
}

// PlanFrom is Plan from what somebody has just seen, so that the same is not read twice; a nil view, or one that lacks
// something, is replaced by a look of its own. It is for a run that has changed nothing since: what Apply changes
// by, it reads again.
func (p *Promoter) PlanFrom(ctx context.Context, seen *images.View, reqs []Request, progress images.Progress) (Plan, error) {
	if len(reqs) == 0 {
		return Plan{}, &RefusedError{Rule: RuleNoRole, Message: "the selection matched no role", Fix: "name a role of the fleet: imgops plan lists them"}
	}
	reqs = slices.SortedFunc(slices.Values(reqs), func(a, b Request) int { return cmp.Compare(a.Role, b.Role) })
	places, err := p.check(reqs)
	if err != nil {
		return Plan{}, err
	}
	return p.plan(ctx, seen, reqs, places, progress)
}

// plan is Plan after everything that needs no call.
func (p *Promoter) plan(ctx context.Context, seen *images.View, reqs []Request, places [][]place, progress images.Progress) (Plan, error) {
	w, err := p.world(ctx, seen, p.need(reqs, places), progress)
	if err != nil {
		return Plan{}, err
	}
	older, err := p.fresh(ctx, reqs, places, w)
	if err != nil {
		return Plan{}, err
	}
	return p.decideAll(ctx, reqs, places, older, w)
}

func (p *Promoter) world(ctx context.Context, seen *images.View, n need, progress images.Progress) (*world, error) {
	n.sight = true
	if seen != nil {
		if w, ok := n.handed(*seen, p.opts.Build); ok {
			return w, nil
		}
	}
	progress.Say("look at what is promoted", "")
	return p.observe(ctx, n)
}

// decideAll writes the plan. A commit that is older than the promoted one is refused, unless nothing would change.
func (p *Promoter) decideAll(ctx context.Context, reqs []Request, places [][]place, older []error, w *world) (Plan, error) {
	var asked []permission
	for i, r := range reqs {
		if w.hold(r) == nil {
			asked = append(asked, p.shared(r, places[i], w)...)
		}
	}
	if err := p.readPermissions(ctx, w, asked); err != nil {
		return Plan{}, err
	}
	plan := Plan{Roles: []RolePlan{}}
	var refused []error
	for i, r := range reqs {
		if hold := w.hold(r); hold != nil {
			plan.Roles = append(plan.Roles, RolePlan{
				Role: r.Role, Digest: r.Image.Digest, Commit: r.Commit, Image: r.Image.ID, Locations: locationsOf(places[i]), Steps: []Step{}, Held: hold,
			})
			continue
		}
		role := p.decide(r, places[i], w)
		role.before = w.promoted(r, p, places[i])
		if older[i] != nil {
			role.Steps = slices.DeleteFunc(role.Steps, func(s Step) bool { return s.Action == ActionConfirm })
			if len(role.Steps) > 0 {
				refused = append(refused, older[i])
			}
		}
		plan.Roles = append(plan.Roles, role)
	}
	if len(refused) > 0 {
		return Plan{}, errors.Join(refused...)
	}
	return plan, nil
}

func locationsOf(places []place) []images.Location {
	var list []images.Location
	for _, at := range places {
		list = append(list, at.Location)
	}
	return list
}

// check finds everything that is wrong with the requests and needs no call, and gives the places of each.
func (p *Promoter) check(reqs []Request) ([][]place, error) {
	var errs []error
	places := make([][]place, len(reqs))
	for i := range reqs {
		r := &reqs[i]
		r.Main = cmp.Or(r.Main, "main")
		if i > 0 && reqs[i-1].Role == r.Role {
			errs = append(errs, fmt.Errorf("role %s is in the request twice", r.Role))
		}
		if r.Image.ID != "" && (r.Image.Role != r.Role || r.Image.Fleet != p.opts.Fleet) {
			errs = append(errs, fmt.Errorf("image %q (fleet %q, role %q) is not one of role %s in fleet %s",
				r.Image.ID, r.Image.Fleet, r.Image.Role, r.Role, p.opts.Fleet))
		}
		var err error
		places[i], err = p.places(*r)
		errs = append(append(errs, err), r.refuse(r.Image)...)
	}
	return places, errors.Join(errs...)
}

// places lists each location of the request once, sorted.
func (p *Promoter) places(r Request) ([]place, error) {
	byLoc := map[images.Location]place{}
	var errs []error
	for _, t := range r.Targets {
		if m := cmp.Or(t.Mode, ModeShare); m != ModeShare && m != ModeCopy {
			errs = append(errs, fmt.Errorf("target %s of role %s: mode %q is neither %s nor %s", t.Name, r.Role, t.Mode, ModeShare, ModeCopy))
		}
		for _, account := range t.Accounts {
			for _, region := range t.Regions {
				at := place{Location: images.Location{Account: account, Region: region}}
				if t.Mode == ModeCopy && account != p.opts.Build.Account {
					at.own, at.key = true, t.KMSKey[region]
				}
				if other, ok := byLoc[at.Location]; ok && other != at {
					errs = append(errs, fmt.Errorf("target %s of role %s: %s is in another target too, with another mode or key", t.Name, r.Role, at.Location))
				}
				byLoc[at.Location] = at
			}
		}
	}
	if len(byLoc) == 0 {
		errs = append(errs, fmt.Errorf("role %s has no location to be promoted to: its targets name no account and Region", r.Role))
	}
	return slices.SortedFunc(maps.Values(byLoc), func(a, b place) int { return a.Compare(b.Location) }), errors.Join(errs...)
}

func (p *Promoter) need(reqs []Request, places [][]place) need {
	n := need{build: map[images.Location][]string{}, targets: map[images.Location][]string{}, copies: map[images.Location][]string{}}
	for i, list := range places {
		r := reqs[i]
		if r.back == nil {
			n.holds = append(n.holds, r.Role)
		}
		if r.Image.ID != "" {
			n.images = append(n.images, r.Image)
		}
		for _, home := range p.homes(list) {
			n.build[home] = append(n.build[home], r.Role)
		}
		for _, at := range list {
			n.targets[at.Location] = append(n.targets[at.Location], r.Role)
			if at.own {
				n.copies[at.Location] = append(n.copies[at.Location], r.Role)
			}
		}
	}
	return n
}

// homes lists the build account's locations that serve the places, and the build location, sorted.
func (p *Promoter) homes(places []place) []images.Location {
	homes := []images.Location{p.opts.Build}
	for _, at := range places {
		homes = append(homes, p.home(at.Region))
	}
	slices.SortFunc(homes, images.Location.Compare)
	return slices.Compact(homes)
}

// fresh replaces the image of each request by the image as it is now, and applies the rules to that. The commits that
// are older than a promoted one are told apart, by request; when there are other errors they are among them.
func (p *Promoter) fresh(ctx context.Context, reqs []Request, places [][]place, w *world) (older []error, err error) {
	if err := p.readBases(ctx, reqs, w); err != nil {
		return nil, err
	}
	older = make([]error, len(reqs))
	var errs []error
	for i := range reqs {
		r := &reqs[i]
		if w.hold(*r) != nil {
			continue
		}
		img, ok := w.source(p.opts.Build, r.Image.ID)
		if !ok {
			errs = append(errs, fmt.Errorf("%w: %s of role %s is not in %s", images.ErrNotFound, r.Image.ID, r.Role, p.opts.Build))
			continue
		}
		r.Image = img
		errs = append(append(errs, r.present(img)...), r.tainted(img, w))
		if r.back != nil {
			continue
		}
		back := p.backwards(ctx, *r, w.promoted(*r, p, places[i]))
		var refused *RefusedError
		if errors.As(back, &refused) {
			older[i] = back
		} else {
			errs = append(errs, back)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, errors.Join(older...))
	}
	return older, nil
}
