package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
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
			require.Equal(t, []string{"imgops ci --role " + strings.TrimPrefix(name, "imgops ") + " --level 1"}, job.Script)
		}
	}
	out, err = bigFan().buildkite()
	require.NoError(t, err)
	var buildkite struct{ Steps []buildkiteStep }
	require.NoError(t, yaml.Unmarshal(out, &buildkite))
	require.Len(t, buildkite.Steps, 701)
	require.Equal(t, "imgops-base", buildkite.Steps[0].Key)
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
		{images.ActionVerify, images.ActionBuild, "image ami-1 of its parent base is not verified yet"},
		{images.ActionPromote, images.ActionBuild, ""},
		{images.ActionNone, images.ActionBuild, ""},
		{images.ActionBuild, images.ActionVerify, ""}, // it has its own image
	}
	for _, tt := range tests {
		err := parentReady(web, map[string]images.Decision{"base": {Action: tt.parent, Image: "ami-1"}, "web": {Action: tt.own}})
		if tt.want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, tt.want)
	}
	require.NoError(t, parentReady(base, map[string]images.Decision{"base": {Action: images.ActionBuild}}))
	require.Equal(t, []int{0, 1}, []int{level(base), level(web)})
}
