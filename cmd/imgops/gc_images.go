package main

import (
	"context"
	"slices"
	"time"

	"github.com/imgops/imgops/images"
)

// oldImages lists the images that retention no longer keeps, and removes them if that was asked for. Where it was not,
// what cannot be found out is no error: temporary things can be removed without.
func (a *app) oldImages(ctx context.Context, o *gcOptions) ([]garbage, error) {
	s, err := a.open(ctx, "")
	var list, gone []images.Old
	if err == nil {
		list, gone, err = s.cleanImages(ctx, o.images && !o.dryRun)
	}
	if err != nil && !o.images {
		a.note("old images were not looked for: %v", err)
		err = nil
	}
	out := []garbage{}
	for _, old := range list {
		g := garbage{
			Kind: "image", ID: old.ID(), Role: old.Role, Run: old.Image.Run, Account: old.Location.Account, Region: old.Location.Region,
			Digest: old.Image.Digest, Reason: old.Why,
		}
		if old.Snapshot != "" {
			g.Kind = "snapshot"
		}
		g.Removed = slices.ContainsFunc(gone, func(x images.Old) bool { return x.ID() == old.ID() })
		out = append(out, g)
	}
	if len(list) > 0 && !o.images {
		a.note("retention does not keep %s any more; to remove: imgops gc --images", count(len(list), "image"))
	}
	return out, err
}

// cleanImages finds old images, and removes them while no run moves pointers.
func (s *session) cleanImages(ctx context.Context, remove bool) (list, gone []images.Old, err error) {
	keep := s.fleet.Config.Retention
	q := s.query()
	q.Copies = s.copyPlaces()
	c := &images.Cleaner{
		Clients: s.clouds, Query: q, Clock: time.Now, Note: func(text string) { s.note("%s", text) },
		Policy: images.Retention{Keep: keep.Keep, MinAge: time.Duration(keep.MinAge), Wanted: map[string]bool{}},
	}
	for _, r := range s.fleet.Roles {
		c.Policy.Wanted[r.Digest] = true
	}
	list, err = c.Find(ctx)
	if err != nil || len(list) == 0 || !remove {
		return list, nil, err
	}
	stop := s.log.beat()
	defer stop()
	err = s.promoter().InTurn(ctx, s.fleet.Revision.Commit, s.log.of("gc"), func(ctx context.Context, mine func() error) (err error) {
		gone, err = c.Remove(ctx, list, mine, s.log.of("gc"))
		return err
	})
	return list, gone, err
}
