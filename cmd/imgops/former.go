package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
)

// former is the build location of the last promotion, where that is another one than imgops.yaml says now: what people have
// decided there stays in force.
type former struct {
	at       images.Location
	commit   string // of the last promotion
	kept     images.Kept
	rejected []images.Image // as they are for the present location
}

// note is what is left in the present location when all was carried over.
func (f *former) note() string { return f.at.String() + " " + f.commit }

// addFormer adds to what a look has seen the holds and rejections of the former build location. It costs no call where there
// is none. A location that cannot be read keeps what promotes from going on (s.unreadable); who only looks is told.
func (s *session) addFormer(ctx context.Context, seen *images.View) error {
	last, err := s.last(ctx, *seen, s.promotes)
	if err != nil || last.commit == "" {
		return err
	}
	at := images.Location{Account: last.config.Build.Account, Region: last.config.Build.Region}
	if at == s.home || last.config.Fleet != s.fleet.Config.Fleet {
		return nil
	}
	f := &former{at: at, commit: last.commit}
	if done, err := images.Carried(ctx, s.clouds, s.home, s.fleet.Config.Fleet); err != nil || done == f.note() {
		return err
	}
	if err := s.readFormer(ctx, f, last.config); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.unreadable = s.refuseFormer(f, err)
		return nil
	}
	s.former = f
	for role, hold := range f.kept.Holds {
		if _, held := seen.Holds[role]; !held {
			seen.Holds[role] = hold
		}
	}
	seen.Removed = append(seen.Removed, f.rejected...)
	return nil
}

// noteUnreadable tells who only looks what is not known.
func (s *session) noteUnreadable() {
	if s.unreadable != nil {
		s.note("%v", s.unreadable)
	}
}

// refuseFormer is the refusal where the former build location cannot be read.
func (s *session) refuseFormer(f *former, err error) error {
	return &promoter.RefusedError{
		Rule: promoter.RuleMoved,
		Message: fmt.Sprintf("images were built in %s until %s, the last promotion, and what is held or rejected there cannot be read: %v",
			f.at, shortCommit(f.commit), err),
		Fix: fmt.Sprintf("let this identity read it; or, if nothing there is to stay in force: aws ssm put-parameter --region %s --name %s --type String --overwrite --value '%s'",
			s.home.Region, images.CarriedName(s.fleet.Config.Fleet), f.note()),
	}
}

// readFormer reads what the former location keeps, with the credentials that imgops.yaml named then.
func (s *session) readFormer(ctx context.Context, f *former, config roles.Config) (err error) {
	clouds := s.clouds
	if f.at.Account != s.home.Account || config.Build.RoleARN != s.fleet.Config.Build.RoleARN {
		if clouds, err = s.newClouds(ctx, config); err != nil {
			return err
		}
	}
	if f.kept, err = images.ReadKept(ctx, clouds, f.at, s.fleet.Config.Fleet); err != nil || len(f.kept.Rejected) == 0 {
		return err
	}
	here, err := s.digestsHere(ctx, f, clouds)
	if err != nil {
		return err
	}
	for _, img := range f.kept.Rejected {
		img.State = images.StateRemoved
		if img.RejectedAt.IsZero() {
			img.RejectedAt = time.Now()
		}
		f.rejected = append(f.rejected, img)
		if digest := here[img.Role][img.Digest]; digest != "" && digest != img.Digest {
			img.Digest = digest
			f.rejected = append(f.rejected, img)
		}
	}
	return nil
}

// digestsHere gives, by role and its digest in the former location, the digest in the present one, for the recipes of the
// present commit and of the last promotion: an external base has another id in another Region, and so the recipe another
// digest.
func (s *session) digestsHere(ctx context.Context, f *former, clouds *clouds) (map[string]map[string]string, error) {
	last, err := s.repo.LoadNear(ctx, f.commit, s.fleet)
	if err != nil {
		return nil, err
	}
	here := map[string]map[string]string{}
	for _, commit := range []string{s.fleet.Revision.Commit, f.commit} {
		there, err := s.digestsAt(ctx, commit, f.at, clouds, last.Lock)
		if err != nil {
			return nil, err
		}
		present, err := s.digestsAt(ctx, commit, s.home, s.clouds, s.fleet.Lock)
		var missing *roles.MissingPinsError
		if errors.As(err, &missing) && commit != s.fleet.Revision.Commit {
			continue // that recipe cannot be built here
		}
		if err != nil {
			return nil, err
		}
		for role, digest := range there {
			if here[role] == nil {
				here[role] = map[string]string{}
			}
			here[role][digest] = present[role]
		}
	}
	return here, nil
}

// digestsAt gives the digests of a commit's roles as they are in a build location. What imgops.lock does not pin there at that
// commit is taken from another lock.
func (s *session) digestsAt(ctx context.Context, commit string, at images.Location, clouds *clouds, other roles.Lock) (map[string]string, error) {
	f, err := s.repo.LoadNear(ctx, commit, s.fleet)
	if err != nil {
		return nil, err
	}
	f.Config.Build.Account, f.Config.Build.Region = at.Account, at.Region
	pins, err := s.app.pins(ctx, f, clouds)
	if err != nil {
		return nil, err
	}
	all := other.Pins(at.Region)
	maps.Copy(all, pins)
	if err := f.Resolve(all); err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for _, r := range f.Roles {
		digests[r.Name] = r.Digest
	}
	return digests, nil
}

// carryOver writes what the former build location keeps to the present one, before anything is promoted from there. It is for
// main: a commit that is older than the last promotion carries nothing.
func (s *session) carryOver(ctx context.Context) error {
	f := s.former
	if s.unreadable != nil || f == nil {
		return s.unreadable
	}
	if newer, err := s.repo.IsAncestor(ctx, f.commit, s.fleet.Revision.Commit); err != nil || !newer {
		return err
	}
	if err := s.requireMain(ctx, nil); err != nil {
		return err
	}
	if err := images.Carry(ctx, s.clouds, s.home, s.fleet.Config.Fleet, f.kept, f.rejected, f.note()); err != nil {
		return fmt.Errorf("carrying over the holds and rejections of %s: %w", f.at, err)
	}
	s.former = nil
	what := []string{}
	if held := slices.Sorted(maps.Keys(f.kept.Holds)); len(held) > 0 {
		what = append(what, "the holds of "+strings.Join(held, ", "))
	}
	if n := len(f.kept.Rejected); n > 0 {
		what = append(what, "the rejections of "+count(n, "image"))
	}
	if len(what) == 0 {
		what = append(what, "no hold and no rejection, for there is none")
	}
	s.note("images were built in %s until %s, and are in %s from now on; carried over from there: %s", f.at, shortCommit(f.commit), s.home, strings.Join(what, "; "))
	return nil
}

// refuseHeldElsewhere ends a release where the hold is still in the former build location, from which the next run on main
// carries it over.
func (s *session) refuseHeldElsewhere(ctx context.Context, role string) error {
	seen, err := images.Look(ctx, s.clouds, s.query())
	if err == nil {
		err = s.addFormer(ctx, &seen)
	}
	hold, held := seen.Holds[role]
	if err != nil || s.former == nil || !held {
		return err
	}
	return &promoter.RefusedError{
		Rule: promoter.RuleMoved, Role: role, What: "release",
		Message: fmt.Sprintf("it is %s; that is noted in %s, where images were built until %s, and not carried over to %s yet", hold, s.former.at, shortCommit(s.former.commit), s.home),
		Fix:     "run imgops ci on main first, which does that",
	}
}
