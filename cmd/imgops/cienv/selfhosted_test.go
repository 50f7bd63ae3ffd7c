package cienv_test

import (
	"testing"

	"github.com/imgops/imgops/cmd/imgops/cienv"
)

func TestJenkins(t *testing.T) {
	job := vars{
		"JENKINS_URL": "https://ci.example.com/", "BUILD_TAG": "jenkins-fleet-PR-7-3", "BUILD_NUMBER": "3", "GIT_COMMIT": sha,
		"BUILD_URL": "https://ci.example.com/job/fleet/job/PR-7/3/",
	}
	event := func(change func(*cienv.Event)) cienv.Event {
		ev := cienv.Event{
			System: cienv.Jenkins, Kind: cienv.Push, Commit: sha, RunID: "jenkins-fleet-PR-7-3", RunURL: "https://ci.example.com/job/fleet/job/PR-7/3/",
		}
		change(&ev)
		return ev
	}
	pull := vars{"BRANCH_NAME": "PR-7", "CHANGE_ID": "7", "CHANGE_TARGET": "main", "CHANGE_BRANCH": "feature", "CHANGE_AUTHOR": "carol"}
	request := func(fork bool) cienv.Event {
		return event(func(ev *cienv.Event) {
			ev.Kind, ev.PullRequest, ev.Base, ev.Branch, ev.Actor, ev.Fork = cienv.PullRequest, "7", "main", "feature", "carol", fork
		})
	}
	check(t, []testCase{
		{"branch", job.with(vars{"BRANCH_NAME": "main", "BRANCH_IS_PRIMARY": "true"}), event(func(ev *cienv.Event) { ev.Branch = "main" })},
		{"pull request", job.with(pull), request(false)},
		{"fork", job.with(pull).with(vars{"CHANGE_FORK": "alice"}), request(true)},
		{"fork of another name", job.with(pull).with(vars{"CHANGE_FORK": "alice/my-fleet"}), request(true)},
		{"merge request", job.with(pull).with(vars{"BRANCH_NAME": "MR-7"}), request(false)},
		{"merge of a pull request, without its branch", job.with(vars{"BRANCH_NAME": "PR-7", "CHANGE_ID": "7", "CHANGE_TARGET": "main"}), event(func(ev *cienv.Event) {
			ev.Kind, ev.PullRequest, ev.Base, ev.Branch = cienv.PullRequest, "7", "main", "PR-7"
		})},
		{"tag", job.with(vars{"BRANCH_NAME": "v1", "TAG_NAME": "v1"}), event(func(ev *cienv.Event) { ev.Kind, ev.Tag = cienv.Tag, "v1" })},
		{"no multibranch", job.with(vars{"GIT_BRANCH": "origin/main"}), event(func(ev *cienv.Event) { ev.Branch = "main" })},
		{"no multibranch, another remote", job.with(vars{"GIT_BRANCH": "upstream/main"}), event(func(ev *cienv.Event) { ev.Branch, ev.OfRemote = "upstream/main", true })},
		{"no multibranch, a whole ref", job.with(vars{"GIT_BRANCH": "refs/remotes/origin/a/b"}), event(func(ev *cienv.Event) { ev.Branch = "a/b" })},
		{"no multibranch, a whole ref of another remote", job.with(vars{"GIT_BRANCH": "refs/remotes/upstream/main"}),
			event(func(ev *cienv.Event) { ev.Branch, ev.OfRemote = "upstream/main", true })},
		{"no multibranch, a branch with a remote's name", job.with(vars{"GIT_BRANCH": "origin/upstream/main"}), event(func(ev *cienv.Event) { ev.Branch = "upstream/main" })},
		{"no multibranch, a local branch", job.with(vars{"GIT_BRANCH": "refs/heads/main"}), event(func(ev *cienv.Event) { ev.Branch = "main" })},
		{"no multibranch, a name", job.with(vars{"GIT_BRANCH": "main"}), event(func(ev *cienv.Event) { ev.Branch = "main" })},
		{"a commit", job.with(vars{"GIT_BRANCH": "detached"}), event(func(*cienv.Event) {})},
		{"no URL of its own", vars{"JENKINS_HOME": "/var/jenkins_home", "BUILD_TAG": "jenkins-fleet-PR-7-3", "BUILD_NUMBER": "3", "GIT_COMMIT": sha}.with(pull), func() cienv.Event {
			ev := request(false)
			ev.RunURL = ""
			return ev
		}()},
		{"no build tag and no URL", vars{"JENKINS_HOME": "/var/jenkins_home", "JOB_NAME": "fleet", "BUILD_NUMBER": "3"},
			cienv.Event{System: cienv.Jenkins, Kind: cienv.Push, RunID: "fleet-3"}},
		{"no build tag", vars{"JENKINS_URL": "https://ci.example.com/", "JOB_NAME": "fleet", "BUILD_NUMBER": "3"},
			cienv.Event{System: cienv.Jenkins, Kind: cienv.Push, RunID: "fleet-3"}},
	})
}

