package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
)

type promoteOptions struct {
	plan      bool
	withdraw  bool
	rewritten bool
}

func promoteCommand(a *app) *cobra.Command {
	o := &promoteOptions{}
	c := &cobra.Command{
		Use:   "promote [ROLE...]",
		Short: "Make the verified images of main the role defaults everywhere",
		Long: "promote copies the verified image of each role's digest to the Regions of its targets, tags and shares it, looks at it\n" +
			"from the account that will use it, and moves the role's pointer last. Running it again finishes what was begun.\n" +
			"A held role is left alone, with a notice. A commit that a newer one was promoted after is refused (exit 4), unless nothing\n" +
			"would change.",
		RunE: func(c *cobra.Command, args []string) error { return a.runPromote(c.Context(), o, args) },
	}
	c.Flags().BoolVar(&o.plan, "plan", false, "print what would change, and change nothing")
	c.Flags().BoolVar(&o.withdraw, "withdraw", false, "take the images away from accounts that no target names any more; what still points to them there will break")
	addRewritten(c, &o.rewritten)
	return c
}

func addRewritten(c *cobra.Command, v *bool) {
	c.Flags().BoolVar(v, "rewritten-history", false, "main's history was rewritten: its present commit is newer than promoted ones that are in no history any more")
}

// history is what the promoter asks of the repository.
type history struct{ repo *roles.Repo }

func (h history) IsAncestor(ctx context.Context, ancestor, descendant string) (bool, error) {
	yes, err := h.repo.IsAncestor(ctx, ancestor, descendant)
	if errors.Is(err, roles.ErrNowhere) && h.repo.Has(ancestor) {
		err = fmt.Errorf("%w: %w", promoter.ErrLostCommit, err)
	}
	return yes, err
}

func (a *app) runPromote(ctx context.Context, o *promoteOptions, names []string) error {
	s, err := a.openClean(ctx)
	if err != nil {
		return err
	}
	s.withdraw, s.rewritten, s.promotes = o.withdraw, o.rewritten, true
	list, err := s.fleet.Select(names)
	if err != nil {
		return err
	}
	found, err := s.survey(ctx, list)
	if err != nil {
		return err
	}
	if !o.plan {
		s.recover(ctx, found.view)
	}
	var chosen []candidate
	for _, r := range list {
		d := found.decisions[r.Name]
		if d.Rejected != "" && d.Held {
			s.noteRejected(d)
			continue
		}
		if d.Rejected != "" {
			return refuseRejected(r.Name, d)
		}
		if d.Blocked != nil {
			return refuseBlocked(r.Name, d)
		}
		chosen = append(chosen, candidate{r, d.Candidate})
	}
	if len(chosen) == 0 {
		return errors.Join(a.print(promoter.Result{Done: []promoter.Step{}, Left: []promoter.Left{}}, table{Rows: [][]string{{"nothing to do"}}}), s.flush(ctx))
	}
	stop := s.log.beat()
	defer stop()
	plan, err := s.planPromotion(ctx, &found.view, chosen)
	if err != nil {
		return err
	}
	if o.plan {
		s.warnLedger(ctx)
		return a.print(plan, planTable(plan))
	}
	result, err := s.applyPromotion(ctx, plan)
	s.noteHeld(result)
	return errors.Join(a.print(result, resultTable(result)), err, s.flush(ctx))
}

// openClean opens the fleet for a promotion, which is refused when anything of the fleet differs from the commit: whoever
// runs it there may believe that it counts. What is on disk is then what the commit says: accounts, Regions, the name
// of main and all.
func (a *app) openClean(ctx context.Context) (*session, error) {
	repo, err := a.openRepo(ctx)
	if err != nil {
		return nil, err
	}
	early := a.connectEarly(ctx, repo, false)
	f, err := repo.LoadWorktree(ctx)
	if errors.Is(err, roles.ErrNoWorktree) { // a bare repository has nothing but commits
		f, err = repo.Load(ctx, "HEAD")
	}
	if err != nil {
		return nil, err
	}
	if err := refuseDirty(repo, f); err != nil {
		return nil, err
	}
	return a.session(ctx, repo, f, early)
}

func refuseDirty(repo *roles.Repo, f *roles.Fleet) error {
	if !f.Dirty {
		return nil
	}
	return &promoter.RefusedError{
		Rule: promoter.RuleDirtyTree, Message: "these files of the fleet differ from commit " + shortCommit(f.Revision.Commit) + ": " + strings.Join(printableNames(f.DirtyFiles), ", "),
		Fix: cmp.Or(unwatched(repo, f), "commit or undo them: git status"),
	}
}

