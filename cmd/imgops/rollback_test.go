package main

import (
	"bytes"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
)

// apiWorld is imgops in this process, on a fleet whose accounts are a sandbox without machines: images are registered
// instead of built.
type apiWorld struct {
	t     *testing.T
	fleet string
	url   string
}

func newAPIWorld(t *testing.T) *apiWorld {
	t.Helper()
	box, err := sandbox.New(t.Context(), sandbox.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	server := httptest.NewServer(box.Handler())
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, box.Close())
	})
	w := &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "fleet"), url: server.URL}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "SANDBOX111111111111", "AWS_SECRET_ACCESS_KEY": "sandbox", "AWS_REGION": "us-east-1",
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

// do runs imgops and requires its exit code.
func (w *apiWorld) do(code int, args ...string) (stdout, stderr string) {
	w.t.Helper()
	var out, errs bytes.Buffer
	getenv := func(name string) string { // no CI system, whatever runs this test
		if strings.HasPrefix(name, "AWS_") {
			return os.Getenv(name)
		}
		return ""
	}
	got := run(w.t.Context(), world{Args: append([]string{"-C", w.fleet}, args...), Getenv: getenv, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
	require.Equal(w.t, code, got, "imgops %s:\n%s%s", strings.Join(args, " "), out.String(), errs.String())
	return out.String(), errs.String()
}

// bake registers the image that a build and a verification of the role would have left.
func (w *apiWorld) bake() string {
	w.t.Helper()
	out, _ := w.do(exitDone, "show", "web", "-o", "json")
	role := decode[struct {
		Digest      string `json:"digest"`
		TestsDigest string `json:"tests_digest"`
	}](w.t, out)
	ctx := w.t.Context()
	api := ec2.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(w.url), Credentials: credentials.NewStaticCredentialsProvider("SANDBOX111111111111", "sandbox", ""),
	})
	volume, err := api.CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1a"), Size: aws.Int32(1)})
	require.NoError(w.t, err)
	require.NoError(w.t, ec2.NewVolumeAvailableWaiter(api, func(o *ec2.VolumeAvailableWaiterOptions) { o.MinDelay = 10 * time.Millisecond }).
		Wait(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{*volume.VolumeId}}, time.Minute))
	snapshot, err := api.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: volume.VolumeId})
	require.NoError(w.t, err)
	require.NoError(w.t, ec2.NewSnapshotCompletedWaiter(api, func(o *ec2.SnapshotCompletedWaiterOptions) { o.MinDelay = 10 * time.Millisecond }).
		Wait(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*snapshot.SnapshotId}}, time.Minute))
	img := images.Image{Name: "acme-web-" + short(role.Digest), Fleet: "acme", Role: "web", Digest: role.Digest, Commit: w.git("rev-parse", "HEAD"), Run: "run-1", BuiltAt: time.Now()}
	tags := img.BuildTags()
	tags[images.TagVerified], tags[images.TagVerifiedAt] = role.TestsDigest, img.BuiltAt.UTC().Format(time.RFC3339)
	made, err := api.RegisterImage(ctx, &ec2.RegisterImageInput{
		Name: aws.String(img.Name), RootDeviceName: aws.String("/dev/xvda"), Architecture: types.ArchitectureValuesX8664,
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: snapshot.SnapshotId}}},
		TagSpecifications:   []types.TagSpecification{{ResourceType: types.ResourceTypeImage, Tags: images.EC2Tags(tags)}},
	})
	require.NoError(w.t, err)
	_, err = images.NewCatalogue(images.Location{Account: "111111111111", Region: "us-east-1"}, api).Wait(ctx, *made.ImageId, nil)
	require.NoError(w.t, err)
	return *made.ImageId
}

// requireDefaults checks what both locations have.
func (w *apiWorld) requireDefaults(image, status string) []images.Default {
	w.t.Helper()
	out, _ := w.do(exitDone, "list", "-o", "json")
	list := decode[[]images.Default](w.t, out)
	require.Len(w.t, list, 2)
	for _, d := range list {
		require.Equal(w.t, []string{image, status}, []string{d.Image, string(d.Status)}, d.Note)
	}
	return list
}

