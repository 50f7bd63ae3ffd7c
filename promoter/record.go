package promoter

import (
	"cmp"
	"slices"
	"time"

	"github.com/imgops/imgops/images"
)

// recently is how far apart the clocks of two runners may be, and more.
const recently = 5 * time.Minute

// promoted lists what is noted of the main commits that the role was last promoted at: those of the images that its pointers name, and
// of the last promotions of all, which after a rollback are of images that no pointer names.
func (w *world) promoted(r Request, p *Promoter, places []place) []images.Promoted {
	var found []images.Promoted
	add := func(records ...images.Promoted) {
		for _, record := range records {
			if record.Commit != "" {
				found = append(found, record)
			}
		}
	}
	for _, at := range places {
		ptr, ok := w.pointers[at.Location][r.Role]
		if !ok {
			continue
		}
		for _, img := range slices.Concat(w.own[p.home(at.Region)], w.own[at.Location]) {
			if img.ID == ptr.Image && img.Role == r.Role {
				add(img.Promoted, img.Confirmed)
			}
		}
	}
	newest := w.lastWanted(p.opts.Build, r.Role)
	for _, img := range w.own[p.opts.Build] {
		for _, record := range []images.Promoted{img.Promoted, img.Confirmed} {
			if img.Role == r.Role && !record.At.IsZero() && !record.At.Before(newest.Add(-recently)) {
				add(record)
			}
		}
	}
	slices.SortFunc(found, func(a, b images.Promoted) int { return cmp.Or(cmp.Compare(a.Commit, b.Commit), b.At.Compare(a.At)) })
	return slices.CompactFunc(found, func(a, b images.Promoted) bool { return a.Commit == b.Commit }) // the newest of each
}

// lastWanted is when main last wanted any image of a role.
func (w *world) lastWanted(build images.Location, role string) time.Time {
	var newest time.Time
	for _, img := range w.own[build] {
		if at := img.LastWanted().At; img.Role == role && at.After(newest) {
			newest = at
		}
	}
	return newest
}

// source finds an image of the build location.
func (w *world) source(build images.Location, id string) (images.Image, bool) {
	at := slices.IndexFunc(w.own[build], func(img images.Image) bool { return img.ID == id })
	if at < 0 {
		return images.Image{}, false
	}
	return w.own[build][at], true
}

// hold is what keeps the request from being carried out; a rollback is not kept by one.
func (w *world) hold(r Request) *images.Hold {
	if h, ok := w.holds[r.Role]; ok && r.back == nil {
		return &h
	}
	return nil
}
