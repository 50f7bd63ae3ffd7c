package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// program finds a program that only some tests need.
func program(t *testing.T, name, from string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s: %s", name, from)
	}
	return path
}

// runTool runs a program and gives its output.
func runTool(t *testing.T, dir string, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// runnerWorld is a clone of a fleet with pipeline files, and programs that write down how they are called instead of doing it.
type runnerWorld struct {
	t          *testing.T
	dir, clone string
	env        []string
}

func newRunnerWorld(t *testing.T, files map[string]string) *runnerWorld {
	t.Helper()
	dir := t.TempDir()
	w := &runnerWorld{t: t, dir: dir, clone: filepath.Join(dir, "clone")}
	tools := filepath.Join(dir, "bin")
	w.env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "HOME="+dir, "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL="+filepath.Join(dir, "gitconfig"))
	require.NoError(t, os.Mkdir(tools, 0o755))
	for _, name := range []string{"imgops", "go", "pipx", "gh", "apt-get"} {
		body := "#!/bin/sh\necho \"" + name + " $*\" >> '" + dir + "/calls'\n"
		if name == "imgops" {
			body += "case \"$*\" in *'--matrix github'*) cat '" + dir + "/matrix';; *'--matrix gitlab'*) cat '" + dir + "/matrix';; esac\nmkdir -p .imgops; echo done > .imgops/summary.md\n"
		}
		require.NoError(t, os.WriteFile(filepath.Join(tools, name), []byte(body), 0o755))
	}
	for path, data := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(w.clone, path)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(w.clone, path), []byte(data), 0o644))
	}
	w.sh("git config --global user.name t && git config --global user.email t@example.com && git config --global init.defaultBranch main\n" +
		"git init -q --bare ../origin.git && git init -q && git remote add origin ../origin.git && printf '.imgops\\n.gitlab-ci-local\\nbin\\n' > .gitignore && git add . &&" +
		"git commit -qm one && git push -q origin main && git remote set-head origin main")
	return w
}

func (w *runnerWorld) sh(text string) {
	w.t.Helper()
	out, err := runTool(w.t, w.clone, w.env, "sh", "-e", "-c", text)
	require.NoError(w.t, err, out)
}

// calls are the calls of imgops since the last time, in their order.
func (w *runnerWorld) calls() []string {
	w.t.Helper()
	file := filepath.Join(w.dir, "calls")
	data, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		require.NoError(w.t, err)
	}
	require.NoError(w.t, os.WriteFile(file, nil, 0o600))
	var list []string
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "imgops ") {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

// TestGitLabRunsTheJobs runs the pipeline by gitlab-ci-local, which also checks it against GitLab's schema.
func TestGitLabRunsTheJobs(t *testing.T) {
	runner := program(t, "gitlab-ci-local", "npm install -g gitlab-ci-local (it needs Node 22 and rsync)")
	program(t, "rsync", "apt-get install rsync")
	if out, err := runTool(t, "", os.Environ(), runner, "--version"); err != nil {
		t.Skipf("gitlab-ci-local does not start: %.200s", out)
	}
	w := newRunnerWorld(t, rendered(t, "gitlab", "registry.example.com/imgops:1.2"))
	run := func(args ...string) {
		args = append([]string{"--force-shell-executor", "--no-color", "--home", filepath.Join(w.dir, "home")}, args...)
		out, err := runTool(t, w.clone, w.env, runner, args...)
		require.NoError(t, err, out)
		require.Contains(t, out, "json schema validated")
	}
	run()
	require.Equal(t, []string{"imgops ci --summary .imgops/summary.md"}, w.calls(), "main")
	run("--variable", "CI_PIPELINE_SOURCE=schedule")
	require.Equal(t, []string{"imgops gc", "imgops update --pull-request .imgops/update.md"}, w.calls())
	w.sh("git switch -qc feature")
	request := []string{"--unset-variable", "CI_COMMIT_BRANCH", "--variable", "CI_PIPELINE_SOURCE=merge_request_event", "--variable", "CI_MERGE_REQUEST_IID=7"}
	run(request...)
	require.Equal(t, []string{"imgops ci --summary .imgops/summary.md"}, w.calls(), "a merge request")

	// The fan-out, as the file's comment tells.
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "matrix"), []byte(fanOut(t, "gitlab", nil)), 0o600))
	file := filepath.Join(w.clone, ".gitlab-ci.yml")
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	text := strings.Replace(string(data), "    - imgops ci --summary .imgops/summary.md\n",
		"    - imgops ci --matrix gitlab > imgops-jobs.yml\n  artifacts:\n    paths: [imgops-jobs.yml]\n", 1)
	text += "\nfan-out:\n  stage: deploy\n  needs: [pull-request]\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"\n" +
		"  trigger: {include: [{artifact: imgops-jobs.yml, job: pull-request}], strategy: depend}\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	w.sh("git commit -qam fan-out")
	run(request...)
	calls := w.calls()
	require.Len(t, calls, 4)
	require.Equal(t, []string{"imgops ci --matrix gitlab", "imgops ci --role base --level 0 --base main~0"}, calls[:2], "the parent first")
	require.ElementsMatch(t, []string{"imgops ci --role web --level 1 --base main~0", "imgops ci --role api.v2 --level 1 --base main~0"}, calls[2:])
}

