package cienv

import (
	"path"
	"strings"
)

// bitbucket follows https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/. Pull requests of forks run
// no pipeline here (https://support.atlassian.com/bitbucket-cloud/docs/pipeline-start-conditions/). A schedule runs a
// branch's pipeline or a custom one, and no variable tells.
func bitbucket(e env) Event {
	ev := Event{
		Kind: Push, Commit: e("BITBUCKET_COMMIT"), Branch: e("BITBUCKET_BRANCH"), RunID: e("BITBUCKET_BUILD_NUMBER"),
		Attempt: e("BITBUCKET_STEP_RUN_NUMBER"), Actor: e("BITBUCKET_STEP_TRIGGERER_UUID"),
	}
	if repo := e("BITBUCKET_REPO_FULL_NAME"); repo != "" {
		ev.RunURL = "https://bitbucket.org/" + repo + "/pipelines/results/" + ev.RunID
	}
	switch {
	case e("BITBUCKET_PR_ID") != "":
		ev.Kind, ev.PullRequest, ev.Base = PullRequest, digits(e("BITBUCKET_PR_ID")), e("BITBUCKET_PR_DESTINATION_BRANCH")
	case e("BITBUCKET_TAG") != "":
		ev.Kind, ev.Tag = Tag, e("BITBUCKET_TAG")
	}
	return ev
}

// circleci follows https://circleci.com/docs/reference/variables/. A build is one of a branch's push; the variables name a
// pull request of the branch where there is one, but neither what triggered the build nor the target branch, and a main
// that is itself to be merged elsewhere has one, too. So only a fork's is taken for a pull request: CIRCLE_PR_* are
// "only available on forked PRs", and there only of GitHub OAuth and Bitbucket Cloud projects. The branch of one is called
// pull/7.
func circleci(e env) Event {
	ev := Event{
		Kind: Push, Commit: e("CIRCLE_SHA1"), Branch: e("CIRCLE_BRANCH"), RunID: e("CIRCLE_WORKFLOW_ID"), RunURL: e("CIRCLE_BUILD_URL"),
		Actor: e("CIRCLE_USERNAME"), PullRequest: digits(e("CIRCLE_PR_NUMBER")),
	}
	if e("CIRCLE_TAG") != "" {
		ev.Kind, ev.Tag, ev.Branch = Tag, e("CIRCLE_TAG"), ""
		return ev
	}
	number, pull := strings.CutPrefix(ev.Branch, "pull/")
	if number = digits(number); pull && number != "" || e.first("CIRCLE_PR_NUMBER", "CIRCLE_PR_USERNAME", "CIRCLE_PR_REPONAME") != "" {
		ev.Kind, ev.Fork = PullRequest, true
		if ev.PullRequest == "" {
			ev.PullRequest = number
		}
	}
	if ev.PullRequest == "" { // https://github.com/acme/fleet/pull/7
		ev.PullRequest = digits(path.Base(e("CIRCLE_PULL_REQUEST")))
	}
	return ev
}

// travis follows https://docs.travis-ci.com/user/environment-variables/#default-environment-variables.
func travis(e env) Event {
	ev := Event{
		Name: e("TRAVIS_EVENT_TYPE"), Commit: e("TRAVIS_COMMIT"), Branch: e("TRAVIS_BRANCH"), RunID: e("TRAVIS_BUILD_ID"),
		RunURL: e.first("TRAVIS_BUILD_WEB_URL", "TRAVIS_JOB_WEB_URL"),
	}
	switch {
	case ev.Name == "pull_request":
		ev.Kind, ev.PullRequest = PullRequest, digits(e("TRAVIS_PULL_REQUEST"))
		ev.Base, ev.Branch = e("TRAVIS_BRANCH"), e("TRAVIS_PULL_REQUEST_BRANCH") // TRAVIS_BRANCH is the target
		ev.Head = commitID(e("TRAVIS_PULL_REQUEST_SHA"))
		ev.Fork = e("TRAVIS_PULL_REQUEST_SLUG") != e("TRAVIS_REPO_SLUG")
	case e("TRAVIS_TAG") != "": // TRAVIS_BRANCH is the tag, too
		ev.Kind, ev.Tag, ev.Branch = Tag, e("TRAVIS_TAG"), ""
	case ev.Name == "cron":
		ev.Kind = Schedule
	case ev.Name == "push":
		ev.Kind = Push
	default: // api
		ev.Kind = Manual
	}
	return ev
}

// buildkite follows https://buildkite.com/docs/pipelines/configure/environment-variables.
func buildkite(e env) Event {
	ev := Event{
		Name: e("BUILDKITE_SOURCE"), Branch: e("BUILDKITE_BRANCH"), Commit: e("BUILDKITE_COMMIT"), RunID: e("BUILDKITE_BUILD_ID"),
		Attempt: e("BUILDKITE_RETRY_COUNT"), RunURL: e("BUILDKITE_BUILD_URL"), Actor: e("BUILDKITE_BUILD_CREATOR"),
	}
	if ev.Commit == "HEAD" { // "can also be a symbolic name"
		ev.Commit = ""
	}
	number := digits(e("BUILDKITE_PULL_REQUEST")) // "the number of the pull request or false"
	switch {
	case e("BUILDKITE_MERGE_QUEUE_BASE_BRANCH") != "":
		ev.Kind, ev.Base = MergeQueue, e("BUILDKITE_MERGE_QUEUE_BASE_BRANCH")
	case number != "":
		ev.Kind, ev.PullRequest, ev.Base = PullRequest, number, e("BUILDKITE_PULL_REQUEST_BASE_BRANCH")
		ev.Fork = repository(e("BUILDKITE_PULL_REQUEST_REPO")) != repository(e("BUILDKITE_REPO"))
	case e("BUILDKITE_TAG") != "": // BUILDKITE_BRANCH can be the tag, too
		ev.Kind, ev.Tag, ev.Branch = Tag, e("BUILDKITE_TAG"), ""
	case ev.Name == "schedule":
		ev.Kind = Schedule
	case ev.Name == "ui" || ev.Name == "api":
		ev.Kind = Manual
	default: // webhook, trigger_job
		ev.Kind = Push
	}
	return ev
}

// repository is owner/name of a clone URL, in lower case: git@github.com:acme/fleet.git and
// git://github.com/acme/fleet.git are the same.
func repository(url string) string {
	url = strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(url), "/"), ".git")
	if _, rest, ok := strings.Cut(url, "://"); ok {
		_, url, _ = strings.Cut(rest, "/")
	} else if _, rest, ok := strings.Cut(url, ":"); ok {
		url = rest
	}
	return strings.TrimPrefix(url, "/")
}
