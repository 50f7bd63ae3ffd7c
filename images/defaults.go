package images

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// Status compares a role's default in one location with what main wants.
type Status string

// The states of a role default.
const (
	StatusCurrent Status = "current" // the image of the wanted digest
	StatusBehind  Status = "behind"  // a good image of another digest
	StatusMissing Status = "missing" // no pointer
	StatusDrifted Status = "drifted" // the pointer does not name an available image of this fleet and role that the account sees
	StatusHeld    Status = "held"    // a person holds the role: nothing moves it until it is released
	StatusOrphan  Status = "orphan"  // main does not want the role here: the role is gone, or no longer goes to this location
)

// Wanted is what main says about a role.
type Wanted struct {
	Role        string
	Parent      string // the role that it is built on; "" for an external base
	Digest      string // recipe digest
	TestsDigest string
	Commit      string     // of the fleet; ends in DirtySuffix for a tree with uncommitted changes
	Locations   []Location // that get the role's default
}

// Query asks for the role defaults of a fleet. Want must hold every role of the fleet: a pointer of any other role is
// an orphan.
type Query struct {
	Fleet string
	Build Location // its account owns the images
	Want  []Wanted
	// Copies are locations whose accounts have own copies of the images: a Look lists those, too. Defaults need none.
	Copies []Location

	of map[string]bool // the roles to list; nil: all
}

// Default is a role's default in one location. All JSON keys are always there; an unknown text is "", an unknown time is null.
type Default struct {
	Role string `json:"role"`
	// Digest is the recipe digest of the image that the pointer names.
	Digest string `json:"digest"`
	// Commit is the main commit that promoted the image; while that is unknown, the commit that it was built from.
	Commit     string     `json:"commit"`
	Account    string     `json:"account"`
	Region     string     `json:"region"`
	Image      string     `json:"image"` // what the pointer names, even if it is gone
	Status     Status     `json:"status"`
	VerifiedAt *time.Time `json:"verified_at"` // UTC
	// PromotedAt is when the image became the default; while that is unknown, when the pointer was last written. UTC.
	PromotedAt *time.Time `json:"promoted_at"`
	// Note is what the status does not tell: who holds the role and why, or that the image was rejected. Left out where
	// there is nothing to say.
	Note string `json:"note,omitempty"`

	// original is the image in the build location that the image is, or is a copy of; "" where that is not known.
	original string
}

// Location is where the default holds.
func (d Default) Location() Location { return Location{d.Account, d.Region} }

// Defaults lists the role defaults of a fleet, as View.Defaults does, from a Look of its own. A location that cannot be
// read is an error, and the other locations are listed all the same.
func Defaults(ctx context.Context, clients Clients, q Query) ([]Default, error) {
	v, err := Look(ctx, clients, q)
	return v.Defaults(q), err
}

// Defaults lists the role defaults of a fleet, sorted by role, account and Region: one for each location that a role
// is wanted in, and one for each orphaned pointer there. Locations that could not be read are left out.
func (v View) Defaults(q Query) []Default {
	tags := map[Location]map[string]Image{}
	for loc, own := range v.Own {
		tags[loc] = make(map[string]Image, len(own))
		for _, img := range own {
			tags[loc][img.ID] = img
		}
	}
	var list []Default
	for _, loc := range q.locations() {
		at := view{v.Pointers[loc], v.Seen[loc]}
		if at.pointers == nil || !q.tagsKnown(loc, at, tags) {
			continue
		}
		list = append(list, held(v.rejected(q.compare(loc, at, tags)), v.Holds)...)
	}
	slices.SortFunc(list, func(a, b Default) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region))
	})
	return list
}

// rejected says of defaults whose images are gone that they were rejected.
func (v View) rejected(list []Default) []Default {
	for i := range list {
		for _, img := range v.Removed {
			if d := &list[i]; img.ID != "" && d.Image == img.ID && d.Role == img.Role && d.Digest == "" {
				d.Digest, d.Note = img.Digest, "rejected: "+img.Rejected
			}
		}
	}
	return list
}

// DefaultsOf is Defaults less those of other roles than these.
func (v View) DefaultsOf(q Query, roles []string) []Default {
	q.of = make(map[string]bool, len(roles))
	for _, name := range roles {
		q.of[name] = true
	}
	return v.Defaults(q)
}

