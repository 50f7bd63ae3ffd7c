package cienv_test

import (
	"testing"

	"github.com/imgops/imgops/cmd/imgops/cienv"
)

func TestBitbucket(t *testing.T) {
	job := vars{
		"CI": "true", "BITBUCKET_BUILD_NUMBER": "42", "BITBUCKET_COMMIT": sha, "BITBUCKET_REPO_FULL_NAME": "acme/fleet",
		"BITBUCKET_STEP_TRIGGERER_UUID": "{u}", "BITBUCKET_STEP_RUN_NUMBER": "1",
	}
	want := cienv.Event{
		System: cienv.Bitbucket, Kind: cienv.Push, Commit: sha, Branch: "main", RunID: "42", Attempt: "1", Actor: "{u}",
		RunURL: "https://bitbucket.org/acme/fleet/pipelines/results/42",
	}
	pull, tag := want, want
	pull.Kind, pull.PullRequest, pull.Branch, pull.Base = cienv.PullRequest, "7", "feature", "main"
	tag.Kind, tag.Tag, tag.Branch = cienv.Tag, "v1", ""
	check(t, []testCase{
		{"branch", job.with(vars{"BITBUCKET_BRANCH": "main"}), want},
		{"pull request", job.with(vars{"BITBUCKET_BRANCH": "feature", "BITBUCKET_PR_ID": "7", "BITBUCKET_PR_DESTINATION_BRANCH": "main"}), pull},
		{"tag", job.with(vars{"BITBUCKET_TAG": "v1"}), tag},
	})
}

func TestCircleCI(t *testing.T) {
	job := vars{
		"CI": "true", "CIRCLECI": "true", "CIRCLE_SHA1": sha, "CIRCLE_WORKFLOW_ID": "7b2ab3e4-1c1f-4b0f-9d31-000000000001",
		"CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/fleet/12", "CIRCLE_USERNAME": "carol",
	}
	want := cienv.Event{
		System: cienv.CircleCI, Kind: cienv.Push, Commit: sha, Branch: "main", RunID: "7b2ab3e4-1c1f-4b0f-9d31-000000000001",
		RunURL: "https://circleci.com/gh/acme/fleet/12", Actor: "carol",
	}
	pull, fork, tag := want, want, want
	pull.Branch, pull.PullRequest = "feature", "7"
	fork.Kind, fork.Branch, fork.PullRequest, fork.Fork = cienv.PullRequest, "pull/7", "7", true
	tag.Kind, tag.Tag, tag.Branch = cienv.Tag, "v1", ""
	url := "https://github.com/acme/fleet/pull/7"
	check(t, []testCase{
		{"branch", job.with(vars{"CIRCLE_BRANCH": "main"}), want},
		{"branch with a pull request", job.with(vars{"CIRCLE_BRANCH": "feature", "CIRCLE_PULL_REQUEST": url}), pull},
		{"fork", job.with(vars{
			"CIRCLE_BRANCH": "pull/7", "CIRCLE_PULL_REQUEST": url, "CIRCLE_PR_NUMBER": "7", "CIRCLE_PR_USERNAME": "alice", "CIRCLE_PR_REPONAME": "fleet",
		}), fork},
		{"fork by its branch", job.with(vars{"CIRCLE_BRANCH": "pull/7"}), fork},
		{"a branch that looks like one", job.with(vars{"CIRCLE_BRANCH": "pull/7-a"}), func() cienv.Event {
			ev := want
			ev.Branch = "pull/7-a"
			return ev
		}()},
		{"tag", job.with(vars{"CIRCLE_TAG": "v1"}), tag},
	})
}

func TestTravis(t *testing.T) {
	job := vars{
		"CI": "true", "TRAVIS": "true", "TRAVIS_COMMIT": sha, "TRAVIS_BUILD_ID": "123", "TRAVIS_REPO_SLUG": "acme/fleet",
		"TRAVIS_BUILD_WEB_URL": "https://app.travis-ci.com/acme/fleet/builds/123", "TRAVIS_BRANCH": "main", "TRAVIS_PULL_REQUEST": "false",
	}
	event := func(kind cienv.Kind, name string, change func(*cienv.Event)) cienv.Event {
		ev := cienv.Event{
			System: cienv.Travis, Kind: kind, Name: name, Branch: "main", Commit: sha, RunID: "123",
			RunURL: "https://app.travis-ci.com/acme/fleet/builds/123",
		}
		if change != nil {
			change(&ev)
		}
		return ev
	}
	pull := vars{"TRAVIS_EVENT_TYPE": "pull_request", "TRAVIS_PULL_REQUEST": "7", "TRAVIS_PULL_REQUEST_BRANCH": "feature"}
	request := func(fork bool) cienv.Event {
		return event(cienv.PullRequest, "pull_request", func(ev *cienv.Event) {
			ev.PullRequest, ev.Branch, ev.Base, ev.Fork = "7", "feature", "main", fork
		})
	}
	check(t, []testCase{
		{"push", job.with(vars{"TRAVIS_EVENT_TYPE": "push"}), event(cienv.Push, "push", nil)},
		{"cron", job.with(vars{"TRAVIS_EVENT_TYPE": "cron"}), event(cienv.Schedule, "cron", nil)},
		{"api", job.with(vars{"TRAVIS_EVENT_TYPE": "api"}), event(cienv.Manual, "api", nil)},
		{"pull request", job.with(pull).with(vars{"TRAVIS_PULL_REQUEST_SLUG": "acme/fleet"}), request(false)},
		{"fork", job.with(pull).with(vars{"TRAVIS_PULL_REQUEST_SLUG": "alice/fleet"}), request(true)},
		{"deleted fork", job.with(pull), request(true)},
		{"tag", job.with(vars{"TRAVIS_EVENT_TYPE": "push", "TRAVIS_TAG": "v1", "TRAVIS_BRANCH": "v1"}),
			event(cienv.Tag, "push", func(ev *cienv.Event) { ev.Tag, ev.Branch = "v1", "" })},
	})
}

