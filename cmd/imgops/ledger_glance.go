package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
)

// glanceTime is how long a command waits for AWS that needs none, from when it has begun.
const glanceTime = 1500 * time.Millisecond

// glance is what AWS says while a command reads the ledger. What nobody has said in time is not known.
type glance struct {
	role string
	end  func()

	mu     sync.Mutex
	ready  chan struct{} // closed when the last answer is here, or the time is over
	noted  images.Witness
	knows  bool
	clouds *clouds
	now    map[images.Location]string // what the role's pointers name
}

// look begins to ask AWS how far the ledger has come, and what a role's pointers name. Nothing is told of what cannot be asked.
func (r *reading) look(ctx context.Context, role string) {
	g := &glance{role: role, ready: make(chan struct{})}
	r.seen = g
	if r.off {
		close(g.ready)
		return
	}
	ctx, g.end = context.WithTimeout(ctx, glanceTime)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.ask(ctx, r)
	}()
	go func() {
		defer close(g.ready)
		select {
		case <-done:
		case <-ctx.Done(): // what reads credentials may know no context
		}
		g.end()
	}()
}

func (g *glance) ask(ctx context.Context, r *reading) {
	clouds, err := r.newClouds(ctx, r.config)
	if err != nil {
		return
	}
	home := images.Location{Account: r.config.Build.Account, Region: r.config.Build.Region}
	var all sync.WaitGroup
	all.Go(func() {
		if w, err := images.ReadWitness(ctx, clouds, home, r.config.Fleet); err == nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.noted, g.knows = w, true
		}
	})
	places := locations(r.config, nil)
	named := make([]string, len(places))
	errs := make([]error, len(places))
	for i, loc := range places {
		all.Go(func() { named[i], errs[i] = pointerAt(ctx, clouds, loc, r.config.Fleet, g.role) })
	}
	all.Wait()
	if errors.Join(errs...) != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clouds, g.now = clouds, map[images.Location]string{}
	for i, loc := range places {
		if named[i] != "" {
			g.now[loc] = named[i]
		}
	}
}

func pointerAt(ctx context.Context, clouds *clouds, loc images.Location, fleet, role string) (string, error) {
	pointers, err := images.OpenPointers(ctx, clouds, loc, fleet)
	if err != nil {
		return "", err
	}
	ptr, _, err := pointers.Get(ctx, role)
	return ptr.Image, err
}

// witness waits for how far the build account knows that the ledger had come.
func (g *glance) witness(context.Context) (images.Witness, bool) {
	<-g.ready
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.noted, g.knows
}

// warnLacking warns of a ledger that lacks what the build account has seen of it. noted says what that is, if it is known. A
// ledger that was not asked for what others have added is not compared.
func (r *reading) warnLacking(ctx context.Context, noted func(context.Context) (images.Witness, bool)) {
	if r.ledger.Store == nil || r.unsynced != nil || r.unsound {
		return
	}
	st, place, ok := standingOf(r.ledger.Store)
	if !ok {
		return
	}
	w, known := noted(ctx)
	tip := w.Tips[place].Tip
	if !known || tip == "" {
		return
	}
	home := images.Location{Account: r.config.Build.Account, Region: r.config.Build.Region}
	within, cancel := context.WithTimeout(ctx, syncTime)
	defer cancel()
	err := st.Lacks(within, tip, forgetWitness(home, r.config.Fleet))
	if err != nil && st.Sync(within) == nil { // another run may have added to both meanwhile
		err = st.Lacks(within, tip, forgetWitness(home, r.config.Fleet))
	}
	var rewritten *ledger.RewrittenError
	if errors.As(err, &rewritten) {
		fmt.Fprintf(r.Stderr, "warning: %v\n", err)
	}
}

// present has the book know the role's default as AWS has it, where that could be asked. What differs between locations is an
// error: default is no name for it.
func (r *reading) present(ctx context.Context, role string, book *ledger.Book) error {
	<-r.seen.ready
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	if len(r.seen.now) == 0 {
		return nil
	}
	places := map[string][]string{} // by image
	for _, loc := range slices.SortedFunc(maps.Keys(r.seen.now), images.Location.Compare) {
		id, err := r.builtAs(ctx, book, loc, r.seen.now[loc])
		if err != nil {
			return nil //nolint:nilerr // AWS does not answer any more: the ledger is all there is
		}
		places[id] = append(places[id], loc.String())
	}
	ids := slices.Sorted(maps.Keys(places))
	if len(ids) == 1 {
		book.Now = ids[0]
		return nil
	}
	var list []string
	for _, id := range ids {
		list = append(list, id+" in "+strings.Join(places[id], ", "))
	}
	return fmt.Errorf("the default of role %s is not the same everywhere: %s; name the image instead of default", role, strings.Join(list, "; "))
}

// builtAs is the image of the build location that a pointer's is, or is a copy of, as the ledger knows it or else AWS. What is
// gone stands for itself.
func (r *reading) builtAs(ctx context.Context, book *ledger.Book, loc images.Location, id string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, glanceTime)
	defer cancel()
	home := images.Location{Account: r.config.Build.Account, Region: r.config.Build.Region}
	for range 4 { // an own copy is one of a shared copy of the original, and an image's owner knows what it was made of
		if i, ok := book.Find(id); ok || loc == home {
			return cmp.Or(i.Image, id), nil
		}
		catalogue, err := images.Open(ctx, r.seen.clouds, loc)
		if err != nil {
			return "", err
		}
		found, err := catalogue.Get(ctx, id)
		if err != nil {
			return "", err
		}
		switch img := found[id]; {
		case img.ID != "" && img.Owner != loc.Account:
			loc.Account = img.Owner
		case img.SourceID == "":
			return id, nil
		default:
			id, loc = img.SourceID, images.Location{Account: home.Account, Region: img.SourceRegion}
		}
	}
	return id, nil
}

// warnLedger warns, before a promotion that is only planned, of what would keep it from beginning, as far as that is known.
func (s *session) warnLedger(ctx context.Context) {
	r, err := s.openReading(ctx)
	if err != nil || r.off || r.ledger.Store == nil {
		return
	}
	r.sync(ctx)
	r.warnLacking(ctx, s.noted)
}
