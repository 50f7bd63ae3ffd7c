package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ci runs imgops ci with the variables of a CI system.
func (w *apiWorld) ci(vars map[string]string, args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	var out, errs strings.Builder
	getenv := func(name string) string {
		if v, ok := vars[name]; ok {
			return v
		}
		return w.getenv(name)
	}
	code = run(w.t.Context(), world{Args: append([]string{"-C", w.fleet, "ci"}, args...), Getenv: getenv, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
	return code, out.String(), errs.String()
}

// TestPullRequestTarget: a job that has main checked out says nothing about a pull request.
func TestPullRequestTarget(t *testing.T) {
	w := newAPIWorld(t)
	main := w.commit("main")
	w.git("config", "uploadpack.allowAnySHA1InWant", "true")
	w.git("switch", "-qc", "feature")
	head := w.commit("feature")
	image := w.bake()
	w.git("switch", "-q", "main")
	w.git("switch", "-q", "--detach")
	w.git("merge", "-q", "--no-ff", "-m", "Merge feature into main", head)
	merge := w.git("rev-parse", "HEAD")
	w.git("branch", "merged")
	w.git("switch", "-q", "main")
	payload := filepath.Join(t.TempDir(), "event.json")
	job := func(event, repo, sha string) map[string]string {
		write(t, payload, `{"pull_request": {"number": 7, "base": {"ref": "main", "repo": {"full_name": "acme/fleet"}},
			"head": {"ref": "feature", "sha": "`+sha+`", "repo": {"full_name": "`+repo+`"}}}}`)
		return map[string]string{
			"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": event, "GITHUB_EVENT_PATH": payload, "GITHUB_SHA": main, "GITHUB_REF": "refs/heads/main",
			"GITHUB_BASE_REF": "main", "GITHUB_HEAD_REF": "feature", "GITHUB_RUN_ID": "1",
		}
	}
	for name, args := range map[string][]string{"a whole clone": nil, "a shallow clone": {"--depth=1"}} {
		t.Run(name, func(t *testing.T) {
			for _, at := range []struct {
				event, checkout, sha string
				code                 int
				want                 string
			}{
				{"pull_request_target", main, head, exitUsage, "pull request 7 into main: its newest commit is " + head + `, and HEAD \(` + main[:10] + `\) is neither that nor a merge of it, for pull_request_target checks out the base branch; nothing was started; give actions/checkout .ref: `},
				{"pull_request", main, head, exitUsage, "is neither that nor a merge of it; nothing was started; give actions/checkout"},
				{"pull_request", main, strings.Repeat("ab", 20), exitUsage, "is neither that nor a merge of it"},
				{"pull_request_target", main, "", exitUsage, "the event's file does not say which commit is meant"},
				{"pull_request_target", head, head, exitDone, "pull request 7 into main: builds and verifies"},
				{"pull_request", merge, head, exitDone, "needed no build"},
			} {
				c := w.clone("job", args...)
				c.git("fetch", "-q", "origin", "--depth=1", at.checkout)
				if args == nil {
					c.git("fetch", "-q", "origin", "--unshallow")
				}
				c.git("checkout", "-q", at.checkout)
				code, out, errs := c.ci(job(at.event, "acme/fleet", at.sha), "-o", "json")
				require.Equal(t, at.code, code, errs)
				require.Regexp(t, at.want, errs)
				if code == exitDone {
					require.Equal(t, image, decode[[]done](t, out)[0].Image)
				} else {
					require.Empty(t, out)
				}
			}
		})
	}

	t.Run("a fork's", func(t *testing.T) {
		code, _, errs := w.ci(job("pull_request_target", "alice/fleet", head))
		require.Equal(t, exitRefused, code)
		require.Contains(t, errs, "comes from a fork")
		code, _, errs = w.ci(job("pull_request_target", "alice/fleet", head), "--allow-forks")
		require.Equal(t, exitUsage, code)
		require.Contains(t, errs, "is neither that nor a merge of it")
	})
	require.NoError(t, os.Remove(payload))
}