func TestBuildkite(t *testing.T) {
	job := vars{
		"CI": "true", "BUILDKITE": "true", "BUILDKITE_COMMIT": sha, "BUILDKITE_BRANCH": "main", "BUILDKITE_PULL_REQUEST": "false",
		"BUILDKITE_PULL_REQUEST_BASE_BRANCH": "", "BUILDKITE_BUILD_ID": "4735ba57-80d0-46e2-8fa0-b28223a86586", "BUILDKITE_SOURCE": "webhook",
		"BUILDKITE_BUILD_URL": "https://buildkite.com/acme-inc/fleet/builds/1514", "BUILDKITE_RETRY_COUNT": "0",
		"BUILDKITE_BUILD_CREATOR": "Carol Danvers", "BUILDKITE_REPO": "git@github.com:acme-inc/fleet.git",
	}
	event := func(kind cienv.Kind, change func(*cienv.Event)) cienv.Event {
		ev := cienv.Event{
			System: cienv.Buildkite, Kind: kind, Name: "webhook", Branch: "main", Commit: sha, Attempt: "0", Actor: "Carol Danvers",
			RunID: "4735ba57-80d0-46e2-8fa0-b28223a86586", RunURL: "https://buildkite.com/acme-inc/fleet/builds/1514",
		}
		if change != nil {
			change(&ev)
		}
		return ev
	}
	pull := vars{"BUILDKITE_PULL_REQUEST": "7", "BUILDKITE_PULL_REQUEST_BASE_BRANCH": "main", "BUILDKITE_BRANCH": "feature"}
	request := func(fork bool) cienv.Event {
		return event(cienv.PullRequest, func(ev *cienv.Event) {
			ev.PullRequest, ev.Base, ev.Branch, ev.Fork = "7", "main", "feature", fork
		})
	}
	check(t, []testCase{
		{"push", job, event(cienv.Push, nil)},
		{"commit by name", job.with(vars{"BUILDKITE_COMMIT": "HEAD", "BUILDKITE_SOURCE": "ui"}), event(cienv.Manual, func(ev *cienv.Event) {
			ev.Name, ev.Commit = "ui", ""
		})},
		{"api", job.with(vars{"BUILDKITE_SOURCE": "api"}), event(cienv.Manual, func(ev *cienv.Event) { ev.Name = "api" })},
		{"trigger step", job.with(vars{"BUILDKITE_SOURCE": "trigger_job"}), event(cienv.Push, func(ev *cienv.Event) { ev.Name = "trigger_job" })},
		{"pull request without its repository", job.with(pull).with(vars{"BUILDKITE_PULL_REQUEST_REPO": ""}), request(true)},
		{"pull request of a fork's main", job.with(pull).with(vars{"BUILDKITE_BRANCH": "main", "BUILDKITE_PULL_REQUEST_REPO": "git://github.com/alice/fleet.git"}),
			event(cienv.PullRequest, func(ev *cienv.Event) { ev.PullRequest, ev.Base, ev.Fork = "7", "main", true })},
		{"schedule", job.with(vars{"BUILDKITE_SOURCE": "schedule"}), event(cienv.Schedule, func(ev *cienv.Event) { ev.Name = "schedule" })},
		{"pull request", job.with(pull).with(vars{"BUILDKITE_PULL_REQUEST_REPO": "git://github.com/acme-inc/fleet.git"}), request(false)},
		{"over https", job.with(pull).with(vars{"BUILDKITE_PULL_REQUEST_REPO": "https://github.com/Acme-Inc/fleet"}), request(false)},
		{"fork", job.with(pull).with(vars{"BUILDKITE_PULL_REQUEST_REPO": "git://github.com/alice/fleet.git"}), request(true)},
		{"merge queue", job.with(vars{"BUILDKITE_MERGE_QUEUE_BASE_BRANCH": "main", "BUILDKITE_BRANCH": "gh-readonly-queue/main/pr-7"}),
			event(cienv.MergeQueue, func(ev *cienv.Event) { ev.Base, ev.Branch = "main", "gh-readonly-queue/main/pr-7" })},
		{"tag", job.with(vars{"BUILDKITE_TAG": "v1", "BUILDKITE_BRANCH": "v1"}), event(cienv.Tag, func(ev *cienv.Event) { ev.Tag, ev.Branch = "v1", "" })},
	})
}
