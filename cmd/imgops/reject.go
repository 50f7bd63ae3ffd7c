package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/promoter"
)

func rejectCommand(a *app) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "reject IMAGE --reason TEXT",
		Short: "Mark an image so that it, and what was built on it, is never promoted again",
		Long: "reject tags the image, its copies in all Regions and accounts, and the images that were built on it. Where one of them is the\n" +
			"default it stays, with a warning: imgops rollback moves the pointers away from it. The same recipe is not built again by itself:\n" +
			"change it, or stamp it with imgops update --refresh ROLE, or have it built with imgops build --force ROLE.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			why, err := reasonOf(c, reason)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(args[0], "ami-") {
				return usagef(c, "%q is no image id (ami-...); imgops show ROLE and imgops history ROLE list them", args[0])
			}
			return a.runReject(c.Context(), args[0], why)
		},
	}
	addReason(c, &reason)
	return c
}

// rejection is the output of reject.
type rejection struct {
	Rejected []promoter.Rejected `json:"rejected"`
	Defaults []images.Default    `json:"defaults"` // where one of them is the default now
}

func (a *app) runReject(ctx context.Context, id, reason string) error {
	s, err := a.open(ctx, "HEAD")
	if err != nil {
		return err
	}
	s.intendBest(ctx, intent{Action: ledger.ActionReject, Reason: reason, Commit: s.fleet.Revision.Commit})
	rejected, err := s.promoter().Reject(ctx, id, reason, s.places(), s.log.of("reject"))
	if err != nil {
		if len(rejected) == 0 { // nothing was begun; else the next run on main records what was done
			err = errors.Join(err, s.flush(ctx))
		}
		return err
	}
	out := rejection{rejected, []images.Default{}}
	defaults, err := images.Defaults(ctx, s.clouds, s.query())
	if err != nil {
		s.recordRejection(ctx, rejected, nil)
		return errors.Join(err, s.flush(ctx))
	}
	t := table{Header: []string{"ROLE", "ACCOUNT", "REGION", "IMAGE", "DIGEST", "REJECTED"}}
	for _, r := range rejected {
		t.add(r.Role, r.Location.Account, r.Location.Region, r.Image, short(r.Digest), r.Reason)
	}
	for _, d := range defaults {
		if slices.ContainsFunc(rejected, func(r promoter.Rejected) bool { return r.Image == d.Image }) {
			out.Defaults = append(out.Defaults, d)
			fmt.Fprintf(a.Stderr, "warning: %s is the default of %s in %s now; move it away with: imgops rollback %s --reason TEXT\n",
				d.Image, d.Role, d.Location(), d.Role)
		}
	}
	s.recordRejection(ctx, rejected, defaults)
	return errors.Join(s.print(out, t), s.flush(ctx))
}
