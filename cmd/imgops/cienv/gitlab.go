package cienv

// gitlab follows https://docs.gitlab.com/ci/variables/predefined_variables/ and, for the sources,
// https://docs.gitlab.com/ci/jobs/job_rules/#ci_pipeline_source-predefined-variable.
func gitlab(e env) Event {
	ev := Event{
		Name: e("CI_PIPELINE_SOURCE"), Commit: e("CI_COMMIT_SHA"), RunID: e("CI_PIPELINE_ID"), RunURL: e("CI_PIPELINE_URL"),
		Actor: e("GITLAB_USER_LOGIN"),
	}
	switch {
	case e("CI_MERGE_REQUEST_IID") != "": // also in the child pipelines of a merge request's, whose source is parent_pipeline
		return gitlabMergeRequest(e, ev)
	case e("CI_EXTERNAL_PULL_REQUEST_IID") != "":
		ev.Kind, ev.PullRequest = PullRequest, digits(e("CI_EXTERNAL_PULL_REQUEST_IID"))
		ev.Branch, ev.Base = e("CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME"), e("CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME")
		ev.Fork = e("CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY") != e("CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY")
		return ev
	case e("CI_COMMIT_TAG") != "":
		ev.Kind, ev.Tag = Tag, e("CI_COMMIT_TAG")
		return ev
	}
	ev.Branch = e.first("CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME")
	switch ev.Name {
	case "schedule":
		ev.Kind = Schedule
	case "push", "parent_pipeline":
		ev.Kind = Push
	default: // web, api, trigger, pipeline, chat, ...
		ev.Kind = Manual
	}
	return ev
}

// gitlabMergeRequest: CI_MERGE_REQUEST_EVENT_TYPE is detached (the branch's own commit), merged_result (a merge commit
// made for the pipeline) or merge_train.
func gitlabMergeRequest(e env, ev Event) Event {
	ev.Kind, ev.PullRequest = PullRequest, digits(e("CI_MERGE_REQUEST_IID"))
	ev.Head = commitID(e("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA")) // of merged results only
	if kind := e("CI_MERGE_REQUEST_EVENT_TYPE"); kind != "" {
		ev.Name = kind
		if kind == "merge_train" {
			ev.Kind = MergeQueue
		}
	}
	ev.Branch, ev.Base = e("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"), e("CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
	// The source project is not set once the fork was deleted; CI_MERGE_REQUEST_PROJECT_ID is the target's.
	ev.Fork = e("CI_MERGE_REQUEST_SOURCE_PROJECT_ID") != e("CI_MERGE_REQUEST_PROJECT_ID")
	return ev
}
