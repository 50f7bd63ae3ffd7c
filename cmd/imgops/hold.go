package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/spf13/cobra"

	"github.com/imgops/imgops/cmd/imgops/cienv"
	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/promoter"
)

func holdCommand(a *app) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "hold ROLE --reason TEXT",
		Short: "Keep a role's defaults where they are until they are released",
		Long: "hold stops promotions of a role: merges to main are still built and verified, and promote and ci leave the role's pointers\n" +
			"alone with a notice, which is no error. list shows the status held. imgops release ends it.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			why, err := reasonOf(c, reason)
			if err != nil {
				return err
			}
			return a.runHold(c.Context(), args[0], why)
		},
	}
	addReason(c, &reason)
	return c
}

func releaseCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "release ROLE",
		Short: "End the hold of a role",
		Long: "release lets promotions of a role go on, after imgops hold or imgops rollback. It moves nothing: the next imgops ci on\n" +
			"main does, or imgops promote ROLE.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runRelease(c.Context(), args[0]) },
	}
}

// addReason adds the flag that every command has which a person answers for.
func addReason(c *cobra.Command, reason *string) {
	c.Flags().StringVar(reason, "reason", "", "why: a `text` for those who read the history (required)")
}

// reasonOf is the reason in one line.
func reasonOf(c *cobra.Command, reason string) (string, error) {
	if why := strings.Join(strings.Fields(reason), " "); why != "" {
		return why, nil
	}
	return "", usagef(c, "%s has to be told why: give --reason TEXT", c.Name())
}

func (s *session) holds(ctx context.Context) (*images.Holds, error) {
	return images.OpenHolds(ctx, s.clouds, s.home, s.fleet.Config.Fleet)
}

// newHold is a hold of a role by the caller, now.
func (s *session) newHold(ctx context.Context, role, reason string) (images.Hold, error) {
	who, err := s.who(ctx)
	return images.Hold{Role: role, Reason: reason, Who: who, When: time.Now().UTC(), Commit: s.fleet.Revision.Commit}, err
}

// who is the AWS identity of the person or job that runs imgops, before it takes any other role; in a CI job with the
// person who started it.
func (s *session) who(ctx context.Context) (string, error) {
	out, err := sts.NewFromConfig(s.clouds.base).GetCallerIdentity(ctx, nil)
	if err != nil {
		return "", fmt.Errorf("asking who the AWS credentials belong to: %w", err)
	}
	if ev, ok := cienv.Detect(s.Getenv); ok && ev.Actor != "" {
		return aws.ToString(out.Arn) + " for " + ev.Actor, nil
	}
	return aws.ToString(out.Arn), nil
}

func (a *app) runHold(ctx context.Context, name, reason string) error {
	s, err := a.open(ctx, "HEAD") // whatever is half-edited in the working tree
	if err != nil {
		return err
	}
	if _, err := s.fleet.Select([]string{name}); err != nil {
		return err
	}
	hold, err := s.newHold(ctx, name, reason)
	if err != nil {
		return err
	}
	holds, err := s.holds(ctx)
	if err != nil {
		return err
	}
	s.intendBest(ctx, intent{Action: ledger.ActionHold, Reason: reason, Commit: hold.Commit, Roles: []string{name}})
	var held *images.HeldError
	switch err := holds.Create(ctx, hold); {
	case errors.As(err, &held) && held.Hold.Reason == hold.Reason && held.Hold.Who == hold.Who:
		hold = held.Hold // the same command again
	case err != nil:
		return errors.Join(err, s.flush(ctx))
	default:
		s.recordHold(ctx, ledger.ActionHold, hold, reason)
	}
	return errors.Join(s.print(hold, holdTable(hold)), s.flush(ctx))
}

func (a *app) runRelease(ctx context.Context, name string) error {
	s, err := a.open(ctx, "HEAD")
	if err != nil {
		return err
	}
	holds, err := s.holds(ctx)
	if err != nil {
		return err
	}
	found, err := holds.Of(ctx, name)
	if err != nil {
		return err
	}
	if old, held := found[name]; held {
		s.intendBest(ctx, intent{Action: ledger.ActionRelease, Commit: s.fleet.Revision.Commit, Roles: []string{name}, Hold: &old})
	}
	hold, ok, err := holds.Release(ctx, name)
	if err != nil {
		return err
	}
	if !ok {
		if _, err := s.fleet.Select([]string{name}); err != nil {
			return errors.Join(err, s.flush(ctx))
		}
		if err := s.refuseHeldElsewhere(ctx, name); err != nil {
			return err
		}
		s.note("%s is not held", name)
		return errors.Join(s.print([]images.Hold{}, table{}), s.flush(ctx))
	}
	s.note("%s is released; what main wants is promoted by the next imgops ci on main, or by: imgops promote %s", name, name)
	s.recordHold(ctx, ledger.ActionRelease, hold, "")
	return errors.Join(s.print([]images.Hold{hold}, holdTable(hold)), s.flush(ctx))
}

func holdTable(h images.Hold) table {
	t := table{Header: []string{"ROLE", "WHO", "SINCE", "COMMIT", "REASON"}}
	t.add(h.Role, h.Who, when(&h.When), shortCommit(h.Commit), h.Reason)
	return t
}

// noteHeld tells of the roles that a promotion left alone.
func (s *session) noteHeld(r promoter.Result) {
	for _, h := range r.Held {
		s.note("%s is not promoted: %s; let it go with: imgops release %s", h.Role, h, h.Role)
	}
}

// noteRejected tells of a held role whose digest is rejected: as long as it is held, that is no error.
func (s *session) noteRejected(d images.Decision) {
	s.note("%s is held, and its digest is %s", d.Role, d.Reason)
}

// places lists where images of the fleet are: the build account in each Region, and accounts with copies of their own.
func (s *session) places() []images.Location {
	list := append([]images.Location{s.home}, s.copyPlaces()...)
	for _, l := range locations(s.fleet.Config, nil) {
		list = append(list, images.Location{Account: s.home.Account, Region: l.Region})
	}
	slices.SortFunc(list, images.Location.Compare)
	return slices.Compact(list)
}
