package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
)

// The events that imgops ci acts on.
const (
	eventPullRequest = "pull-request"
	eventPush        = "push"
)

type ciOptions struct {
	event string
	base  string
}

func ciCommand(a *app) *cobra.Command {
	o := &ciOptions{}
	c := &cobra.Command{
		Use:   "ci [ROLE...]",
		Short: "Run the whole pipeline for a pull request or for main",
		Long: "On a pull request, ci builds and verifies the roles that the branch affects. On main it does the same for every role that\n" +
			"needs it, and promotes what is verified: an image that the pull request has verified is promoted as it is, without a build.",
		RunE: func(c *cobra.Command, args []string) error { return a.runCI(c, o, args) },
	}
	c.Flags().StringVar(&o.event, "event", "", "what the pipeline runs for: pull-request or push")
	c.Flags().StringVar(&o.base, "base", "", "the `revision` that the pull request is against (default: the main branch)")
	return c
}

func (a *app) runCI(c *cobra.Command, o *ciOptions, names []string) error {
	ctx := c.Context()
	switch o.event {
	case eventPullRequest, eventPush:
	case "":
		return usagef(c, "what does this pipeline run for? give --event pull-request or --event push")
	default:
		return usagef(c, "unknown event %q; it is pull-request or push", o.event)
	}
	s, err := a.open(ctx, "HEAD") // what is committed, whatever a CI has left in the working tree
	if err != nil {
		return err
	}
	list, err := s.fleet.Select(names)
	if err != nil {
		return err
	}
	if o.event == eventPush {
		return s.ciMain(ctx, list)
	}
	return s.ciPullRequest(ctx, o, list)
}

// ciPullRequest builds and verifies what the branch affects.
func (s *session) ciPullRequest(ctx context.Context, o *ciOptions, list []*roles.Role) error {
	base, err := s.baseFleet(ctx, o.base)
	if err != nil {
		return err
	}
	affected := intersect(list, s.fleet.Affected(base))
	if len(affected) == 0 {
		s.note("the branch affects no role: nothing to build or verify")
		return s.print([]outcome{}, table{})
	}
	outcomes, err := s.bring(ctx, affected)
	return errors.Join(s.print(outcomes, outcomeTable(outcomes)), err)
}

// ciMain builds and verifies what main needs, and promotes what is verified.
func (s *session) ciMain(ctx context.Context, list []*roles.Role) error {
	if err := s.refuseOffMain(ctx); err != nil {
		return err
	}
	outcomes, err := s.bring(ctx, list)
	var chosen []candidate
	for _, o := range outcomes {
		if i := index(list, o.Role); i >= 0 && o.err == nil {
			chosen = append(chosen, candidate{list[i], o.image})
		}
	}
	if len(chosen) == 0 {
		return errors.Join(s.print(outcomes, outcomeTable(outcomes)), err)
	}
	return errors.Join(s.promoteOutcomes(ctx, chosen, outcomes), err)
}

func (s *session) promoteOutcomes(ctx context.Context, chosen []candidate, outcomes []outcome) error {
	stop := s.log.beat()
	defer stop()
	plan, err := s.planPromotion(ctx, chosen)
	var result promoter.Result
	if err == nil {
		result, err = s.promoter().Apply(ctx, plan, s.log.of("promote"))
	}
	markPromoted(outcomes, result)
	return errors.Join(s.print(outcomes, outcomeTable(outcomes)), err)
}

// refuseOffMain ends a run of --event push on another branch before anything is started.
func (s *session) refuseOffMain(ctx context.Context) error {
	commit, main := s.fleet.Revision.Commit, s.fleet.Config.Main
	on, err := s.repo.OnMain(ctx, main, commit)
	if err != nil {
		return fmt.Errorf("asking whether commit %s is on %s: %w", shortCommit(commit), main, err)
	}
	if on {
		return nil
	}
	return &promoter.RefusedError{
		Rule: promoter.RuleNotOnMain, Message: fmt.Sprintf("commit %s is not on branch %s", shortCommit(commit), main),
		Fix: "on a branch run: imgops ci --event pull-request",
	}
}

// bring builds and verifies what the roles need. Parents that have no image are built, too.
func (s *session) bring(ctx context.Context, list []*roles.Role) ([]outcome, error) {
	all := roles.WithAncestors(list)
	found, err := s.survey(ctx, all)
	if err != nil {
		return nil, err
	}
	p, err := s.pipeline(ctx, stageVerify)
	if err != nil {
		return nil, err
	}
	outcomes, err := p.release(ctx, all, found.decisions)
	for _, o := range outcomes {
		if o.err == nil && o.decision.Action != images.ActionBuild && o.image.ID != "" {
			s.note("%s: image %s of digest %s, built by run %s%s, needed no build", o.Role, o.Image, short(o.Digest), o.image.Run, branchOf(o.image))
		}
	}
	return outcomes, err
}

func branchOf(img images.Image) string {
	if img.Branch == "" {
		return ""
	}
	return " on branch " + img.Branch
}
