package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

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
