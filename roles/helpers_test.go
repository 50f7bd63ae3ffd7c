package roles

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sandboxRepo is a Git repository in a temporary directory, driven by the git binary with no configuration but its own.
type sandboxRepo struct {
	t   testing.TB
	dir string
}

func gitIn(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "gc.auto=0", "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "git %s: %s", strings.Join(args, " "), out)
	return strings.TrimSpace(string(out))
}

func newSandboxRepo(t testing.TB, files map[string]string) *sandboxRepo {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	// go-git reads the user's ignore file and configuration: none here.
	t.Setenv("HOME", filepath.Join(dir, "no-home"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "no-home"))
	r := &sandboxRepo{t, filepath.Join(dir, "fleet")}
	require.NoError(t, os.Mkdir(r.dir, 0o755))
	r.git("init", "-q", "-b", "main")
	r.writeAll(withSuites(files))
	return r
}

// suiteOf is the least that makes the tests of a role.
const suiteOf = "file: {}\n"

// withSuites adds a suite to every image role that has none: without one it is no valid role.
func withSuites(files map[string]string) map[string]string {
	out := maps.Clone(files)
	for name := range files {
		dir, ok := strings.CutSuffix(name, "/image.yaml")
		if !ok || !strings.HasPrefix(path.Base(path.Dir(dir)), "roles") {
			continue
		}
		has := false
		for other := range files {
			has = has || strings.HasPrefix(other, dir+"/tests/")
		}
		if !has {
			out[dir+"/tests/default/goss.yaml"] = suiteOf
		}
	}
	return out
}

func (r *sandboxRepo) git(args ...string) string {
	r.t.Helper()
	return gitIn(r.t, r.dir, args...)
}

func (r *sandboxRepo) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

func (r *sandboxRepo) write(name, content string) {
	r.t.Helper()
	require.NoError(r.t, os.MkdirAll(filepath.Dir(r.path(name)), 0o755))
	require.NoError(r.t, os.WriteFile(r.path(name), []byte(content), 0o644))
}

func (r *sandboxRepo) writeAll(files map[string]string) {
	r.t.Helper()
	for name, content := range files {
		r.write(name, content)
	}
}

func (r *sandboxRepo) remove(name string) {
	r.t.Helper()
	require.NoError(r.t, os.RemoveAll(r.path(name)))
}

func (r *sandboxRepo) commit() string {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "change")
	return r.git("rev-parse", "HEAD")
}

func (r *sandboxRepo) open() *Repo {
	r.t.Helper()
	repo, err := OpenRepo(r.t.Context(), r.dir)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { require.NoError(r.t, repo.Close()) })
	return repo
}

// load reads HEAD and resolves it.
func (r *sandboxRepo) load() *Fleet {
	r.t.Helper()
	f, err := r.open().Load(r.t.Context(), "HEAD")
	require.NoError(r.t, err)
	require.NoError(r.t, f.Resolve(testPins))
	return f
}

// worktree reads the working tree and resolves it.
func (r *sandboxRepo) worktree() *Fleet {
	r.t.Helper()
	f, err := r.open().LoadWorktree(r.t.Context())
	require.NoError(r.t, err)
	require.NoError(r.t, f.Resolve(testPins))
	return f
}

var testPins = Pins{
	"136693071363/debian-12-amd64-*/x86_64": "ami-00000000000000001",
	"136693071363/debian-12-arm64-*/arm64":  "ami-00000000000000002",
}

func digests(f *Fleet) map[string]string {
	out := map[string]string{}
	for _, r := range f.Roles {
		out[r.Name] = r.Digest
	}
	return out
}

func testsDigests(f *Fleet) map[string]string {
	out := map[string]string{}
	for _, r := range f.Roles {
		out[r.Name] = r.TestsDigest
	}
	return out
}

// settled makes every file of the working tree older than the index, so that none is racily clean.
func (r *sandboxRepo) settled() {
	r.t.Helper()
	old := time.Now().Add(-time.Hour)
	require.NoError(r.t, filepath.WalkDir(r.dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if err == nil && d.Type().IsRegular() {
			return os.Chtimes(p, old, old)
		}
		return err
	}))
	r.git("status")
}

const imgopsYAML = `version: 1
fleet: acme
build: {account: "111111111111", region: us-east-1}
targets:
  - name: production
    accounts: ["222222222222", "333333333333"]
    regions: [us-east-1, eu-west-1]
  - name: staging
    accounts: ["444444444444"]
    regions: [us-east-1]
`

const debianBase = "base: {owner: \"136693071363\", name: \"debian-12-amd64-*\"}\n"

// fleetFiles is a fleet in which each kind of reference occurs once.
func fleetFiles() map[string]string {
	return map[string]string{
		"imgops.yaml":                        imgopsYAML,
		"README.md":                          "a fleet\n",
		"roles/base/image.yaml":              debianBase,
		"roles/base/tasks/main.yml":          "- apt: {name: curl}\n",
		"roles/base/tests/default/goss.yaml": "package: {curl: {installed: true}}\n",
		"roles/web/image.yaml":               "base: {role: base}\nprovision:\n  - ansible: {playbook: web.yml, vars: {port: 8080, tls: {enabled: yes}}}\n  - shell: {script: harden.sh, env: {LEVEL: 2}}\nverify:\n  - suite: default\ntargets: [production]\n",
		"roles/web/harden.sh":                "#!/bin/sh\n",
		"roles/web/tasks/main.yml":           "- template: {src: site.conf, dest: /etc/site.conf}\n- include_role: {name: logging}\n",
		"roles/web/templates/site.conf":      "listen {{ port }}\n",
		"roles/web/tests/default/web.bats":   "@test up { true; }\n",
		"roles/worker/image.yaml":            "base: {role: base}\n",
		"roles/worker/tasks/main.yml":        "- copy: {src: worker.conf, dest: /etc}\n",
		"roles/worker/files/worker.conf":     "queue=1\n",
		"roles/worker/meta/main.yml":         "dependencies: [{role: tuning}]\n",
		"roles/logging/tasks/main.yml":       "- apt: {name: rsyslog}\n",
		"roles/logging/meta/main.yml":        "dependencies: [certs]\n",
		"roles/certs/tasks/main.yml":         "- copy: {src: ca.pem, dest: /etc}\n",
		"roles/certs/files/ca.pem":           "pem\n",
		"roles/tuning/tasks/main.yml":        "- sysctl: {name: a, value: 1}\n",
		"roles/arm/image.yaml":               "base: {owner: \"136693071363\", name: \"debian-12-arm64-*\", architecture: arm64}\nprovision:\n  - shell: {script: setup.sh}\n",
		"roles/arm/setup.sh":                 "#!/bin/sh\n",
		"web.yml":                            "- hosts: all\n  vars_files: [shared/web.yml]\n  roles: [web]\n",
		"shared/web.yml":                     "greeting: hello\n",
		"shared/unused.yml":                  "a: 1\n",
		"group_vars/all.yml":                 "domain: example.com\n",
		"requirements.yml":                   "collections: []\n",
	}
}

// runGit runs git where it may fail.
func runGit(r *sandboxRepo, args ...string) error {
	cmd := exec.Command("git", append([]string{"-C", r.dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
	return cmd.Run()
}
