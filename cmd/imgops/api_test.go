package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
)

var apiHome = images.Location{Account: "111111111111", Region: "us-east-1"}

// apiWorld is imgops in this process, on a fleet whose accounts are a sandbox without machines: images are registered
// instead of built.
type apiWorld struct {
	t     *testing.T
	fleet string
	box   *sandboxtest.Cloud
}

func newAPIWorld(t *testing.T, change ...func(*sandbox.Options)) *apiWorld {
	t.Helper()
	box := sandboxtest.New(t, change...)
	w := &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "fleet"), box: box}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": box.URL, "AWS_ACCESS_KEY_ID": "SANDBOX111111111111", "AWS_SECRET_ACCESS_KEY": "sandbox", "AWS_REGION": "us-east-1",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_NOSYSTEM": "1",
		"GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@example.com", "GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@example.com",
	} {
		t.Setenv(name, value)
	}
	w.write("imgops.yaml", `version: 1
fleet: acme
main: main
build: {account: "111111111111", region: us-east-1}
targets:
  - name: production
    accounts: ["222222222222", "333333333333"]
    regions: [us-east-1]
    role_arn: "arn:aws:iam::{account}:role/imgops"
`)
	w.write("roles/web/image.yaml", "base: {image: ami-0123456789abcdef0}\nverify: [{suite: default}]\n")
	w.write("roles/web/tasks/main.yml", "- ansible.builtin.ping:\n")
	w.write("roles/web/tests/default/true.sh", "#!/bin/sh\ntrue\n")
	w.git("init", "-q", "-b", "main")
	return w
}

func (w *apiWorld) write(name, content string) {
	path := filepath.Join(w.fleet, name)
	require.NoError(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
	write(w.t, path, content)
}

func (w *apiWorld) git(args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = w.fleet
	out, err := cmd.CombinedOutput()
	require.NoError(w.t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

// commit records the role with other content, and returns the commit.
func (w *apiWorld) commit(content string) string {
	w.write("roles/web/files/content", content)
	w.git("add", "-A")
	w.git("commit", "-qm", content)
	return w.git("rev-parse", "HEAD")
}

// getenv knows of no CI system, whatever runs this test.
func (w *apiWorld) getenv(name string) string {
	if strings.HasPrefix(name, "AWS_") {
		return os.Getenv(name)
	}
	return ""
}

// do runs imgops and requires its exit code.
func (w *apiWorld) do(code int, args ...string) (stdout, stderr string) {
	w.t.Helper()
	got, stdout, stderr := w.try(args...)
	require.Equal(w.t, code, got, "imgops %s:\n%s%s", strings.Join(args, " "), stdout, stderr)
	return stdout, stderr
}

// try runs imgops.
func (w *apiWorld) try(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	var out, errs bytes.Buffer
	code = run(w.t.Context(), world{Args: append([]string{"-C", w.fleet}, args...), Getenv: w.getenv, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
	return code, out.String(), errs.String()
}

// bake registers the image that a build and a verification of role web would have left.
func (w *apiWorld) bake() string {
	w.t.Helper()
	return w.bakeRole("web")
}

// images lists the fleet's images in the build location.
func (w *apiWorld) images() []images.Image {
	w.t.Helper()
	catalogue, err := images.Open(w.t.Context(), w.box, apiHome)
	require.NoError(w.t, err)
	list, err := catalogue.OfFleet(w.t.Context(), "acme")
	require.NoError(w.t, err)
	return list
}

func (w *apiWorld) bakeRole(name string) string {
	w.t.Helper()
	return w.bakeOn(name, "")
}

// bakeOn is bakeRole of an image that was built on another one.
func (w *apiWorld) bakeOn(name, base string) string {
	w.t.Helper()
	return w.bakeAs(apiHome, name, base)
}

// bakeAt is bakeRole in another build location.
func (w *apiWorld) bakeAt(at images.Location, name string) string {
	w.t.Helper()
	return w.bakeAs(at, name, "")
}

func (w *apiWorld) bakeAs(at images.Location, name, base string) string {
	w.t.Helper()
	out, _ := w.do(exitDone, "show", name, "-o", "json")
	role := decode[struct {
		Digest      string `json:"digest"`
		TestsDigest string `json:"tests_digest"`
	}](w.t, out)
	return w.box.Register(w.t, at, images.Image{
		Name: fmt.Sprintf("acme-%s-%s-%d", name, short(role.Digest), len(w.images())), Fleet: "acme", Role: name, Digest: role.Digest, Commit: w.git("rev-parse", "HEAD"), Run: "run-1",
		Base: base, BuiltAt: time.Now(), Verified: role.TestsDigest,
	}).ID
}

func (w *apiWorld) defaults() []images.Default {
	w.t.Helper()
	out, _ := w.do(exitDone, "list", "-o", "json")
	return decode[[]images.Default](w.t, out)
}

// requireDefaults checks what both locations have.
func (w *apiWorld) requireDefaults(image, status string) []images.Default {
	w.t.Helper()
	list := w.defaults()
	require.Len(w.t, list, 2)
	for _, d := range list {
		require.Equal(w.t, []string{image, status}, []string{d.Image, string(d.Status)}, d.Note)
	}
	return list
}
