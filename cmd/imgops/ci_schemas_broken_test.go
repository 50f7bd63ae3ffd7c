package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// brokenPipeline is a mistake in what imgops writes.
type brokenPipeline struct {
	file     string // a name that pipelineTexts gives
	old, new string // the first place is changed
}

// brokenPipelines are mistakes that a system's schema has to find: misspelt keys, wrong types and values, missing keys.
func brokenPipelines() map[string][]brokenPipeline {
	workflow, config := ".github/workflows/imgops.yml", ".circleci/config.yml"
	return map[string][]brokenPipeline{
		"github": {
			{workflow, "runs-on:", "run-on:"},
			{workflow, "jobs:\n", "job:\n"},
			{workflow, "timeout-minutes: 120", "timeout-minutes: two hours"},
			{workflow, "contents: write", "contents: push"},
			{workflow, "  group: imgops", "  groups: imgops"},
			{workflow, "  schedule:\n    - cron: \"17 5 * * 1\"", "  schedule:\n    - corn: \"17 5 * * 1\""},
			{workflow + " + image", "container: ", "containers: "},
			{"workflow with levels", "\n    strategy: {fail-fast: false", "\n    strategy: {fail-fast: [never]"},
			{"workflow with levels", "\n    strategy: {fail-fast: false, matrix:", "\n    strategy: {fail-fast: false, matrices:"},
			{"workflow with the matrix", `"include":[`, `"include":7,"roles":[`},
			{"workflow with levels", "\n    needs: [plan, level0]", "\n    needs: {plan: true}"},
		},
		"gitlab": {
			{".gitlab-ci.yml", "on_new_commit: interruptible", "on_new_commit: always"},
			{".gitlab-ci.yml", "interruptible: true", "interruptable: true"},
			{".gitlab-ci.yml", "interruptible: true", "interruptible: 7"},
			{".gitlab-ci.yml", "    - if: $CI_PIPELINE", "    - iff: $CI_PIPELINE"},
			{".gitlab-ci.yml", "  - local: ", "  - locally: "},
			{"jobs", "aud: ", "audience: "},
			{"jobs", "when: always", "when: sometimes"},
			{"jobs", "expose_as: imgops summary", "expose_as: [imgops summary]"},
			{"jobs + image", "image: registry", "image: 7 # "},
			{"jobs of the fan-out", "timeout: 2h", "timeouts: 2h"},
			{"fan-out", "  needs: []", "  needs: none"},
			{"jobs of the fan-out", "  script:", "  scripts:"},
			{"fan-out", "on_new_commit: interruptible", "on_new_commit: sometimes"},
			{"fan-out", "interruptible: false", "interruptible: never"},
			{"fan-out", "when: on_success", "when: on_succes"},
			{"fan-out of nothing", "script:", "scripts:"},
		},
		"bitbucket": {
			{"bitbucket-pipelines.yml", "depth: full", "depth: all"},
			{"bitbucket-pipelines.yml", "max-time: 120", "max-time: 2h"},
			{"bitbucket-pipelines.yml", "        script:", "        scripts:"},
			{"bitbucket-pipelines.yml", "        oidc: true", "        oidc: please"},
			{"bitbucket-pipelines.yml", "pipelines:\n", "pipeline:\n"},
			{"bitbucket-pipelines.yml", "  pull-requests:\n    '**':\n      - step: ", "  pull-requests:\n    '**':\n      - steps: "},
			{"bitbucket-pipelines.yml + image", "image: registry", "image: {nam: a} # "},
		},
		"circleci": {
			{config, "version: 2.1", "version: two"},
			{config, "version: 2.1\n", ""},
			{config, "jobs:\n  ci:\n    docker:", "jobs:\n  ci:\n    dockers:"},
			{config, "          command: ", "          comand: "},
			{config, "    steps:\n", "    step:\n"},
			{config, "store_test_results:\n          path:", "store_test_results:\n          paths:"},
			{config + " + image", "- image: ", "- images: "},
		},
		"travis": {
			{".travis.yml", "os: linux", "os: linus"},
			{".travis.yml", "language: go", "language: gopher"},
			{".travis.yml", "depth: false", "depth: none"},
			{".travis.yml", "dist: jammy", "dist: jamy"},
			{".travis.yml", "jobs:\n  include:", "jobs:\n  includes:"},
		},
		"codebuild": {
			{"buildspec.yml", "version: 0.2\n", ""},
			{"buildspec.yml", "version: 0.2\n", "version: 2\n"},
			{"buildspec.yml", "git-credential-helper: yes", "git-credential-helper: always"},
			{"buildspec.yml", "phases:", "phase:"},
			{"buildspec.yml", "  build:\n    commands:", "  build:\n    command:"},
			{"buildspec.yml", "  build:\n", "  build:\n    runtime-versions: {golang: latest}\n"},
			{"buildspec.yml", "  build:\n", "  built:\n"},
			{"buildspec.yml", "    finally:\n      - ", "    finally: "},
			{"buildspec.yml", "file-format: JUNITXML", "file-format: JUNIT"},
			{"buildspec.yml", "    files:\n      - '**/junit.xml'\n", ""},
			{"buildspec.yml + image", "IMGOPS_JOB: ci", "CODEBUILD_JOB: ci"},
		},
		"azure": {
			{"azure-pipelines.yml", "fetchDepth: 0", "fetchDepht: 0"},
			{"azure-pipelines.yml", "jobs:\n", "job:\n"},
			{"azure-pipelines.yml", "batch: true", "batch: [true]"},
			{"azure-pipelines.yml", "task: PublishTestResults@2", "task: PublishTestResult@2"},
			{"azure-pipelines.yml", "testResultsFormat: JUnit", "testResultsFormat: JUnity"},
			{"azure-pipelines.yml", "  - cron:", "  - corn:"},
			{"azure-pipelines.yml", "scriptType: inline", "scriptType: text"},
			{"azure-pipelines.yml", "inlineScript: |", "script: |"},
			{"azure-pipelines.yml + image", "    container: registry", "    containers: registry"},
		},
		"buildkite": {
			{".buildkite/pipeline.yml", "steps:\n", "step:\n"},
			{".buildkite/pipeline.yml", "timeout_in_minutes: 120", "timeout_in_minutes: two hours"},
			{".buildkite/pipeline.yml", "concurrency: 1", "concurrency: one"},
			{".buildkite/pipeline.yml", "concurrency_group:", "concurency_group:"},
			{".buildkite/pipeline.yml + image", "plugins:", "plugin:"},
			{".buildkite/imgops.yml", "    command: |", "    comand: |"},
			{"fan-out", "depends_on:", "depend_on:"},
			{"fan-out", "command: ", "command: 7 # "},
			{"fan-out of nothing", "label:", "lable:"},
			{"fan-out with steps in common", "artifact_paths:", "artefact_paths:"},
			{"fan-out with steps in common + image", "key: imgops-base", "key: [imgops-base]"},
		},
	}
}

// TestPipelineSchemasReject changes what TestPipelineSchemas accepts.
func TestPipelineSchemasReject(t *testing.T) {
	broken := brokenPipelines()
	require.Len(t, broken, len(ciSystems())-1, "every system but Jenkins")
	for system, list := range broken {
		t.Run(system, func(t *testing.T) {
			require.GreaterOrEqual(t, len(list), 3)
			schema, texts := pipelineSchema(t, system), pipelineTexts(t, system)
			for _, b := range list {
				require.Contains(t, texts[b.file], b.old, b.file)
				text := strings.Replace(texts[b.file], b.old, b.new, 1)
				require.Error(t, schema.Validate(pipelineDocument(t, system, text)), "%s: %q instead of %q is accepted", b.file, b.new, b.old)
			}
		})
	}
}
