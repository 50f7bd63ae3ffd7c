package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
)

func retireCommand(a *app) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "retire ROLE --reason TEXT",
		Short: "Remove the pointers of a role that main no longer has",
		Long: "retire removes the role's pointer from every account and Region of the fleet. What launches from it stops working there. It is\n" +
			"refused for a role that main still has. The images stay until retention takes them.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			why, err := reasonOf(c, reason)
			if err != nil {
				return err
			}
			return a.runRetire(c.Context(), args[0], why)
		},
	}
	addReason(c, &reason)
	return c
}

func (a *app) runRetire(ctx context.Context, name, reason string) error {
	s, err := a.open(ctx, "HEAD")
	if err != nil {
		return err
	}
	if err := s.requireMain(ctx, nil); err != nil {
		return err
	}
	ref := s.mainRef()
	main, err := s.repo.Load(ctx, ref)
	if err != nil {
		return fmt.Errorf("reading what %s has: %w", ref, err)
	}
	if _, ok := main.Role(name); ok {
		return &promoter.RefusedError{
			Rule: promoter.RuleWanted, Role: name, What: "retirement", Message: fmt.Sprintf("%s has the role, at commit %s", ref, shortCommit(main.Revision.Commit)),
			Fix: fmt.Sprintf("remove roles/%s from %s first (and git fetch, if that was done elsewhere)", name, s.fleet.Config.Main),
		}
	}
	defaults, err := s.requireTraces(ctx, name)
	if err != nil {
		return err
	}
	who, err := s.who(ctx)
	if err != nil {
		return err
	}
	s.intendBest(ctx, intent{Action: ledger.ActionRetire, Reason: reason, Commit: main.Revision.Commit, Roles: []string{name}, Pointers: retiring(name, defaults)})
	gone, err := s.promoter().Retire(ctx, promoter.Retirement{
		Role: name, Commit: main.Revision.Commit, Locations: allLocations(s.fleet, main),
		Note: time.Now().UTC().Format(time.RFC3339) + " " + who + ": " + reason,
	}, s.log.of("retire"))
	if err == nil && len(gone) == 0 {
		s.note("%s has no pointer any more", name)
	}
	t := table{Header: []string{"ROLE", "ACCOUNT", "REGION", "IMAGE"}}
	for _, g := range gone {
		t.add(g.Role, g.Account, g.Region, g.Image)
	}
	s.recordRetirement(ctx, name, main.Revision.Commit, reason, gone)
	return errors.Join(s.print(gone, t), err, s.flush(ctx))
}

// requireTraces ends the command for a name that was mistyped: a role that was there has a pointer, or images. It gives the
// defaults that it has seen, of any role.
func (s *session) requireTraces(ctx context.Context, name string) ([]images.Default, error) {
	defaults, err := images.Defaults(ctx, s.clouds, s.query())
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(defaults, func(d images.Default) bool { return d.Role == name }) {
		return defaults, nil
	}
	own, err := s.cat.OfRoles(ctx, s.fleet.Config.Fleet, name)
	if err != nil || len(own) > 0 {
		return nil, err
	}
	return nil, &usageError{err: fmt.Errorf("role %q has no pointer and no image in fleet %s", name, s.fleet.Config.Fleet), hint: "imgops list shows what there is to retire as orphan"}
}

// allLocations are those of every target of the fleets.
func allLocations(fleets ...*roles.Fleet) []images.Location {
	var list []images.Location
	for _, f := range fleets {
		list = append(list, locations(f.Config, nil)...)
	}
	slices.SortFunc(list, images.Location.Compare)
	return slices.Compact(list)
}
