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
	records := promotions(seen)
	if len(records) == 0 {
		var err error
		if records, err = s.pointed(ctx, seen); err != nil {
			return l, err
		}
	}
	s.settleTies(ctx, records, fetch)
	for i, record := range records {
		if i == mostLost {
			break
		}
		if record.Commit == s.fleet.Revision.Commit && !s.fleet.Dirty {
			return lastPromotion{commit: record.Commit, config: s.fleet.Config}, nil
		}
		if !fetch && !s.repo.Has(record.Commit) {
			return lastPromotion{lost: record.Commit}, nil // an older one would say what was
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

// settleTies puts the newest commit first where several were promoted in one second, which is what records are exact to.
func (s *session) settleTies(ctx context.Context, records []images.Promoted, fetch bool) {
	for i := 1; i < len(records) && records[i].At.Equal(records[0].At); i++ {
		first, other := records[0].Commit, records[i].Commit
		if !fetch && (!s.repo.Has(first) || !s.repo.Has(other)) {
			continue
		}
		if newer, err := s.repo.IsAncestor(ctx, first, other); err == nil && newer {
			records[0], records[i] = records[i], records[0]
		}
	}
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

// pointed reads the last promotion from the history of the pointer that was written last. The images that the pointers name
// say nothing where they are another account's, as after a change of the build account.
func (s *session) pointed(ctx context.Context, seen images.View) ([]images.Promoted, error) {
	var last images.Pointer
	for _, pointers := range seen.Pointers {
		for _, ptr := range pointers {
			if ptr.Modified.After(last.Modified) || last.Role == "" {
				last = ptr
			}
		}
	}
	if last.Role == "" {
		return nil, nil
	}
	pointers, err := images.OpenPointers(ctx, s.clouds, last.Location, s.fleet.Config.Fleet)
	if err != nil {
		return nil, err
	}
	versions, err := pointers.History(ctx, last.Role)
	for _, v := range versions {
		if move, ok := images.ParseMove(v.Description); ok && !move.Rollback && move.Commit != "" {
			return []images.Promoted{{Commit: move.Commit, At: v.Modified}}, err
		}
	}
	return nil, err
}
