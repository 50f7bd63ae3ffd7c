package promoter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imgops/imgops/images"
)

// Rejected is an image that is never promoted again.
type Rejected struct {
	Image    string          `json:"image"`
	Role     string          `json:"role"`
	Digest   string          `json:"digest"`
	Location images.Location `json:"location"`
	Reason   string          `json:"reason"`
	Before   bool            `json:"before"` // it was rejected before, for this reason
}

// Reject tags an image as rejected, with its copies, the images that were built on it, and their copies, so that none of
// them is promoted again. That outlasts the images: it is kept in the build location, too, by recipe. The image is named by its id in any of the locations: those that hold images of the fleet,
// the build account's and, with own copies, the targets'. Where one of them is the default it stays so. Tagging again
// changes nothing; a location that fails leaves the others done.
func (p *Promoter) Reject(ctx context.Context, id, reason string, locations []images.Location, progress images.Progress) ([]Rejected, error) {
	progress.Say("look for "+id, fmt.Sprintf("%d locations", len(locations)))
	all, err := p.fleetImages(ctx, locations)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(all, func(img images.Image) bool { return img.ID == id })
	if at < 0 {
		return nil, fmt.Errorf("%w: %s is no image of fleet %s in %s", images.ErrNotFound, id, p.opts.Fleet, names(locations))
	}
	root := rootOf(all, all[at])
	list := make([]Rejected, 0, len(all))
	var keep, work []func() error
	kept := map[[2]string]bool{}
	for _, img := range family(all, root) { // the build location's come first
		why := images.TagText(reason)
		if img.Role != root.Role || img.Digest != root.Digest {
			why = images.TagText(images.RejectedBase(root.ID, reason))
		}
		r := Rejected{Image: img.ID, Role: img.Role, Digest: img.Digest, Location: img.Location, Reason: why}
		if img.Rejected != "" {
			r.Reason, r.Before = img.Rejected, true
		}
		list = append(list, r)
		if recipe := [2]string{img.Role, img.Digest}; !kept[recipe] {
			kept[recipe] = true
			gone := img
			gone.Rejected = r.Reason
			keep = append(keep, func() error {
				return images.KeepRejection(ctx, p.clients, p.opts.Build, gone, p.opts.Clock(), !r.Before)
			})
		}
		if !r.Before {
			work = append(work, func() error { return p.reject(ctx, img, why, progress) })
		}
	}
	return list, errors.Join(p.parallel(keep), p.parallel(work))
}

func (p *Promoter) reject(ctx context.Context, img images.Image, why string, progress images.Progress) error {
	progress.Say(img.Role+": reject", img.ID+" in "+img.Location.String())
	catalogue, err := images.Open(ctx, p.clients, img.Location)
	if err != nil {
		return err
	}
	return catalogue.Tag(ctx, img, map[string]string{images.TagRejected: why})
}

// fleetImages lists the fleet's images in the locations, the build location's first.
func (p *Promoter) fleetImages(ctx context.Context, locations []images.Location) ([]images.Image, error) {
	locations = slices.Concat([]images.Location{p.opts.Build}, slices.DeleteFunc(slices.Clone(locations), func(l images.Location) bool { return l == p.opts.Build }))
	found := make([][]images.Image, len(locations))
	var reads []func() error
	for i, loc := range locations {
		reads = append(reads, func() error {
			catalogue, err := images.Open(ctx, p.clients, loc)
			if err == nil {
				found[i], err = catalogue.OfFleet(ctx, p.opts.Fleet)
			}
			return err
		})
	}
	err := p.parallel(reads)
	return slices.Concat(found...), err
}

// rootOf follows copies to the image that they were made of.
func rootOf(all []images.Image, img images.Image) images.Image {
	for range 3 { // an own copy is one of a shared copy of the original
		at := slices.IndexFunc(all, func(o images.Image) bool {
			return img.SourceID != "" && o.ID == img.SourceID && o.Role == img.Role && o.Digest == img.Digest
		})
		if at < 0 {
			break
		}
		img = all[at]
	}
	return img
}

// family lists an image, its copies, what was built on any of them, and so on.
func family(all []images.Image, root images.Image) []images.Image {
	in := map[string]bool{root.ID: true}
	for grown := true; grown; {
		grown = false
		for _, img := range all {
			if !in[img.ID] && (in[img.SourceID] || in[img.Base]) {
				in[img.ID], grown = true, true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(img images.Image) bool { return !in[img.ID] })
}

func names(locations []images.Location) string {
	var list []string
	for _, l := range locations {
		list = append(list, l.String())
	}
	return strings.Join(list, ", ")
}