func TestCodeBuild(t *testing.T) {
	job := vars{
		"CODEBUILD_BUILD_ID": "demo:b1e6661e-e4f2-4156-9ab9-82a19EXAMPLE", "AWS_REGION": "us-east-1", "CODEBUILD_RESOLVED_SOURCE_VERSION": sha,
		"CODEBUILD_INITIATOR": "GitHub-Hookshot/abc",
	}
	event := func(change func(*cienv.Event)) cienv.Event {
		ev := cienv.Event{
			System: cienv.CodeBuild, Kind: cienv.Push, Commit: sha, RunID: "demo:b1e6661e-e4f2-4156-9ab9-82a19EXAMPLE", Actor: "12345",
			RunURL: "https://console.aws.amazon.com/codebuild/home?region=us-east-1#/builds/demo:b1e6661e-e4f2-4156-9ab9-82a19EXAMPLE/view/new",
		}
		change(&ev)
		return ev
	}
	hook := job.with(vars{"CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID": "12345"})
	check(t, []testCase{
		{"pull request", hook.with(vars{
			"CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_UPDATED", "CODEBUILD_WEBHOOK_TRIGGER": "pr/7", "CODEBUILD_SOURCE_VERSION": "pr/7",
			"CODEBUILD_WEBHOOK_BASE_REF": "refs/heads/main", "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/feature",
		}), event(func(ev *cienv.Event) {
			ev.Kind, ev.Name, ev.PullRequest, ev.Base, ev.Branch = cienv.PullRequest, "PULL_REQUEST_UPDATED", "7", "main", "feature"
		})},
		{"push", hook.with(vars{
			"CODEBUILD_WEBHOOK_EVENT": "PUSH", "CODEBUILD_WEBHOOK_TRIGGER": "branch/feature/a", "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/feature/a",
			"CODEBUILD_SOURCE_VERSION": sha, "CODEBUILD_PUBLIC_BUILD_URL": "https://example.com/b",
		}), event(func(ev *cienv.Event) { ev.Name, ev.Branch, ev.RunURL = "PUSH", "feature/a", "https://example.com/b" })},
		{"tag", hook.with(vars{"CODEBUILD_WEBHOOK_EVENT": "PUSH", "CODEBUILD_WEBHOOK_TRIGGER": "tag/v1"}),
			event(func(ev *cienv.Event) { ev.Kind, ev.Name, ev.Tag = cienv.Tag, "PUSH", "v1" })},
		{"CodePipeline", job.with(vars{"CODEBUILD_INITIATOR": "codepipeline/fleet"}), event(func(ev *cienv.Event) {
			ev.Name, ev.Actor = "codepipeline", "codepipeline/fleet"
		})},
		{"by hand", job.with(vars{"CODEBUILD_INITIATOR": "carol", "CODEBUILD_SOURCE_VERSION": "refs/heads/main"}), event(func(ev *cienv.Event) {
			ev.Kind, ev.Actor, ev.Branch = cienv.Manual, "carol", "main"
		})},
		{"by hand, a tag", job.with(vars{"CODEBUILD_INITIATOR": "carol", "CODEBUILD_SOURCE_VERSION": "refs/tags/v1"}), event(func(ev *cienv.Event) {
			ev.Kind, ev.Actor, ev.Tag = cienv.Tag, "carol", "v1"
		})},
		{"by hand, a branch with a slash", job.with(vars{"CODEBUILD_INITIATOR": "carol", "CODEBUILD_SOURCE_VERSION": "tag/of-something"}),
			event(func(ev *cienv.Event) { ev.Kind, ev.Actor = cienv.Manual, "carol" })},
		{"CodePipeline, from S3", job.with(vars{"CODEBUILD_INITIATOR": "codepipeline/fleet", "CODEBUILD_SOURCE_VERSION": "arn:aws:s3:::artifacts/fleet/source/a.zip"}),
			event(func(ev *cienv.Event) { ev.Name, ev.Actor = "codepipeline", "codepipeline/fleet" })},
		{"EventBridge", job.with(vars{"CODEBUILD_INITIATOR": "rule/weekly"}), event(func(ev *cienv.Event) { ev.Kind, ev.Actor = cienv.Manual, "rule/weekly" })},
		{"merged pull request", hook.with(vars{
			"CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_MERGED", "CODEBUILD_WEBHOOK_TRIGGER": "pr/7", "CODEBUILD_SOURCE_VERSION": "pr/7",
			"CODEBUILD_WEBHOOK_BASE_REF": "refs/heads/main", "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/feature",
		}), event(func(ev *cienv.Event) {
			ev.Kind, ev.Name, ev.PullRequest, ev.Base, ev.Branch = cienv.PullRequest, "PULL_REQUEST_MERGED", "7", "main", "feature"
		})},
		{"by hand, a pull request", job.with(vars{"CODEBUILD_INITIATOR": "carol", "CODEBUILD_SOURCE_VERSION": "pr/7"}), event(func(ev *cienv.Event) {
			ev.Kind, ev.Actor, ev.PullRequest = cienv.PullRequest, "carol", "7"
		})},
	})
}

