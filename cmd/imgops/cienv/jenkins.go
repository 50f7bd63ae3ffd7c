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
	default: // not multibranch
		ev.Branch, ev.OfRemote = jenkinsBranch(e("GIT_BRANCH"))
	}
	return ev
}

// isJenkins knows a build of a Jenkins that was not told its own URL, too: it leaves out JENKINS_URL, BUILD_URL and the like.
// BUILD_TAG is jenkins-JOB_NAME-BUILD_NUMBER everywhere; JENKINS_HOME alone is also in a controller's own shells.
func isJenkins(e env) bool {
	return e("JENKINS_URL") != "" || strings.HasPrefix(e("BUILD_TAG"), "jenkins-") || e("JENKINS_HOME") != "" && e("BUILD_NUMBER") != ""
}

// jenkinsBranch reads GIT_BRANCH of a job that is not multibranch: as a rule origin/main, with the name of a remote that the
// job's settings give; refs/remotes/origin/main from older versions of the plugin, and "detached" where the job builds a commit.
func jenkinsBranch(ref string) (name string, ofRemote bool) {
	if there, ok := strings.CutPrefix(ref, "refs/remotes/"); ok {
		ref, ofRemote = there, true
	}
	if name, ok := strings.CutPrefix(ref, "origin/"); ok {
		return name, false
	}
	if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return name, false
	}
	if ref == "detached" || ref == "HEAD" {
		return "", false
	}
	return ref, ofRemote || strings.Contains(ref, "/")
}
