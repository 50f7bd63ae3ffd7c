package cienv_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/cmd/imgops/cienv"
)

func TestGitHub(t *testing.T) {
	job := vars{
		"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/fleet",
		"GITHUB_RUN_ID": "1658821493", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_SHA": sha, "GITHUB_ACTOR": "octocat",
		"GITHUB_TRIGGERING_ACTOR": "hubot",
	}
	base := cienv.Event{
		System: cienv.GitHub, Commit: sha, RunID: "1658821493", Attempt: "2", Actor: "hubot",
		RunURL: "https://github.com/acme/fleet/actions/runs/1658821493",
	}
	event := func(change func(*cienv.Event)) cienv.Event {
		ev := base
		change(&ev)
		return ev
	}
	pull := vars{
		"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_REF_NAME": "7/merge", "GITHUB_REF_TYPE": "branch",
		"GITHUB_BASE_REF": "main", "GITHUB_HEAD_REF": "feature",
	}
	payload := func(head string) string {
		return `file:{"action": "synchronize", "pull_request": {"number": 7,
			"base": {"ref": "main", "repo": {"full_name": "acme/fleet"}}, "head": {"ref": "feature", "repo": ` + head + `}}}`
	}
	pullEvent := func(name string, fork bool) cienv.Event {
		return event(func(ev *cienv.Event) {
			ev.Kind, ev.Name, ev.PullRequest, ev.Base, ev.Branch, ev.Fork = cienv.PullRequest, name, "7", "main", "feature", fork
		})
	}
	lacking := pullEvent("pull_request", true)
	lacking.Lacks = "GITHUB_EVENT_PATH"
	target := pull.with(vars{"GITHUB_EVENT_NAME": "pull_request_target", "GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main"})
	own, fork := `{"full_name": "acme/fleet"}`, `{"full_name": "alice/fleet"}`
	check(t, []testCase{
		{"pull request", job.with(pull).with(vars{"GITHUB_EVENT_PATH": payload(own)}), pullEvent("pull_request", false)},
		{"of a fork", job.with(pull).with(vars{"GITHUB_EVENT_PATH": payload(fork)}), pullEvent("pull_request", true)},
		{"of a deleted fork", job.with(pull).with(vars{"GITHUB_EVENT_PATH": payload("null")}), pullEvent("pull_request", true)},
		{"without the event's file", job.with(pull), lacking},
		{"with a broken file", job.with(pull).with(vars{"GITHUB_EVENT_PATH": "file:{"}), lacking},
		{"pull_request_target", job.with(target).with(vars{"GITHUB_EVENT_PATH": payload(fork)}), pullEvent("pull_request_target", true)},
		{"with the head's commit", job.with(target).with(vars{
			"GITHUB_EVENT_PATH": `file:{"pull_request": {"number": 7, "base": {"ref": "main", "sha": "` + sha + `", "repo": ` + own + `},
				"head": {"ref": "feature", "sha": "` + head + `", "repo": ` + own + `}}}`,
		}), func() cienv.Event {
			ev := pullEvent("pull_request_target", false)
			ev.Head = head
			return ev
		}()},
		{"merge queue of another form", job.with(vars{
			"GITHUB_EVENT_NAME": "merge_group", "GITHUB_REF_TYPE": "branch", "GITHUB_REF_NAME": "gh-readonly-queue/release/v1/pr-12-" + sha,
		}), event(func(ev *cienv.Event) {
			ev.Kind, ev.Name, ev.PullRequest, ev.Branch = cienv.MergeQueue, "merge_group", "12", "gh-readonly-queue/release/v1/pr-12-"+sha
		})},
		{"review", job.with(vars{
			"GITHUB_EVENT_NAME": "pull_request_review", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_EVENT_PATH": payload(own),
		}), pullEvent("pull_request_review", false)},
		{"merge queue", job.with(vars{
			"GITHUB_EVENT_NAME": "merge_group", "GITHUB_REF": "refs/heads/gh-readonly-queue/main/pr-7-" + sha, "GITHUB_REF_TYPE": "branch",
			"GITHUB_REF_NAME":   "gh-readonly-queue/main/pr-7-" + sha,
			"GITHUB_EVENT_PATH": `file:{"action": "checks_requested", "merge_group": {"base_ref": "refs/heads/main", "head_sha": "` + sha + `"}}`,
		}), event(func(ev *cienv.Event) {
			ev.Kind, ev.Name, ev.Base, ev.Branch = cienv.MergeQueue, "merge_group", "main", "gh-readonly-queue/main/pr-7-"+sha
			ev.PullRequest = "7"
		})},
		{"push", job.with(vars{
			"GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/feature/a", "GITHUB_REF_NAME": "feature/a", "GITHUB_REF_TYPE": "branch",
		}), event(func(ev *cienv.Event) { ev.Kind, ev.Name, ev.Branch = cienv.Push, "push", "feature/a" })},
		{"tag", job.with(vars{
			"GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/tags/v1", "GITHUB_REF_NAME": "v1", "GITHUB_REF_TYPE": "tag",
		}), event(func(ev *cienv.Event) { ev.Kind, ev.Name, ev.Tag = cienv.Tag, "push", "v1" })},
		{"schedule", job.with(vars{
			"GITHUB_EVENT_NAME": "schedule", "GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "branch",
		}), event(func(ev *cienv.Event) { ev.Kind, ev.Name, ev.Branch = cienv.Schedule, "schedule", "main" })},
		{"workflow_dispatch", job.with(vars{
			"GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "branch",
		}), event(func(ev *cienv.Event) { ev.Kind, ev.Name, ev.Branch = cienv.Manual, "workflow_dispatch", "main" })},
		{"workflow_dispatch on a tag", job.with(vars{
			"GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_REF": "refs/tags/v1", "GITHUB_REF_NAME": "v1", "GITHUB_REF_TYPE": "tag",
		}), event(func(ev *cienv.Event) { ev.Kind, ev.Name, ev.Tag = cienv.Tag, "workflow_dispatch", "v1" })},
		{"release", job.with(vars{
			"GITHUB_EVENT_NAME": "release", "GITHUB_REF": "refs/tags/v1", "GITHUB_REF_NAME": "v1", "GITHUB_REF_TYPE": "tag",
		}), event(func(ev *cienv.Event) { ev.Kind, ev.Name, ev.Tag = cienv.Tag, "release", "v1" })},
		{"comment", job.with(vars{ // of anybody, also on a pull request: it runs on the default branch
			"GITHUB_EVENT_NAME": "issue_comment", "GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "branch",
		}), event(func(ev *cienv.Event) { ev.Kind, ev.Name, ev.Branch = cienv.Manual, "issue_comment", "main" })},
	})
}

