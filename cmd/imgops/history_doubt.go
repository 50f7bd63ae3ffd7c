package main

import (
	"slices"
	"strings"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
)

// notInSSM is the note on a move that only the ledger tells of, though SSM keeps the versions of that pointer from that time on:
// whoever can push to the ledger's branch can write a record, and nobody can write SSM's.
const notInSSM = "not in SSM: no version of the pointer is this move"

// doubted marks the moves that SSM should know and does not. events are what SSM told; where it told nothing of a pointer,
// nothing can be said.
func doubted(events []images.Event, list []past) []past {
	oldest := map[images.Location]images.Event{} // what SSM still keeps
	for _, e := range events {
		at := images.Location{Account: e.Account, Region: e.Region}
		if was, ok := oldest[at]; e.Version > 0 && e.Action != images.EventHold && (!ok || e.Version < was.Version) {
			oldest[at] = e
		}
	}
	for i := range list {
		p := &list[i]
		first, kept := oldest[images.Location{Account: p.Account, Region: p.Region}]
		moved := p.Action == ledger.ActionPromote || p.Action == ledger.ActionRollback
		if !kept || !moved || p.Version > 0 || retiredSince(list, *p) {
			continue
		}
		if first.Version > 1 && p.At.Before(first.At.Add(apart)) { // SSM has forgotten it, or may have
			continue
		}
		p.Note = strings.TrimPrefix(p.Note+"; "+notInSSM, "; ")
	}
	return list
}

// retiredSince says that the pointer was removed after the event, with all that SSM knew of it.
func retiredSince(list []past, e past) bool {
	return slices.ContainsFunc(list, func(o past) bool {
		return o.Action == ledger.ActionRetire && o.Account == e.Account && o.Region == e.Region && !o.At.Before(e.At)
	})
}
