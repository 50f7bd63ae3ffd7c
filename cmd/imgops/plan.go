package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

type planOptions struct {
	base         string
	explain      bool
	detailedExit bool
}

func planCommand(a *app) *cobra.Command {
	o := &planOptions{}
	c := &cobra.Command{
		Use:   "plan [ROLE...]",
		Short: "Show what would be built, verified and promoted, and why",
		Long:  "plan compares the roles with the images that exist and with the defaults of every account and Region.\nIt changes nothing.",
		RunE:  func(c *cobra.Command, args []string) error { return a.runPlan(c.Context(), o, args) },
	}
	c.Flags().StringVar(&o.base, "base", "", "only roles that differ from this `revision` at the merge base")
	c.Flags().BoolVar(&o.explain, "explain", false, "name what changed the digests since --base (default: the main branch)")
	c.Flags().BoolVar(&o.detailedExit, "detailed-exitcode", false, "exit 5 when there is something to do")
	return c
}

func (a *app) runPlan(ctx context.Context, o *planOptions, names []string) error {
	s, err := a.openToLook(ctx, o.base != "" || o.explain)
	if err != nil {
		return err
	}
	list, err := s.fleet.Select(names)
	if err != nil {
		return err
	}
	var base baseline
	if o.base != "" || o.explain {
		if base, err = s.baseline(ctx, o.base); err != nil {
			return err
		}
	}
	if o.base != "" {
		list = intersect(list, base.affected(s.fleet))
	}
	var found survey
	var warnings map[string][]string
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { found, err = s.survey(gctx, list); return err })
	g.Go(func() (err error) { warnings, err = s.baseWarnings(gctx, list); return err })
	if err := g.Wait(); err != nil {
		return err
	}
	s.noteUnreadable()
	s.noteAncestors(list, found)
	s.noteDirty()
	a.warnFiles(s.fleet, list)
	if err := a.printPlan(found, list, base, o.explain, warnings); err != nil {
		return err
	}
	if o.detailedExit {
		for _, r := range list {
			if found.decisions[r.Name].Action != images.ActionNone {
				return errChanges
			}
		}
	}
	return nil
}

// noteAncestors says what else a run for some roles does: it brings those first that they are built on.
func (s *session) noteAncestors(list []*roles.Role, found survey) {
	listed := map[*roles.Role]bool{}
	for _, r := range list {
		listed[r] = true
	}
	for _, r := range roles.WithAncestors(list) {
		d := found.decisions[r.Name]
		if !listed[r] && (d.Action == images.ActionBuild || d.Action == images.ActionVerify) {
			s.note("%s, which these roles are built on, comes first: %s, %s", r.Name, d.Action, d.Reason)
		}
	}
}

// noteDirty says that the plan is of a tree with uncommitted changes, and what comes of those.
func (s *session) noteDirty() {
	if !s.fleet.Dirty {
		return
	}
	const most = 5
	files := s.fleet.DirtyFiles
	text := strings.Join(printableNames(files[:min(len(files), most)]), ", ")
	if more := len(files) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	s.note("this is the plan of a tree with uncommitted changes (%s): what is built of it can be verified and is never promoted; imgops promote, and ci on %s, refuse such a tree (exit 4)",
		text, s.fleet.Config.Main)
	if hint := unwatched(s.repo, s.fleet); hint != "" {
		s.note("%s", hint)
	}
}

// plannedRole is one role of `imgops plan -o json`.
type plannedRole struct {
	images.Decision
	Dirty    bool           `json:"dirty,omitempty"` // the digest is of uncommitted changes
	Changes  []roles.Change `json:"changes,omitempty"`
	Warnings []string       `json:"warnings,omitempty"` // about the external base that the role starts from in the end
}

func (a *app) printPlan(found survey, list []*roles.Role, base baseline, explain bool, warnings map[string][]string) error {
	t := table{Header: []string{"ROLE", "DIGEST", "ACTION", "IMAGE", "REASON"}}
	data := []plannedRole{}
	for _, r := range list {
		p := plannedRole{Decision: found.decisions[r.Name], Dirty: r.Dirty, Warnings: warnings[r.Name]}
		reason := p.Reason
		if r.Dirty {
			reason += " (of uncommitted changes)"
		}
		t.add(r.Name, short(r.Digest), p.Action, p.Image, reason)
		if explain {
			p.Changes = base.explain(r)
			for _, c := range p.Changes {
				t.Rows = append(t.Rows, []string{"", "", "", "", "  " + changeText(c)})
			}
		}
		data = append(data, p)
	}
	return a.print(data, t)
}

// changeText says in a line what changed a digest.
func changeText(c roles.Change) string {
	text := roles.Printable(c.Component)
	switch {
	case c.Component == "refresh" && c.New != "":
		text = "refreshed with imgops update --refresh at " + c.New + " (before: " + cmp.Or(c.Old, "never") + ")"
	case c.Component == roles.AllFiles && c.New != "":
		text += ", for " + c.New
	case c.Component == roles.AllFiles:
		text += " no more (before: " + c.Old + ")"
	case c.Old == "":
		text += " is new: " + shortValue(c.New)
	case c.New == "":
		text += " is gone; it was " + shortValue(c.Old)
	default:
		text += " changed: " + roles.Printable(shortValue(c.Old)) + " -> " + roles.Printable(shortValue(c.New))
	}
	if len(c.Via) > 0 {
		text += " (through " + strings.Join(c.Via, ", ") + ")"
	}
	return text
}

// shortValue keeps a line readable: an object id is told by its beginning.
func shortValue(v string) string {
	if len(v) > 48 {
		return v[:47] + "…"
	}
	return v
}

// mainRef names the main branch as this repository knows it: the remote's where there is one, for a CI's clone has no
// local main, and a developer's may be old.
func (s *session) mainRef() string {
	return s.branchRef(s.fleet.Config.Main)
}

// branchRef names a branch as the remote has it, else as it is here. One that is nowhere is the remote's, from which it
// can be fetched.
func (s *session) branchRef(branch string) string {
	remote := cmp.Or(s.repo.Remote(), "origin") + "/" + branch
	if !s.repo.Has(remote) && (s.repo.Has(branch) || s.repo.Remote() == "") {
		return branch
	}
	return remote
}

func intersect(list, with []*roles.Role) []*roles.Role {
	in := map[string]bool{}
	for _, r := range with {
		in[r.Name] = true
	}
	var out []*roles.Role
	for _, r := range list {
		if in[r.Name] {
			out = append(out, r)
		}
	}
	return out
}
