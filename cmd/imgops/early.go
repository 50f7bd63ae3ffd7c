package main

import (
	"context"
	"reflect"
	"slices"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
)

// early is the work that is begun from imgops.yaml as it is on disk, while the fleet is still being loaded: connecting to
// its accounts and, where asked for, a first look at them.
type early struct {
	app    *app
	config roles.Config // as on disk; what the fleet says later counts

	ready  chan struct{}
	clouds *clouds
	err    error

	looked chan struct{} // nil where no look was asked for
	query  images.Query
	view   images.View
	lookUp error
}

// connectEarly begins to connect to the accounts of the fleet, and to look at them if look says so.
func (a *app) connectEarly(ctx context.Context, repo *roles.Repo, look bool) *early {
	e := &early{app: a, ready: make(chan struct{})}
	if e.config, e.err = repo.PeekConfig(ctx); e.err != nil {
		close(e.ready)
		return e
	}
	if look {
		e.looked, e.query = make(chan struct{}), everywhere(e.config)
	}
	go func() {
		if e.clouds, e.err = a.newClouds(ctx, e.config); e.err == nil {
			e.clouds.warm(ctx, e.config)
		}
		close(e.ready)
		if look {
			if e.err == nil {
				e.view, e.lookUp = images.Look(ctx, e.clouds, e.query)
			}
			close(e.looked)
		}
	}()
	return e
}

// everywhere asks about all that is in a fleet's locations.
func everywhere(c roles.Config) images.Query {
	home := images.Location{Account: c.Build.Account, Region: c.Build.Region}
	return images.Query{Fleet: c.Fleet, Build: home, Copies: copyPlaces(c, home), Want: []images.Wanted{{Locations: locations(c, nil)}}}
}

// connect gives the clients of a configuration: those that were made early, when it is the same after all.
func (e *early) connect(ctx context.Context, c roles.Config) (*clouds, error) {
	<-e.ready
	if e.err != nil || !reflect.DeepEqual(c, e.config) {
		return e.app.newClouds(ctx, c)
	}
	return e.clouds, nil
}

// look reads what exists for a query: from the early look where that asked about the same places, once; else anew.
func (s *session) look(ctx context.Context, q images.Query) (images.View, error) {
	e := s.early
	s.early = nil
	if e == nil || e.looked == nil || e.clouds != s.clouds || !q.SamePlaces(e.query) {
		return images.Look(ctx, s.clouds, q)
	}
	<-e.looked
	return e.view, e.lookUp
}

// copyPlaces lists the locations with copies of their own.
func (s *session) copyPlaces() []images.Location { return copyPlaces(s.fleet.Config, s.home) }

func copyPlaces(c roles.Config, home images.Location) []images.Location {
	var list []images.Location
	for _, t := range c.Targets {
		if t.Mode != promoter.ModeCopy {
			continue
		}
		elsewhere := locations(roles.Config{Targets: []roles.Target{t}}, nil)
		list = append(list, slices.DeleteFunc(elsewhere, func(l images.Location) bool { return l.Account == home.Account })...)
	}
	return list
}
