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
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/roles"
)

// recordedImage is what the ledger knows of an image, in the output of show.
type recordedImage struct {
	By         ledger.Author      `json:"by"`
	Tools      map[string]string  `json:"tools"`
	BaseRole   string             `json:"base_role,omitempty"`
	BaseDigest string             `json:"base_digest,omitempty"`
	Components []ledger.Component `json:"components"`
	Packages   *int               `json:"packages"` // how many; null when they were not recorded
	// Verifications are all of them, newest first; the newest one has its report.
	Verifications []ledger.Verification `json:"verifications"`
	Events        []ledger.Event        `json:"events"` // that name the image, newest first
}

// recorded collects what the book says of an image.
func recorded(ctx context.Context, book *ledger.Book, i ledger.Image) *recordedImage {
	r := &recordedImage{
		By: i.By, Tools: i.Tools, BaseRole: i.BaseRole, BaseDigest: i.BaseDigest, Components: i.Components,
		Verifications: []ledger.Verification{}, Events: []ledger.Event{},
	}
	if inv, err := book.Inventory(ctx, i.Image); err == nil {
		n := len(inv.Packages)
		r.Packages = &n
	}
	for _, v := range book.Verifications {
		if v.Image == i.Image {
			if len(r.Verifications) > 0 {
				v.Report = []byte("null")
			}
			r.Verifications = append(r.Verifications, v)
		}
	}
	for _, e := range book.Events {
		names := func(p ledger.Pointer) bool { return p.Before == i.Image || p.After == i.Image }
		if e.Image == i.Image || slices.ContainsFunc(e.Pointers, names) {
			r.Events = append(r.Events, e)
		}
	}
	return r
}

// rows are what show adds for people about an image.
func (r *recordedImage) rows(t *table, image string) {
	t.add("built by", r.By.String())
	t.add("built on", strings.TrimSpace(r.By.Host+" "+r.By.URL))
	var tools []string
	for _, name := range slices.Sorted(maps.Keys(r.Tools)) {
		tools = append(tools, name+" "+r.Tools[name])
	}
	t.add("tools", strings.Join(tools, ", "))
	if r.Packages != nil {
		t.add("packages", fmt.Sprint(*r.Packages))
	}
	for _, v := range r.Verifications {
		t.add("verification", when(&v.At)+" "+passedText(v.Passed)+" "+short(v.TestsDigest)+" "+v.By.String())
	}
	for _, e := range r.Events {
		action := e.Action
		if e.Image != "" && e.Image != image { // it took this one's place
			action += " of " + e.Image
		}
		t.add("event", strings.TrimSpace(when(&e.At)+" "+action+" "+e.By.String()+" "+e.Reason))
	}
}

func passedText(passed bool) string {
	if passed {
		return "passed"
	}
	return "failed"
}

// shownRecord is an image of the ledger in the form of one that EC2 was asked about. Its state is not known.
func shownRecord(book *ledger.Book, i ledger.Image) shownImage {
	built := i.BuiltAt
	s := shownImage{
		Image: i.Image, Name: i.Name, Role: i.Role, Digest: i.Digest, State: "unknown", Commit: i.Commit, Branch: i.Branch, Base: i.Base, Run: i.By.Run,
		BuiltAt: built, Snapshots: []string{},
	}
	if v, ok := book.Verified(i.Image); ok && v.Passed {
		at := v.At.Truncate(time.Second)
		s.Verified, s.VerifiedAt = v.TestsDigest, &at
	}
	if e, ok := book.Rejected(i.Image); ok {
		s.Rejected = e.Reason
	}
	now := book.Defaults()
	s.Default = len(now) > 0 && now[0] == i.Image && len(book.Pointers()) > 0
	return s
}

// errNotThere says that AWS was asked, and has no such image.
var errNotThere = errors.New("is not there")

// unknownImage says that the ledger has nothing of an image.
func (r *reading) unknownImage(id string) error {
	if r.unsynced != nil {
		return fmt.Errorf("this clone knows no image %s, and the ledger's remote was not asked%s", id, r.fetchHint())
	}
	return fmt.Errorf("the ledger knows no image %s", id)
}

// showImage shows an image as EC2 and the ledger know it, or as one of them does.
func (a *app) showImage(ctx context.Context, id string) error {
	r, err := a.openReading(ctx)
	if err != nil {
		return err
	}
	r.sync(ctx)
	d, known, err := r.recordOf(ctx, id)
	if err != nil {
		return err
	}
	_, err = r.ask(ctx, known, func(ctx context.Context) error {
		s, err := a.open(ctx, "")
		if err != nil {
			return err
		}
		r.warnLacking(ctx, s.noted)
		found, err := s.cat.Get(ctx, id)
		if err != nil {
			return err
		}
		switch img, ok := found[id]; {
		case ok:
			seen := shown(img)
			seen.Ledger = d.Ledger
			d = seen
		case !known:
			return fmt.Errorf("image %s %w in %s; imgops list shows the defaults of other locations", id, errNotThere, s.home)
		case d.Image == id:
			d.State, d.Note = "gone", fmt.Sprintf("it is not in %s any more; this is what the ledger knows", s.home)
		}
		return nil
	})
	if err != nil && !known && exitCode(ctx, err) == exitError && !errors.Is(err, errNotThere) {
		return fmt.Errorf("%w, and AWS was not asked: %w", r.unknownImage(id), err)
	}
	if err != nil {
		return err
	}
	if r.unasked != nil {
		first, _, _ := strings.Cut(r.unasked.Error(), "\n")
		d.Note = "state, snapshots and tags are not known, for AWS was not asked: " + first
	}
	return a.print(d, d.table())
}