// TestNightAndDay is the life of a role's default: promoted, rolled back at night, held, released, reverted by day,
// overtaken, rejected, and retired.
func TestNightAndDay(t *testing.T) {
	w := newAPIWorld(t)
	first := w.commit("one")
	one := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(one, "current")
	_, errs := w.do(exitRefused, "rollback", "web", "--reason", "x")
	require.Contains(t, errs, "rollback of web refused (nothing before)")
	second := w.commit("two")
	two := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(two, "current")

	_, errs = w.do(exitUsage, "rollback", "web", "--reason", " ")
	require.Contains(t, errs, "give --reason TEXT")
	w.do(exitUsage, "rollback", "webb", "--reason", "x")
	out, _ := w.do(exitDone, "rollback", "web", "--reason", "x", "--plan")
	require.Contains(t, out, "222222222222/us-east-1: move the pointer from "+two+" to "+one)
	w.requireDefaults(two, "current")
	w.do(exitDone, "rollback", "web", "--reason", "the new one\nleaks")
	for _, d := range w.requireDefaults(one, "held") {
		require.Contains(t, d.Note, "held by arn:aws:iam::111111111111")
		require.Contains(t, d.Note, ": the new one leaks (rolled back to "+one+")")
	}
	_, errs = w.do(exitDone, "rollback", "web", "--reason", "again")
	require.Contains(t, errs, "to go further back, name the image with --to")
	w.requireDefaults(one, "held")

	// Merges do not undo it, and are no failure.
	out, errs = w.do(exitDone, "ci", "--event", "push", "-o", "json")
	require.Equal(t, "unchanged", decode[[]done](t, out)[0].Result)
	require.Contains(t, errs, "web is not promoted: held by ")
	out, _ = w.do(exitDone, "promote", "web", "-o", "json")
	require.Contains(t, out, `"held"`)
	out, _ = w.do(exitDone, "plan", "-o", "json")
	require.Contains(t, out, "verified, and not promoted: held by ")
	w.requireDefaults(one, "held")
	out, _ = w.do(exitDone, "list")
	require.Contains(t, out, "NOTE")

	_, errs = w.do(exitError, "hold", "web", "--reason", "mine")
	require.Contains(t, errs, "role web is held by ")
	_, errs = w.do(exitDone, "release", "web")
	require.Contains(t, errs, "web is released")
	_, errs = w.do(exitDone, "release", "web")
	require.Contains(t, errs, "web is not held")
	w.do(exitUsage, "release", "webb")
	w.requireDefaults(one, "behind")
	w.do(exitDone, "promote")
	w.requireDefaults(two, "current")

	// A rerun of the old pipeline promotes nothing old.
	w.git("checkout", "-q", first)
	_, errs = w.do(exitRefused, "ci", "--event", "push")
	require.Contains(t, errs, "commit "+first[:8]+" is older than "+second[:8])
	w.do(exitRefused, "promote")
	w.git("checkout", "-q", "main")
	w.requireDefaults(two, "current")

	// By day: the reverted content has its image already.
	w.git("revert", "--no-edit", "HEAD")
	out, _ = w.do(exitDone, "plan", "-o", "json")
	require.Contains(t, out, `"action": "promote"`)
	out, _ = w.do(exitDone, "ci", "--event", "push", "-o", "json")
	require.Equal(t, []done{{Role: "web", Digest: decode[[]done](t, out)[0].Digest, Result: "promoted", Image: one}}, decode[[]done](t, out))
	for _, d := range w.requireDefaults(one, "current") {
		require.Equal(t, w.git("rev-parse", "HEAD"), d.Commit)
	}
	w.git("checkout", "-q", second)
	w.do(exitRefused, "ci", "--event", "push")
	w.git("checkout", "-q", "main")

	out, _ = w.do(exitDone, "hold", "web", "--reason", "freeze", "-o", "json")
	require.Equal(t, "freeze", decode[images.Hold](t, out).Reason)
	w.do(exitDone, "hold", "web", "--reason", "freeze")
	out, _ = w.do(exitDone, "history", "web", "-o", "json")
	var actions []string
	for _, e := range decode[[]images.Event](t, out) {
		if e.Account != "333333333333" {
			actions = append(actions, e.Action)
		}
	}
	require.ElementsMatch(t, []string{"hold", "promote", "promote", "rollback", "promote", "promote"}, actions)
	out, _ = w.do(exitDone, "history", "web")
	require.Contains(t, out, "the new one leaks")
	w.do(exitUsage, "history", "webb")

	w.do(exitUsage, "reject", "web", "--reason", "x")
	_, errs = w.do(exitError, "reject", "ami-0123456789abcdef0", "--reason", "x")
	require.Contains(t, errs, "is no image of fleet acme")
	out, errs = w.do(exitDone, "reject", one, "--reason", "CVE", "-o", "json")
	require.Contains(t, errs, "warning: "+one+" is the default of web in 222222222222/us-east-1 now")
	require.Len(t, decode[rejection](t, out).Defaults, 2)
	require.Contains(t, w.requireDefaults(one, "held")[0].Note, "rejected: CVE")
	out, _ = w.do(exitDone, "plan")
	require.Contains(t, out, one+" is rejected")
	w.do(exitRefused, "rollback", "web", "--reason", "x", "--to", one)
	w.do(exitDone, "rollback", "web", "--reason", "x", "--to", two)
	w.requireDefaults(two, "held")

	_, errs = w.do(exitRefused, "retire", "web", "--reason", "x")
	require.Contains(t, errs, "retirement of web refused (still on main): main has the role")
	w.write("roles/db/image.yaml", "base: {image: ami-0123456789abcdef0}\nverify: [{suite: default}]\n")
	w.write("roles/db/tests/default/true.sh", "#!/bin/sh\ntrue\n")
	w.write("roles/db/tasks/main.yml", "- ansible.builtin.ping:\n")
	w.git("add", "-A")
	w.git("rm", "-rq", "roles/web")
	w.git("commit", "-qm", "Replace web")
	out, _ = w.do(exitDone, "list", "-o", "json")
	require.Contains(t, out, `"orphan"`)
	_, errs = w.do(exitUsage, "retire", "webb", "--reason", "x")
	require.Contains(t, errs, `role "webb" has no pointer and no image`)
	out, _ = w.do(exitDone, "retire", "web", "--reason", "db does it now", "-o", "json")
	require.Contains(t, out, two)
	out, _ = w.do(exitDone, "list", "-o", "json")
	require.NotContains(t, out, `"web"`)
	_, errs = w.do(exitDone, "retire", "web", "--reason", "db does it now")
	require.Contains(t, errs, "web has no pointer any more")
	w.git("checkout", "-q", second)
	w.do(exitRefused, "ci", "--event", "push")
}
