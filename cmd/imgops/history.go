package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images"
)

func historyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "history ROLE",
		Short: "Show what a role's defaults were: which image, when, by whom and why",
		Long: "history reads the versions of the role's pointer in every location, and its hold, newest first. SSM keeps the last 100 of\n" +
			"each. A role that main no longer has still has its history, until it is retired.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runHistory(c.Context(), args[0]) },
	}
}

func (a *app) runHistory(ctx context.Context, name string) error {
	s, err := a.open(ctx, "HEAD")
	if err != nil {
		return err
	}
	events, err := images.History(ctx, s.clouds, s.fleet.Config.Fleet, s.home, name, allLocations(s.fleet))
	if err != nil {
		return err
	}
	if len(events) == 0 {
		if _, err := s.fleet.Select([]string{name}); err != nil {
			return err
		}
		s.note("%s has never been promoted", name)
	}
	t := table{Header: []string{"WHEN", "WHAT", "ACCOUNT", "REGION", "IMAGE", "DIGEST", "COMMIT", "WHO", "WHY"}}
	for _, e := range events {
		action := e.Action
		if e.Current && e.Action != images.EventHold {
			action += " (now)"
		}
		t.add(when(&e.At), action, e.Account, e.Region, e.Image, short(e.Digest), shortCommit(e.Commit), e.Who, cmp.Or(e.Reason, e.Note))
	}
	return s.print(events, t)
}
