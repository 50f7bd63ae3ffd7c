package promoter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
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
}

// permission is the launch permission of one image.
type permission struct {
	home  images.Location
	image string
}

// need is what has to be looked at: which roles in which location.
type need struct {
	build   map[images.Location][]string // own images of the build account
	targets map[images.Location][]string // pointers
	copies  map[images.Location][]string // own copies
}

// observe reads, in parallel, everything that the plan needs. Each location costs one call for ten pointers and one
// DescribeImages, each Region of the build account one DescribeImages.
func (p *Promoter) observe(ctx context.Context, n need) (*world, error) {
	w := &world{
		own: map[images.Location][]images.Image{}, pointers: map[images.Location]map[string]images.Pointer{},
		seen: map[images.Location]map[string]images.Image{}, granted: map[permission][]string{},
	}
	var reads []func() error
	for loc, roles := range n.build {
		reads = append(reads, func() error { return p.readOwn(ctx, w, loc, roles) })
	}
	for loc, roles := range n.copies {
		reads = append(reads, func() error { return p.readOwn(ctx, w, loc, roles) })
	}
	for loc, roles := range n.targets {
		reads = append(reads, func() error { return p.readTarget(ctx, w, loc, roles) })
	}
	return w, p.parallel(reads)
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

func (p *Promoter) readTarget(ctx context.Context, w *world, loc images.Location, roles []string) error {
	api, err := images.OpenPointers(ctx, p.clients, loc, p.opts.Fleet)
	if err != nil {
		return err
	}
	catalogue, err := images.Open(ctx, p.clients, loc)
	if err != nil {
		return err
	}
	pointers, err := api.Of(ctx, roles...)
	if err != nil {
		return err
	}
	var ids []string
	for _, ptr := range pointers {
		ids = append(ids, ptr.Image)
	}
	seen, err := catalogue.Get(ctx, ids...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pointers[loc], w.seen[loc] = pointers, seen
	return err
}

// readPermissions asks with which accounts the images are shared: only those that exist and that are, or are to be,
// shared at all.
func (p *Promoter) readPermissions(ctx context.Context, w *world, asked []permission) error {
	var reads []func() error
	for _, perm := range asked {
		reads = append(reads, func() error {
			api, err := p.ec2(ctx, perm.home)
			if err != nil {
				return err
			}
			out, err := api.DescribeImageAttribute(ctx, &ec2.DescribeImageAttributeInput{
				ImageId: aws.String(perm.image), Attribute: types.ImageAttributeNameLaunchPermission,
			})
			if err != nil {
				return fmt.Errorf("reading the launch permission of image %s in %s: %w", perm.image, perm.home, err)
			}
			var accounts []string
			for _, e := range out.LaunchPermissions {
				if e.UserId != nil {
					accounts = append(accounts, *e.UserId)
				}
			}
			slices.Sort(accounts)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.granted[perm] = accounts
			return nil
		})
	}
	return p.parallel(reads)
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