// TestGitHubRunsTheJobs runs the workflow by act on this machine, with actions that do nothing.
func TestGitHubRunsTheJobs(t *testing.T) {
	runner := program(t, "act", "go install github.com/nektos/act@latest")
	files := rendered(t, "github", "")
	files[".github/workflows/fan-out.yml"] = strings.NewReplacer("name: imgops", "name: fan-out", "  pull_request:\n", "", "  merge_group:\n", "",
		"  schedule:\n    - cron: \"17 5 * * 1\"\n", "", "  push:\n    branches: [main]\n", "").Replace(matrixWorkflow(t))
	w := newRunnerWorld(t, files)
	nothing, credentials, asked := filepath.Join(w.dir, "action"), filepath.Join(w.dir, "credentials"), filepath.Join(w.dir, "asked")
	for dir, does := range map[string]string{nothing: "true", credentials: "echo asked > " + asked} {
		require.NoError(t, os.Mkdir(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "action.yml"),
			[]byte("name: stand-in\ndescription: stands in\nruns: {using: composite, steps: [{run: '"+does+"', shell: sh}]}\n"), 0o600))
	}
	args := []string{"-P", "ubuntu-latest=-self-hosted", "--action-offline-mode", "--no-cache-server", "--pull=false", "--action-cache-path", filepath.Join(w.dir, "act"),
		"-e", filepath.Join(w.dir, "event.json"), "--concurrent-jobs", "1", "--env", "GITHUB_REPOSITORY=acme/fleet"}
	for action, dir := range map[string]string{
		"actions/checkout@v5": nothing, "actions/setup-go@v6": nothing, "actions/upload-artifact@v6": nothing, "aws-actions/configure-aws-credentials@v6": credentials,
	} {
		require.Contains(t, files[".github/workflows/imgops.yml"], "uses: "+action)
		args = append(args, "--local-repository", action+"="+dir)
	}
	run := func(event, payload, workflow string) {
		require.NoError(t, os.WriteFile(filepath.Join(w.dir, "event.json"), []byte(payload), 0o600))
		out, err := runTool(t, w.clone, w.env, runner, append([]string{event, "-W", ".github/workflows/" + workflow}, args...)...)
		require.NoError(t, err, out)
	}
	hadCredentials := func() bool { return os.Remove(asked) == nil }
	run("push", `{"ref": "refs/heads/main"}`, "imgops.yml")
	require.Equal(t, []string{"imgops ci"}, w.calls(), "main")
	require.True(t, hadCredentials())
	for repo, own := range map[string]bool{"someone/fleet": false, "acme/fleet": true} { // fork: acme's is itself one of a public repository
		run("pull_request", `{"number": 7, "pull_request": {"number": 7, "base": {"ref": "main", "repo": {"full_name": "acme/fleet"}},
			"head": {"ref": "feature", "repo": {"full_name": "`+repo+`", "fork": true}}}}`, "imgops.yml")
		require.Equal(t, []string{"imgops ci"}, w.calls(), "it refuses a fork's")
		require.Equal(t, own, hadCredentials(), repo)
	}
	run("schedule", `{"schedule": "17 5 * * 1"}`, "imgops.yml")
	require.Equal(t, []string{"imgops gc", "imgops update --pull-request .imgops/update.md"}, w.calls())

	for matrix, want := range map[string][]string{
		fanOut(t, "github", nil): {"imgops ci --role base --level 0", "imgops ci --role web --level 1", "imgops ci --role api.v2 --level 1"},
		"{}\n":                   nil,
		`{"level1":{"include":[{"role":"web","level":1}]}}`: {"imgops ci --role web --level 1"}, // what a skipped level0 must not skip
	} {
		require.NoError(t, os.WriteFile(filepath.Join(w.dir, "matrix"), []byte(matrix), 0o600))
		run("workflow_dispatch", `{}`, "fan-out.yml")
		calls := w.calls()
		require.Equal(t, "imgops ci --matrix github", calls[0])
		require.ElementsMatch(t, want, calls[1:])
		if len(want) > 1 {
			require.Equal(t, want[0], calls[1], "the parent first")
		}
	}
}

