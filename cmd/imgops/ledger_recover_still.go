package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
)

// pointers are what those of a role name.
func (r *recovery) pointers(role string, when func(image string) bool) []ledger.Pointer {
	var list []ledger.Pointer
	for loc, pointers := range r.view.Pointers {
		if p, ok := pointers[role]; ok && when(p.Image) {
			list = append(list, ledger.Pointer{Account: loc.Account, Region: loc.Region, Before: p.Image, After: p.Image})
		}
	}
	slices.SortFunc(list, func(a, b ledger.Pointer) int { return strings.Compare(a.Account+a.Region, b.Account+b.Region) })
	return list
}

func every(string) bool { return true }

// hold finds the hold that a run has made, while it lasts.
func (r *recovery) hold(ctx context.Context, in intent, at time.Time) ([]ledger.Event, error) {
	var missing []ledger.Event
	for _, role := range in.Roles {
		h, held := r.view.Holds[role]
		if !held || h.Reason != in.Reason || h.Commit != in.Commit {
			continue
		}
		if told, err := r.has(ctx, role, in.By.Run, ledger.ActionHold, ledger.ActionRollback); told || err != nil {
			return nil, err
		}
		if in.Action == ledger.ActionRollback || at.Before(h.When) { // else the hold came at once, and its own time is of whole seconds
			at = h.When
		}
		missing = append(missing, ledger.Event{
			Role: role, Action: ledger.ActionHold, At: at, Reason: h.Reason, Commit: h.Commit, Image: h.Image, Pointers: r.pointers(role, every),
		})
	}
	return missing, nil
}

// release finds that a role is held no more.
func (r *recovery) release(ctx context.Context, in intent, at time.Time) ([]ledger.Event, error) {
	var missing []ledger.Event
	for _, role := range in.Roles {
		if h, held := r.view.Holds[role]; in.Hold == nil || held && h.When.Equal(in.Hold.When) && h.Reason == in.Hold.Reason {
			continue // the run got no further
		}
		if told, err := r.has(ctx, role, in.By.Run, ledger.ActionRelease); told || err != nil {
			return nil, err
		}
		missing = append(missing, ledger.Event{
			Role: role, Action: ledger.ActionRelease, At: at, Commit: in.Commit, Image: in.Hold.Image, Pointers: r.pointers(role, every),
		})
	}
	return missing, nil
}

// rejections finds the images that a run has rejected, by their tags or, where they are gone, by what is kept of them.
func (r *recovery) rejections(ctx context.Context, in intent, at time.Time) ([]ledger.Event, error) {
	var missing []ledger.Event
	for _, img := range slices.Concat(r.view.Own[r.home], r.view.Removed) {
		if img.Rejected == "" || !strings.Contains(img.Rejected, images.TagText(in.Reason)) {
			continue
		}
		events, err := r.of(ctx, img.Role)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(slices.Concat(events, missing), func(e ledger.Event) bool {
			return e.Action == ledger.ActionReject && e.Role == img.Role && e.Digest == img.Digest
		}) {
			continue
		}
		missing = append(missing, ledger.Event{
			Role: img.Role, Action: ledger.ActionReject, At: at, Reason: img.Rejected, Commit: in.Commit, Digest: img.Digest, Image: img.ID,
			Pointers: r.pointers(img.Role, func(id string) bool { return id == img.ID }),
		})
	}
	return missing, nil
}

// retirement finds the pointers that are there no more.
func (r *recovery) retirement(ctx context.Context, in intent, at time.Time) ([]ledger.Event, error) {
	var missing []ledger.Event
	for _, role := range in.Roles {
		e := ledger.Event{Role: role, Action: ledger.ActionRetire, At: at, Reason: in.Reason, Commit: in.Commit}
		for _, p := range in.Pointers {
			here, seen := r.view.Pointers[images.Location{Account: p.Account, Region: p.Region}]
			if _, there := here[role]; seen && !there {
				e.Pointers = append(e.Pointers, p)
			}
		}
		if len(e.Pointers) == 0 {
			continue
		}
		if told, err := r.has(ctx, role, in.By.Run, ledger.ActionRetire); told || err != nil {
			return nil, err
		}
		missing = append(missing, e)
	}
	return missing, nil
}
