package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images"
)

func listCommand(a *app) *cobra.Command {
	var detailed bool
	c := &cobra.Command{
		Use:   "list [ROLE...]",
		Short: "Show the default image of every role in every account and Region",
		Long: "list compares each pointer with what the fleet wants. Status: current (at the fleet's digest), behind (another digest),\n" +
			"missing (no pointer yet), drifted (the pointer names something that it should not), held (nothing moves it until imgops\n" +
			"release), orphan (the role is gone). A note tells who holds a role and why, and where a default is a rejected image.",
		RunE: func(c *cobra.Command, args []string) error { return a.runList(c.Context(), args, detailed) },
	}
	c.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit 5 when a default is not current")
	return c
}

func (a *app) runList(ctx context.Context, names []string, detailed bool) error {
	s, err := a.open(ctx, "")
	if err != nil {
		return err
	}
	if _, err := s.fleet.Select(names); err != nil {
		return err
	}
	view, err := images.Look(ctx, s.clouds, s.query())
	if err == nil {
		err = s.addFormer(ctx, &view)
	}
	if err != nil {
		return err
	}
	s.noteUnreadable()
	found := view.Defaults(s.query())
	if len(names) > 0 {
		found = slices.DeleteFunc(found, func(d images.Default) bool { return !slices.Contains(names, d.Role) })
	}
	t := table{Header: []string{"ROLE", "ACCOUNT", "REGION", "IMAGE", "STATUS", "DIGEST", "COMMIT", "PROMOTED"}}
	current := true
	noted := slices.ContainsFunc(found, func(d images.Default) bool { return d.Note != "" })
	if noted {
		t.Header = append(t.Header, "NOTE")
	}
	for _, d := range found {
		row := []string{d.Role, d.Account, d.Region, d.Image, string(d.Status), short(d.Digest), shortCommit(d.Commit), when(d.PromotedAt)}
		if noted {
			row = append(row, d.Note)
		}
		t.add(row...)
		current = current && d.Status == images.StatusCurrent
	}
	if err := a.print(found, t); err != nil {
		return err
	}
	if detailed && !current {
		return errChanges
	}
	return nil
}

func when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
