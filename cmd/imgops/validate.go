package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/roles"
	"github.com/imgops/imgops/verifier/gossagent"
)

func validateCommand(a *app) *cobra.Command {
	var rev string
	c := &cobra.Command{
		Use:   "validate",
		Short: "Check every definition of the fleet, without any cloud",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			open := a.openRepo
			if rev == "" { // the files on disk can be checked before anything is committed
				open = func(ctx context.Context) (*roles.Repo, error) {
					if err := a.checkDir(); err != nil {
						return nil, err
					}
					return roles.OpenWorktree(ctx, a.set.Dir)
				}
			}
			repo, err := open(c.Context())
			if err != nil {
				return err
			}
			f, err := loadFleet(c.Context(), repo, rev)
			if err != nil {
				return err
			}
			if err := f.CheckSuites(c.Context(), f.Roles, gossagent.Sections(), gossagent.AuthorsOwn); err != nil {
				return err
			}
			a.warnFiles(f, f.Roles)
			overlooked, err := f.Overlooked()
			if err != nil {
				return err
			}
			for _, line := range overlooked {
				fmt.Fprintln(a.Stderr, "warning: "+line)
			}
			type result struct {
				Fleet string   `json:"fleet"`
				Roles []string `json:"roles"` // parents before children
			}
			r := result{Fleet: f.Config.Fleet, Roles: []string{}}
			for _, role := range f.Roles {
				r.Roles = append(r.Roles, role.Name)
			}
			t := table{}
			t.add(fmt.Sprintf("fleet %s is valid: %d roles (%s)", r.Fleet, len(r.Roles), strings.Join(r.Roles, ", ")))
			return a.print(r, t)
		},
	}
	c.Flags().StringVar(&rev, "rev", "", "check this `revision` instead of the working tree")
	return c
}