// TestBuildkiteAcceptsTheSteps lets Buildkite's agent read the steps as it does before it uploads them.
func TestBuildkiteAcceptsTheSteps(t *testing.T) {
	agent := program(t, "buildkite-agent", "https://buildkite.com/docs/agent")
	for _, image := range []string{"", "registry.example.com/imgops:1.2"} {
		files := rendered(t, "buildkite", image)
		var common struct{ Steps []yaml.Node }
		require.NoError(t, yaml.Unmarshal([]byte(files[buildkiteFile]), &common))
		files["fan-out"] = fanOut(t, "buildkite", &common.Steps[0])
		for name, text := range files {
			env := append(os.Environ(), "AWS_ROLE_ARN=arn:aws:iam::111111111111:role/x", "BUILDKITE_JOB_ID=j1")
			cmd := exec.CommandContext(t.Context(), agent, "pipeline", "upload", "--dry-run", "--format", "yaml", "--reject-parse-warnings", "--agent-access-token", "none")
			cmd.Env, cmd.Stdin = env, strings.NewReader(text)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			read, err := cmd.Output()
			require.NoError(t, err, stderr.String())
			var got buildkiteSteps
			require.NoError(t, yaml.Unmarshal(read, &got))
			for _, s := range got.Steps {
				require.Contains(t, s.Command, `AWS_WEB_IDENTITY_TOKEN_FILE=/tmp/imgops-aws-token-$BUILDKITE_JOB_ID`, "a variable of the job's shell")
				if name != ".buildkite/pipeline.yml" {
					require.Equal(t, "arn:aws:iam::111111111111:role/x", s.Env["AWS_ROLE_ARN"], "a variable of the upload")
				}
			}
		}
	}
}

// TestJenkinsFanOutRuns runs the script of a fan-out by Groovy, with steps that write down what they are.
func TestJenkinsFanOutRuns(t *testing.T) {
	groovy := program(t, "groovy", "apt-get install groovy default-jre-headless")
	if out, err := runTool(t, "", os.Environ(), groovy, "--version"); err != nil {
		t.Skipf("groovy does not start: %s", out)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"fan.groovy": fanOut(t, "jenkins", nil), "Jenkinsfile": rendered(t, "jenkins", "")["Jenkinsfile"], "Jenkinsfile.docker": rendered(t, "jenkins", "a/b:1")["Jenkinsfile"],
		"Jenkinsfile.fan": fannedJenkinsfile(t, rendered(t, "jenkins", "")["Jenkinsfile"]),
		"run.groovy": `
new GroovyShell().parse(new File('Jenkinsfile'))
new GroovyShell().parse(new File('Jenkinsfile.docker'))
new GroovyShell().parse(new File('Jenkinsfile.fan'))
def steps = [env: [IMGOPS_AGENT: 'imgops'], scm: 'scm',
    node: { String label, Closure c -> assert label == 'imgops'; c() }, checkout: { s -> assert s == 'scm' },
    stage: { String name, Closure c -> println name; c() }, parallel: { Map m -> m.each { k, c -> println k; c() } },
    catchError: { Map a, Closure c -> try { c() } catch (Exception e) { println e.message } }]
def fanOut = new GroovyShell(new Binding(steps)).evaluate(new File('fan.groovy'))
fanOut.call { command -> println command; if (command.contains('role base')) throw new Exception('base failed') }
`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	out, err := runTool(t, dir, os.Environ(), groovy, "run.groovy")
	require.NoError(t, err, out)
	require.Equal(t, "imgops level 0\nbase\nimgops ci --role base --level 0 --base 'main~0'\nbase failed\nimgops level 1\nweb\n"+
		"imgops ci --role web --level 1 --base 'main~0'\napi.v2\nimgops ci --role api.v2 --level 1 --base 'main~0'\n", out)
}
