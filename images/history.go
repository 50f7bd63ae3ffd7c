package images

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// The kinds of an Event.
const (
	EventPromote  = "promote"
	EventRollback = "rollback"
	EventHold     = "hold"
	EventOther    = "other" // somebody wrote the pointer by other means
)

// Event is an entry in the history of a role: a pointer that was written in one location, or the present hold.
type Event struct {
	At      time.Time `json:"at"` // UTC
	Role    string    `json:"role"`
	Account string    `json:"account"`
	Region  string    `json:"region"`
	Action  string    `json:"action"` // promote, rollback, hold or other
	Image   string    `json:"image"`
	Digest  string    `json:"digest"` // "" when neither the image nor imgops' own note tells
	Commit  string    `json:"commit"`
	Who     string    `json:"who"` // ARN, as SSM saw the caller
	Reason  string    `json:"reason,omitempty"`
	Run     string    `json:"run,omitempty"`
	Version int64     `json:"version"` // of the SSM parameter
	Current bool      `json:"current"`
	Note    string    `json:"note,omitempty"` // what became of the image: rejected, or gone
}

// History tells what the pointers of a role have named in each location, newest first, from the versions that SSM
// keeps (100 of each parameter), joined with the tags of the images that are still there. A location that cannot be
// read is an error, and the others are listed all the same.
func History(ctx context.Context, clients Clients, fleet string, build Location, role string, locations []Location) ([]Event, error) {
	versions := make([][]PointerVersion, len(locations))
	err := each(ctx, len(locations), func(ctx context.Context, i int) error {
		pointers, err := OpenPointers(ctx, clients, locations[i], fleet)
		if err == nil {
			versions[i], err = pointers.History(ctx, role)
		}
		return err
	})
	known, tagsErr := pastImages(ctx, clients, build, versions)
	events := []Event{}
	for _, list := range versions {
		for i, v := range list {
			events = append(events, event(v, known[v.Location][v.Image], i == 0))
		}
	}
	hold, holdErr := holdEvent(ctx, clients, fleet, build, role)
	events = append(events, hold...)
	slices.SortStableFunc(events, func(a, b Event) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region), cmp.Compare(b.Version, a.Version))
	})
	return events, errors.Join(err, tagsErr, holdErr)
}

func event(v PointerVersion, img Image, current bool) Event {
	e := Event{
		At: v.Modified, Role: v.Role, Account: v.Location.Account, Region: v.Location.Region, Action: EventOther, Image: v.Image,
		Digest: img.Digest, Who: v.Who, Version: v.Version, Current: current,
	}
	if m, ok := ParseMove(v.Description); ok {
		e.Action, e.Commit, e.Run, e.Reason = EventPromote, m.Commit, m.Run, m.Reason
		e.Digest = cmp.Or(e.Digest, m.Digest)
		if m.Rollback {
			e.Action = EventRollback
		}
	}
	switch {
	case img.ID == "":
		e.Note = "the image is gone"
	case img.Rejected != "":
		e.Note = "rejected: " + img.Rejected
	}
	return e
}

func holdEvent(ctx context.Context, clients Clients, fleet string, build Location, role string) ([]Event, error) {
	holds, err := OpenHolds(ctx, clients, build, fleet)
	if err != nil {
		return nil, err
	}
	found, err := holds.Of(ctx, role)
	h, ok := found[role]
	if err != nil || !ok {
		return nil, err
	}
	return []Event{{
		At: h.When, Role: role, Account: build.Account, Region: build.Region, Action: EventHold, Image: h.Image, Commit: h.Commit,
		Who: h.Who, Reason: h.Reason, Version: 1, Current: true,
	}}, nil
}

// pastImages looks up, by the location of the pointers, the images that they have named: shared ones with the build
// account's tags, own copies with the location's own.
func pastImages(ctx context.Context, clients Clients, build Location, versions [][]PointerVersion) (map[Location]map[string]Image, error) {
	ids := map[Location][]string{} // by where to look
	for _, list := range versions {
		for _, v := range list {
			home := Location{build.Account, v.Location.Region}
			ids[home] = append(ids[home], v.Image)
			if home != v.Location {
				ids[v.Location] = append(ids[v.Location], v.Image)
			}
		}
	}
	places := slices.SortedFunc(maps.Keys(ids), Location.Compare)
	found := make([]map[string]Image, len(places))
	err := each(ctx, len(places), func(ctx context.Context, i int) error {
		catalogue, err := Open(ctx, clients, places[i])
		if err == nil {
			found[i], err = catalogue.Get(ctx, ids[places[i]]...)
		}
		return err
	})
	byPlace := map[Location]map[string]Image{}
	for i, at := range places {
		byPlace[at] = found[i]
	}
	known := map[Location]map[string]Image{}
	for _, at := range places {
		known[at] = maps.Clone(byPlace[at])
		if known[at] == nil {
			known[at] = map[string]Image{}
		}
		for id, img := range byPlace[Location{build.Account, at.Region}] {
			if img.Owner == build.Account {
				known[at][id] = img // its owner sees its tags
			}
		}
	}
	return known, err
}
