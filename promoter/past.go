package promoter

import (
	"context"
	"fmt"
	"slices"

	"github.com/imgops/imgops/images"
)

// past is what one location says of a role: its digest now, and the one to go back to. "" is unknown, or none.
type past struct {
	loc         images.Location
	now, before string
	were        []string // images that it has named
}

// pasts reads the history of each place.
func (p *Promoter) pasts(ctx context.Context, r Request, places []place, w *world) ([]past, error) {
	pasts := make([]past, len(places))
	var reads []func() error
	for i, at := range places {
		reads = append(reads, func() (err error) {
			pasts[i], err = p.past(ctx, r, at.Location, w)
			return err
		})
	}
	return pasts, p.parallel(reads)
}

// were gives the images of the build location that pointers have named, themselves or a copy.
func (p *Promoter) were(pasts []past, r Request, w *world) map[string]bool {
	were := map[string]bool{}
	for _, from := range pasts {
		for _, id := range from.were {
			if img, ok := w.original(p.opts.Build, r.Role, id); ok {
				were[img.ID] = true
			}
		}
	}
	return were
}

// past reads a location's history. The digest before is that of the newest image which fits and is below the present one.
func (p *Promoter) past(ctx context.Context, r Request, loc images.Location, w *world) (past, error) {
	pointers, err := images.OpenPointers(ctx, p.clients, loc, p.opts.Fleet)
	if err != nil {
		return past{}, err
	}
	versions, err := pointers.History(ctx, r.Role)
	if err != nil {
		return past{}, err
	}
	from := past{loc: loc}
	var line timeline
	for _, v := range slices.Backward(versions) {
		from.were = append(from.were, v.Image)
		move, _ := images.ParseMove(v.Description)
		line.moved(w.find(v.Image).Digest, move.Rollback)
	}
	if len(line.digests) == 0 {
		return from, nil
	}
	present := len(line.digests) - 1
	from.now = line.digests[present]
	for _, digest := range slices.Backward(line.digests[:present]) {
		fits := func(img images.Image) bool { return img.Digest == digest && r.fits(img) }
		if digest != "" && digest != from.now && !line.left[digest] && slices.ContainsFunc(w.own[p.opts.Build], fits) {
			from.before = digest
			break
		}
	}
	return from, nil
}

// timeline is what one pointer has named, the present digest last, less what rollbacks have undone.
type timeline struct {
	digests []string
	left    map[string]bool // by a rollback, and no promotion has brought it back since
}

// moved adds a version of the pointer. A promotion goes on, also to a digest that was there before: after a revert on main
// the one before is what was reverted. A rollback goes back to the last time of its digest, so that the next one goes
// further back, and not to what was left.
func (t *timeline) moved(digest string, rollback bool) {
	last := len(t.digests) - 1
	switch {
	case last >= 0 && t.digests[last] == digest && digest != "":
		return // another image of the same
	case !rollback:
		delete(t.left, digest)
		t.digests = append(t.digests, digest)
		return
	}
	if last >= 0 {
		if t.left == nil {
			t.left = map[string]bool{}
		}
		t.left[t.digests[last]] = true
	}
	for i := last; i >= 0 && digest != ""; i-- {
		if t.digests[i] == digest {
			t.digests = t.digests[:i+1]
			return
		}
	}
	t.digests = append(t.digests, digest)
}

// agreed lists the digests that every location was at before, or is at already, or says nothing against: where the
// pointer is new, nothing was before. A rollback that was interrupted half way is so led to the same end.
func agreed(pasts []past) []string {
	var list []string
	for _, candidate := range pasts {
		fits := func(from past) bool {
			return from.before == candidate.before || from.now == candidate.before || from.before == ""
		}
		all := !slices.ContainsFunc(pasts, func(from past) bool { return !fits(from) })
		if candidate.before != "" && all && !slices.Contains(list, candidate.before) {
			list = append(list, candidate.before)
		}
	}
	return list
}

// ofMain refuses an image that main has never had: a rollback is no way around the merge.
func (p *Promoter) ofMain(ctx context.Context, r Request, places []place, w *world) error {
	if r.back.To == "" || r.Image.LastWanted().Commit != "" {
		return nil // the one before comes from the history of the pointers
	}
	pasts, err := p.pasts(ctx, r, places, w)
	if err != nil || p.were(pasts, r, w)[r.Image.ID] {
		return err
	}
	if r.back.OnMain != nil {
		if on, err := r.back.OnMain(ctx, r.Image.Commit); on || err != nil {
			return err
		}
	}
	return r.refused(RuleNotOnMain, fmt.Sprintf("merge it, and imgops ci promotes it; or name one that was the default: imgops history %s lists them", r.Role),
		"image %s has never been the default, and commit %s, which it was built from, is not on main", r.Image.ID, short(r.Image.Commit))
}
