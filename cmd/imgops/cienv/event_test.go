package cienv_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/cmd/imgops/cienv"
)

const sha = "83a20ec058e2fb00e7fa4558c4c6e81e2dcf253d"

// vars are the variables of a job. A value that begins with "file:" is replaced by the path of a file with the rest.
type vars map[string]string

func (v vars) with(more vars) vars {
	all := vars{}
	for _, m := range []vars{v, more} {
		for name, value := range m {
			all[name] = value
		}
	}
	return all
}

type testCase struct {
	name string
	vars vars
	want cienv.Event
}

func check(t *testing.T, tests []testCase) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := cienv.Detect(environ(t, tt.vars))
			require.True(t, ok)
			require.Equal(t, tt.want, got)
			require.Regexp(t, `^[a-z0-9][a-z0-9-]{0,23}$`, got.Run())
		})
	}
}

func environ(t *testing.T, v vars) func(string) string {
	dir := t.TempDir()
	made := vars{}
	for name, value := range v {
		content, ok := strings.CutPrefix(value, "file:")
		if !ok {
			made[name] = value
			continue
		}
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(content, "$DIR", dir)), 0o600))
		made[name] = path
	}
	return func(name string) string { return made[name] }
}

func TestNoSystem(t *testing.T) {
	for _, v := range []vars{{}, {"CI": "true"}, {"GITHUB_ACTIONS": "false"}, {"GITHUB_SHA": sha}, {"JENKINS_HOME": "/var/jenkins_home"}, {"BUILD_NUMBER": "3"}} {
		_, ok := cienv.Detect(environ(t, v))
		require.False(t, ok)
	}
}

// A job of one system can run in another: the one whose job it is comes first.
func TestNestedSystems(t *testing.T) {
	tests := []struct {
		vars vars
		want cienv.System
	}{
		{vars{"CODEBUILD_BUILD_ID": "p:1", "GITHUB_ACTIONS": "true"}, cienv.GitHub},
		{vars{"CODEBUILD_BUILD_ID": "p:1", "GITLAB_CI": "true"}, cienv.GitLab},
		{vars{"CODEBUILD_BUILD_ID": "p:1", "BUILDKITE": "true"}, cienv.Buildkite},
		{vars{"CI": "woodpecker", "DRONE": "true"}, cienv.Woodpecker},
		{vars{"JENKINS_HOME": "/var/jenkins_home", "TEAMCITY_VERSION": "2025.11", "BUILD_NUMBER": "3"}, cienv.TeamCity},
		{vars{"JENKINS_URL": "https://ci.example.com/", "CODEBUILD_BUILD_ID": "p:1"}, cienv.CodeBuild},
	}
	for _, tt := range tests {
		got, ok := cienv.Detect(environ(t, tt.vars))
		require.True(t, ok)
		require.Equal(t, tt.want, got.System)
	}
}

func TestRun(t *testing.T) {
	for want, ev := range map[string]cienv.Event{
		"github-1658821493": {System: cienv.GitHub, RunID: "1658821493", Attempt: "2"},
		"gitlab-98765":      {System: cienv.GitLab, RunID: "98765"},
		"":                  {System: cienv.GitHub},
	} {
		require.Equal(t, want, ev.Run())
	}
	// What is too long, or has other characters, is shortened to something that still tells runs apart.
	for _, id := range []string{"jenkins-fleet-main-12", "4735ba57-80d0-46e2-8fa0-b28223a86586", "demo:1", "UPPER", "a b"} {
		run := cienv.Event{System: cienv.Buildkite, RunID: id, Attempt: "1"}.Run()
		require.Regexp(t, "^buildkite-[0-9a-f]{12}$", run)
		require.Equal(t, run, cienv.Event{System: cienv.Buildkite, RunID: id, Attempt: "2"}.Run(), "the same for every attempt")
		require.NotEqual(t, run, cienv.Event{System: cienv.Buildkite, RunID: id + "x"}.Run())
	}
}

func FuzzDetect(f *testing.F) {
	f.Add("GITHUB_ACTIONS", "true", "GITHUB_REF", "refs/pull/7/merge")
	f.Add("CODEBUILD_BUILD_ID", "demo:1", "CODEBUILD_WEBHOOK_TRIGGER", "pr/7")
	f.Add("TF_BUILD", "True", "BUILD_SOURCEBRANCH", "refs/pull//")
	f.Fuzz(func(t *testing.T, name, value, name2, value2 string) {
		set := vars{name: value, name2: value2}
		ev, ok := cienv.Detect(func(n string) string { return set[n] })
		if !ok {
			require.Equal(t, cienv.Event{}, ev)
			return
		}
		require.NotEmpty(t, ev.Kind)
		require.Empty(t, strings.Trim(ev.PullRequest, "0123456789"))
		if run := ev.Run(); run != "" {
			require.Regexp(t, `^[a-z0-9][a-z0-9-]{0,23}$`, run)
		}
	})
}
