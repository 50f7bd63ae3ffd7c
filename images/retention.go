package images

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Retention says which old images of a role are kept.
type Retention struct {
	Keep   int           // how many of the role's recipes that were last wanted or built; each with its copies
	MinAge time.Duration // what is younger is kept whatever its number
	// DeprecateFor is how long an image is deprecated before it is removed; 0: it is removed at once.
	DeprecateFor time.Duration

	Wanted map[string]bool // recipe digests that the fleet at hand asks for: their images are kept
	Held   map[string]bool // roles that a person holds: all of their images are kept
}

// Expired lists the images that can be removed, in an order in which they can be: what was built on an image comes
// before it. The list holds all images of a fleet, in all its locations: the build account's and own copies. inUse are
// the ids that pointers name or that instances run; nil is refused by returning nothing, since it would mean that
// nobody has looked.
//
// An image is kept if it, one of its copies or one that was built on it is in use, is the default, or is on its way; if
// it is younger than MinAge, counted from when it was built, launched, or main last wanted it; if its recipe is one of the
// role's Keep newest by that time, or of the two that were promoted last, so that a rollback has where to go; and if the
// policy names its digest or role. Rejected images do not count towards these numbers, and are not kept by them.
func Expired(now time.Time, all []Image, policy Retention, inUse map[string]bool) []Image {
	if inUse == nil {
		return nil
	}
	kept := map[string]bool{}
	newest := newestDigests(all, policy.Keep, lastUse)
	promoted := newestDigests(all, promotedKept, func(img Image) time.Time { return img.Promoted.At })
	for _, img := range all {
		r := recipe{img.Role, img.Digest}
		recent := img.Rejected == "" && (newest[r] || promoted[r])
		if recent || policy.Wanted[img.Digest] || policy.Held[img.Role] || inUse[img.ID] || img.Default || img.State != "available" || now.Sub(lastUse(img)) < policy.MinAge || img.Role == "" || img.Digest == "" {
			kept[img.ID] = true
		}
	}
	keepRelatives(all, kept)
	expired := slices.DeleteFunc(slices.Clone(all), func(img Image) bool { return kept[img.ID] })
	depth := depths(all)
	slices.SortFunc(expired, func(a, b Image) int {
		return cmp.Or(cmp.Compare(depth[b.ID], depth[a.ID]), lastUse(a).Compare(lastUse(b)), a.Location.Compare(b.Location), cmp.Compare(a.ID, b.ID))
	})
	return expired
}

// promotedKept is the present default's recipe, and the one before, which a rollback goes to.
const promotedKept = 2

// recipe names what images of a role have in common.
type recipe struct{ role, digest string }

// lastUse is when an image was last of use for sure: built, copied, launched, or wanted by main.
func lastUse(img Image) time.Time {
	at := img.BuiltAt
	for _, t := range []time.Time{img.Created, img.LastLaunched, img.LastWanted().At} {
		if t.After(at) {
			at = t
		}
	}
	return at
}

// newestDigests picks the recipes of each role whose times are the latest. Those without a time do not count.
func newestDigests(all []Image, keep int, at func(Image) time.Time) map[recipe]bool {
	last, made := map[recipe]time.Time{}, map[recipe]time.Time{} // made tells apart what tags, of whole seconds, do not
	for _, img := range all {
		if r := (recipe{img.Role, img.Digest}); img.Created.After(made[r]) {
			made[r] = img.Created
		}
		if r := (recipe{img.Role, img.Digest}); img.Rejected == "" && at(img).After(last[r]) {
			last[r] = at(img)
		}
	}
	order := slices.SortedFunc(maps.Keys(last), func(a, b recipe) int {
		return cmp.Or(cmp.Compare(a.role, b.role), last[b].Compare(last[a]), made[b].Compare(made[a]), cmp.Compare(a.digest, b.digest))
	})
	newest, count := map[recipe]bool{}, map[string]int{}
	for _, r := range order {
		if count[r.role] < keep {
			newest[r] = true
		}
		count[r.role]++
	}
	return newest
}

// keepRelatives keeps with each image those that it was copied from or built on, since a copy's Region can be asked for
// again and a child can be built again; and the copies of an image that is kept.
func keepRelatives(all []Image, kept map[string]bool) {
	for grown := true; grown; {
		grown = false
		keep := func(id string) {
			if !kept[id] {
				kept[id], grown = true, true
			}
		}
		for _, img := range all {
			if kept[img.ID] {
				if img.SourceID != "" {
					keep(img.SourceID)
				}
				if img.Base != "" {
					keep(img.Base)
				}
			}
		}
	}
}

// depths counts the generations above each image.
func depths(all []Image) map[string]int {
	byID := map[string]Image{}
	for _, img := range all {
		byID[img.ID] = img
	}
	depth := map[string]int{}
	for _, img := range all {
		at := img
		for range all { // as often as there are images at most: tags can be wrong, and lead in a circle
			above, ok := byID[cmp.Or(at.SourceID, at.Base)]
			if !ok {
				if above, ok = byID[at.Base]; !ok {
					break
				}
			}
			depth[img.ID]++
			at = above
		}
	}
	return depth
}
