package promoter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"golang.org/x/sync/errgroup"

	"github.com/imgops/imgops/images"
)

// world is what Plan saw.
type world struct {
	mu sync.Mutex
	// own holds the account's own images of the roles, newest first: of the build account in each Region, and of the
	// target accounts that have copies.
	own map[images.Location][]images.Image
	// pointers and seen are of the target locations: the pointers of the roles, and the images that they name, as far
	// as the account sees them.
	pointers map[images.Location]map[string]images.Pointer
	seen     map[images.Location]map[string]images.Image
	granted  map[permission][]string
	holds    map[string]images.Hold  // by role
	bases    map[string]images.Image // what the requests' images were built from, and so on, as far as the build account has it
	whole    bool                    // own has every image of the fleet in the build location, and so every base
}

// need is what has to be looked at: which roles in which location.
type need struct {
	build   map[images.Location][]string // own images of the build account
	targets map[images.Location][]string // pointers
	copies  map[images.Location][]string // own copies
	holds   []string                     // roles that a hold would stop
	sight   bool                         // and what the accounts see of the images that the pointers name
	images  []images.Image               // of the build location, which a search by tags may not show yet as they are
}

func newWorld() *world {
	return &world{
		own: map[images.Location][]images.Image{}, pointers: map[images.Location]map[string]images.Pointer{},
		seen: map[images.Location]map[string]images.Image{}, granted: map[permission][]string{},
		holds: map[string]images.Hold{}, bases: map[string]images.Image{},
	}
}

// handed is the world of somebody else's look, if that saw all that is needed.
func (n need) handed(v images.View, build images.Location) (*world, bool) {
	w := newWorld()
	for loc := range n.targets {
		if v.Pointers[loc] == nil || v.Seen[loc] == nil {
			return nil, false
		}
	}
	for _, places := range []map[images.Location][]string{n.build, n.copies} {
		for loc := range places {
			if _, ok := v.Own[loc]; !ok {
				return nil, false
			}
		}
	}
	w.own, w.pointers, w.seen, w.holds, w.whole = v.Own, v.Pointers, v.Seen, v.Holds, true
	for _, img := range slices.Concat(v.Removed, v.Own[build]) {
		w.bases[img.ID] = img
	}
	return w, true
}

// observe reads, in parallel, everything that the plan needs. Each location costs one call for ten pointers and one
// DescribeImages, each Region of the build account one DescribeImages.
func (p *Promoter) observe(ctx context.Context, n need) (*world, error) {
	w := newWorld()
	var reads []func() error
	for loc, roles := range n.build {
		reads = append(reads, func() error { return p.readOwn(ctx, w, loc, roles) })
	}
	for loc, roles := range n.copies {
		reads = append(reads, func() error { return p.readOwn(ctx, w, loc, roles) })
	}
	for loc, roles := range n.targets {
		reads = append(reads, func() error { return p.readTarget(ctx, w, loc, roles, n.sight) })
	}
	if len(n.holds) > 0 {
		reads = append(reads, func() error { return p.readHolds(ctx, w, n.holds) })
	}
	var present map[string]images.Image
	if len(n.images) > 0 {
		reads = append(reads, func() (err error) {
			present, err = p.readImages(ctx, n.images)
			return err
		})
	}
	err := p.parallel(reads)
	w.correct(p.opts.Build, present)
	return w, err
}

// readImages reads images of the build location by their ids, and waits for a moment for those that were just made.
func (p *Promoter) readImages(ctx context.Context, list []images.Image) (present map[string]images.Image, err error) {
	catalogue, err := images.Open(ctx, p.clients, p.opts.Build)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, img := range list {
		ids = append(ids, img.ID)
	}
	began := time.Now()
	err = images.Poll(ctx, func(ctx context.Context) (bool, error) {
		if present, err = catalogue.Get(ctx, ids...); err != nil {
			return false, err
		}
		young := slices.ContainsFunc(list, func(img images.Image) bool {
			_, seen := present[img.ID]
			return !seen && p.opts.Clock().Sub(img.Created) < images.Unseen
		})
		return !young || time.Since(began) > p.unseen(), nil
	})
	return present, err
}

// correct puts images that were read by id in place of what a search by tags gave: for a moment that lags behind (EC2
// API, eventual consistency), and an image that was verified just now would be refused.
func (w *world) correct(build images.Location, present map[string]images.Image) {
	own := w.own[build]
	for i, img := range own {
		if now, ok := present[img.ID]; ok {
			own[i] = now
			delete(present, img.ID)
		}
	}
	for _, img := range present {
		own = append(own, img)
	}
	w.own[build] = own
}

