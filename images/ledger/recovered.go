package ledger

import (
	"context"
	"errors"
	"path"
	"slices"
)

// Events reads what the ledger knows of what was done about a role's default, newest first. What cannot be read is left out.
func (l Ledger) Events(ctx context.Context, role string) ([]Event, error) {
	b := &Book{Others: map[string]int{}, inventories: map[string]string{}, ledger: l}
	err := l.each(ctx, []string{eventTree + "/" + role + "/"}, b)
	b.sort()
	return b.Events, err
}

// Has says whether the ledger, or the spool, has an image's own record.
func (l Ledger) Has(ctx context.Context, a About) (bool, error) {
	at := path.Join(a.dir(), "image.json")
	kept, err := l.Spool.Entries()
	if slices.ContainsFunc(kept, func(e Entry) bool { return e.Path == at }) {
		return true, nil
	}
	if l.Store == nil {
		return false, err
	}
	items, listErr := l.Store.List(ctx, at)
	return len(items) > 0, errors.Join(err, listErr)
}

// once leaves out the recovered events that others tell, too: the run that did it was slower than the one that looked for
// what is missing, or two looked at once.
func once(events []Event) []Event {
	var list []Event
	for i, e := range events {
		told := slices.ContainsFunc(events[:i], e.isToldBy) || slices.ContainsFunc(events[i+1:], func(other Event) bool {
			return other.Recovered == nil && e.isToldBy(other)
		})
		if e.Recovered == nil || !told {
			list = append(list, e)
		}
	}
	return list
}

// isToldBy says that another event tells of the same, and of no pointer less.
func (v Event) isToldBy(other Event) bool {
	if v.Action != other.Action || v.Role != other.Role || v.By.Run != other.By.Run || v.Action == ActionReject && v.Digest != other.Digest {
		return false
	}
	return (v.Action != ActionPromote && v.Action != ActionRollback) || !slices.ContainsFunc(v.Pointers, func(p Pointer) bool { return !other.Tells(p) })
}

// Tells says that the event tells what a pointer was moved to.
func (v Event) Tells(p Pointer) bool {
	return slices.ContainsFunc(v.Pointers, func(o Pointer) bool { return o.Account == p.Account && o.Region == p.Region && o.After == p.After })
}
