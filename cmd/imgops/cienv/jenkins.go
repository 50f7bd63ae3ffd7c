package cienv

import "strings"

// jenkins follows the list at <jenkins>/env-vars.html, which plugins add to: branch-api the BRANCH_NAME, TAG_NAME and
// CHANGE_* variables of multibranch projects, git the GIT_* ones. Jenkins has no variable for the trigger.
func jenkins(e env) Event {
	ev := Event{
		Kind: Push, Commit: e("GIT_COMMIT"), RunID: e("BUILD_TAG"), RunURL: e.first("RUN_DISPLAY_URL", "BUILD_URL"),
		Actor: e.first("CHANGE_AUTHOR", "BUILD_USER_ID"),
	}
	if ev.RunID == "" && e("BUILD_NUMBER") != "" {
		ev.RunID = e("JOB_NAME") + "-" + e("BUILD_NUMBER")
	}
	switch {
	case e("CHANGE_ID") != "":
		ev.Kind, ev.PullRequest = PullRequest, digits(e("CHANGE_ID"))
		ev.Branch, ev.Base = e.first("CHANGE_BRANCH", "BRANCH_NAME"), e("CHANGE_TARGET")
		ev.Fork = e("CHANGE_FORK") != "" // "the name of the forked repo if the change originates from one; else unset"
	case e("TAG_NAME") != "":
		ev.Kind, ev.Tag = Tag, e("TAG_NAME")
	case e("BRANCH_NAME") != "":
		ev.Branch = e("BRANCH_NAME")
	default: // a job of one branch: GIT_BRANCH is origin/main
		ev.Branch = strings.TrimPrefix(branch(e("GIT_BRANCH")), "origin/")
	}
	return ev
}