func (p *Promoter) readHolds(ctx context.Context, w *world, roles []string) error {
	holds, err := images.OpenHolds(ctx, p.clients, p.opts.Build, p.opts.Fleet)
	if err != nil {
		return err
	}
	found, err := holds.Of(ctx, roles...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holds = found
	return err
}

// readBases reads what the images were built from, one generation in a call.
func (p *Promoter) readBases(ctx context.Context, reqs []Request, w *world) error {
	if w.whole {
		return nil
	}
	var ids []string
	for _, r := range reqs {
		if img, ok := w.source(p.opts.Build, r.Image.ID); ok && img.Base != "" {
			ids = append(ids, img.Base)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	catalogue, err := images.Open(ctx, p.clients, p.opts.Build)
	if err != nil {
		return err
	}
	gone := false
	for len(ids) > 0 {
		found, err := catalogue.Get(ctx, ids...)
		if err != nil {
			return err
		}
		gone = gone || slices.ContainsFunc(ids, func(id string) bool { return found[id].ID == "" })
		ids = nil
		for id, img := range found {
			if _, known := w.bases[id]; known || img.Fleet != p.opts.Fleet {
				continue
			}
			w.bases[id] = img
			if img.Base != "" {
				ids = append(ids, img.Base)
			}
		}
	}
	if gone { // it may have been rejected before it was removed
		return p.readRejected(ctx, w)
	}
	return nil
}

// readRejected adds images to the bases that are gone, and that were rejected.
func (p *Promoter) readRejected(ctx context.Context, w *world) error {
	rejected, err := images.Rejections(ctx, p.clients, p.opts.Build, p.opts.Fleet)
	for _, img := range rejected {
		if _, there := w.bases[img.ID]; !there {
			w.bases[img.ID] = img
		}
	}
	return err
}

// tainted refuses an image whose base, or its base and so on, was rejected: also one that was being built meanwhile.
func (r Request) tainted(img images.Image, w *world) error {
	if img.Rejected != "" {
		return nil // said already
	}
	seen := map[string]bool{}
	for base, ok := w.bases[img.Base]; ok && !seen[base.ID]; base, ok = w.bases[base.Base] {
		seen[base.ID] = true
		if base.Rejected != "" {
			return r.refused(RuleRejected, "build it again, on another base: imgops build "+r.Role,
				"image %s was built on %s, which is rejected: %s", img.ID, base.ID, base.Rejected)
		}
	}
	return nil
}

func (p *Promoter) readOwn(ctx context.Context, w *world, loc images.Location, roles []string) error {
	catalogue, err := images.Open(ctx, p.clients, loc)
	if err != nil {
		return err
	}
	list, err := catalogue.OfRoles(ctx, p.opts.Fleet, roles...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.own[loc] = list
	return err
}

func (p *Promoter) readTarget(ctx context.Context, w *world, loc images.Location, roles []string, sight bool) error {
	api, err := images.OpenPointers(ctx, p.clients, loc, p.opts.Fleet)
	if err != nil {
		return err
	}
	pointers, err := api.Of(ctx, roles...)
	if err != nil {
		return err
	}
	var seen map[string]images.Image
	if sight {
		if seen, err = p.seenAt(ctx, loc, pointers); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pointers[loc], w.seen[loc] = pointers, seen
	return nil
}

func (p *Promoter) seenAt(ctx context.Context, loc images.Location, pointers map[string]images.Pointer) (map[string]images.Image, error) {
	catalogue, err := images.Open(ctx, p.clients, loc)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, ptr := range pointers {
		ids = append(ids, ptr.Image)
	}
	return catalogue.Get(ctx, ids...)
}

func (p *Promoter) ec2(ctx context.Context, loc images.Location) (*ec2.Client, error) {
	api, err := p.clients.EC2(ctx, loc)
	if err != nil {
		return nil, fmt.Errorf("connecting to EC2 of %s: %w", loc, err)
	}
	return api, nil
}

// parallel does all of the work, at most Parallel at a time, and joins the errors.
func (p *Promoter) parallel(work []func() error) error {
	var group errgroup.Group
	group.SetLimit(p.opts.Parallel)
	errs := make([]error, len(work))
	for i, do := range work {
		group.Go(func() error {
			errs[i] = do()
			return nil
		})
	}
	_ = group.Wait() // always nil: errs has them all
	return errors.Join(errs...)
}
