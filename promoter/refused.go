package promoter

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/imgops/imgops/images"
)

// The rules that a promotion can break.
const (
	RuleNotOnMain  = "not on main"
	RuleDirtyTree  = "dirty tree"
	RuleDirtyImage = "dirty image"
	RuleUnverified = "unverified"
	RuleRejected   = "rejected"
	RuleNoRole     = "no role matched"
	RuleBackwards  = "backwards"
	RuleRemoved    = "not on main any more" // main has no such role now, or not in that location

	RuleMoved = "build location moved" // and what holds at the old one is not known

	RuleNothingBefore = "nothing before"   // a rollback, and no pointer's history has an image to go back to
	RuleDiffer        = "locations differ" // a rollback, and the locations were not at the same image before
	RuleWanted        = "still on main"    // a retirement of a role that main has
)

// RefusedError is a promotion that a rule forbids. Several are joined (errors.Join); nothing was changed.
type RefusedError struct {
	Rule    string // one of the Rule constants
	Role    string // "" where the rule is about the selection as a whole
	Message string // what is wrong
	Fix     string // the command or edit that helps
	What    string // what was refused; "" is promotion
}

func (e *RefusedError) Error() string {
	who := cmp.Or(e.What, "promotion")
	if e.Role != "" {
		who += " of " + e.Role
	}
	return fmt.Sprintf("%s refused (%s): %s; %s", who, e.Rule, e.Message, e.Fix)
}

// refuse collects what the request and the image say against the promotion.
func (r Request) refuse(img images.Image) []error {
	var errs []error
	if !r.OnMain {
		errs = append(errs, r.refused(RuleNotOnMain, fmt.Sprintf("merge it, or run this on %s: git switch %s", r.Main, r.Main),
			"commit %s is not on branch %s", short(r.Commit), r.Main))
	}
	if r.Dirty {
		errs = append(errs, r.refused(RuleDirtyTree, "commit or undo them: git status",
			"files that decide the role differ from commit %s", short(r.Commit)))
	}
	if img.ID == "" {
		return append(errs, r.refused(RuleUnverified, fmt.Sprintf("build and verify it: imgops build %s && imgops verify %s", r.Role, r.Role),
			"no image of its digest exists"))
	}
	if img.Dirty() {
		errs = append(errs, r.refused(RuleDirtyImage, "build it from a commit: imgops build "+r.Role,
			"image %s was built from a tree with uncommitted changes", img.ID))
	}
	if img.Rejected != "" {
		errs = append(errs, r.refused(RuleRejected, "change the role and build again, or revert to a digest that is not rejected",
			"image %s is rejected: %s", img.ID, img.Rejected))
	}
	return errs
}

// unverified is asked only of the image as it is now: it may have been verified since the request was made.
func (r Request) unverified(img images.Image) error {
	switch fix := "verify it: imgops verify " + r.Role; img.Verified {
	case "": // also where the tests digest is empty: that proves nothing
		return r.refused(RuleUnverified, fix, "image %s has passed no verification", img.ID)
	case r.TestsDigest:
		return nil
	default:
		return r.refused(RuleUnverified, fix, "image %s was verified with tests %s, and they are %s now",
			img.ID, short(img.Verified), short(r.TestsDigest))
	}
}

func (r Request) refused(rule, fix, format string, args ...any) error {
	e := &RefusedError{Rule: rule, Role: r.Role, Message: fmt.Sprintf(format, args...), Fix: fix}
	if r.back != nil {
		e.What = "rollback"
	}
	return e
}

// present collects what the image, as it is now, says against the promotion.
func (r Request) present(img images.Image) []error {
	var errs []error
	if img.State != available {
		errs = append(errs, fmt.Errorf("image %s of role %s is %s, not available %s", img.ID, r.Role, img.State, img.StateReason))
	}
	if r.back != nil {
		return append(errs, r.unfit(img)...)
	}
	errs = append(errs, r.refuse(img)...)
	return append(errs, r.unverified(img))
}

// backwards refuses a commit that is an ancestor of one that a present default was promoted with. Where that one is in no
// history any more it cannot be shown that the commit is newer, unless a later one is known, or somebody vouches for it.
func (p *Promoter) backwards(ctx context.Context, r Request, promoted []images.Promoted) error {
	var lost, known images.Promoted // the newest of each
	for _, record := range promoted {
		older, err := p.olderThan(ctx, r, record.Commit)
		switch {
		case errors.Is(err, ErrLostCommit):
			lost = newer(lost, record)
			continue
		case err != nil:
			return err
		case older:
			return r.refused(RuleBackwards, fmt.Sprintf("promote the newest commit of %s; to go back to old content, git revert and promote that", r.Main),
				"commit %s is older than %s, at which the present default was promoted", short(r.Commit), short(record.Commit))
		}
		known = newer(known, record)
	}
	if lost.Commit == "" || p.opts.Rewritten || known.Commit != "" && !known.At.Before(lost.At) { // times are whole seconds
		return nil
	}
	return r.refused(RuleBackwards, fmt.Sprintf("if the history of %s was rewritten on purpose, and %s is what is to count, run it once with --rewritten-history", r.Main, short(r.Commit)),
		"whether commit %s is older than %s, at which the present default was promoted, cannot be shown: that commit is neither in this clone, which is whole, nor at its remote",
		short(r.Commit), short(lost.Commit))
}

func newer(a, b images.Promoted) images.Promoted {
	if a.Commit == "" || b.At.After(a.At) {
		return b
	}
	return a
}

// olderThan says whether the request's commit is an ancestor of another, and not the same.
func (p *Promoter) olderThan(ctx context.Context, r Request, commit string) (bool, error) {
	if commit == r.Commit {
		return false, nil
	}
	if p.opts.History == nil {
		return false, fmt.Errorf("role %s was promoted at commit %s, and there is no history to tell whether %s is older", r.Role, short(commit), short(r.Commit))
	}
	older, err := p.isAncestor(ctx, r.Commit, commit)
	if err != nil {
		return false, fmt.Errorf("comparing commit %s with %s, at which role %s was promoted (a shallow clone lacks commits; git fetch --unshallow gets them): %w",
			short(r.Commit), short(commit), r.Role, err)
	}
	return older, nil
}

// isAncestor asks the History once for each pair of commits: all roles of a promotion ask the same.
func (p *Promoter) isAncestor(ctx context.Context, a, b string) (bool, error) {
	pair := [2]string{a, b}
	p.mu.Lock()
	older, known := p.ancestors[pair]
	p.mu.Unlock()
	if known {
		return older, nil
	}
	older, err := p.opts.History.IsAncestor(ctx, a, b)
	if err == nil {
		p.mu.Lock()
		p.ancestors[pair] = older
		p.mu.Unlock()
	}
	return older, err
}
