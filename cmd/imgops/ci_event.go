package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/cmd/imgops/cienv"
	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
)

// ciJob is one run of imgops ci: what it was asked for, what it runs for, and what that means here.
type ciJob struct {
	*ciOptions
	*session
	names []string
	event cienv.Event // its System is empty outside of a CI system that is known

	listed  []*roles.Role // the named roles, or all
	promote bool          // the job is main's
	against string        // else: the revision that the branch is compared with; "" for the main branch
	idle    string        // why nothing is to be done
	found   *survey       // what there was before anything was done; nil until it was asked for
}

// newCIJob reads the flags and the environment.
func (a *app) newCIJob(c *cobra.Command, o *ciOptions, names []string) (*ciJob, error) {
	j := &ciJob{ciOptions: o, session: &session{app: a}, names: names}
	var known bool
	j.event, known = cienv.Detect(a.Getenv)
	switch o.event {
	case eventPullRequest, eventPush:
	case "":
		if !known {
			return nil, usagef(c, "no CI system says what this pipeline runs for: give --event pull-request (and --base REV), or --event push")
		}
	default:
		return nil, usagef(c, "unknown event %q; it is pull-request or push", o.event)
	}
	if c.Flags().Changed("level") && o.level < 0 {
		return nil, usagef(c, "--level is %d; the lowest is 0", o.level)
	}
	if c.Flags().Changed("role") && len(o.roles) == 0 { // --role "$ROLE", and the variable is empty
		return nil, usagef(c, "--role names no role; leave it out for all of them")
	}
	if err := cmp.Or(checkMatrix(c, o), a.forkPolicy(c, o)); err != nil {
		return nil, err
	}
	if known && a.set.Run == "" {
		a.set.Run = j.event.Run() // a repeated job goes on with what it began
	}
	return j, nil
}

// forkPolicy takes --allow-forks from the job's environment, where the owner of the CI sets it, if it is not given. There is
// no such setting in imgops.yaml, which a fork's pull request brings along.
func (a *app) forkPolicy(c *cobra.Command, o *ciOptions) error {
	value := a.Getenv("IMGOPS_ALLOW_FORKS")
	if value == "" || c.Flags().Changed("allow-forks") {
		return nil
	}
	allow, err := strconv.ParseBool(value)
	if err != nil {
		return usagef(c, "IMGOPS_ALLOW_FORKS is %q; it has to be true or false", value)
	}
	o.allowForks = allow
	return nil
}

// prepare loads what is committed, whatever a CI has left in the working tree, and decides what the event means for it.
func (j *ciJob) prepare(ctx context.Context) error {
	if err := j.refuseForeign(); err != nil {
		return err
	}
	if err := j.refuseOtherHead(ctx); err != nil {
		return err
	}
	s, err := j.open(ctx, "HEAD")
	if err != nil {
		return err
	}
	j.session = s
	if j.event.OfRemote {
		j.event.Branch = s.repo.BranchOf(j.event.Branch)
	}
	s.rewritten = j.ciOptions.rewritten
	if j.listed, err = s.fleet.Select(j.names); err != nil {
		return err
	}
	if err := j.refuseNoLevel(); err != nil {
		return err
	}
	err = j.decide(ctx)
	s.promotes = j.promote
	return err
}

// refuseChanged refuses to promote where files of the fleet differ from the commit. They would not be promoted, for what
// counts is what is committed; but whoever changed them, a person or a step of the job, may believe that they are.
func (j *ciJob) refuseChanged(ctx context.Context) error {
	f, err := j.repo.LoadWorktree(ctx)
	if errors.Is(err, roles.ErrNoWorktree) {
		return nil
	}
	if err != nil {
		return err
	}
	return refuseDirty(j.repo, f)
}

// decide says what is done about the event: the flag's, else the CI system's.
func (j *ciJob) decide(ctx context.Context) error {
	ev, main := j.event, j.fleet.Config.Main
	switch {
	case j.ciOptions.event == eventPush:
		j.promote = true
		return nil
	case j.ciOptions.event == eventPullRequest, ev.Kind == cienv.PullRequest, ev.Kind == cienv.MergeQueue:
		j.against = j.baseRef(ev.Base)
	case ev.Kind == cienv.Tag:
		j.idle = fmt.Sprintf("%s: tag %s: nothing to do, for images are built for branches and promoted by %s; to do it all the same, give --event", ev.System, ev.Tag, main)
	default:
		on, err := j.onMain(ctx)
		if err != nil {
			return err
		}
		if j.promote = on; !on {
			j.against = j.baseRef(main)
		}
	}
	j.note("%s", j.told())
	return nil
}

// onMain says whether the job is one of the main branch: by the branch that the CI names, else by the commit.
func (j *ciJob) onMain(ctx context.Context) (bool, error) {
	main := j.fleet.Config.Main
	if j.event.Branch != "" {
		return j.event.Branch == main, nil
	}
	commit := j.fleet.Revision.Commit
	on, err := j.repo.OnMain(ctx, main, commit)
	if err != nil {
		return false, fmt.Errorf("asking whether commit %s is on %s: %w", shortCommit(commit), main, err)
	}
	return on, nil
}