// view is what one location says: its pointers, and those images named by them that its account sees.
type view struct {
	pointers map[string]Pointer
	seen     map[string]Image
}

// tagsKnown says that the tags of the shared images that a location sees could be read.
func (q Query) tagsKnown(loc Location, v view, tags map[Location]map[string]Image) bool {
	for _, img := range v.seen {
		if img.Owner == q.Build.Account && loc.Account != q.Build.Account {
			return tags[Location{q.Build.Account, loc.Region}] != nil
		}
	}
	return true
}

// compare gives the defaults of one location.
func (q Query) compare(loc Location, v view, tags map[Location]map[string]Image) []Default {
	var list []Default
	wanted := make(map[string]bool, len(q.Want))
	for _, w := range q.Want {
		if !slices.Contains(w.Locations, loc) {
			continue
		}
		wanted[w.Role] = true
		if q.of != nil && !q.of[w.Role] {
			continue
		}
		ptr, ok := v.pointers[w.Role]
		if !ok {
			list = append(list, Default{Role: w.Role, Account: loc.Account, Region: loc.Region, Status: StatusMissing})
			continue
		}
		d, good := q.describe(ptr, v, tags)
		switch {
		case !good:
			d.Status = StatusDrifted
		case d.Digest == w.Digest:
			d.Status = StatusCurrent
		default:
			d.Status = StatusBehind
		}
		list = append(list, d)
	}
	for role, ptr := range v.pointers {
		if !wanted[role] && (q.of == nil || q.of[role]) {
			d, _ := q.describe(ptr, v, tags)
			d.Status = StatusOrphan
			list = append(list, d)
		}
	}
	return list
}

// describe tells what a pointer names, and whether that is an available image of this fleet and role, owned by the
// build account or, for an own copy, by the location's. Of an image that the location does not see, the build account's
// tags tell what it is.
func (q Query) describe(ptr Pointer, v view, tags map[Location]map[string]Image) (d Default, good bool) {
	loc := ptr.Location
	d = Default{Role: ptr.Role, Account: loc.Account, Region: loc.Region, Image: ptr.Image, PromotedAt: timeOrNil(ptr.Modified)}
	img, known := v.seen[ptr.Image]
	if !known || img.Owner == q.Build.Account && loc.Account != q.Build.Account {
		img, known = tags[Location{q.Build.Account, loc.Region}][ptr.Image]
	}
	ours := known && img.Owner == img.Location.Account && img.Fleet == q.Fleet && img.Role == ptr.Role
	if !ours {
		return d, false
	}
	d.Digest, d.Commit, d.VerifiedAt = img.Digest, cmp.Or(img.Promoted.Commit, img.Commit), timeOrNil(img.VerifiedAt)
	if at := timeOrNil(img.Promoted.At); at != nil {
		d.PromotedAt = at
	}
	if img.Rejected != "" {
		d.Note = "rejected: " + img.Rejected
	}
	d.original = q.original(img, tags)
	return d, v.seen[ptr.Image].State == "available" && ptr.DataType == PointerDataType
}

// original follows copies to the image of the build location that they were made of.
func (q Query) original(img Image, tags map[Location]map[string]Image) string {
	for range 2 { // an own copy is one of a shared copy
		if img.Location == q.Build {
			break
		}
		img = tags[Location{q.Build.Account, img.SourceRegion}][img.SourceID]
	}
	if img.Location != q.Build {
		return ""
	}
	return img.ID
}

// SamePlaces says whether two queries are about the same fleet in the same locations, so that a Look for one serves the
// other.
func (q Query) SamePlaces(other Query) bool {
	return q.Fleet == other.Fleet && q.Build == other.Build && slices.Equal(q.locations(), other.locations()) && slices.Equal(q.Copies, other.Copies)
}

// each runs do for 0 to n-1 in parallel and joins the errors; one that fails does not stop the others.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	var group errgroup.Group
	group.SetLimit(lookParallel)
	errs := make([]error, n)
	for i := range n {
		group.Go(func() error {
			errs[i] = do(ctx, i)
			return nil
		})
	}
	_ = group.Wait() // always nil: errs has them all
	return errors.Join(errs...)
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}
