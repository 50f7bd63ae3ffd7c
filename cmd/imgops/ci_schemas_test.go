package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// fanOut is the fan-out of a fleet with two levels.
func fanOut(t *testing.T, format string, step *yaml.Node) string {
	t.Helper()
	f := fan{
		levels: byLevel([]fanJob{{Role: "base"}, {Role: "web", Level: 1, Parent: "base"}, {Role: "api.v2", Level: 1, Parent: "base"}}),
		before: []string{"imgops"}, after: []string{"--base", "main~0"}, step: step,
	}
	return fanOutOf(t, format, f)
}

func fanOutOf(t *testing.T, format string, f fan) string {
	t.Helper()
	out, err := matrixFormats()[format](f)
	require.NoError(t, err)
	return string(out)
}

// buildspec is what a buildspec of version 0.2 can have, as far as ours has it
// (https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html). There is no schema of it in SchemaStore, and no linter.
type buildspec struct {
	Version string `yaml:"version"`
	Env     struct {
		Shell     string            `yaml:"shell"`
		Variables map[string]string `yaml:"variables"`
		Helper    string            `yaml:"git-credential-helper"`
	} `yaml:"env"`
	Phases map[string]struct {
		OnFailure string            `yaml:"on-failure"`
		Runtimes  map[string]string `yaml:"runtime-versions"`
		Commands  []string          `yaml:"commands"`
		Finally   []string          `yaml:"finally"`
	} `yaml:"phases"`
	Reports map[string]struct {
		Files  []string `yaml:"files"`
		Base   string   `yaml:"base-directory"`
		Format string   `yaml:"file-format"`
	} `yaml:"reports"`
}

func TestBuildspec(t *testing.T) {
	for _, image := range []string{"", "registry.example.com/imgops:1.2"} {
		dec := yaml.NewDecoder(strings.NewReader(rendered(t, "codebuild", image)["buildspec.yml"]))
		dec.KnownFields(true)
		var spec buildspec
		require.NoError(t, dec.Decode(&spec), "a key that CodeBuild does not know")
		require.Equal(t, "0.2", spec.Version)
		require.Contains(t, []string{"yes", "no"}, spec.Env.Helper)
		for name, phase := range spec.Phases {
			require.Contains(t, []string{"install", "pre_build", "build", "post_build"}, name)
			require.NotEmpty(t, phase.Commands, name)
			require.True(t, phase.Runtimes == nil || name == "install", "runtimes belong to install")
		}
		require.NotEmpty(t, spec.Phases["build"].Finally, "what goes on after a failure")
		for _, report := range spec.Reports {
			require.NotEmpty(t, report.Files)
			require.Equal(t, "JUNITXML", report.Format)
		}
	}
}

// TestPipelineSchemas checks the files, and what --matrix prints, against the schemas that check-jsonschema brings along: GitLab's,
// Atlassian's, Buildkite's and Microsoft's own, and SchemaStore's of GitHub, CircleCI and Travis CI.
func TestPipelineSchemas(t *testing.T) {
	checker := program(t, "check-jsonschema", "pip install check-jsonschema")
	schemas := map[string]string{
		"github": "github-workflows", "gitlab": "gitlab-ci", "bitbucket": "bitbucket-pipelines", "circleci": "circle-ci",
		"travis": "travis", "buildkite": "buildkite", "azure": "azure-pipelines",
	}
	validate := func(schema string, texts ...string) (string, error) {
		args := []string{"--builtin-schema", "vendor." + schema}
		dir := t.TempDir()
		for i, text := range texts {
			args = append(args, filepath.Join(dir, fmt.Sprintf("pipeline-%d.yml", i)))
			require.NoError(t, os.WriteFile(args[len(args)-1], []byte(text), 0o600))
		}
		return runTool(t, dir, os.Environ(), checker, args...)
	}
	texts := map[string][]string{
		"gitlab":    {fanOut(t, "gitlab", nil), fanOutOf(t, "gitlab", fan{})},
		"buildkite": {fanOut(t, "buildkite", nil), fanOutOf(t, "buildkite", fan{})},
		"github":    {matrixWorkflow(t)},
	}
	for system, schema := range schemas {
		for _, image := range []string{"", "registry.example.com/imgops:1.2"} {
			if system == "travis" && image != "" {
				continue
			}
			for _, text := range rendered(t, system, image) {
				texts[system] = append(texts[system], forSchema(system, text))
			}
		}
		out, err := validate(schema, texts[system]...)
		require.NoError(t, err, "%s: %.3000s", system, out)
		_, err = validate(schema, "jobs: 7\nsteps: 7\npipelines: 7\nscript: {a: 7}\nlanguage: 7\n")
		require.Error(t, err, "%s: it accepts anything", system)
	}
}

// forSchema says in words of Azure's schema what it has no words for: numbers and booleans are texts in it, and AWSShellScript is
// an extension's task.
func forSchema(system, text string) string {
	if system != "azure" {
		return text
	}
	text = regexp.MustCompile(`(?m): (true|[0-9]+)( +#.*)?$`).ReplaceAllString(text, `: "$1"`)
	return strings.NewReplacer("AWSShellScript@1", "Bash@3",
		"          awsCredentials: imgops-aws\n", "", "          regionName: us-east-1\n", "", "scriptType: inline", "targetType: inline",
		"inlineScript:", "script:").Replace(text)
}

// matrixWorkflow is the workflow with a job per level that the one of init tells of.
func matrixWorkflow(t *testing.T) string {
	t.Helper()
	text := rendered(t, "github", "")[".github/workflows/imgops.yml"]
	start, end := strings.Index(text, "  ci:\n"), strings.Index(text, "  maintain:\n")
	job := text[start:end]
	steps := job[strings.Index(job, "    steps:\n"):strings.Index(job, "      # The outcome goes")]
	told := func(mark string) string { // the line of the comment
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, "#   "); ok && strings.HasPrefix(rest, mark) {
				return strings.TrimSuffix(rest, "\n")
			}
		}
		t.Fatalf("the workflow does not tell of %q", mark)
		return ""
	}
	plan := "  plan:\n    runs-on: ubuntu-latest\n    outputs: {matrix: \"${{ steps.plan.outputs.matrix }}\"}\n" + steps +
		"      " + told("- id: plan") + "\n        " + strings.TrimSpace(told("  run: matrix=")) + "\n\n"
	level := "  level1:\n    " + told("needs:") + "\n    " + told("if:") + "\n    runs-on: ubuntu-latest\n    " + told("strategy:") + "\n" + steps +
		"      - run: imgops ci --role ${{ matrix.role }} --level ${{ matrix.level }}\n\n"
	first := strings.NewReplacer("[plan, level0]", "plan", "level1", "level0").Replace(level)
	return text[:start] + plan + first + level + text[end:]
}

// runTool runs a program and gives its output.
func runTool(t *testing.T, dir string, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	return string(out), err
}