// recordOf is what the ledger knows of an image; of a copy, what it knows of its original.
func (r *reading) recordOf(ctx context.Context, id string) (shownImage, bool, error) {
	role, err := r.ledger.RoleOf(ctx, id)
	if errors.Is(err, ledger.ErrNoEntry) {
		return shownImage{}, false, nil
	}
	if err != nil {
		return shownImage{}, false, err
	}
	book, err := r.book(ctx, role)
	if err != nil {
		return shownImage{}, false, err
	}
	i, ok := book.Find(id)
	if !ok {
		return shownImage{}, false, nil
	}
	d := shownRecord(book, i)
	d.Ledger = recorded(ctx, book, i)
	return d, true, nil
}

func (d shownImage) table() table {
	t := table{}
	for _, row := range [][2]string{
		{"image", d.Image}, {"name", d.Name}, {"role", d.Role}, {"digest", d.Digest}, {"state", strings.TrimSpace(d.State+" "+d.StateReason) + deprecatedText(d.Deprecated)},
		{"commit", d.Commit}, {"branch", d.Branch}, {"base", d.Base}, {"run", d.Run}, {"built", when(&d.BuiltAt)},
		{"verified", strings.TrimSpace(when(d.VerifiedAt) + " " + short(d.Verified))}, {"rejected", d.Rejected},
		{"default", fmt.Sprint(d.Default)}, {"snapshots", strings.Join(d.Snapshots, ", ")},
	} {
		t.add(row[0], row[1])
	}
	if d.Note != "" {
		t.add("note", d.Note)
	}
	if d.Ledger != nil {
		d.Ledger.rows(&t, d.Image)
	}
	return t
}

// deprecatedText follows an image's state.
func deprecatedText(at *time.Time) string {
	if at == nil {
		return ""
	}
	return ", deprecated from " + when(at) + " on"
}

// showRoleOffline shows a role as the fleet's files and the ledger know it.
func (r *reading) showRoleOffline(ctx context.Context, role *roles.Role) error {
	book, err := r.book(ctx, role.Name)
	if err != nil {
		return err
	}
	d := shownRole{
		Role: role.Name, File: role.File, Base: baseText(role.Base), Digest: role.Digest, TestsDigest: role.TestsDigest, Suites: []string{}, Targets: role.Targets,
		Plan: images.Decision{Role: role.Name, Digest: role.Digest, Reason: "not known without AWS"}, Images: []shownImage{}, Defaults: []images.Default{},
	}
	for _, v := range role.Verify {
		d.Suites = append(d.Suites, v.Name)
	}
	t := d.table()
	for _, i := range book.Images {
		s := shownRecord(book, i)
		d.Images = append(d.Images, s)
		verified := "unverified"
		if s.Verified != "" {
			verified = "verified"
		}
		if s.Rejected != "" {
			verified = "rejected: " + s.Rejected
		}
		t.add("image", fmt.Sprintf("%s  %s  %s  %s  %s", s.Image, short(s.Digest), s.State, verified, shortCommit(s.Commit)))
	}
	for _, p := range book.Pointers() {
		x := images.Default{Role: role.Name, Account: p.Account, Region: p.Region, Image: p.After}
		if i, ok := book.Find(p.After); ok {
			x.Digest, x.Commit = i.Digest, i.Commit
		}
		if held, ok := book.Held(); ok {
			x.Status, x.Note = images.StatusHeld, "held: "+held.Reason
		}
		d.Defaults = append(d.Defaults, x)
		t.add("default", strings.TrimSpace(fmt.Sprintf("%s/%s  %s  %s", x.Account, x.Region, x.Image, x.Note)))
	}
	return r.print(d, t)
}

// showRole shows a role as AWS and the fleet's files know it; where AWS cannot be asked, as the ledger does.
func (a *app) showRole(ctx context.Context, what string) error {
	r, err := a.openReading(ctx)
	if err != nil {
		return err
	}
	book, err := r.ledger.Book(ctx, what)
	known := err == nil && !emptyBook(book)
	answered, err := r.ask(ctx, known, func(ctx context.Context) error {
		s, err := a.open(ctx, "")
		if err != nil {
			return err
		}
		list, err := s.fleet.Select([]string{what})
		if err != nil {
			return err
		}
		r.sync(ctx)
		r.warnLacking(ctx, s.noted)
		return s.showRole(ctx, list[0])
	})
	if err != nil {
		return r.orUnknown(ctx, what, err)
	}
	if answered {
		return nil
	}
	r.sync(ctx)
	fleet, err := loadFleet(ctx, r.repo, "")
	if err != nil {
		return err
	}
	list, err := fleet.Select([]string{what})
	if err != nil {
		return err
	}
	if pins := fleet.Lock.Pins(r.config.Build.Region); fleet.Resolve(pins) != nil {
		r.note("the digest of %s is not known without AWS: its base is not in imgops.lock", what)
	}
	return r.showRoleOffline(ctx, list[0])
}
