package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
)

// requireMain refuses what only main may do where the name of main is nothing but the commit's own word: a branch that names
// itself in imgops.yaml is not merged by that. The name counts when it was that of the last promotion, when the main of that
// time has taken the new name over, or when it is gone and the remote's default branch is the new one. Before the first
// promotion, the default branch has the word. seen is what a look has seen; nil: it is looked at when it matters.
func (s *session) requireMain(ctx context.Context, seen *images.View) error {
	if s.mainKnown {
		return nil
	}
	if seen == nil {
		q := s.query()
		q.Copies = s.copyPlaces()
		view, err := images.Look(ctx, s.clouds, q)
		if err != nil {
			return err
		}
		seen = &view
	}
	last, err := s.last(ctx, *seen, true)
	if err != nil {
		return fmt.Errorf("reading which branch was main at the last promotion: %w", err)
	}
	switch {
	case last.commit == "":
		err = s.requireDefaultBranch(ctx, last.lost)
	case last.config.Main != s.fleet.Config.Main:
		err = s.requireRenamed(ctx, last)
	}
	s.mainKnown = err == nil
	return err
}

// requireRenamed decides where the last promotion was made with another branch as main.
func (s *session) requireRenamed(ctx context.Context, last lastPromotion) error {
	main, old := s.fleet.Config.Main, last.config.Main
	tip, err := s.repo.BranchTip(ctx, old)
	if err != nil {
		return s.notMain(fmt.Sprintf("main was %s at %s, the last promotion, and whether that has changed cannot be found out: %v", old, shortCommit(last.commit), err),
			"let this job read the remote")
	}
	if tip != "" {
		config, err := s.repo.ConfigAt(ctx, tip, s.fleet)
		if err == nil && config.Main == main {
			return nil
		}
		says := "still names " + config.Main
		if err != nil {
			says = "cannot be read (" + firstLine(err) + ")"
		}
		return s.notMain(fmt.Sprintf("main was %s at %s, the last promotion, and imgops.yaml on %s, at %s, %s", old, shortCommit(last.commit), s.branchThere(old), shortCommit(tip), says),
			fmt.Sprintf("merge that change into %s first; or, if %s is main no more, remove it and make %s the remote's default branch", old, old, main))
	}
	branch, err := s.repo.DefaultBranch(ctx)
	if err == nil && (branch == main || s.repo.Remote() == "") {
		return nil
	}
	there := "the remote's default branch is " + cmp.Or(branch, "unknown")
	if err != nil {
		there = err.Error()
	}
	return s.notMain(fmt.Sprintf("main was %s at %s, the last promotion, which is gone, and %s", old, shortCommit(last.commit), there),
		fmt.Sprintf("make %s the remote's default branch", main))
}

// requireDefaultBranch decides where no promotion tells which branch is main. lost is the commit of one that cannot be read.
func (s *session) requireDefaultBranch(ctx context.Context, lost string) error {
	main := s.fleet.Config.Main
	branch, err := s.repo.DefaultBranch(ctx)
	if errors.Is(err, roles.ErrNotAsked) || branch == "" || branch == main {
		return nil // what can be said without the remote, refuseOvertaken says
	}
	if err != nil {
		return err
	}
	fix := fmt.Sprintf("write `main: %s` into imgops.yaml on %s, too; or make %s the remote's default branch", main, branch, main)
	tip, err := s.repo.BranchTip(ctx, branch)
	if err != nil {
		return err
	}
	config, err := s.repo.ConfigAt(ctx, tip, s.fleet)
	switch {
	case err == nil && config.Main == main:
		return nil
	case errors.Is(err, roles.ErrNoFleet) && lost == "":
		s.note("%s has no fleet, so imgops.yaml of commit %s says alone that %s is main", s.branchThere(branch), shortCommit(s.fleet.Revision.Commit), main)
		return nil
	case err != nil:
		return s.notMain(fmt.Sprintf("imgops.yaml on %s, the default branch, cannot be read: %s", s.branchThere(branch), firstLine(err)), fix)
	}
	return s.notMain(fmt.Sprintf("imgops.yaml on %s, the default branch, names %s", s.branchThere(branch), config.Main), fix)
}

// notMain is the refusal of a commit whose imgops.yaml names a branch as main that nobody else does.
func (s *session) notMain(message, fix string) error {
	return &promoter.RefusedError{
		Rule:    promoter.RuleNotOnMain,
		Message: fmt.Sprintf("imgops.yaml of commit %s names %s as main, but %s", shortCommit(s.fleet.Revision.Commit), s.fleet.Config.Main, message),
		Fix:     fix,
	}
}

// firstLine is an error in a line: what is wrong in a fleet's files takes several.
func firstLine(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// branchThere names a branch of the remote, or of this repository.
func (s *session) branchThere(branch string) string {
	if remote := s.repo.Remote(); remote != "" {
		return remote + "/" + branch
	}
	return branch
}
