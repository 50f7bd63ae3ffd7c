package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/imgops/imgops/roles"
)

// updateReport is the output of update.
type updateReport struct {
	Lock      string       `json:"lock"`    // the file that the bases are pinned in
	Changed   bool         `json:"changed"` // a lock was rewritten, or would be
	Region    string       `json:"region"`  // that the ids of the changes are of
	Bases     []lockedBase `json:"bases"`
	Changes   []baseChange `json:"changes"`
	Refreshed []stamped    `json:"refreshed"`
	Rebuilds  []string     `json:"rebuilds"` // roles whose digests change, parents first

	Refresh map[string]time.Time `json:"refresh"` // the last stamp of each role that has one
}

type lockedBase struct {
	Base    string            `json:"base"`
	Name    string            `json:"name"`
	Created time.Time         `json:"created"`
	IDs     map[string]string `json:"ids"`
}

// baseChange is a base with a newer image than the lock had.
type baseChange struct {
	Base         string      `json:"base"`
	Architecture string      `json:"architecture"`
	Old          *pinnedBase `json:"old"` // null: it was not pinned yet
	New          pinnedBase  `json:"new"`
	Roles        []string    `json:"roles"` // that start from it
}

type pinnedBase struct {
	Name    string    `json:"name"`
	Image   string    `json:"image"` // id in the build Region
	Owner   string    `json:"owner"`
	Created time.Time `json:"created"`
}

type stamped struct {
	Role   string     `json:"role"`
	Before *time.Time `json:"before"`
	At     time.Time  `json:"at"`
}

// change notes what becomes of a base, if the build Region's image is another one.
func (r *updateReport) change(l roles.Lock, b roles.LockedBase, f *roles.Fleet) {
	old, ok := l.Base(b.Key)
	if ok && old.IDs[r.Region] == b.IDs[r.Region] {
		return
	}
	c := baseChange{Base: b.Key, Roles: []string{}}
	for _, e := range f.Externals() {
		if e.Key == b.Key {
			c.Architecture = e.Architecture
			c.New = pinnedBase{b.Image, b.IDs[r.Region], e.Owner, b.Created.UTC().Truncate(time.Second)}
			c.Roles = append(c.Roles, e.Role)
		}
	}
	if ok && old.IDs[r.Region] != "" {
		c.Old = &pinnedBase{old.Image, old.IDs[r.Region], c.New.Owner, old.Created}
	}
	r.Changes = append(r.Changes, c)
}

// rebuilds lists the roles that start from a new base or were stamped, and those that are built on them.
func (r *updateReport) rebuilds(f *roles.Fleet) {
	in := map[string]bool{}
	for _, c := range r.Changes {
		for _, role := range c.Roles {
			in[role] = true
		}
	}
	for _, s := range r.Refreshed {
		in[s.Role] = true
	}
	for _, role := range f.Roles { // parents first
		if in[role.Name] || role.Parent != nil && in[role.Parent.Name] {
			in[role.Name] = true
			r.Rebuilds = append(r.Rebuilds, role.Name)
		}
	}
}

func (r *updateReport) locked(l roles.Lock, refresh map[string]time.Time) {
	r.Bases, r.Refresh = []lockedBase{}, map[string]time.Time{}
	for _, b := range l.Bases {
		r.Bases = append(r.Bases, lockedBase{b.Key, b.Image, b.Created, b.IDs})
	}
	for role, at := range refresh {
		if !at.IsZero() {
			r.Refresh[role] = at
		}
	}
}