func TestAzure(t *testing.T) {
	job := vars{
		"TF_BUILD": "True", "BUILD_BUILDID": "301", "BUILD_SOURCEVERSION": sha, "BUILD_REQUESTEDFOR": "Carol", "SYSTEM_JOBATTEMPT": "1",
		"SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://dev.azure.com/contoso/", "SYSTEM_TEAMPROJECT": "My Fleet", "SYSTEM_PULLREQUEST_ISFORK": "False",
	}
	event := func(kind cienv.Kind, name string, change func(*cienv.Event)) cienv.Event {
		ev := cienv.Event{
			System: cienv.Azure, Kind: kind, Name: name, Commit: sha, RunID: "301", Attempt: "1", Actor: "Carol",
			RunURL: "https://dev.azure.com/contoso/My%20Fleet/_build/results?buildId=301",
		}
		change(&ev)
		return ev
	}
	pull := vars{"BUILD_REASON": "PullRequest", "BUILD_SOURCEBRANCH": "refs/pull/55/merge"}
	request := func(number string, fork bool) cienv.Event {
		return event(cienv.PullRequest, "PullRequest", func(ev *cienv.Event) {
			ev.PullRequest, ev.Base, ev.Branch, ev.Fork = number, "main", "feature", fork
		})
	}
	github := vars{
		"SYSTEM_PULLREQUEST_PULLREQUESTID": "987654321", "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": "55",
		"SYSTEM_PULLREQUEST_SOURCEBRANCH": "feature", "SYSTEM_PULLREQUEST_TARGETBRANCH": "main",
	}
	repos := vars{
		"SYSTEM_PULLREQUEST_PULLREQUESTID": "17", "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/feature",
		"SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/main",
	}
	onMain := func(ev *cienv.Event) { ev.Branch = "main" }
	check(t, []testCase{
		{"pull request of GitHub", job.with(pull).with(github), request("55", false)},
		{"fork", job.with(pull).with(github).with(vars{"SYSTEM_PULLREQUEST_ISFORK": "True"}), request("55", true)},
		{"pull request of Azure Repos", job.with(pull).with(repos), request("17", false)},
		{"pull request by hand", job.with(vars{"BUILD_REASON": "Manual", "BUILD_SOURCEBRANCH": "refs/pull/55/merge"}),
			event(cienv.PullRequest, "Manual", func(ev *cienv.Event) { ev.PullRequest, ev.Fork = "55", true })},
		{"push", job.with(vars{"BUILD_REASON": "IndividualCI", "BUILD_SOURCEBRANCH": "refs/heads/main"}), event(cienv.Push, "IndividualCI", onMain)},
		{"batch", job.with(vars{"BUILD_REASON": "BatchedCI", "BUILD_SOURCEBRANCH": "refs/heads/main"}), event(cienv.Push, "BatchedCI", onMain)},
		{"by another pipeline", job.with(vars{"BUILD_REASON": "ResourceTrigger", "BUILD_SOURCEBRANCH": "refs/heads/main"}),
			event(cienv.Manual, "ResourceTrigger", onMain)},
		{"tag by hand", job.with(vars{"BUILD_REASON": "Manual", "BUILD_SOURCEBRANCH": "refs/tags/v1"}),
			event(cienv.Tag, "Manual", func(ev *cienv.Event) { ev.Tag = "v1" })},
		{"schedule", job.with(vars{"BUILD_REASON": "Schedule", "BUILD_SOURCEBRANCH": "refs/heads/main"}), event(cienv.Schedule, "Schedule", onMain)},
		{"manual", job.with(vars{"BUILD_REASON": "Manual", "BUILD_SOURCEBRANCH": "refs/heads/main"}), event(cienv.Manual, "Manual", onMain)},
		{"tag", job.with(vars{"BUILD_REASON": "IndividualCI", "BUILD_SOURCEBRANCH": "refs/tags/v1"}),
			event(cienv.Tag, "IndividualCI", func(ev *cienv.Event) { ev.Tag = "v1" })},
	})
}

