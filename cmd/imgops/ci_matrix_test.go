package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

// bigFan has 700 roles on one base: more than a GitHub matrix may have.
func bigFan() fan {
	jobs := []fanJob{{Role: "base", Level: 0}}
	for i := range 700 {
		jobs = append(jobs, fanJob{Role: fmt.Sprintf("role-%03d", i), Level: 1, Parent: "base"})
	}
	return fan{levels: byLevel(jobs), before: []string{"imgops"}}
}

func TestGitHubFanOutKeepsTheLimit(t *testing.T) {
	out, err := bigFan().github()
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(out), "\n"), "one line, for GITHUB_OUTPUT")
	var got map[string]struct {
		Include []struct {
			Role  string
			Level int
		}
	}
	require.NoError(t, json.Unmarshal(out, &got))
	require.Len(t, got["level0"].Include, 1)
	require.LessOrEqual(t, len(got["level1"].Include), githubMatrixLimit)
	seen := map[string]bool{}
	for _, entry := range got["level1"].Include {
		require.Equal(t, 1, entry.Level)
		for _, role := range strings.Split(entry.Role, ",") {
			require.False(t, seen[role], role)
			seen[role] = true
		}
	}
	require.Len(t, seen, 700)
}

// Each job of a fan-out comes after its parent's.
func TestFanOutsKeepTheOrder(t *testing.T) {
	out, err := bigFan().gitlab()
	require.NoError(t, err)
	var gitlab map[string]yaml.Node
	require.NoError(t, yaml.Unmarshal(out, &gitlab))
	require.Len(t, gitlab, 700+1+2)
	for name, node := range gitlab {
		if strings.HasPrefix(name, "imgops role-") {
			var job gitlabJob
			require.NoError(t, node.Decode(&job))
			require.Equal(t, []string{"imgops base"}, job.Needs)
			require.False(t, job.Interruptible, "main's")
			require.Equal(t, []string{"imgops ci --role " + strings.TrimPrefix(name, "imgops ") + " --level 1"}, job.Script)
		}
	}
}

func TestGitLabMayEndTheJobsOfAMergeRequest(t *testing.T) {
	for _, levels := range [][]fanLevel{nil, byLevel([]fanJob{{Role: "web"}})} {
		out, err := fan{levels: levels, interruptible: true}.gitlab()
		require.NoError(t, err)
		require.Contains(t, string(out), "on_new_commit: interruptible\n")
		require.Equal(t, 1, strings.Count(string(out), "  interruptible: true\n"), "%s", out)
	}
}

type buildkiteSteps struct {
	Steps []struct {
		Label     string         `yaml:"label"`
		Key       string         `yaml:"key"`
		Command   string         `yaml:"command"`
		DependsOn []string       `yaml:"depends_on"`
		Env       map[string]any `yaml:"env"`
		Plugins   []any          `yaml:"plugins"`
	} `yaml:"steps"`
}

// An upload of too many steps is refused: roles of a level share some, each comes once, and after its parent.
func TestBuildkiteFanOutKeepsTheLimit(t *testing.T) {
	big := bigFan()
	third := fanLevel{Level: 2}
	for _, j := range big.levels[1].Jobs[:300] {
		third.Jobs = append(third.Jobs, fanJob{Role: "on-" + j.Role, Level: 2, Parent: j.Role})
	}
	big.levels = append(big.levels, third)
	out, err := big.buildkite()
	require.NoError(t, err)
	var got buildkiteSteps
	require.NoError(t, yaml.Unmarshal(out, &got))
	require.LessOrEqual(t, len(got.Steps), buildkiteStepLimit)
	require.Greater(t, len(got.Steps), buildkiteStepLimit/2)
	step := map[string]int{} // of roles
	for i, s := range got.Steps {
		words := strings.Fields(s.Command)
		require.Equal(t, []string{"imgops", "ci", "--role"}, words[:3])
		for _, role := range strings.Split(words[3], ",") {
			require.NotContains(t, step, role)
			step[role] = i
		}
	}
	require.Len(t, step, 1001)
	for _, l := range big.levels {
		for _, j := range l.Jobs {
			if j.Parent != "" {
				require.Contains(t, got.Steps[step[j.Role]].DependsOn, got.Steps[step[j.Parent]].Key, j.Role)
				require.Less(t, step[j.Parent], step[j.Role])
			}
		}
	}
	small := fan{levels: bigFan().levels[:1], before: []string{"imgops"}}
	out, err = small.buildkite()
	require.NoError(t, err)
	require.Equal(t, "steps:\n  - label: imgops base\n    key: imgops-base\n    command: imgops ci --role base --level 0\n", string(out))
}

