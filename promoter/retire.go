package promoter

import (
	"context"
	"errors"

	"github.com/imgops/imgops/images"
)

// Retired is a pointer that was removed.
type Retired struct {
	Role    string `json:"role"`
	Account string `json:"account"`
	Region  string `json:"region"`
	Image   string `json:"image"` // what it named
}

// Retirement asks for the pointers of a role to be removed.
type Retirement struct {
	Role      string
	Commit    string // of main, which has the role no more
	Note      string // when, who and why: kept on the images that were the default
	Locations []images.Location
}

// Retire removes the pointers of a role that main has no more, in its turn among the promotions, and its hold. Its
// images stay, without the default's tag, until retention takes them. An older commit of main, which still has the
// role, does not bring the pointers back. Doing it again finishes what was begun.
func (p *Promoter) Retire(ctx context.Context, r Retirement, progress images.Progress) ([]Retired, error) {
	lease, err := p.takeTurn(ctx, r.Commit, progress)
	if err != nil {
		return nil, err
	}
	defer p.returnTurn(ctx, lease)
	all, err := p.fleetImages(ctx, r.Locations)
	if err != nil {
		return nil, err
	}
	gone, err := p.removePointers(ctx, r, progress)
	if err != nil {
		return gone, err // the images keep their tags: there are still pointers
	}
	var work []func() error
	for _, img := range all {
		if img.Role == r.Role && img.Default {
			work = append(work, func() error { return p.retireImage(ctx, r, img) })
		}
	}
	holds, err := images.OpenHolds(ctx, p.clients, p.opts.Build, p.opts.Fleet)
	if err == nil {
		_, _, err = holds.Release(ctx, r.Role)
	}
	return gone, errors.Join(err, p.parallel(work))
}

func (p *Promoter) removePointers(ctx context.Context, r Retirement, progress images.Progress) ([]Retired, error) {
	found := make([]*Retired, len(r.Locations))
	var work []func() error
	for i, loc := range r.Locations {
		work = append(work, func() error {
			pointers, err := images.OpenPointers(ctx, p.clients, loc, p.opts.Fleet)
			if err != nil {
				return err
			}
			ptr, ok, err := pointers.Get(ctx, r.Role)
			if err != nil || !ok {
				return err
			}
			progress.Say(r.Role+": remove the pointer", loc.String())
			if err := pointers.Delete(ctx, r.Role); err != nil {
				return err
			}
			found[i] = &Retired{Role: r.Role, Account: loc.Account, Region: loc.Region, Image: ptr.Image}
			return nil
		})
	}
	err := p.parallel(work)
	gone := []Retired{}
	for _, f := range found {
		if f != nil {
			gone = append(gone, *f)
		}
	}
	return gone, err
}

func (p *Promoter) retireImage(ctx context.Context, r Retirement, img images.Image) error {
	catalogue, err := images.Open(ctx, p.clients, img.Location)
	if err != nil {
		return err
	}
	tags := map[string]string{images.TagDefault: "", images.TagRetired: images.TagText(r.Note)}
	if img.Location == p.opts.Build {
		tags[images.TagConfirmed] = images.Promoted{Commit: r.Commit, At: p.opts.Clock()}.String()
	}
	return catalogue.Tag(ctx, img, tags)
}