func TestTeamCity(t *testing.T) {
	job := vars{
		"TEAMCITY_VERSION": "2025.11", "BUILD_NUMBER": "12", "BUILD_VCS_NUMBER": sha, "TEAMCITY_PROJECT_NAME": "Acme", "TEAMCITY_BUILDCONF_NAME": "fleet",
		"BUILD_URL":                      "https://tc.example.com/viewLog.html?buildId=345",
		"TEAMCITY_BUILD_PROPERTIES_FILE": "file:teamcity.version=2025.11\nteamcity.configuration.properties.file=$DIR/CONFIG\n",
	}
	event := func(change func(*cienv.Event)) cienv.Event {
		ev := cienv.Event{
			System: cienv.TeamCity, Kind: cienv.Push, Commit: sha, RunID: "345", RunURL: "https://tc.example.com/viewLog.html?buildId=345", Actor: "carol",
		}
		change(&ev)
		return ev
	}
	config := func(more string) vars {
		return job.with(vars{"CONFIG": "file:#written by TeamCity\nteamcity.build.id=345\nteamcity.build.triggeredBy.username=carol\n" + more})
	}
	check(t, []testCase{
		{"branch", config("teamcity.build.branch=feature/a\nreference=%env.X% ${x}\n"), event(func(ev *cienv.Event) { ev.Branch = "feature/a" })},
		{"default branch", config("teamcity.build.branch=<default>\n"), event(func(*cienv.Event) {})},
		{"pull request", config("teamcity.build.branch=pull/7\nteamcity.pullRequest.number=7\n" +
			"teamcity.pullRequest.source.branch=refs/heads/feature\nteamcity.pullRequest.target.branch=refs/heads/main\n"),
			event(func(ev *cienv.Event) {
				ev.Kind, ev.PullRequest, ev.Branch, ev.Base = cienv.PullRequest, "7", "feature", "main"
			})},
		{"tag", config("teamcity.build.branch=refs/tags/v1\n"), event(func(ev *cienv.Event) { ev.Kind, ev.Tag = cienv.Tag, "v1" })},
		{"without the files", job.with(vars{"TEAMCITY_BUILD_PROPERTIES_FILE": "/nonexistent"}), event(func(ev *cienv.Event) {
			ev.RunID, ev.Actor = "Acme-fleet-12", ""
		})},
	})
}

