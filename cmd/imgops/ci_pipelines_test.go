package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// These tests hold what can be held anywhere: GitHub's linter, the structure that imgops depends on, and the shell scripts, which
// are run. ci_schemas_test.go has the systems' schemas, ci_runners_test.go their runners.

// rendered gives the files of a system, by path.
func rendered(t *testing.T, system, image string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	files, err := fleetContent("acme")
	require.NoError(t, err)
	_, pipeline, err := pipelineContent(system, image, dir, files)
	require.NoError(t, err)
	out := map[string]string{}
	for _, f := range pipeline {
		out[f.path] = string(f.data)
	}
	return out
}

func TestPipelineFilesOfEverySystem(t *testing.T) {
	places := map[string][]string{
		"jenkins": {"Jenkinsfile"}, "github": {".github/workflows/imgops.yml"}, "gitlab": {".gitlab-ci.yml", ".gitlab/imgops.yml"},
		"bitbucket": {"bitbucket-pipelines.yml"}, "circleci": {".circleci/config.yml"}, "travis": {".travis.yml"},
		"codebuild": {"buildspec.yml"}, "azure": {"azure-pipelines.yml"}, "buildkite": {".buildkite/pipeline.yml", ".buildkite/imgops.yml"},
	}
	require.Len(t, ciSystems(), len(places))
	for _, system := range ciSystems() {
		for _, image := range []string{"", "registry.example.com/imgops:1.2"} {
			if system == "travis" && image != "" { // its jobs run on machines; refused
				continue
			}
			t.Run(system+"/"+image, func(t *testing.T) {
				files := rendered(t, system, image)
				require.Len(t, files, len(places[system]))
				all := ""
				for _, path := range places[system] {
					require.Contains(t, files, path)
					all += files[path]
					if system != "jenkins" {
						require.NoError(t, yaml.Unmarshal([]byte(files[path]), new(any)))
					}
				}
				for _, want := range []string{"imgops ci", "imgops gc", "imgops update", "imgops-update"} {
					require.Contains(t, all, want)
				}
				if system != "codebuild" { // which runs in a Region
					require.Contains(t, all, "us-east-1")
				}
				require.NotRegexp(t, `\{%|%\}|<no value>|[ \t]\n`, all)
				if image == "" {
					require.Contains(t, all, "go install github.com/imgops/imgops/cmd/imgops@latest")
				} else {
					require.Contains(t, all, image)
					require.NotContains(t, all, "go install")
				}
			})
		}
	}
}

func TestGitHubWorkflow(t *testing.T) {
	for _, image := range []string{"", "registry.example.com/imgops:1.2"} {
		data := []byte(rendered(t, "github", image)[".github/workflows/imgops.yml"])
		var out bytes.Buffer
		linter, err := actionlint.NewLinter(&out, &actionlint.LinterOptions{})
		require.NoError(t, err)
		found, err := linter.Lint(".github/workflows/imgops.yml", data, nil)
		require.NoError(t, err)
		require.Empty(t, found, out.String())
		found, err = linter.Lint(".github/workflows/imgops.yml", bytes.ReplaceAll(data, []byte("runs-on"), []byte("run-on")), nil)
		require.NoError(t, err)
		require.NotEmpty(t, found, "the linter finds nothing")
	}
	for _, text := range []string{matrixWorkflow(t), filledMatrix(t, fanOut(t, "github", nil))} {
		var out bytes.Buffer
		linter, err := actionlint.NewLinter(&out, &actionlint.LinterOptions{})
		require.NoError(t, err)
		found, err := linter.Lint(".github/workflows/imgops.yml", []byte(text), nil)
		require.NoError(t, err)
		require.Empty(t, found, out.String())
	}
}

