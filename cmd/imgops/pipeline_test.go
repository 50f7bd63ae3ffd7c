package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
)

type listed struct {
	Role, Digest, Commit, Account, Region, Image, Status string
}

type done struct {
	Role, Digest, Result, Image, Error string
	Built                              bool
}

// TestPipeline is the main job, whole and for real: a branch's image is built and verified on real machines, the merge
// promotes that very image to 2 accounts x 2 Regions, and nothing temporary is left. Then what must be refused is.
func TestPipeline(t *testing.T) {
	if testing.Short() {
		t.Skip("boots real machines; run without -short")
	}
	w := newRealWorld(t)
	w.sandboxUp(t, "nspawn")
	fleet := w.newFleet(t)

	t.Log("main has nothing yet: everything is missing")
	out, _ := w.imgops(t, fleet, "list", "-o", "json")
	for _, d := range decode[[]listed](t, out) {
		require.Equal(t, "missing", d.Status)
	}

	t.Log("a broken playbook: the failing task is shown, exit 1, and nothing is left running")
	w.git(t, fleet, "switch", "-qc", "broken")
	tasks := filepath.Join(fleet, "roles", "base", "tasks", "main.yml")
	write(t, tasks, "- name: Reach for the moon\n  ansible.builtin.command: /bin/false\n")
	w.git(t, fleet, "commit", "-qam", "Break base")
	code, out, errs := w.try(t, fleet, "ci", "--event", "pull-request", "-o", "json")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "Reach for the moon")
	results := decode[[]done](t, out)
	require.Equal(t, []string{"failed", "skipped"}, []string{results[0].Result, results[1].Result})
	w.requireClean(t)
	w.git(t, fleet, "switch", "-q", "main")

	t.Log("a branch changes web: it is built, with its parent, and verified")
	w.git(t, fleet, "switch", "-qc", "greeting")
	replaceIn(t, filepath.Join(fleet, "roles", "web"), "Hello from imgops", "Hello from the branch")
	w.git(t, fleet, "commit", "-qam", "Greet from the branch")
	w.git(t, fleet, "push", "-q", "origin", "greeting")
	out, _ = w.imgops(t, fleet, "ci", "--event", "pull-request", "-o", "json")
	branch := decode[[]done](t, out)
	require.Len(t, branch, 2)
	for _, r := range branch {
		require.Equal(t, "verified", r.Result)
		require.True(t, r.Built)
	}
	w.requireClean(t)
	w.requireReports(t, fleet)

	t.Log("off main nothing is promoted")
	code, _, errs = w.try(t, fleet, "promote", "web")
	require.Equal(t, exitRefused, code)
	require.Contains(t, errs, "not on main")
	code, _, errs = w.try(t, fleet, "ci", "--event", "push")
	require.Equal(t, exitRefused, code)
	require.Contains(t, errs, "not on main")

	t.Log("the merge promotes the very image, unbuilt")
	w.git(t, fleet, "switch", "-q", "main")
	w.git(t, fleet, "merge", "-q", "--no-ff", "-m", "Merge greeting", "greeting")
	w.git(t, fleet, "push", "-q", "origin", "main")
	out, _ = w.imgops(t, fleet, "promote", "--plan", "-o", "json")
	require.Contains(t, out, `"pointer"`)
	out, _ = w.imgops(t, fleet, "list", "-o", "json")
	require.NotContains(t, out, `"current"`, "promote --plan changed something")
	out, errs = w.imgops(t, fleet, "ci", "--event", "push", "-o", "json", "--debug")
	for i, r := range decode[[]done](t, out) {
		require.Equal(t, "promoted", r.Result)
		require.False(t, r.Built)
		require.Equal(t, branch[i].Image, r.Image)
	}
	require.NotContains(t, errs, "ec2:RunInstances")
	w.requireCurrent(t, fleet, 8)

	tip := w.git(t, fleet, "ls-remote", "origin", "imgops-ledger")
	require.NotEmpty(t, tip, "the ledger was pushed")

	t.Log("again: nothing to do, no machine, no mutating call, no record")
	out, errs = w.imgops(t, fleet, "ci", "--event", "push", "-o", "json", "--debug")
	for _, r := range decode[[]done](t, out) {
		require.Equal(t, "unchanged", r.Result)
	}
	for _, call := range []string{"RunInstances", "CreateImage", "CopyImage", "CreateTags", "Modify", "PutParameter"} {
		require.NotContains(t, errs, call)
	}
	require.Equal(t, tip, w.git(t, fleet, "ls-remote", "origin", "imgops-ledger"))

	t.Log("a failing test leaves the candidate unverified: exit 3, with the test's name")
	w.git(t, fleet, "switch", "-qc", "worse")
	extra := filepath.Join(fleet, "roles", "web", "files", "new")
	write(t, extra, "2\n")
	tasks = filepath.Join(fleet, "roles", "web", "tasks", "main.yml")
	content, err := os.ReadFile(tasks)
	require.NoError(t, err)
	write(t, tasks, string(content)+"\n- name: Note the release\n  ansible.builtin.copy:\n    src: new\n    dest: /etc/web-release\n    mode: \"0640\"\n"+
		"\n- name: Have a unit\n  ansible.builtin.copy:\n    content: \"[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n\"\n    dest: /etc/systemd/system/extra.service\n    mode: \"0644\"\n"+
		"\n- name: Have a package\n  ansible.builtin.shell: |\n    set -e\n    mkdir -p /tmp/extra/DEBIAN\n"+
		"    printf 'Package: imgops-extra\\nVersion: 1.0\\nArchitecture: all\\nMaintainer: x <x@example.com>\\nDescription: x\\n' > /tmp/extra/DEBIAN/control\n"+
		"    dpkg-deb --build /tmp/extra /tmp/extra.deb\n    dpkg -i /tmp/extra.deb\n    rm -r /tmp/extra /tmp/extra.deb\n"+
		"\n- name: Enable it\n  ansible.builtin.systemd:\n    name: extra.service\n    enabled: true\n    daemon_reload: true\n")
	write(t, filepath.Join(fleet, "roles", "web", "tests", "http", "moon.sh"), "#!/bin/sh\necho the moon is not here\nexit 1\n")
	w.git(t, fleet, "add", "-A")
	w.git(t, fleet, "commit", "-qm", "Test for the moon")
	code, _, errs = w.try(t, fleet, "ci", "--event", "pull-request")
	require.Equal(t, exitVerify, code)
	require.Contains(t, errs, "moon.sh")
	require.Contains(t, errs, "the moon is not here")
	w.requireClean(t)

	t.Log("a dirty tree is never promoted, and what imgops.yaml says uncommitted counts for nothing")
	w.git(t, fleet, "switch", "-q", "main")
	write(t, extra, "uncommitted\n")
	code, _, errs = w.try(t, fleet, "promote")
	require.Equal(t, exitRefused, code)
	require.Contains(t, errs, "dirty tree")
	require.NoError(t, os.Remove(extra))
	replaceIn(t, fleet, `"333333333333"]`, `"333333333333", "444444444444"]`)
	code, _, errs = w.try(t, fleet, "promote")
	require.Equal(t, exitRefused, code)
	require.Contains(t, errs, "imgops.yaml")
	w.git(t, fleet, "checkout", "-q", ".")
	w.requireCurrent(t, fleet, 8)
	w.requireRecord(t, fleet, branch[1].Image)
}