// baseRef names the revision to compare with: --base, else a branch as the remote has it, else as it is here.
func (j *ciJob) baseRef(branch string) string {
	switch {
	case j.base != "":
		return j.base
	case branch == "":
		return "" // the main branch
	case j.repo.Remote() == "" && !j.repo.Has(branch):
		return "origin/" + branch // so that the error says what to fetch
	}
	return j.branchRef(branch)
}

// told says in a line what was recognised and what follows from it.
func (j *ciJob) told() string {
	main := j.fleet.Config.Main
	against := j.against
	if against == "" {
		against = "the main branch"
	}
	text := subject(j.event)
	if j.event.System != "" {
		text = string(j.event.System) + ": " + text
	}
	switch {
	case j.idle != "":
		return j.idle
	case j.promote && j.event.Kind == cienv.Schedule:
		return text + ": does what is left of " + main + "'s last run, and promotes; imgops update and imgops gc are commands of their own"
	case j.promote:
		return text + ": builds and verifies what " + main + " needs, and promotes it"
	case j.ciOptions.event == "" && j.event.Kind != cienv.PullRequest && j.event.Kind != cienv.MergeQueue:
		return text + ", which is not " + main + ": builds and verifies what differs from " + against + ", as for a pull request; promotes nothing"
	}
	return text + ": builds and verifies what differs from " + against + "; promotes nothing"
}

// subject names what a job runs for.
func subject(ev cienv.Event) string {
	var parts []string
	switch ev.Kind {
	case cienv.PullRequest, cienv.MergeQueue:
		if ev.Kind == cienv.MergeQueue {
			parts = append(parts, "merge queue,")
		}
		parts = append(parts, "pull request")
		if ev.PullRequest != "" {
			parts = append(parts, ev.PullRequest)
		}
		if ev.Base != "" {
			parts = append(parts, "into", ev.Base)
		}
	case cienv.Tag:
		parts = append(parts, "tag", ev.Tag)
	case "":
		parts = append(parts, "pull request")
	default:
		parts = append(parts, string(ev.Kind))
		if ev.Branch != "" {
			parts = append(parts, "of branch", ev.Branch)
		}
	}
	return strings.Join(parts, " ")
}

// foreignError refuses to work for code that people without write access wrote. Its exit code is that of a refused
// promotion.
type foreignError struct {
	text    string
	refused *promoter.RefusedError
}

func (e *foreignError) Error() string { return e.text }
func (e *foreignError) Unwrap() error { return e.refused }

// refuseForeign keeps forks out: building a role runs its code with the credentials of this job, so it is allowed only on
// request; and nothing that runs for a fork, or in the context of pull_request_target, promotes.
func (j *ciJob) refuseForeign() error {
	ev := j.event
	what := "pull request"
	if ev.PullRequest != "" {
		what += " " + ev.PullRequest
	}
	refuse := func(text string) error {
		return &foreignError{text: text, refused: &promoter.RefusedError{Rule: "fork", Message: text}}
	}
	switch {
	case j.ciOptions.event == eventPush && (ev.Fork || ev.Name == "pull_request_target"):
		return refuse(what + " is not main: this job promotes nothing; leave --event out, and run imgops ci where main is pushed")
	case ev.Fork && ev.Lacks != "" && !j.allowForks:
		return refuse(what + " may come from a fork: $" + ev.Lacks + " names no file that can be read and holds the event, which would tell; nothing was started, for " +
			"its code would run with this job's credentials: pass that variable and its file on to imgops, or review the code and run it with --allow-forks")
	case ev.Fork && !j.allowForks:
		return refuse(what + " comes from a fork (or its source cannot be told), and its code would run with this job's credentials; " +
			"nothing was started: review it, and run it with --allow-forks, or push the branch to this repository")
	}
	return nil
}

// selection lists the roles that the job brings to verified, parents first: on main those that are meant, else those of
// them that differ. With a level it is those of the level, and beside what differs also its parents: a parent that
// has lost its image is some job's work, too.
func (j *ciJob) selection(ctx context.Context) ([]*roles.Role, error) {
	list := j.listed
	if !j.promote {
		base, err := j.baseline(ctx, j.against)
		if err != nil {
			return nil, j.explainBase(err)
		}
		affected := base.affected(j.fleet)
		if j.level >= 0 {
			affected = roles.WithAncestors(affected)
		}
		list = intersect(list, affected)
	}
	if j.level < 0 {
		return list, nil
	}
	return ofLevel(list, j.level), nil
}

// explainBase says how a CI's clone gets a branch that it has not fetched.
func (j *ciJob) explainBase(err error) error {
	branch, ok := strings.CutPrefix(j.against, "origin/")
	if !ok || j.base != "" || !errors.Is(err, roles.ErrUnknownRevision) {
		return err
	}
	return fmt.Errorf("%w: this clone has no %s, which the branch is compared with; run `git fetch origin +refs/heads/%s:refs/remotes/origin/%s` first",
		roles.ErrUnknownRevision, j.against, branch, branch)
}
