package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
)

// The events that --event names.
const (
	eventPullRequest = "pull-request"
	eventPush        = "push"
)

type ciOptions struct {
	event, base string
	allowForks  bool
	summary     string
	roles       []string
	level       int // -1: all
	matrix      string
	rewritten   bool
}

func ciCommand(a *app) *cobra.Command {
	o := &ciOptions{}
	c := &cobra.Command{
		Use:   "ci [ROLE...]",
		Short: "Run the whole pipeline for a pull request or for main",
		Long: "On a pull request, ci builds and verifies the roles that the branch affects. On main it does the same for every role that\n" +
			"needs it, and promotes what is verified: an image that the pull request has verified is promoted as it is, without a build.\n\n" +
			"In a CI job, the event, the branches and the run's id are taken from the CI system's variables: Jenkins, GitHub Actions,\n" +
			"GitLab CI, Bitbucket Pipelines, CircleCI, Travis CI, CodeBuild, Azure Pipelines, Buildkite, TeamCity, Drone, Woodpecker.\n" +
			"A push to another branch than main is handled as a pull request against main. 'imgops init --ci' writes a pipeline file.",
		RunE: func(c *cobra.Command, args []string) error { return a.runCI(c, o, args) },
	}
	f := c.Flags()
	f.StringVar(&o.event, "event", "", "what the pipeline runs for: pull-request or push (default: what the CI system says)")
	f.StringVar(&o.base, "base", "", "the `revision` that the pull request is against (default: its target branch, else the main branch)")
	f.BoolVar(&o.allowForks, "allow-forks", false, "build and verify also what comes from a fork (or IMGOPS_ALLOW_FORKS); it is never promoted by this")
	f.StringVar(&o.summary, "summary", "", "append a summary in Markdown to this `file` (and to $GITHUB_STEP_SUMMARY where that is set)")
	f.StringSliceVar(&o.roles, "role", nil, "only this `role`, as if it were an argument; can be repeated")
	f.IntVar(&o.level, "level", -1, "only roles of this `level` of the graph (0: those on external bases); images of lower levels must be there")
	f.StringVar(&o.matrix, "matrix", "", "start nothing: print the roles that need work as a fan-out of jobs, in the `format` github, gitlab, buildkite, jenkins or json")
	addRewritten(c, &o.rewritten)
	return c
}

func (a *app) runCI(c *cobra.Command, o *ciOptions, names []string) error {
	j, err := a.newCIJob(c, o, append(names, o.roles...))
	if err != nil {
		return err
	}
	ctx := c.Context()
	err = j.prepare(ctx)
	if err == nil && o.matrix != "" {
		return j.printMatrix(ctx)
	}
	var outcomes []outcome
	if err == nil {
		outcomes, err = j.work(ctx)
		err = errors.Join(err, j.flush(ctx))
	}
	if outcomes != nil {
		t := table{}
		if len(outcomes) > 0 {
			t = outcomeTable(outcomes)
		}
		err = errors.Join(j.print(outcomes, t), err)
	}
	return errors.Join(err, j.summarize(outcomes, err))
}

// work does what the event asks for. The outcomes are nil when nothing was begun.
func (j *ciJob) work(ctx context.Context) ([]outcome, error) {
	if j.idle != "" {
		return []outcome{}, nil
	}
	if j.promote {
		if err := j.refuseOffMain(ctx); err != nil {
			return nil, err
		}
		if err := j.refuseChanged(ctx); err != nil {
			return nil, err
		}
	}
	list, err := j.selection(ctx)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		j.nothing()
		return []outcome{}, nil
	}
	if j.promote {
		return j.ciMain(ctx, list)
	}
	outcomes, _, err := j.bring(ctx, list)
	return outcomes, err
}