// TestBuildkiteStepsHaveWhatTheyNeed: a step of a fan-out runs on an agent of its own, which needs credentials and imgops.
func TestBuildkiteStepsHaveWhatTheyNeed(t *testing.T) {
	for _, image := range []string{"", "registry.example.com/imgops:1.2"} {
		top := t.TempDir()
		file := filepath.Join(top, ".buildkite", "imgops.yml")
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		common, err := buildkiteCommon(top)
		require.NoError(t, err)
		require.Nil(t, common, "no file, no more than a command")

		require.NoError(t, os.WriteFile(file, []byte(rendered(t, "buildkite", image)[buildkiteFile]), 0o644))
		common, err = buildkiteCommon(top)
		require.NoError(t, err)
		out, err := fan{levels: byLevel([]fanJob{{Role: "base"}, {Role: "web", Level: 1, Parent: "base"}}), before: []string{"imgops"}, step: common}.buildkite()
		require.NoError(t, err)
		var got buildkiteSteps
		require.NoError(t, yaml.Unmarshal(out, &got))
		require.Len(t, got.Steps, 2)
		web := got.Steps[1]
		require.Equal(t, []string{"imgops web", "imgops-web"}, []string{web.Label, web.Key})
		require.Equal(t, []string{"imgops-base"}, web.DependsOn)
		require.Equal(t, "$AWS_ROLE_ARN", web.Env["AWS_ROLE_ARN"])
		require.Regexp(t, `(?s)^set -e\n.*oidc request-token.*\nimgops ci --role web --level 1\n$`, web.Command)
		require.Equal(t, image == "", strings.Contains(web.Command, "go install"))
		require.Equal(t, image != "", len(web.Plugins) == 1)
		for wrong, want := range map[string]string{
			"steps: {": "correct it", "steps: []": "not one step", "- a": "correct it", "steps: [a]": "not one step",
			"steps: [{command: [a, b]}]": "line 1: not one command",
		} {
			require.NoError(t, os.WriteFile(file, []byte(wrong), 0o644))
			_, err = buildkiteCommon(top)
			require.ErrorContains(t, err, want)
			require.Equal(t, 2, exitCode(t.Context(), err))
		}
	}
}

func TestBuildkiteKeysStayApart(t *testing.T) {
	keys := map[string]bool{}
	for _, role := range []string{"a.b", "a-b", "a_b", "ab", "A.b"} {
		require.Regexp(t, `^[A-Za-z0-9_:-]+$`, buildkiteKey(role))
		keys[buildkiteKey(role)] = true
	}
	require.Len(t, keys, 5)
}

// What the jobs' commands quote reaches imgops as it was given here, also through Groovy and Buildkite.
func TestFanOutCommandsAreQuoted(t *testing.T) {
	words := []string{"a b", "it's", "$HOME", "`id`", `back\slash`, "", "feature/x@{1}", "*"}
	command := fan{before: []string{"printf", "%s\\n"}, after: words}.command("web", 1)
	out, err := exec.CommandContext(t.Context(), "sh", "-c", command).Output()
	require.NoError(t, err)
	require.Equal(t, strings.Join(append([]string{"ci", "--role", "web", "--level", "1"}, words...), "\n")+"\n", string(out))
	require.Equal(t, `'it\'s a \\ and\na $'`, groovy("it's a \\ and\na $"))
	step, err := fan{levels: byLevel([]fanJob{{Role: "web"}}), before: []string{"imgops"}, after: []string{"--base", "$x"}}.buildkite()
	require.NoError(t, err)
	require.Contains(t, string(step), "--base '$$x'")
}

func TestParentReady(t *testing.T) {
	base := &roles.Role{Name: "base", Digest: "sha256:0123456789abcdef"}
	web := &roles.Role{Name: "web", Parent: base}
	tests := []struct {
		parent, own, want string
	}{
		{images.ActionBuild, images.ActionBuild, "its parent base has no image of digest 0123456789ab yet; level 0 has to run first: imgops ci --role base --level 0"},
		{images.ActionVerify, images.ActionBuild, "image ami-1 of its parent base is not verified; level 0 has to run first: imgops ci --role base --level 0; where it has run, its verification failed, and that job says why"},
		{images.ActionPromote, images.ActionBuild, ""},
		{images.ActionNone, images.ActionBuild, ""},
		{images.ActionBuild, images.ActionVerify, ""}, // it has its own image
	}
	nothingKnown := func(*roles.Role, string) string { return "" }
	for _, tt := range tests {
		err := parentReady(web, map[string]images.Decision{"base": {Action: tt.parent, Image: "ami-1"}, "web": {Action: tt.own}}, nothingKnown)
		if tt.want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, tt.want)
	}
	require.NoError(t, parentReady(base, map[string]images.Decision{"base": {Action: images.ActionBuild}}, nothingKnown))
	require.Equal(t, []int{0, 1}, []int{level(base), level(web)})
}