const head = "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c"

// TestHead: systems that build a merge commit say which commit of the branch it is of.
func TestHead(t *testing.T) {
	for name, v := range map[string]vars{
		"gitlab": {"GITLAB_CI": "true", "CI_MERGE_REQUEST_IID": "7", "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": head},
		"azure":  {"TF_BUILD": "True", "BUILD_REASON": "PullRequest", "BUILD_SOURCEBRANCH": "refs/pull/7/merge", "SYSTEM_PULLREQUEST_SOURCECOMMITID": head},
		"travis": {"TRAVIS": "true", "TRAVIS_EVENT_TYPE": "pull_request", "TRAVIS_PULL_REQUEST_SHA": head},
	} {
		ev, ok := cienv.Detect(environ(t, v))
		require.True(t, ok, name)
		require.Equal(t, head, ev.Head, name)
	}
	ev, _ := cienv.Detect(environ(t, vars{"TRAVIS": "true", "TRAVIS_EVENT_TYPE": "pull_request", "TRAVIS_PULL_REQUEST_SHA": "HEAD"}))
	require.Empty(t, ev.Head, "no commit's id")
}

func TestGitLab(t *testing.T) {
	job := vars{
		"CI": "true", "GITLAB_CI": "true", "CI_COMMIT_SHA": sha, "CI_PIPELINE_ID": "98765", "GITLAB_USER_LOGIN": "carol",
		"CI_PIPELINE_URL": "https://gitlab.com/acme/fleet/-/pipelines/98765", "CI_PROJECT_ID": "1",
	}
	event := func(change func(*cienv.Event)) cienv.Event {
		ev := cienv.Event{
			System: cienv.GitLab, Commit: sha, RunID: "98765", RunURL: "https://gitlab.com/acme/fleet/-/pipelines/98765", Actor: "carol",
		}
		change(&ev)
		return ev
	}
	request := func(source, kind, project string) vars {
		return job.with(vars{
			"CI_PIPELINE_SOURCE": source, "CI_MERGE_REQUEST_IID": "7", "CI_MERGE_REQUEST_ID": "4711", "CI_MERGE_REQUEST_EVENT_TYPE": kind,
			"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
			"CI_MERGE_REQUEST_PROJECT_ID": "1", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": project, "CI_COMMIT_REF_NAME": "feature",
		})
	}
	merge := func(kind cienv.Kind, name string, fork bool) cienv.Event {
		return event(func(ev *cienv.Event) {
			ev.Kind, ev.Name, ev.PullRequest, ev.Branch, ev.Base, ev.Fork = kind, name, "7", "feature", "main", fork
		})
	}
	branch := func(source string) vars {
		return job.with(vars{"CI_PIPELINE_SOURCE": source, "CI_COMMIT_BRANCH": "main", "CI_COMMIT_REF_NAME": "main"})
	}
	onMain := func(kind cienv.Kind, name string) cienv.Event {
		return event(func(ev *cienv.Event) { ev.Kind, ev.Name, ev.Branch = kind, name, "main" })
	}
	check(t, []testCase{
		{"merge request", request("merge_request_event", "detached", "1"), merge(cienv.PullRequest, "detached", false)},
		{"merged results", request("merge_request_event", "merged_result", "1"), merge(cienv.PullRequest, "merged_result", false)},
		{"merge train", request("merge_request_event", "merge_train", "1"), merge(cienv.MergeQueue, "merge_train", false)},
		{"of a fork", request("merge_request_event", "detached", "2"), merge(cienv.PullRequest, "detached", true)},
		{"of a deleted fork", request("merge_request_event", "detached", ""), merge(cienv.PullRequest, "detached", true)},
		{"merge train of a fork", request("merge_request_event", "merge_train", "2"), merge(cienv.MergeQueue, "merge_train", true)},
		{"child pipeline of a merge train", request("parent_pipeline", "merge_train", "1"), merge(cienv.MergeQueue, "merge_train", false)},
		{"child pipeline of a fork's", request("parent_pipeline", "detached", "2"), merge(cienv.PullRequest, "detached", true)},
		{"child pipeline", request("parent_pipeline", "detached", "1"), merge(cienv.PullRequest, "detached", false)},
		{"push", branch("push"), onMain(cienv.Push, "push")},
		{"child of a push", branch("parent_pipeline"), onMain(cienv.Push, "parent_pipeline")},
		{"schedule", branch("schedule"), onMain(cienv.Schedule, "schedule")},
		{"web", branch("web"), onMain(cienv.Manual, "web")},
		{"api", branch("api"), onMain(cienv.Manual, "api")},
		{"trigger token", branch("trigger"), onMain(cienv.Manual, "trigger")},
		{"other project's pipeline", branch("pipeline"), onMain(cienv.Manual, "pipeline")},
		{"tag by hand", job.with(vars{"CI_PIPELINE_SOURCE": "web", "CI_COMMIT_TAG": "v1", "CI_COMMIT_REF_NAME": "v1"}),
			event(func(ev *cienv.Event) { ev.Kind, ev.Name, ev.Tag = cienv.Tag, "web", "v1" })},
		{"tag", job.with(vars{"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "v1", "CI_COMMIT_REF_NAME": "v1"}),
			event(func(ev *cienv.Event) { ev.Kind, ev.Name, ev.Tag = cienv.Tag, "push", "v1" })},
		{"pull request of GitHub", job.with(vars{
			"CI_PIPELINE_SOURCE": "external_pull_request_event", "CI_EXTERNAL_PULL_REQUEST_IID": "7",
			"CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY": "alice/fleet", "CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY": "acme/fleet",
			"CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME": "feature", "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME": "main",
		}), merge(cienv.PullRequest, "external_pull_request_event", true)},
	})
}
