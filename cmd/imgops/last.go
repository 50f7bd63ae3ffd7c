package main

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

// lastPromotion is the last commit of main that the fleet's images say it was promoted at, and imgops.yaml as it was there:
// the present one is what a commit says of itself, and anybody can write that.
type lastPromotion struct {
	commit string // "" when nothing was promoted, or none of the commits can be read
	config roles.Config
	lost   string // the newest commit that cannot be read; "" when there is none, or an older one was read
}

// mostLost is how many commits of promotions may be in no history any more before it is taken for rewritten.
const mostLost = 5

// last finds the last promotion by what a look has seen. fetch says that a commit which this clone lacks is worth fetching.
func (s *session) last(ctx context.Context, seen images.View, fetch bool) (lastPromotion, error) {
	l := lastPromotion{}
	for i, record := range promotions(seen) {
		if i == mostLost {
			break
		}
		if !fetch && !s.repo.Has(record.Commit) {
			l.lost = cmp.Or(l.lost, record.Commit)
			continue
		}
		config, err := s.repo.ConfigAt(ctx, record.Commit, s.fleet)
		var problems *roles.ProblemsError
		switch {
		case err == nil:
			return lastPromotion{commit: record.Commit, config: config}, nil
		case ctx.Err() != nil:
			return l, ctx.Err()
		case isAny(err, badFleet...), errors.As(err, &problems):
			l.lost = cmp.Or(l.lost, record.Commit)
		default:
			return l, err
		}
	}
	return l, nil
}

// promotions lists what the images say of the commits of main that they were wanted at, the newest first, each commit once.
func promotions(seen images.View) []images.Promoted {
	newest := map[string]images.Promoted{}
	for _, list := range seen.Own {
		for _, img := range list {
			for _, record := range []images.Promoted{img.Promoted, img.Confirmed} {
				if record.Commit != "" && !newest[record.Commit].At.After(record.At) {
					newest[record.Commit] = record
				}
			}
		}
	}
	var found []images.Promoted
	for _, record := range newest {
		found = append(found, record)
	}
	slices.SortFunc(found, func(a, b images.Promoted) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Commit, b.Commit)) })
	return found
}