// TestPipelineStructure holds what a pipeline must not lose: the history, a way to credentials, one main at a time.
func TestPipelineStructure(t *testing.T) {
	tests := []struct {
		system, file string
		path         string // keys, separated by dots
		want         any
	}{
		{"github", ".github/workflows/imgops.yml", "jobs.ci.steps.0.with.fetch-depth", 0},
		{"github", ".github/workflows/imgops.yml", "permissions.id-token", "write"},
		{"github", ".github/workflows/imgops.yml", "jobs.ci.steps.4.if", // head.repo.fork is also true where the repository is a fork itself
			"${{ !github.event.pull_request || github.event.pull_request.head.repo.full_name == github.repository }}"},
		{"github", ".github/workflows/imgops.yml", "jobs.ci.steps.4.with.role-duration-seconds", 3600},
		{"github", ".github/workflows/imgops.yml", "permissions.contents", "write"},
		{"github", ".github/workflows/imgops.yml", "on.push.branches.0", "main"},
		{"github", ".github/workflows/imgops.yml", "concurrency.cancel-in-progress", "${{ github.event_name == 'pull_request' }}"},
		{"gitlab", ".gitlab/imgops.yml", ".imgops.variables.GIT_DEPTH", "0"},
		{"gitlab", ".gitlab/imgops.yml", ".imgops.timeout", "2h"}, // the token's time, too
		{"gitlab", ".gitlab/imgops.yml", ".imgops.id_tokens.IMGOPS_AWS_TOKEN.aud", "https://gitlab.com"},
		{"gitlab", ".gitlab-ci.yml", "include.0.local", gitlabFile},
		{"gitlab", ".gitlab-ci.yml", "pull-request.extends", ".imgops"},
		{"gitlab", ".gitlab-ci.yml", "pull-request.interruptible", true},
		{"gitlab", ".gitlab-ci.yml", "main.interruptible", false},
		{"gitlab", ".gitlab-ci.yml", "main.resource_group", "imgops-main"},
		{"bitbucket", "bitbucket-pipelines.yml", "clone.depth", "full"},
		{"bitbucket", "bitbucket-pipelines.yml", "pipelines.pull-requests.**.0.step.oidc", true},
		{"bitbucket", "bitbucket-pipelines.yml", "pipelines.branches.main.0.step.oidc", true},
		{"bitbucket", "bitbucket-pipelines.yml", "pipelines.custom.maintain.0.step.oidc", true},
		{"circleci", ".circleci/config.yml", "jobs.ci.steps.0.checkout.method", "full"},
		{"circleci", ".circleci/config.yml", "workflows.imgops.jobs.0.ci.context", "imgops"},
		// pipeline.trigger_source has no support since 2026-08-01 (https://circleci.com/docs/reference/variables/).
		{"circleci", ".circleci/config.yml", "workflows.imgops.unless.equal.1", "<< pipeline.trigger.type >>"},
		{"circleci", ".circleci/config.yml", "workflows.maintain.when.equal.0", "schedule"},
		{"travis", ".travis.yml", "git.depth", false},
		{"travis", ".travis.yml", "jobs.include.1.if", "type = cron"},
		{"codebuild", "buildspec.yml", "env.git-credential-helper", "yes"},
		{"codebuild", "buildspec.yml", "env.variables.IMGOPS_JOB", "ci"},
		{"codebuild", "buildspec.yml", "phases.build.finally.0", "cat .imgops/summary.md || true"}, // after a failure, too
		{"azure", "azure-pipelines.yml", "jobs.0.steps.0.fetchDepth", 0},
		{"azure", "azure-pipelines.yml", "trigger.batch", true},
		{"azure", "azure-pipelines.yml", "pr.autoCancel", true},
		{"buildkite", ".buildkite/pipeline.yml", "steps.1.concurrency", 1},
		{"buildkite", ".buildkite/pipeline.yml", "env.AWS_ROLE_ARN", "arn:aws:iam::111111111111:role/imgops-ci"},
	}
	for _, tt := range tests {
		t.Run(tt.system+" "+tt.path, func(t *testing.T) {
			var doc yaml.Node
			require.NoError(t, yaml.Unmarshal([]byte(rendered(t, tt.system, "")[tt.file]), &doc))
			var got any
			require.NoError(t, at(t, doc.Content[0], tt.path).Decode(&got))
			if s, ok := tt.want.(string); ok && s == "yes" { // YAML 1.1's true, which AWS documents unquoted
				require.Equal(t, s, at(t, doc.Content[0], tt.path).Value)
				return
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// TestCredentialsLast: what a job gets has to last as long as the job may, or as long as an IAM role's sessions do by default.
func TestCredentialsLast(t *testing.T) {
	var azure struct{ Variables map[string]int }
	require.NoError(t, yaml.Unmarshal([]byte(rendered(t, "azure", "")["azure-pipelines.yml"]), &azure))
	require.Equal(t, map[string]int{"aws.rolecredential.maxduration": 3600}, azure.Variables)
	for _, text := range rendered(t, "buildkite", "") {
		var file struct {
			Steps []struct {
				Command string
				Minutes int `yaml:"timeout_in_minutes"`
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(text), &file))
		for _, step := range file.Steps {
			found := regexp.MustCompile(`--lifetime ([0-9]+) `).FindStringSubmatch(step.Command)
			require.Len(t, found, 2)
			seconds, err := strconv.Atoi(found[1])
			require.NoError(t, err)
			require.GreaterOrEqual(t, seconds, 60*step.Minutes)
			require.LessOrEqual(t, seconds, 7200, "Buildkite's limit")
		}
	}
}

// TestCodeBuildShellGoesOn: CodeBuild runs the commands of a phase in one shell, and those of finally after them.
func TestCodeBuildShellGoesOn(t *testing.T) {
	var spec struct {
		Phases map[string]struct{ Commands []string }
	}
	require.NoError(t, yaml.Unmarshal([]byte(rendered(t, "codebuild", "")["buildspec.yml"]), &spec))
	commands := spec.Phases["build"].Commands
	require.Len(t, commands, 1)
	dir := t.TempDir()
	for code, want := range map[string]string{"0": "0 goes on\n", "3": "3 goes on\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "imgops"), []byte("#!/bin/sh\nexit "+code+"\n"), 0o755))
		env := append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "IMGOPS_JOB=ci")
		out, err := runTool(t, dir, env, "sh", "-c", commands[0]+"\necho $? goes on")
		require.NoError(t, err)
		require.Equal(t, want, out)
	}
}

// at follows a path of keys and indices; a key may begin with a dot.
func at(t *testing.T, n *yaml.Node, path string) *yaml.Node {
	t.Helper()
	for rest := path; rest != ""; {
		key := rest
		if i := strings.Index(rest[1:], "."); i >= 0 {
			key, rest = rest[:i+1], rest[i+2:]
		} else {
			rest = ""
		}
		for n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		var next *yaml.Node
		for i := range n.Content {
			switch {
			case n.Kind == yaml.SequenceNode && key == string(rune('0'+i)):
				next = n.Content[i]
			case n.Kind == yaml.MappingNode && i%2 == 0 && n.Content[i].Value == key:
				next = n.Content[i+1]
			}
		}
		require.NotNil(t, next, "%s: no %q", path, key)
		n = next
	}
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// ledgerAccess is what lets the job `imgops ci` of each system push the branch imgops-ledger, as it stands in its file.
var ledgerAccess = map[string]string{
	"jenkins":   `(?s)withCredentials\(\[usernamePassword\([^)]*'IMGOPS_GIT_USERNAME'[^)]*'IMGOPS_GIT_PASSWORD'\)\]\) \{\s+sh 'imgops ci `,
	"github":    `(?m)^permissions:\n  contents: write # the ledger`,
	"gitlab":    `(?m)^\.imgops:(?:\n .*)*\n    IMGOPS_GIT_USERNAME: oauth2\n    IMGOPS_GIT_PASSWORD: \$IMGOPS_TOKEN`,
	"bitbucket": `Bitbucket lets a pipeline push to its own repository`,
	"circleci":  `deploy key with write access`,
	"travis":    `(?s)install:.*export IMGOPS_GIT_USERNAME=x-access-token IMGOPS_GIT_PASSWORD="\$IMGOPS_TOKEN".*jobs:`,
	"codebuild": `(?m)^  git-credential-helper: yes`,
	"azure":     `(?s)- job: ci.*persistCredentials: true # the ledger.*imgops ci .*- job: maintain`,
	"buildkite": `SSH key or Git credential helper may push`,
}

// TestPipelinesPushTheLedger fails for a system whose job gets no credentials for the ledger, or whose file does not say
// which are needed.
func TestPipelinesPushTheLedger(t *testing.T) {
	for _, system := range ciSystems() {
		for _, image := range []string{"", "registry.example.com/imgops:1.2"} {
			if system == "travis" && image != "" {
				continue
			}
			all := ""
			for _, data := range rendered(t, system, image) {
				all += data + "\n"
			}
			require.NotEmpty(t, ledgerAccess[system], system)
			require.Regexp(t, ledgerAccess[system], all, system)
			require.Contains(t, all, "branch imgops-ledger", system)
			if system == "buildkite" && image != "" {
				require.Equal(t, 4, strings.Count(all, "mount-ssh-agent: true"), "each step's container")
				require.Equal(t, 4, strings.Count(all, "safe.directory"), "whose user is not the agent's")
			}
		}
	}
}