// requireRecord checks what the ledger tells in a fresh clone without a cloud: what differs between web's default and the
// candidate that failed, where the default comes from, and who made it the default.
func (w *realWorld) requireRecord(t *testing.T, fleet, image string) {
	t.Helper()
	other := filepath.Join(w.dir, "elsewhere")
	w.git(t, w.dir, "clone", "-q", "--depth", "1", "file://"+filepath.Join(w.dir, "origin.git"), other)
	w.imgops(t, w.dir, "sandbox", "down", "--name", w.sandbox)
	for _, dir := range []string{fleet, other} {
		code, out, errs := w.try(t, dir, "diff", "web", "-o", "json", "--detailed-exitcode")
		require.Equal(t, exitChanges, code, errs)
		d := decode[diffOutput](t, out)
		require.Equal(t, image, d.A.Image)
		require.Equal(t, []ledger.Change{{Name: "imgops-extra", Change: ledger.Added, New: "1.0"}}, d.Packages)
		require.Empty(t, d.Unknown)
		require.Contains(t, d.Etc, ledger.Change{Name: "/etc/web-release", Change: ledger.Added, New: "file 0640 root:root"})
		require.Contains(t, d.Services, ledger.Change{Name: "extra.service", Change: ledger.Added, New: "enabled"})
		out, _ = w.imgops(t, dir, "diff", "web", "default", d.A.Commit[:12], "-o", "json", "--detailed-exitcode")
		require.Empty(t, decode[diffOutput](t, out).Etc)

		out, errs = w.imgops(t, dir, "show", image, "-o", "json")
		require.Contains(t, errs, "AWS was not asked")
		shown := decode[shownImage](t, out)
		require.True(t, shown.Default)
		require.NotEmpty(t, shown.Verified)
		require.Greater(t, *shown.Ledger.Packages, 50)
		require.NotEmpty(t, shown.Ledger.Tools["ansible-core"])
		require.True(t, shown.Ledger.Verifications[0].Passed)
		out, _ = w.imgops(t, dir, "show", d.B.Image)
		require.Regexp(t, `verification +\S+ \S+ failed`, out)

		out, _ = w.imgops(t, dir, "history", "web", "-o", "json")
		events := decode[[]past](t, out)
		require.Len(t, events, 4, "one for each pointer")
		for _, e := range events {
			require.Equal(t, []string{"promote", ""}, []string{e.Action, e.Before})
			require.Contains(t, e.Who, "arn:aws:iam::111111111111")
		}
		out, _ = w.imgops(t, dir, "show", "web")
		require.Regexp(t, "default +222222222222/us-east-1 +ami-", out)
	}
}

