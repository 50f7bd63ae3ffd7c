package promoter

import (
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
)

// RefusedError is a promotion that a rule forbids. Several are joined (errors.Join); nothing was changed.
type RefusedError struct {
	Rule    string // one of the Rule constants
	Role    string // "" where the rule is about the selection as a whole
	Message string // what is wrong
	Fix     string // the command or edit that helps
}

func (e *RefusedError) Error() string {
	who := "promotion"
	if e.Role != "" {
		who = "promotion of " + e.Role
	}
	return fmt.Sprintf("%s refused (%s): %s; %s", who, e.Rule, e.Message, e.Fix)
}

// refuse collects what the request and the image as it is now say against the promotion.
func (r Request) refuse(img images.Image) error {
	var errs []error
	no := func(rule, fix, format string, args ...any) {
		errs = append(errs, &RefusedError{Rule: rule, Role: r.Role, Message: fmt.Sprintf(format, args...), Fix: fix})
	}
	if !r.OnMain {
		no(RuleNotOnMain, fmt.Sprintf("merge it, or run this on %s: git switch %s", r.Main, r.Main),
			"commit %s is not on branch %s", short(r.Commit), r.Main)
	}
	if r.Dirty {
		no(RuleDirtyTree, "commit or undo them: git status", "files that decide the role differ from commit %s", short(r.Commit))
	}
	if img.Dirty() {
		no(RuleDirtyImage, "build it from a commit: imgops build "+r.Role, "image %s was built from a tree with uncommitted changes", img.ID)
	}
	if img.Rejected != "" {
		no(RuleRejected, "change the role and build again, or revert to a digest that is not rejected",
			"image %s is rejected: %s", img.ID, img.Rejected)
	}
	verify := "verify it: imgops verify " + r.Role
	switch {
	case img.Verified == "":
		no(RuleUnverified, verify, "image %s has passed no verification", img.ID)
	case img.Verified != r.TestsDigest:
		no(RuleUnverified, verify, "image %s was verified with tests %s, and they are %s now", img.ID, short(img.Verified), short(r.TestsDigest))
	}
	return errors.Join(errs...)
}

// backwards refuses a commit that is an ancestor of one that a present default was promoted with.
func (p *Promoter) backwards(ctx context.Context, r Request, promoted []string) error {
	for _, commit := range promoted {
		if commit == r.Commit {
			continue
		}
		if p.History == nil {
			return fmt.Errorf("role %s was promoted at commit %s, and there is no history to tell whether %s is older", r.Role, short(commit), short(r.Commit))
		}
		older, err := p.History.IsAncestor(ctx, r.Commit, commit)
		if err != nil {
			return fmt.Errorf("comparing commit %s with %s, at which role %s was promoted (a shallow clone lacks commits; git fetch --unshallow gets them): %w",
				short(r.Commit), short(commit), r.Role, err)
		}
		if older {
			return &RefusedError{
				Rule: RuleBackwards, Role: r.Role,
				Message: fmt.Sprintf("commit %s is older than %s, at which the present default was promoted", short(r.Commit), short(commit)),
				Fix:     fmt.Sprintf("promote the newest commit of %s; to go back to old content, git revert and promote that", r.Main),
			}
		}
	}
	return nil
}