// nothing says why there is nothing to do.
func (j *ciJob) nothing() {
	switch {
	case j.promote && j.level >= 0:
		j.idle = fmt.Sprintf("nothing to do: no role of level %d that is meant here needs a build, a verification or a promotion", j.level)
	case j.promote:
		j.idle = "nothing to do: no role needs a build, a verification or a promotion"
	case j.level >= 0:
		j.idle = fmt.Sprintf("the branch affects no role of level %d that is meant here: nothing to build or verify", j.level)
	default:
		j.idle = "the branch affects no role: nothing to build or verify"
	}
	j.note("%s", j.idle)
}

// ciMain builds and verifies what main needs, and promotes what is verified.
func (j *ciJob) ciMain(ctx context.Context, list []*roles.Role) ([]outcome, error) {
	outcomes, found, err := j.bring(ctx, list)
	var chosen []candidate
	for _, o := range outcomes {
		if i := index(list, o.Role); i >= 0 && o.err == nil && o.decision.Rejected == "" {
			chosen = append(chosen, candidate{list[i], o.image})
		}
	}
	for _, o := range outcomes {
		if o.decision.Rejected != "" && o.decision.Held {
			j.noteRejected(o.decision)
		}
	}
	if len(chosen) == 0 {
		return outcomes, err
	}
	seen := &found.view
	if changed(outcomes) {
		seen = nil // it shows what was before
	}
	err = errors.Join(j.promoteOutcomes(ctx, seen, chosen, outcomes), err)
	if err == nil && !changed(outcomes) {
		j.nothing()
	}
	return outcomes, err
}

// changed says that a run has done something.
func changed(outcomes []outcome) bool {
	return slices.ContainsFunc(outcomes, func(o outcome) bool { return o.Result != "unchanged" })
}

func (s *session) promoteOutcomes(ctx context.Context, seen *images.View, chosen []candidate, outcomes []outcome) error {
	stop := s.log.beat()
	defer stop()
	var p promotion
	p.plan, p.err = s.planPromotion(ctx, seen, chosen)
	if p.err == nil {
		p.result, p.err = s.applyPromotion(ctx, p.plan)
	}
	p.mark(outcomes, chosen)
	s.noteHeld(p.result)
	return p.err
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

// bring builds and verifies what the roles need. Parents that have no image are built, too, unless the job is one of many
// and others have the lower levels.
func (j *ciJob) bring(ctx context.Context, list []*roles.Role) ([]outcome, survey, error) {
	all := roles.WithAncestors(list)
	found, err := j.survey(ctx, all)
	if err != nil {
		return nil, found, err
	}
	j.found = &found
	if j.promote {
		j.recover(ctx, found.view)
	} else {
		j.noteUnreadable()
	}
	busy := all
	if j.level >= 0 { // the parents are others' work
		busy = list
	}
	if err := j.complete(ctx, busy, found.decisions); err != nil {
		return nil, found, err
	}
	if j.promote {
		if err := j.carryOver(ctx); err != nil {
			return nil, found, err
		}
		if slices.ContainsFunc(busy, func(r *roles.Role) bool { return works(found.decisions[r.Name]) }) {
			if err := j.requireMain(ctx, &found.view); err != nil {
				return nil, found, err
			}
		}
		if err := j.checkLedgerEarly(ctx, list, found.decisions); err != nil {
			return nil, found, err
		}
	}
	p, err := j.pipeline(ctx, stageVerify)
	if err != nil {
		return nil, found, err
	}
	var outcomes []outcome
	if j.level >= 0 {
		outcomes, err = j.releaseLevel(ctx, p, list, found.decisions)
	} else {
		outcomes, err = p.release(ctx, all, found.decisions)
	}
	for _, o := range outcomes {
		if o.err == nil && o.decision.Action != images.ActionBuild && o.image.ID != "" {
			j.note("%s: image %s of digest %s, built by run %s%s, needed no build", o.Role, o.Image, short(o.Digest), o.image.Run, branchOf(o.image))
		}
	}
	return outcomes, found, err
}

func branchOf(img images.Image) string {
	if img.Branch == "" {
		return ""
	}
	return " on branch " + img.Branch
}
