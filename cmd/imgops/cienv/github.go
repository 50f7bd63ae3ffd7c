package cienv

import (
	"encoding/json"
	"os"
	"strings"
)

// githubEvent is what is needed of the webhook payload in GITHUB_EVENT_PATH
// (https://docs.github.com/en/webhooks/webhook-events-and-payloads).
type githubEvent struct {
	PullRequest *struct {
		Number json.Number `json:"number"`
		Base   githubSide  `json:"base"`
		Head   githubSide  `json:"head"`
	} `json:"pull_request"`
	MergeGroup *struct {
		BaseRef string `json:"base_ref"`
	} `json:"merge_group"`
}

type githubSide struct {
	Ref  string `json:"ref"`
	SHA  string `json:"sha"`
	Repo *struct {
		FullName string `json:"full_name"`
	} `json:"repo"` // null when the fork was deleted
}

var queueRef = lazy(`^gh-readonly-queue/.+/pr-([0-9]+)-[0-9a-f]{40}$`)

// github follows https://docs.github.com/en/actions/reference/workflows-and-actions/variables and, for what each event
// builds, https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows.
func github(e env) Event {
	ev := Event{
		Name: e("GITHUB_EVENT_NAME"), Commit: e("GITHUB_SHA"), RunID: e("GITHUB_RUN_ID"), Attempt: e("GITHUB_RUN_ATTEMPT"),
		Actor: e.first("GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR"),
	}
	if server, repo := e("GITHUB_SERVER_URL"), e("GITHUB_REPOSITORY"); server != "" && repo != "" {
		ev.RunURL = server + "/" + repo + "/actions/runs/" + ev.RunID
	}
	payload := readGitHubEvent(e("GITHUB_EVENT_PATH"))
	switch ev.Name {
	case "pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment":
		return githubPullRequest(e, ev, payload)
	case "merge_group": // GITHUB_REF is refs/heads/gh-readonly-queue/main/pr-7-SHA; the payload has no number
		ev.Kind, ev.Branch = MergeQueue, e("GITHUB_REF_NAME")
		if m := queueRef().FindStringSubmatch(ev.Branch); m != nil {
			ev.PullRequest = m[1]
		}
		if payload.MergeGroup != nil {
			ev.Base = branch(payload.MergeGroup.BaseRef)
		}
		return ev
	case "push":
		ev.Kind = Push
	case "schedule":
		ev.Kind = Schedule
	default: // workflow_dispatch, workflow_call, release, ...
		ev.Kind = Manual
	}
	if e("GITHUB_REF_TYPE") == "tag" {
		ev.Kind, ev.Tag = Tag, e("GITHUB_REF_NAME")
		return ev
	}
	ev.Branch = e("GITHUB_REF_NAME")
	return ev
}

// githubPullRequest: GITHUB_REF is refs/pull/7/merge for pull_request. For pull_request_target it is the base, whose
// commit GITHUB_SHA is, too: nothing of the pull request is built unless the workflow checks it out itself.
func githubPullRequest(e env, ev Event, payload githubEvent) Event {
	ev.Kind, ev.Base, ev.Branch = PullRequest, e("GITHUB_BASE_REF"), e("GITHUB_HEAD_REF")
	if number, ok := strings.CutPrefix(e("GITHUB_REF"), "refs/pull/"); ok {
		number, _, _ = strings.Cut(number, "/")
		ev.PullRequest = digits(number)
	}
	pr := payload.PullRequest
	if pr == nil {
		ev.Fork, ev.Lacks = true, "GITHUB_EVENT_PATH" // the other variables do not say
		return ev
	}
	ev.PullRequest, ev.Head = pr.Number.String(), commitID(pr.Head.SHA)
	if ev.Base == "" {
		ev.Base, ev.Branch = pr.Base.Ref, pr.Head.Ref
	}
	ev.Fork = pr.Head.Repo == nil || pr.Base.Repo == nil || pr.Head.Repo.FullName != pr.Base.Repo.FullName
	return ev
}

// readGitHubEvent reads the payload; an empty one when it cannot be read, which makes a pull request a fork's.
func readGitHubEvent(path string) githubEvent {
	var ev githubEvent
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &ev) != nil {
		return githubEvent{}
	}
	return ev
}
