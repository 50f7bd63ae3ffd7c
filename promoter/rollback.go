package promoter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/imgops/imgops/images"
)

// RollbackRequest asks for a role's pointers to go back now, whatever main says.
type RollbackRequest struct {
	Role string
	// To is an image of the role (its id in any Region), or a recipe digest or its beginning; "" is the image that was
	// the default before the present one.
	To      string
	Reason  string // kept in the history of the pointers
	Commit  string // of the fleet at hand, for the same
	Targets []Target
	// OnMain says whether a commit is on the main branch. It is asked of the commit that an image which To names was built
	// from, if the image has never been the default. Nil is that none is.
	OnMain func(ctx context.Context, commit string) (bool, error)
}

// PlanRollback finds out what is missing until an earlier image is the default of the role again; it changes nothing.
// The plan is applied as any other. What a rollback goes to is an image of the fleet that is available, has passed a
// verification, and is not rejected, and that was the default before or was built from a commit of main; else it is a
// RefusedError, which names the images that it could go to. A hold does not stop a rollback, and it leaves the record of promotions as it is, so that later ones do not go backwards.
func (p *Promoter) PlanRollback(ctx context.Context, back RollbackRequest, progress images.Progress) (Plan, error) {
	r := Request{Role: back.Role, Commit: back.Commit, Targets: back.Targets, Main: "main", back: &back}
	at, err := p.places(r)
	if err != nil {
		return Plan{}, err
	}
	reqs, places := []Request{r}, [][]place{at}
	progress.Say(r.Role+": look for what to go back to", fmt.Sprintf("%d locations", len(at)))
	n := p.need(reqs, places)
	n.sight = true
	w, err := p.observe(ctx, n)
	if err != nil {
		return Plan{}, err
	}
	if back.To != "" {
		reqs[0].Image, err = r.named(w, p.opts.Build)
		if errors.Is(err, images.ErrNotFound) {
			err = p.gone(ctx, r, err)
		}
	} else {
		reqs[0].Image, err = p.before(ctx, r, at, w)
	}
	if err != nil {
		return Plan{}, err
	}
	if _, err := p.fresh(ctx, reqs, places, w); err != nil {
		return Plan{}, err
	}
	if err := p.ofMain(ctx, reqs[0], at, w); err != nil {
		return Plan{}, err
	}
	return p.decideAll(ctx, reqs, places, make([]error, 1), w)
}

// unfit collects what speaks against a rollback to an image.
func (r Request) unfit(img images.Image) []error {
	fix := fmt.Sprintf("name another with --to: imgops history %s lists them", r.Role)
	var errs []error
	if img.Rejected != "" {
		errs = append(errs, r.refused(RuleRejected, fix, "image %s is rejected: %s", img.ID, img.Rejected))
	}
	if img.Dirty() {
		errs = append(errs, r.refused(RuleDirtyImage, fix, "image %s was built from a tree with uncommitted changes", img.ID))
	}
	if img.Verified == "" {
		errs = append(errs, r.refused(RuleUnverified, fix, "image %s has passed no verification", img.ID))
	}
	return errs
}

// fits says that a role can be rolled back to an image.
func (r Request) fits(img images.Image) bool { return img.Role == r.Role && len(r.present(img)) == 0 }

var digestForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(sha256:)?[0-9a-f]{6,64}$`) })

// named finds what --to names, in the build location.
func (r Request) named(w *world, build images.Location) (images.Image, error) {
	to := strings.ToLower(r.back.To)
	if strings.HasPrefix(to, "ami-") {
		if img, ok := w.original(build, r.Role, to); ok {
			return img, nil
		}
		return images.Image{}, fmt.Errorf("%w: %s is no image of role %s; imgops show %s lists them", images.ErrNotFound, r.back.To, r.Role, r.Role)
	}
	if !digestForm().MatchString(to) {
		return images.Image{}, fmt.Errorf("%q is neither an image id (ami-...) nor a recipe digest, or its first 6 digits or more; imgops history %s lists them", r.back.To, r.Role)
	}
	digests := map[string]bool{}
	var found []images.Image
	for _, img := range w.own[build] {
		if img.Role == r.Role && strings.HasPrefix(strings.TrimPrefix(img.Digest, "sha256:"), strings.TrimPrefix(to, "sha256:")) {
			digests[img.Digest] = true
			found = append(found, img)
		}
	}
	switch len(digests) {
	case 0:
		return images.Image{}, fmt.Errorf("%w: no image of role %s has a digest that begins with %s; imgops show %s lists them", images.ErrNotFound, r.Role, r.back.To, r.Role)
	case 1:
		return r.best(found, nil), nil
	}
	return images.Image{}, fmt.Errorf("digest %s is ambiguous: %s; give more of it", r.back.To, strings.Join(slices.Sorted(maps.Keys(digests)), ", "))
}

// gone refuses what --to names when that was rejected, and is there no more. For anything else it is notFound.
func (p *Promoter) gone(ctx context.Context, r Request, notFound error) error {
	rejected, err := images.Rejections(ctx, p.clients, p.opts.Build, p.opts.Fleet)
	if err != nil {
		return errors.Join(notFound, err)
	}
	to := strings.TrimPrefix(strings.ToLower(r.back.To), "sha256:")
	for _, img := range rejected {
		if img.Role == r.Role && (img.ID == to || strings.HasPrefix(strings.TrimPrefix(img.Digest, "sha256:"), to)) {
			return r.refused(RuleRejected, fmt.Sprintf("name another with --to: imgops history %s lists them", r.Role),
				"image %s of digest %s was rejected, and is gone: %s", img.ID, short(img.Digest), img.Rejected)
		}
	}
	return notFound
}

// original finds the image of the build location that an image is, or is a copy of.
func (w *world) original(build images.Location, role, id string) (images.Image, bool) {
	for range 3 { // an own copy is one of a shared copy of the original
		if img, ok := w.source(build, id); ok {
			return img, img.Role == role
		}
		id = w.find(id).SourceID
	}
	return images.Image{}, false
}

// find looks for an image in all locations.
func (w *world) find(id string) images.Image {
	for _, list := range w.own {
		for _, img := range list {
			if img.ID == id {
				return img
			}
		}
	}
	return images.Image{}
}

// best prefers an image that fits, then one of those that were the default, then the one that main wanted last, then
// the newest. The list is not empty.
func (r Request) best(list []images.Image, were map[string]bool) images.Image {
	first := func(a, b bool) int {
		switch {
		case a == b:
			return 0
		case a:
			return -1
		}
		return 1
	}
	return slices.MinFunc(list, func(a, b images.Image) int {
		return cmp.Or(first(r.fits(a), r.fits(b)), first(were[a.ID], were[b.ID]),
			b.LastWanted().At.Compare(a.LastWanted().At), b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
}

// before finds the image to go back to: one that every location was at before, or is at already.
func (p *Promoter) before(ctx context.Context, r Request, places []place, w *world) (images.Image, error) {
	pasts, err := p.pasts(ctx, r, places, w)
	if err != nil {
		return images.Image{}, err
	}
	digests := agreed(pasts)
	if len(digests) != 1 {
		return images.Image{}, r.noneBefore(pasts, w, p.opts.Build)
	}
	were := p.were(pasts, r, w)
	var list []images.Image
	for _, img := range w.own[p.opts.Build] {
		if img.Role == r.Role && img.Digest == digests[0] {
			list = append(list, img)
		}
	}
	return r.best(list, were), nil
}

// noneBefore refuses a rollback without --to, and tells what could be named there.
func (r Request) noneBefore(pasts []past, w *world, build images.Location) error {
	var choices, lines []string
	seen := map[string]bool{}
	for _, from := range pasts {
		for _, id := range slices.Backward(from.were) {
			img, ok := w.original(build, r.Role, id)
			if ok && !seen[img.ID] && r.fits(img) && img.Digest != from.now {
				choices = append(choices, fmt.Sprintf("imgops rollback %s --to %s (digest %s)", r.Role, img.ID, short(img.Digest)))
			}
			seen[img.ID] = true
		}
		lines = append(lines, fmt.Sprintf("%s: now %s, before %s", from.loc, cmp.Or(short(from.now), "unknown"), cmp.Or(short(from.before), "none")))
	}
	fix := "revert the commit on main, or build and verify another image"
	if len(choices) > 0 {
		fix = "say where to: " + strings.Join(choices, ", or ")
	}
	if !slices.ContainsFunc(pasts, func(from past) bool { return from.before != "" }) {
		return r.refused(RuleNothingBefore, fix, "no location's history has an image before the present one to go back to (available, verified, not rejected, and not what an earlier rollback left)")
	}
	return r.refused(RuleDiffer, fix, "the locations were not all at one image before (%s)", strings.Join(lines, "; "))
}
