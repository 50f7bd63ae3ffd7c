package promoter

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/imgops/imgops/images"
)

// permission is the launch permission of one image.
type permission struct {
	home  images.Location
	image string
}

// shared lists the images whose launch permission has to be asked for: those that exist and that are, or are to be,
// shared at all, unless it shows already that every account has what it needs. That is so where all is in place, so
// that the calls of a run with nothing to do do not grow with the roles.
func (p *Promoter) shared(r Request, places []place, w *world) []permission {
	var list []permission
	for _, home := range p.homes(places) {
		img, ok, _ := p.find(r, home, r.Image, w)
		if !ok {
			continue
		}
		perm := permission{home, img.ID}
		reach := p.reach(r, places, w, perm)
		switch grantees := p.grantees(places, home); {
		case p.opts.Accounts != nil, !slices.Equal(reach, grantees):
			list = append(list, perm)
		case len(grantees) > 0:
			w.granted[perm] = reach
		}
	}
	return list
}

// reach lists the accounts that need no permission any more, sorted: whoever sees the image may launch it, and who has a
// copy of its own needs none.
func (p *Promoter) reach(r Request, places []place, w *world, perm permission) []string {
	var accounts []string
	for _, at := range places {
		if at.Region != perm.home.Region || at.Account == perm.home.Account {
			continue
		}
		in := w.seen[at.Location][perm.image].State == available
		if at.own {
			source := images.Image{ID: perm.image, Location: perm.home}
			own, ok, _ := p.find(r, at.Location, source, w)
			in = ok && own.State == available
		}
		if in {
			accounts = append(accounts, at.Account)
		}
	}
	return accounts
}

// grantees lists the accounts that the image of a home is to be shared with, sorted.
func (p *Promoter) grantees(places []place, home images.Location) []string {
	var accounts []string
	for _, at := range places {
		if at.Region == home.Region && at.Account != home.Account {
			accounts = append(accounts, at.Account)
		}
	}
	return accounts
}

// readPermissions asks with which accounts the images are shared.
func (p *Promoter) readPermissions(ctx context.Context, w *world, asked []permission) error {
	var reads []func() error
	for _, perm := range asked {
		reads = append(reads, func() error {
			accounts, err := p.launchers(ctx, perm)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.granted[perm] = accounts
			return err
		})
	}
	return p.parallel(reads)
}

// launchers lists the accounts that may launch an image, sorted. An image that was just listed can be unknown to this
// call for a moment (EC2 API, eventual consistency): it is asked again.
func (p *Promoter) launchers(ctx context.Context, perm permission) ([]string, error) {
	api, err := p.ec2(ctx, perm.home)
	if err != nil {
		return nil, err
	}
	var out *ec2.DescribeImageAttributeOutput
	err = p.settle(ctx, func(ctx context.Context) error {
		out, err = api.DescribeImageAttribute(ctx, &ec2.DescribeImageAttributeInput{
			ImageId: aws.String(perm.image), Attribute: types.ImageAttributeNameLaunchPermission,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the launch permission of image %s in %s: %w", perm.image, perm.home, err)
	}
	var accounts []string
	for _, e := range out.LaunchPermissions {
		if e.UserId != nil {
			accounts = append(accounts, *e.UserId)
		}
	}
	slices.Sort(accounts)
	return accounts, nil
}