func (u *update) print() error {
	r := u.report
	t := table{Header: []string{"BASE", "IMAGE", "ID", "CREATED", "CHANGE"}}
	for _, b := range r.Bases {
		change := ""
		for _, c := range r.Changes {
			if c.Base == b.Base {
				change = map[bool]string{false: "newer than ", true: "older than "}[c.older()] + c.Old.text()
			}
		}
		t.add(b.Base, b.Name, b.IDs[r.Region], when(&b.Created), change)
	}
	for _, role := range slices.Sorted(maps.Keys(r.Refresh)) {
		change, at := "", r.Refresh[role]
		if slices.ContainsFunc(r.Refreshed, func(s stamped) bool { return s.Role == role }) {
			change = "stamped"
		}
		t.add("refresh of "+role, "", "", when(&at), change)
	}
	for _, c := range r.Changes {
		if c.older() {
			fmt.Fprintf(u.Stderr, "warning: %s goes back to an older image: its owner offers %s no more (it is deprecated, gone, or no longer shared)\n", c.Base, c.Old.text())
		}
	}
	if len(r.Rebuilds) > 0 {
		u.note("to be built anew: %s", strings.Join(r.Rebuilds, ", "))
	}
	return u.app.print(r, t)
}

// older says that the base goes back to an image from before: the owner has taken the one that was pinned away.
func (c baseChange) older() bool { return c.Old != nil && c.New.Created.Before(c.Old.Created) }

func (p *pinnedBase) text() string {
	if p == nil {
		return "nothing"
	}
	return p.Name + " (" + p.Image + ")"
}

// pullRequest is the text of the pull request with the changed lock, in the form of a commit message: a title, an empty
// line, and a body in Markdown.
func (r *updateReport) pullRequest() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.title())
	if len(r.Changes) > 0 {
		fmt.Fprintf(&b, "| Base | Image | Id in %s | Made | Roles |\n|---|---|---|---|---|\n", r.Region)
	}
	for _, c := range r.Changes {
		old := pinnedBase{}
		if c.Old != nil {
			old = *c.Old
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", markdown(c.Base), turn(old.Name, c.New.Name), turn(old.Image, c.New.Image),
			turn(date(old.Created), date(c.New.Created)), markdown(strings.Join(c.Roles, ", ")))
	}
	if len(r.Changes) > 0 {
		b.WriteString("\n")
	}
	for _, c := range r.Changes {
		if c.older() {
			fmt.Fprintf(&b, "**%s goes back** to an older image: its owner offers %s no more (it is deprecated, gone, or no longer shared).\n\n", markdown(c.Base), markdown(c.Old.text()))
		}
	}
	if len(r.Refreshed) > 0 {
		b.WriteString("Built anew from the same definition:\n\n")
	}
	for _, s := range r.Refreshed {
		before := "never before"
		if s.Before != nil {
			before = "before: " + s.Before.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(&b, "- %s (%s)\n", markdown(s.Role), before)
	}
	if len(r.Refreshed) > 0 {
		b.WriteString("\n")
	}
	if len(r.Rebuilds) == 0 {
		b.WriteString("No role has to be built anew.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "The pipeline of this pull request builds and verifies anew: %s. Merging it makes these images the defaults.\n", markdown(strings.Join(r.Rebuilds, ", ")))
	return b.String()
}

// title is short enough for a commit's subject.
func (r *updateReport) title() string {
	var roles []string
	for _, s := range r.Refreshed {
		roles = append(roles, s.Role)
	}
	stamped := "build " + strings.Join(roles, ", ") + " anew"
	if len(roles) > 3 {
		stamped = "build " + count(len(roles), "role") + " anew"
	}
	switch {
	case len(r.Changes) == 0 && len(roles) == 0:
		return "Update imgops.lock"
	case len(r.Changes) == 0:
		return "B" + stamped[1:]
	case len(r.Changes) == 1 && len(roles) == 0 && len(r.Changes[0].New.Name) < 60:
		return "Update the base to " + r.Changes[0].New.Name
	}
	text := "Update " + count(len(r.Changes), "base image")
	if len(roles) > 0 {
		text += ", " + stamped
	}
	return text
}

// turn says what became of a value.
func turn(old, now string) string {
	if old == "" || old == now {
		return markdown(now)
	}
	return markdown(old) + " → " + markdown(now)
}

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
