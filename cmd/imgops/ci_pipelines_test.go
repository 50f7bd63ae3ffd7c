package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
		{"github", ".github/workflows/imgops.yml", "permissions.contents", "write"},
		{"github", ".github/workflows/imgops.yml", "on.push.branches.0", "main"},
		{"github", ".github/workflows/imgops.yml", "concurrency.cancel-in-progress", "${{ github.event_name == 'pull_request' }}"},
		{"gitlab", ".gitlab/imgops.yml", ".imgops.variables.GIT_DEPTH", "0"},
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
			}
		}
	}
}

func TestJenkinsfile(t *testing.T) {
	for _, image := range []string{"", "registry.example.com/imgops:1.2"} {
		file := rendered(t, "jenkins", image)["Jenkinsfile"]
		depth := 0
		for _, c := range file {
			depth += strings.Count("{[(", string(c)) - strings.Count("}])", string(c))
			require.GreaterOrEqual(t, depth, 0)
		}
		require.Zero(t, depth)
		require.Contains(t, file, "abortPrevious: env.BRANCH_NAME != 'main'")
		require.Regexp(t, `when \{ not \{ triggeredBy 'TimerTrigger' \} \}\s+steps \{\s+withCredentials[^\n]+\s+sh 'imgops ci `, file)
		require.Contains(t, rendered(t, "jenkins", "")["Jenkinsfile"], "agent { label 'imgops' }")
	}
}

// proposals finds the shell script with which each system pushes new base images.
func proposals(t *testing.T, system string) string {
	t.Helper()
	if system == "jenkins" {
		found := regexp.MustCompile(`(?s)sh '''(.*?)'''`).FindStringSubmatch(rendered(t, system, "")["Jenkinsfile"])
		require.Len(t, found, 2)
		return "imgops update --pull-request .imgops/update.md\n" + found[1]
	}
	var script string
	for _, data := range rendered(t, system, "") {
		var doc yaml.Node
		require.NoError(t, yaml.Unmarshal([]byte(data), &doc))
		walkNodes(&doc, func(n *yaml.Node) {
			text := n.Value
			if n.Kind == yaml.SequenceNode { // lines of one script
				var lines []string
				for _, line := range n.Content {
					for line.Kind == yaml.AliasNode {
						line = line.Alias
					}
					lines = append(lines, line.Value)
				}
				text = strings.Join(lines, "\n")
			}
			if strings.Contains(text, "imgops update") && strings.Contains(text, "git push") && len(text) > len(script) {
				script = text
			}
		})
	}
	require.NotEmpty(t, script)
	if system == "buildkite" {
		script = strings.ReplaceAll(script, "$$", "$")
	}
	return script
}

func walkNodes(n *yaml.Node, visit func(*yaml.Node)) {
	visit(n)
	for _, c := range n.Content {
		walkNodes(c, visit)
	}
}

// TestProposalScripts runs each system's script in a clone, with programs of other sites replaced: a changed lock is on
// the branch imgops-update afterwards, also when the script runs again, and an unchanged one makes no branch.
func TestProposalScripts(t *testing.T) {
	for _, system := range ciSystems() {
		t.Run(system, func(t *testing.T) {
			script := proposals(t, system)
			dir := t.TempDir()
			origin, clone, tools := filepath.Join(dir, "origin.git"), filepath.Join(dir, "clone"), filepath.Join(dir, "bin")
			env := append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+filepath.Join(dir, "gitconfig"),
				"CI_SERVER_HOST=gitlab.example.com", "CI_PROJECT_PATH=acme/fleet", "TRAVIS_REPO_SLUG=acme/fleet", "IMGOPS_TOKEN=t", "IMGOPS_JOB=maintain",
				"AWS_WEB_IDENTITY_TOKEN_FILE="+filepath.Join(dir, "token"), "BUILDKITE_JOB_ID="+filepath.Base(dir), "GIT_AUTHOR_NAME=t", "GIT_COMMITTER_NAME=t",
				"GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_EMAIL=t@example.com")
			sh := func(where, text string) string {
				cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", text)
				cmd.Dir, cmd.Env = where, env
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s\n%s", text, out)
				return string(out)
			}
			require.NoError(t, os.Mkdir(tools, 0o755))
			for _, name := range []string{"imgops", "gh", "go", "apt-get", "buildkite-agent", "travis_terminate"} {
				body := "#!/bin/sh\nexit 0\n"
				if name == "imgops" {
					body = "#!/bin/sh\nif [ \"$1\" = update ] && [ -e new-lock ]; then cat new-lock > imgops.lock; mkdir -p .imgops; printf 'Update\\n\\nbases\\n' > \"$3\"; fi\n"
				}
				require.NoError(t, os.WriteFile(filepath.Join(tools, name), []byte(body), 0o755))
			}
			sh(dir, "git config --global init.defaultBranch main && git config --global receive.advertisePushOptions true\n"+
				"git config --global url."+origin+".insteadOf https://oauth2:t@gitlab.example.com/acme/fleet.git\n"+
				"git config --global --add url."+origin+".insteadOf https://x-access-token:t@github.com/acme/fleet.git\n"+
				"git init -q --bare origin.git && git clone -q origin.git clone 2>/dev/null && cd clone && printf 'new-lock\\n.imgops\\n' > .gitignore && git add . &&"+
				"git commit -qm one && git push -q origin main")
			sh(clone, exitAsSubshell(script))
			require.NotContains(t, sh(origin, "git branch"), "imgops-update", "no new image, no branch")
			for _, lock := range []string{"one", "two"} { // also over the branch of the week before
				require.NoError(t, os.WriteFile(filepath.Join(clone, "new-lock"), []byte(lock+"\n"), 0o644))
				sh(clone, "git switch -q main")
				sh(clone, exitAsSubshell(script))
				require.Equal(t, lock+"\n", sh(origin, "git show imgops-update:imgops.lock"))
				require.Equal(t, "1\n", sh(origin, "git rev-list --count main..imgops-update"))
			}
		})
	}
}

// exitAsSubshell keeps a script's exit and traps to itself. Travis CI's travis_terminate ends the job.
func exitAsSubshell(script string) string {
	return "(" + strings.ReplaceAll(script, "travis_terminate", "exit") + "\n)"
}
