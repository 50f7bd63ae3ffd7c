package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/roles"
)

func historyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "history ROLE",
		Short: "Show what a role's defaults were: which image, when, by whom and why",
		Long: "history joins the ledger (promotions, rollbacks, holds, releases, rejections, retirements) with the versions of the role's\n" +
			"pointer in every location and its hold, newest first. SSM keeps the last 100 versions of each, and none after a retirement;\n" +
			"the ledger keeps all that imgops did. Without AWS or without the remote it tells what can be known here, and says so.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runHistory(c.Context(), args[0]) },
	}
}

// past is an event in the output of history.
type past struct {
	images.Event
	Before string         `json:"before,omitempty"` // what the pointer named before; as far as the ledger tells
	By     *ledger.Author `json:"by,omitempty"`     // from the ledger
	// Recovered is who recorded it afterwards, of what AWS told, since the record of By was lost.
	Recovered *ledger.Author `json:"recovered,omitempty"`
	// Of the commit, as far as this clone has it: why a merge moved the default is what its author wrote.
	Author  string `json:"author,omitempty"`
	Subject string `json:"subject,omitempty"`
}

func (a *app) runHistory(ctx context.Context, name string) error {
	r, err := a.openReading(ctx)
	if err != nil {
		return err
	}
	r.sync(ctx)
	book, err := r.book(ctx, name)
	if err != nil {
		return err
	}
	var events []images.Event
	_, err = r.ask(ctx, len(book.Events) > 0, func(ctx context.Context) error {
		s, err := a.open(ctx, "HEAD")
		if err != nil {
			return err
		}
		r.warnLacking(ctx, s.noted)
		if events, err = images.History(ctx, s.clouds, s.fleet.Config.Fleet, s.home, name, allLocations(s.fleet)); err != nil {
			return err
		}
		if len(events)+len(book.Events) > 0 {
			return nil
		}
		_, err = s.fleet.Select([]string{name})
		return err
	})
	if err != nil {
		return r.orUnknown(ctx, name, err)
	}
	list := r.explained(ctx, doubted(events, join(events, book.Events, images.Location{Account: r.config.Build.Account, Region: r.config.Build.Region})))
	if !slices.ContainsFunc(list, func(e past) bool { return e.Action != images.EventHold && e.Action != ledger.ActionRelease }) {
		a.note("%s has never been promoted", name)
	}
	return a.print(list, historyTable(list))
}

func historyTable(list []past) table {
	t := table{Header: []string{"WHEN", "WHAT", "ACCOUNT", "REGION", "IMAGE", "DIGEST", "COMMIT", "WHO", "WHY"}}
	for _, e := range list {
		action := e.Action
		if e.Current && e.Action != images.EventHold {
			action += " (now)"
		}
		if e.Recovered != nil {
			action = strings.Replace(action+" (recovered)", ") (", ", ", 1)
		}
		t.add(when(&e.At), action, e.Account, e.Region, e.Image, short(e.Digest), shortCommit(e.Commit), e.person(), e.why())
	}
	return t
}

// explained adds what the commits say. A commit that this clone does not have stays without.
func (r *reading) explained(ctx context.Context, list []past) []past {
	repo, err := r.openRepo(ctx)
	if err != nil {
		return list
	}
	said := map[string]roles.Said{}
	for i := range list {
		e := &list[i]
		if _, asked := said[e.Commit]; !asked && e.Commit != "" {
			said[e.Commit], _ = repo.Said(ctx, e.Commit)
		}
		e.Author, e.Subject = said[e.Commit].Author, said[e.Commit].Subject
	}
	return list
}

// person is who did it, for a line of a table: the person that the ledger names, else the end of the AWS identity.
func (e past) person() string {
	if e.By != nil && e.By.Actor != "" {
		return e.By.Actor
	}
	if i := strings.LastIndex(e.Who, ":"); i >= 0 {
		return e.Who[i+1:]
	}
	return e.Who
}

// why is the reason that somebody gave, or what the commit is about and whose it is; and what became of the image.
func (e past) why() string {
	text := e.Reason
	if text == "" && e.Subject != "" {
		name, _, _ := strings.Cut(e.Author, " <")
		text = fmt.Sprintf("%s (%s)", e.Subject, name)
	}
	if text != "" && e.Note != "" {
		text += "; "
	}
	return text + e.Note
}

// join adds to the events of SSM what the ledger tells of them, and those that SSM does not have (any more).
func join(events []images.Event, recorded []ledger.Event, home images.Location) []past {
	list := []past{}
	for _, e := range events {
		list = append(list, past{Event: e})
	}
	for _, rec := range recorded {
		for _, e := range expand(rec, home) {
			if at := slices.IndexFunc(list, func(p past) bool { return p.Version > 0 && p.By == nil && same(p.Event, e.Event) }); at >= 0 {
				p := &list[at]
				p.Before, p.By, p.Recovered, p.Reason = e.Before, e.By, e.Recovered, cmp.Or(p.Reason, e.Reason)
				p.Digest, p.Commit = cmp.Or(p.Digest, e.Digest), cmp.Or(p.Commit, e.Commit)
				continue
			}
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, func(a, b past) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region), cmp.Compare(b.Version, a.Version))
	})
	return list
}

// apart is how far apart SSM's clock and that of the runner may be.
const apart = 15 * time.Minute

// same says that SSM and the ledger tell of one thing.
func same(ssm, rec images.Event) bool {
	if ssm.Action != rec.Action || ssm.Account != rec.Account || ssm.Region != rec.Region || ssm.At.Sub(rec.At).Abs() > apart {
		return false
	}
	if ssm.Action == images.EventHold {
		return ssm.Reason == rec.Reason
	}
	return ssm.Image == rec.Image && (ssm.Run == rec.Run || ssm.Run == "" || rec.Run == "")
}

// expand makes a recorded event one for each pointer that it moved; one that moved none is told once.
func expand(rec ledger.Event, home images.Location) []past {
	e := past{By: &rec.By, Recovered: rec.Recovered, Event: images.Event{
		At: rec.At, Role: rec.Role, Account: home.Account, Region: home.Region, Action: rec.Action, Image: rec.Image, Digest: rec.Digest,
		Commit: rec.Commit, Who: rec.By.String(), Reason: rec.Reason, Run: rec.By.Run,
	}}
	if rec.Action != ledger.ActionPromote && rec.Action != ledger.ActionRollback && rec.Action != ledger.ActionRetire {
		return []past{e}
	}
	var list []past
	for _, p := range rec.Pointers {
		moved := e
		moved.Account, moved.Region, moved.Image, moved.Before = p.Account, p.Region, p.After, p.Before
		list = append(list, moved)
	}
	return list
}
