package cienv

import (
	"net/url"
	"os"
	"strings"

	"github.com/magiconair/properties"
)

// codebuild follows https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html. A build that
// CodePipeline or a person has started has no webhook variables, and its branch is not known. No variable tells forks
// (CodeBuild has webhook filters and comment approval for them).
func codebuild(e env) Event {
	ev := Event{
		Name: e("CODEBUILD_WEBHOOK_EVENT"), Commit: e("CODEBUILD_RESOLVED_SOURCE_VERSION"), RunID: e("CODEBUILD_BUILD_ID"),
		RunURL: e("CODEBUILD_PUBLIC_BUILD_URL"), Actor: e.first("CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID", "CODEBUILD_INITIATOR"),
	}
	if region := e("AWS_REGION"); ev.RunURL == "" && region != "" {
		ev.RunURL = "https://console.aws.amazon.com/codebuild/home?region=" + region + "#/builds/" + url.PathEscape(ev.RunID) + "/view/new"
	}
	kind, name, _ := strings.Cut(e("CODEBUILD_WEBHOOK_TRIGGER"), "/")
	if kind == "" {
		kind, name = sourceVersion(e("CODEBUILD_SOURCE_VERSION"))
	}
	switch kind {
	case "pr":
		ev.Kind, ev.PullRequest = PullRequest, digits(name)
		ev.Base, ev.Branch = branch(e("CODEBUILD_WEBHOOK_BASE_REF")), branch(e("CODEBUILD_WEBHOOK_HEAD_REF"))
		return ev
	case "tag":
		ev.Kind, ev.Tag = Tag, name
		return ev
	case "branch":
		ev.Kind, ev.Branch = Push, name
		return ev
	}
	ev.Branch = name
	ev.Kind = Manual
	if strings.HasPrefix(e("CODEBUILD_INITIATOR"), "codepipeline/") {
		ev.Kind, ev.Name = Push, "codepipeline"
	}
	return ev
}

// sourceVersion reads what a person or CodePipeline has started a build of: pr/7, a ref, or what no rule tells: the name of a
// branch or a tag, a commit, or an object in S3.
func sourceVersion(v string) (kind, name string) {
	if number, ok := strings.CutPrefix(v, "pr/"); ok && digits(number) != "" {
		return "pr", number
	}
	if tag, ok := strings.CutPrefix(v, "refs/tags/"); ok {
		return "tag", tag
	}
	if name, ok := strings.CutPrefix(v, "refs/heads/"); ok {
		return "", name
	}
	return "", ""
}

// azure follows https://learn.microsoft.com/azure/devops/pipelines/build/variables. The target branch is a ref for Azure
// Repos and a name for GitHub, whatever the page says (env-ci has measured it).
func azure(e env) Event {
	ev := Event{
		Name: e("BUILD_REASON"), Commit: e("BUILD_SOURCEVERSION"), RunID: e("BUILD_BUILDID"),
		Attempt: e("SYSTEM_JOBATTEMPT"), Actor: e("BUILD_REQUESTEDFOR"),
	}
	if server := e("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI"); server != "" {
		ev.RunURL = strings.TrimSuffix(server, "/") + "/" + url.PathEscape(e("SYSTEM_TEAMPROJECT")) + "/_build/results?buildId=" + ev.RunID
	}
	ref := e("BUILD_SOURCEBRANCH") // refs/heads/main, refs/tags/v1, refs/pull/7/merge
	if rest, ok := strings.CutPrefix(ref, "refs/pull/"); ok || ev.Name == "PullRequest" {
		number, _, _ := strings.Cut(rest, "/")
		ev.Kind = PullRequest
		ev.PullRequest = digits(e.first("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID"))
		if ev.PullRequest == "" { // run by hand: only the ref tells
			ev.PullRequest = digits(number)
		}
		ev.Base, ev.Branch = branch(e("SYSTEM_PULLREQUEST_TARGETBRANCH")), branch(e("SYSTEM_PULLREQUEST_SOURCEBRANCH"))
		ev.Head = commitID(e("SYSTEM_PULLREQUEST_SOURCECOMMITID"))
		// The variable is False in every build that is not a pull request's own.
		ev.Fork = ev.Name != "PullRequest" || !strings.EqualFold(e("SYSTEM_PULLREQUEST_ISFORK"), "false")
		return ev
	}
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		ev.Kind, ev.Tag = Tag, tag
		return ev
	}
	ev.Branch = branch(ref)
	switch ev.Name {
	case "Schedule":
		ev.Kind = Schedule
	case "IndividualCI", "BatchedCI":
		ev.Kind = Push
	default: // Manual, ResourceTrigger, BuildCompletion, ...
		ev.Kind = Manual
	}
	return ev
}

