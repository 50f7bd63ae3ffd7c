package images

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
)

// View is what one look at a fleet saw. Those who decide by it hand it on instead of reading the same again; whoever
// moves a pointer looks again by itself.
type View struct {
	// Own holds the fleet's images, newest first: the build account's in the build Region and in the Region of each
	// location, and those of the accounts with own copies.
	Own map[Location][]Image
	// Pointers holds, by location and role, what the pointers name; Seen those of the named images that the location's
	// account sees.
	Pointers map[Location]map[string]Pointer
	Seen     map[Location]map[string]Image
	Holds    map[string]Hold // by role
	// Removed are images of the build location that were rejected and are gone: what is known of them is their id, role,
	// digest and rejection.
	Removed []Image
	// Intents are of runs that have not recorded yet what they do or did.
	Intents []Intent
}

// lookParallel bounds the calls in flight. Locations are different accounts or Regions, so different rate limits.
const lookParallel = 32

// Look reads the pointers of every location that a role is wanted in, the images that they name, the fleet's own images,
// and the holds, all at once. Each location costs the pages of its pointers (ten in one) and of one DescribeImages (200
// images), each Region of the build account those of one DescribeImages (1000 images): however many roles there are.
// What cannot be read is missing from the view, and told in the error.
func Look(ctx context.Context, clients Clients, q Query) (View, error) {
	v := View{
		Own: map[Location][]Image{}, Pointers: map[Location]map[string]Pointer{}, Seen: map[Location]map[string]Image{}, Holds: map[string]Hold{},
	}
	var mu sync.Mutex
	var work []func(context.Context) error
	for _, loc := range q.locations() {
		work = append(work, func(ctx context.Context) error {
			found, seen, err := lookAt(ctx, clients, q.Fleet, loc)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			v.Pointers[loc], v.Seen[loc] = found.pointers, seen
			if loc == q.Build {
				v.Holds, v.Removed, v.Intents = found.holds, found.rejected, found.intents
			}
			return nil
		})
	}
	for _, loc := range q.homes() {
		work = append(work, func(ctx context.Context) error {
			own, err := ownImages(ctx, clients, q.Fleet, loc)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			v.Own[loc] = own
			return nil
		})
	}
	if !slices.Contains(q.locations(), q.Build) && len(q.Want) > 0 {
		work = append(work, func(ctx context.Context) error {
			found, err := lookAtHome(ctx, clients, q)
			mu.Lock()
			defer mu.Unlock()
			v.Holds, v.Removed, v.Intents = found.holds, found.rejected, found.intents
			return err
		})
	}
	err := each(ctx, len(work), func(ctx context.Context, i int) error { return work[i](ctx) })
	v.Removed = notThere(v.Removed, v.Own[q.Build])
	return v, errors.Join(err, v.addYoung(ctx, clients, q))
}

// addYoung looks up by id what an account sees of the fleet's images and the list by tags does not show yet: for a moment
// after an image was made, that lags behind (EC2 API, eventual consistency). As a rule there is nothing to look up.
func (v View) addYoung(ctx context.Context, clients Clients, q Query) error {
	young := map[Location][]string{}
	for loc, seen := range v.Seen {
		home := Location{q.Build.Account, loc.Region}
		for id, img := range seen {
			known := slices.ContainsFunc(v.Own[home], func(o Image) bool { return o.ID == id })
			if v.Own[home] != nil && img.Owner == home.Account && !known {
				young[home] = append(young[home], id)
			}
		}
	}
	var errs []error
	for _, home := range slices.SortedFunc(maps.Keys(young), Location.Compare) {
		catalogue, err := Open(ctx, clients, home)
		if err != nil {
			return err
		}
		found, err := catalogue.Get(ctx, young[home]...)
		errs = append(errs, err)
		for _, img := range found {
			if img.Fleet == q.Fleet {
				v.Own[home] = append(v.Own[home], img)
			}
		}
	}
	return errors.Join(errs...)
}

// lookAt reads one location: its parameters, and the images that it sees of those that the pointers name.
func lookAt(ctx context.Context, clients Clients, fleet string, loc Location) (parameters, map[string]Image, error) {
	pointers, err := OpenPointers(ctx, clients, loc, fleet)
	if err != nil {
		return parameters{}, nil, err
	}
	found, err := pointers.everything(ctx)
	if err != nil {
		return found, nil, err
	}
	catalogue, err := Open(ctx, clients, loc)
	if err != nil {
		return found, nil, err
	}
	var ids []string
	for _, p := range found.pointers {
		ids = append(ids, p.Image)
	}
	seen, err := catalogue.Get(ctx, ids...)
	return found, seen, err
}

func ownImages(ctx context.Context, clients Clients, fleet string, loc Location) ([]Image, error) {
	catalogue, err := Open(ctx, clients, loc)
	if err != nil {
		return nil, err
	}
	return catalogue.OfFleet(ctx, fleet)
}

// lookAtHome reads the parameters of a build location that is no target: the holds and rejections.
func lookAtHome(ctx context.Context, clients Clients, q Query) (parameters, error) {
	pointers, err := OpenPointers(ctx, clients, q.Build, q.Fleet)
	if err != nil {
		return parameters{}, err
	}
	return pointers.everything(ctx)
}

// homes lists where the fleet's images are.
func (q Query) homes() []Location {
	homes := append([]Location{q.Build}, q.Copies...)
	for _, loc := range q.locations() {
		homes = append(homes, Location{q.Build.Account, loc.Region})
	}
	slices.SortFunc(homes, Location.Compare)
	return slices.Compact(homes)
}

// locations lists each location that some role is wanted in, once.
func (q Query) locations() []Location {
	seen := map[Location]bool{}
	for _, w := range q.Want {
		for _, loc := range w.Locations {
			seen[loc] = true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), Location.Compare)
}