// TestTwoRunsBuildOnce lets two runs want the same digest at once: one builds, the other waits and uses its image. Then
// a machine is kept, looked at and removed.
func TestTwoRunsBuildOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("boots real machines; run without -short")
	}
	w := newRealWorld(t)
	w.sandboxUp(t, "nspawn")
	fleet := w.newFleet(t)
	other := filepath.Join(w.dir, "other")
	w.git(t, w.dir, "clone", "-q", filepath.Join(w.dir, "origin.git"), other)
	var outs [2]string
	var both sync.WaitGroup
	for i, dir := range []string{fleet, other} {
		both.Go(func() { outs[i], _ = w.imgops(t, dir, "build", "base", "-o", "json") })
	}
	both.Wait()
	one, two := decode[[]done](t, outs[0])[0], decode[[]done](t, outs[1])[0]
	require.Equal(t, one.Image, two.Image)
	found, err := images.NewCatalogue(buildHome, w.ec2(t, buildHome)).OfFleet(t.Context(), "acme")
	require.NoError(t, err)
	require.Len(t, found, 1)
	w.requireClean(t)

	t.Log("a kept machine can be looked at, and goes with gc")
	w.imgops(t, fleet, "verify", "base", "--keep")
	out, _ := w.imgops(t, fleet, "login", "base", "--", "hostname")
	require.Contains(t, out, "ip-")
	out, _ = w.imgops(t, fleet, "gc", "-o", "json")
	require.Empty(t, decode[[]images.Leftover](t, out), "nothing has expired")
	runs, err := os.ReadDir(filepath.Join(fleet, ".imgops", "runs"))
	require.NoError(t, err)
	out, _ = w.imgops(t, fleet, "gc", "--run", runs[len(runs)-1].Name(), "-o", "json")
	require.Len(t, decode[[]images.Leftover](t, out), 3)
	w.requireClean(t)
	code, _, errs := w.try(t, fleet, "login", "base")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "no machine was kept")

	t.Log("main's fan-out: a runner for each role, each with a clone of its own")
	w.fanOut(t, fleet)
	w.requireClean(t)
}