// teamcity follows https://www.jetbrains.com/help/teamcity/predefined-build-parameters.html and
// https://www.jetbrains.com/help/teamcity/pull-requests.html: the environment names a file of system properties, which
// names one of configuration parameters, and these tell the branch and the pull request.
func teamcity(e env) Event {
	ev := Event{Kind: Push, Commit: e("BUILD_VCS_NUMBER"), RunURL: e("BUILD_URL")}
	build := readProperties(e("TEAMCITY_BUILD_PROPERTIES_FILE"))
	config := readProperties(build.GetString("teamcity.configuration.properties.file", ""))
	param := func(name string) string { return config.GetString(name, build.GetString(name, "")) }
	ev.RunID, ev.Actor = param("teamcity.build.id"), param("teamcity.build.triggeredBy.username")
	if ev.RunID == "" && e("BUILD_NUMBER") != "" {
		ev.RunID = e("TEAMCITY_PROJECT_NAME") + "-" + e("TEAMCITY_BUILDCONF_NAME") + "-" + e("BUILD_NUMBER")
	}
	if number := digits(param("teamcity.pullRequest.number")); number != "" {
		ev.Kind, ev.PullRequest = PullRequest, number
		ev.Branch, ev.Base = branch(param("teamcity.pullRequest.source.branch")), branch(param("teamcity.pullRequest.target.branch"))
		return ev
	}
	name := param("teamcity.build.branch")
	if tag, ok := strings.CutPrefix(name, "refs/tags/"); ok {
		ev.Kind, ev.Tag = Tag, tag
		return ev
	}
	if name != "<default>" { // which branch that is depends on the VCS root
		ev.Branch = branch(name)
	}
	return ev
}

// readProperties reads a Java properties file; an empty one when it cannot be read.
func readProperties(file string) *properties.Properties {
	p := properties.NewProperties()
	data, err := os.ReadFile(file)
	if err != nil {
		return p
	}
	loader := properties.Loader{Encoding: properties.ISO_8859_1, DisableExpansion: true}
	if read, err := loader.LoadBytes(data); err == nil {
		p = read
	}
	return p
}

// drone follows https://docs.drone.io/pipeline/environment/reference/. It has no variable for forks, and by default no
// secrets for them.
func drone(e env) Event {
	ev := Event{
		Name: e("DRONE_BUILD_EVENT"), Commit: e("DRONE_COMMIT_SHA"), RunID: e("DRONE_BUILD_NUMBER"), RunURL: e("DRONE_BUILD_LINK"),
		Branch: e("DRONE_BRANCH"), Actor: e("DRONE_BUILD_TRIGGER"),
	}
	switch ev.Name {
	case "pull_request":
		ev.Kind, ev.PullRequest = PullRequest, digits(e("DRONE_PULL_REQUEST"))
		ev.Base, ev.Branch = e("DRONE_TARGET_BRANCH"), e("DRONE_SOURCE_BRANCH")
	case "tag":
		ev.Kind, ev.Tag, ev.Branch = Tag, e("DRONE_TAG"), ""
	case "cron":
		ev.Kind = Schedule
	case "push":
		ev.Kind = Push
	default: // custom, promote, rollback
		ev.Kind = Manual
	}
	return ev
}

// woodpecker follows https://woodpecker-ci.org/docs/usage/environment. CI_COMMIT_BRANCH is the target branch of a pull
// request. It has no variable for forks, but asks for approval of their pipelines by default.
func woodpecker(e env) Event {
	ev := Event{
		Name: e("CI_PIPELINE_EVENT"), Commit: e("CI_COMMIT_SHA"), RunID: e("CI_PIPELINE_NUMBER"), RunURL: e("CI_PIPELINE_URL"),
		Branch: e("CI_COMMIT_BRANCH"), Actor: e.first("CI_PIPELINE_AUTHOR", "CI_COMMIT_AUTHOR"),
	}
	switch ev.Name {
	case "pull_request", "pull_request_closed", "pull_request_metadata":
		ev.Kind, ev.PullRequest = PullRequest, digits(e("CI_COMMIT_PULL_REQUEST"))
		ev.Base, ev.Branch = e("CI_COMMIT_TARGET_BRANCH"), e("CI_COMMIT_SOURCE_BRANCH")
	case "tag", "release":
		ev.Kind, ev.Tag, ev.Branch = Tag, e("CI_COMMIT_TAG"), ""
	case "cron":
		ev.Kind = Schedule
	case "push":
		ev.Kind = Push
	default: // manual, deployment
		ev.Kind = Manual
	}
	return ev
}
