package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imgops/imgops/images"
)

// oldImages lists the images that retention no longer keeps, and does what is due with them if that was asked for. Where
// it was not, what cannot be found out is no error: temporary things can be removed without.
func (a *app) oldImages(ctx context.Context, o *gcOptions) ([]garbage, error) {
	s, err := a.open(ctx, "")
	var list, done []images.Old
	if err == nil {
		list, done, err = s.cleanImages(ctx, o.images && !o.dryRun)
	}
	if err != nil && !o.images {
		a.note("old images were not looked for: %v", err)
		err = nil
	}
	out := []garbage{}
	for _, old := range list {
		out = append(out, oldImage(old, slices.ContainsFunc(done, func(x images.Old) bool { return x.ID() == old.ID() })))
	}
	if due := dueText(list); due != "" && !o.images {
		a.note("%s: imgops gc --images", due)
	}
	return out, err
}

// oldImage is what gc says of an old image; did: what is due was done.
func oldImage(old images.Old, did bool) garbage {
	g := garbage{
		Kind: "image", ID: old.ID(), Role: old.Role, Run: old.Image.Run, Account: old.Location.Account, Region: old.Location.Region,
		Digest: old.Image.Digest, Action: old.Action, Removed: did && old.Action == images.CleanRemove,
		DeprecatedAt: timeOrNil(old.Image.Deprecated), RemovableAt: timeOrNil(old.Removable), Reason: old.Why,
	}
	if old.Snapshot != "" {
		g.Kind = "snapshot"
	}
	verb := map[bool]string{false: "to be ", true: ""}[did]
	switch since := old.Deprecated.Format(time.RFC3339); old.Action {
	case images.CleanDeprecate:
		g.Reason = fmt.Sprintf("%sdeprecated, and removable from %s on: %s", verb, old.Removable.Format(time.RFC3339), old.Why)
		if did {
			g.DeprecatedAt = timeOrNil(old.Deprecated)
		}
	case images.CleanWait:
		g.Reason = fmt.Sprintf("deprecated since %s, removable from %s on: %s", since, old.Removable.Format(time.RFC3339), old.Why)
	case images.CleanUndeprecate:
		g.Reason = verb + "deprecated no more: " + old.Why
		if did {
			g.DeprecatedAt = nil
		}
	}
	return g
}

// dueText says what gc --images would do, or "".
func dueText(list []images.Old) string {
	n := map[string]int{}
	for _, old := range list {
		n[old.Action]++
	}
	var parts []string
	if old := len(list) - n[images.CleanUndeprecate]; n[images.CleanRemove]+n[images.CleanDeprecate] > 0 {
		parts = append(parts, "retention does not keep "+count(old, "image")+" any more")
	}
	if k := n[images.CleanUndeprecate]; k > 0 {
		parts = append(parts, "it keeps "+count(k, "deprecated image")+" again")
	}
	var due []string
	for _, do := range []string{images.CleanRemove, images.CleanDeprecate, images.CleanUndeprecate} {
		if n[do] > 0 {
			due = append(due, do)
		}
	}
	if len(due) == 0 {
		return ""
	}
	return strings.Join(parts, ", ") + "; to " + strings.Join(due, ", ")
}

// cleanImages finds old images, and does what is due with them while no run moves pointers.
func (s *session) cleanImages(ctx context.Context, clean bool) (list, done []images.Old, err error) {
	keep := s.fleet.Config.Retention
	q := s.query()
	q.Copies = s.copyPlaces()
	c := &images.Cleaner{
		Clients: s.clouds, Query: q, Clock: time.Now, Note: func(text string) { s.note("%s", text) },
		Policy: images.Retention{
			Keep: keep.Keep, MinAge: time.Duration(keep.MinAge), DeprecateFor: time.Duration(keep.DeprecateFor), Wanted: map[string]bool{},
		},
	}
	for _, r := range s.fleet.Roles {
		c.Policy.Wanted[r.Digest] = true
	}
	list, err = c.Find(ctx)
	due := slices.ContainsFunc(list, func(o images.Old) bool { return o.Action != images.CleanWait })
	if err != nil || !due || !clean {
		return list, nil, err
	}
	stop := s.log.beat()
	defer stop()
	err = s.promoter().InTurn(ctx, s.fleet.Revision.Commit, s.log.of("gc"), func(ctx context.Context, mine func() error) (err error) {
		done, err = c.Clean(ctx, list, mine, s.log.of("gc"))
		return err
	})
	return list, done, err
}