// fanOut runs the jobs of a matrix one level after the other, as GitHub would: each in a shallow clone that it has
// just made. Each finds the image of its parent by the digest.
func (w *realWorld) fanOut(t *testing.T, fleet string) {
	t.Helper()
	out, _ := w.imgops(t, fleet, "ci", "--event", "push", "--matrix", "github")
	levels := decode[map[string]struct {
		Include []struct {
			Role  string
			Level int
		}
	}](t, out)
	require.Len(t, levels, 2)
	made := map[string]done{}
	for _, level := range []string{"level0", "level1"} {
		for _, job := range levels[level].Include {
			clone := filepath.Join(w.dir, "runner-"+job.Role)
			w.git(t, w.dir, "clone", "-q", "--depth=1", "file://"+filepath.Join(w.dir, "origin.git"), clone)
			out, _ := w.imgops(t, clone, "ci", "--event", "push", "--role", job.Role, "--level", strconv.Itoa(job.Level), "-o", "json")
			results := decode[[]done](t, out)
			require.Len(t, results, 1, "a runner does its own role only")
			require.Equal(t, []string{job.Role, "promoted"}, []string{results[0].Role, results[0].Result})
			made[job.Role] = results[0]
		}
	}
	require.False(t, made["base"].Built, "its image was there")
	require.True(t, made["web"].Built)
	found, err := images.NewCatalogue(buildHome, w.ec2(t, buildHome)).Get(t.Context(), made["web"].Image)
	require.NoError(t, err)
	require.Equal(t, made["base"].Image, found[made["web"].Image].Base)
	w.requireCurrent(t, fleet, 8)
	out, _ = w.imgops(t, fleet, "ci", "--event", "push", "--matrix", "github")
	require.Equal(t, "{}\n", out, "nothing is left to do")
}

var buildHome = images.Location{Account: "111111111111", Region: "us-east-1"}

// requireClean checks that no temporary machine, group or key is left in the build account.
func (w *realWorld) requireClean(t *testing.T) {
	t.Helper()
	api := w.ec2(t, buildHome)
	keys, err := api.DescribeKeyPairs(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, keys.KeyPairs)
	groups, err := api.DescribeSecurityGroups(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, groups.SecurityGroups, 1, "only the default group")
	found, err := api.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{})
	require.NoError(t, err)
	for _, r := range found.Reservations {
		for _, i := range r.Instances {
			require.Equal(t, "terminated", string(i.State.Name), *i.InstanceId)
		}
	}
}

func (w *realWorld) requireReports(t *testing.T, fleet string) {
	t.Helper()
	for _, name := range []string{"build.log", "ansible.log", "verify.log", "*.xml", "*.json"} {
		found, err := filepath.Glob(filepath.Join(fleet, ".imgops", "runs", "*", "web", name))
		require.NoError(t, err)
		require.NotEmpty(t, found, name)
	}
}

func (w *realWorld) requireCurrent(t *testing.T, fleet string, n int) {
	t.Helper()
	out, _ := w.imgops(t, fleet, "list", "-o", "json", "--detailed-exitcode")
	list := decode[[]listed](t, out)
	require.Len(t, list, n)
	head := w.git(t, fleet, "rev-parse", "HEAD")
	for _, d := range list {
		require.Equal(t, "current", d.Status, d)
		require.Equal(t, head, d.Commit)
		seen, err := images.NewCatalogue(images.Location{Account: d.Account, Region: d.Region}, w.ec2(t, images.Location{Account: d.Account, Region: d.Region})).Get(t.Context(), d.Image)
		require.NoError(t, err)
		require.Equal(t, "available", seen[d.Image].State, "seen from account %s", d.Account)
	}
}

func replaceIn(t *testing.T, dir, old, new string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		if strings.Contains(string(data), old) {
			info, err := d.Info()
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(data), old, new)), info.Mode()))
		}
		return nil
	}))
}