func TestDrone(t *testing.T) {
	job := vars{
		"CI": "true", "DRONE": "true", "DRONE_COMMIT_SHA": sha, "DRONE_BUILD_NUMBER": "42", "DRONE_BRANCH": "main", "DRONE_TARGET_BRANCH": "main",
		"DRONE_BUILD_LINK": "https://drone.company.com/octocat/hello-world/42", "DRONE_BUILD_TRIGGER": "octocat",
	}
	event := func(kind cienv.Kind, name string, change func(*cienv.Event)) cienv.Event {
		ev := cienv.Event{
			System: cienv.Drone, Kind: kind, Name: name, Branch: "main", Commit: sha, RunID: "42", Actor: "octocat",
			RunURL: "https://drone.company.com/octocat/hello-world/42",
		}
		if change != nil {
			change(&ev)
		}
		return ev
	}
	check(t, []testCase{
		{"push", job.with(vars{"DRONE_BUILD_EVENT": "push"}), event(cienv.Push, "push", nil)},
		{"cron", job.with(vars{"DRONE_BUILD_EVENT": "cron"}), event(cienv.Schedule, "cron", nil)},
		{"custom", job.with(vars{"DRONE_BUILD_EVENT": "custom"}), event(cienv.Manual, "custom", nil)},
		{"promote", job.with(vars{"DRONE_BUILD_EVENT": "promote", "DRONE_DEPLOY_TO": "production"}), event(cienv.Manual, "promote", nil)},
		{"pull request", job.with(vars{"DRONE_BUILD_EVENT": "pull_request", "DRONE_PULL_REQUEST": "42", "DRONE_SOURCE_BRANCH": "feature/develop"}),
			event(cienv.PullRequest, "pull_request", func(ev *cienv.Event) { ev.PullRequest, ev.Branch, ev.Base = "42", "feature/develop", "main" })},
		{"tag", job.with(vars{"DRONE_BUILD_EVENT": "tag", "DRONE_TAG": "v1"}),
			event(cienv.Tag, "tag", func(ev *cienv.Event) { ev.Tag, ev.Branch = "v1", "" })},
	})
}

func TestWoodpecker(t *testing.T) {
	job := vars{
		"CI": "woodpecker", "CI_COMMIT_SHA": sha, "CI_PIPELINE_NUMBER": "8", "CI_PIPELINE_URL": "https://ci.example.com/repos/7/pipeline/8",
		"CI_COMMIT_BRANCH": "main", "CI_COMMIT_AUTHOR": "john-doe",
	}
	event := func(kind cienv.Kind, name string, change func(*cienv.Event)) cienv.Event {
		ev := cienv.Event{
			System: cienv.Woodpecker, Kind: kind, Name: name, Branch: "main", Commit: sha, RunID: "8", Actor: "john-doe",
			RunURL: "https://ci.example.com/repos/7/pipeline/8",
		}
		if change != nil {
			change(&ev)
		}
		return ev
	}
	check(t, []testCase{
		{"push", job.with(vars{"CI_PIPELINE_EVENT": "push"}), event(cienv.Push, "push", nil)},
		{"cron", job.with(vars{"CI_PIPELINE_EVENT": "cron"}), event(cienv.Schedule, "cron", nil)},
		{"manual", job.with(vars{"CI_PIPELINE_EVENT": "manual"}), event(cienv.Manual, "manual", nil)},
		{"deployment", job.with(vars{"CI_PIPELINE_EVENT": "deployment"}), event(cienv.Manual, "deployment", nil)},
		{"release", job.with(vars{"CI_PIPELINE_EVENT": "release", "CI_COMMIT_TAG": "v1"}),
			event(cienv.Tag, "release", func(ev *cienv.Event) { ev.Tag, ev.Branch = "v1", "" })},
		{"closed pull request", job.with(vars{
			"CI_PIPELINE_EVENT": "pull_request_closed", "CI_COMMIT_PULL_REQUEST": "1", "CI_COMMIT_SOURCE_BRANCH": "issue-branch", "CI_COMMIT_TARGET_BRANCH": "main",
		}), event(cienv.PullRequest, "pull_request_closed", func(ev *cienv.Event) { ev.PullRequest, ev.Branch, ev.Base = "1", "issue-branch", "main" })},
		{"pull request", job.with(vars{
			"CI_PIPELINE_EVENT": "pull_request", "CI_COMMIT_PULL_REQUEST": "1", "CI_COMMIT_SOURCE_BRANCH": "issue-branch", "CI_COMMIT_TARGET_BRANCH": "main",
		}), event(cienv.PullRequest, "pull_request", func(ev *cienv.Event) { ev.PullRequest, ev.Branch, ev.Base = "1", "issue-branch", "main" })},
		{"tag", job.with(vars{"CI_PIPELINE_EVENT": "tag", "CI_COMMIT_TAG": "v1.10.3"}),
			event(cienv.Tag, "tag", func(ev *cienv.Event) { ev.Tag, ev.Branch = "v1.10.3", "" })},
	})
}