// unwatched says of what is changed that Git is silent about it; "" where it is not.
func unwatched(repo *roles.Repo, f *roles.Fleet) string {
	return roles.UnwatchedHint(repo.Unwatched(f.DirtyFiles))
}

// candidate is a role with the image that is to become its default.
type candidate struct {
	role  *roles.Role
	image images.Image
}

func (s *session) promoter() *promoter.Promoter {
	var accounts []string // none: nothing is withdrawn, for a pointer there may still name the image
	if s.withdraw {
		for _, l := range locations(s.fleet.Config, nil) {
			accounts = append(accounts, l.Account)
		}
	}
	return promoter.New(s.clouds, promoter.Options{
		Fleet: s.fleet.Config.Fleet, Build: s.home, Run: s.run(), History: history{s.repo}, Accounts: accounts, Rewritten: s.rewritten,
		Overtaken: s.overtakenNow, Moving: s.moving,
	})
}

// planPromotion asks the promoter what is missing. The facts about Git come from here; the rules are the promoter's.
// seen is what a survey saw, if this run has changed nothing since.
func (s *session) planPromotion(ctx context.Context, seen *images.View, list []candidate) (promoter.Plan, error) {
	commit := s.fleet.Revision.Commit
	onMain, err := s.repo.OnMain(ctx, s.fleet.Config.Main, commit)
	if err != nil {
		return promoter.Plan{}, fmt.Errorf("asking whether commit %s is on %s: %w", shortCommit(commit), s.fleet.Config.Main, err)
	}
	var reqs []promoter.Request
	for _, c := range list {
		req := promoter.Request{
			Role: c.role.Name, Image: c.image, TestsDigest: c.role.TestsDigest, Commit: commit,
			OnMain: onMain, Dirty: c.role.Dirty, Main: s.fleet.Config.Main, Targets: s.targetsOf(c.role),
		}
		reqs = append(reqs, req)
	}
	plan, err := s.promoter().PlanFrom(ctx, seen, reqs, s.log.of("promote"))
	if err != nil || plan.Empty() {
		return plan, err
	}
	if s.unreadable != nil {
		return plan, s.unreadable
	}
	if err := s.requireMain(ctx, seen); err != nil {
		return plan, err
	}
	return plan, s.refuseOvertaken(ctx, plan)
}

// applyPromotion does what a plan says and records it. The ledger can keep it from beginning (checkLedger).
func (s *session) applyPromotion(ctx context.Context, plan promoter.Plan) (promoter.Result, error) {
	if !plan.Empty() {
		if err := s.carryOver(ctx); err != nil {
			return promoter.Result{Done: []promoter.Step{}, Left: []promoter.Left{}}, err
		}
	}
	if names := moving(plan); len(names) > 0 {
		err := s.checkLedger(ctx, names)
		if err == nil {
			s.completeRecords(ctx, plan)
			err = s.storeAhead(ctx, names)
		}
		if err != nil {
			return promoter.Result{Done: []promoter.Step{}, Left: []promoter.Left{}}, err
		}
	}
	s.moving = s.moves(ledger.ActionPromote, "")
	result, err := s.promoter().Apply(ctx, plan, s.log.of("promote"))
	s.recordMoves(ctx, ledger.ActionPromote, "", plan, result)
	return result, err
}

// moving lists the roles whose pointers a plan moves.
func moving(plan promoter.Plan) []string {
	var names []string
	for _, r := range plan.Roles {
		if slices.ContainsFunc(r.Steps, func(s promoter.Step) bool { return s.Action == promoter.ActionPointer }) {
			names = append(names, r.Role)
		}
	}
	return names
}

func planTable(p promoter.Plan) table {
	t := table{}
	for _, line := range p.Lines() {
		t.Rows = append(t.Rows, []string{line})
	}
	return t
}

func resultTable(r promoter.Result) table {
	t := table{Header: []string{"ROLE", "ACCOUNT", "REGION", "DONE"}}
	for _, s := range r.Done {
		t.add(s.Role, s.Location.Account, s.Location.Region, s.String())
	}
	for _, l := range r.Left {
		t.add(l.Role, l.Location.Account, l.Location.Region, "left: "+l.String()+": "+l.Reason)
	}
	if len(t.Rows) == 0 {
		return table{Rows: [][]string{{"nothing to do"}}}
	}
	return t
}
