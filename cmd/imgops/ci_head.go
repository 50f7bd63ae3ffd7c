package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/imgops/imgops/cmd/imgops/cienv"
	"github.com/imgops/imgops/roles"
)

// targetEvent is GitHub's event for pull requests whose jobs run in the context of the base branch.
const targetEvent = "pull_request_target"

// refuseOtherHead ends a pull request's job that has something else checked out: what it found would be told of the pull
// request all the same, and be good news wherever nothing was changed.
func (j *ciJob) refuseOtherHead(ctx context.Context) error {
	ev := j.event
	if ev.Kind != cienv.PullRequest || ev.Head == "" && ev.Name != targetEvent {
		return nil
	}
	repo, err := j.openRepo(ctx)
	if err != nil {
		return err
	}
	head, err := repo.Head(ctx)
	if err != nil {
		return err
	}
	text := subject(ev)
	if ev.Head == "" { // its file could not be read, or it is not GitHub that wrote it
		return wrongHead(ev, text+": "+targetEvent+" checks out the base branch, and the event's file does not say which commit is meant; nothing was started")
	}
	if head.Commit == ev.Head {
		return nil
	}
	contains, err := repo.IsAncestor(ctx, ev.Head, head.Commit)
	switch {
	case err == nil && contains:
		return nil
	case err != nil && !errors.Is(err, roles.ErrUnknownRevision): // HEAD cannot contain a commit that is nowhere
		return fmt.Errorf("asking whether HEAD (%s) contains commit %s of %s: %w", shortCommit(head.Commit), shortCommit(ev.Head), text, err)
	}
	text += fmt.Sprintf(": its newest commit is %s, and HEAD (%s) is neither that nor a merge of it", ev.Head, shortCommit(head.Commit))
	if ev.Name == targetEvent {
		text += ", for " + targetEvent + " checks out the base branch"
	}
	return wrongHead(ev, text+"; nothing was started")
}

// wrongHead says how to check out what the event is about.
func wrongHead(ev cienv.Event, text string) error {
	fix := "check it out in the step before: git fetch origin " + ev.Head + " && git checkout " + ev.Head
	if ev.System == cienv.GitHub {
		fix = "give actions/checkout `ref: ${{ github.event.pull_request.head.sha }}`"
		if ev.Name == targetEvent {
			fix += " (its code then runs with this job's credentials: use the event pull_request where that will do; for a fork, --allow-forks is needed besides)"
		}
	}
	return &usageError{err: errors.New(text + "; " + fix)}
}
