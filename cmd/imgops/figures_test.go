package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFigures prints the figures of the README, each as a ratio or a time within one run. It runs by `make bench`
// only, and asserts no time: it fails only when a command does.
func TestFigures(t *testing.T) {
	if os.Getenv("IMGOPS_BENCH") == "" {
		t.Skip("figures are for make bench")
	}
	t.Run("plan", func(t *testing.T) { newRealWorld(t).figurePlan(t) })
	t.Run("calls", figureCalls)
	t.Run("sandbox", func(t *testing.T) { newRealWorld(t).figureSandbox(t) })
	t.Run("scale", func(t *testing.T) { newMachinelessWorld(t).figureScale(t) })
	t.Run("bake", func(t *testing.T) { newRealWorld(t).figureBake(t) })
}

// figurePlan measures plan on a large fleet against the two Git commands that any such tool has to beat or meet.
func (w *realWorld) figurePlan(t *testing.T) {
	dir := filepath.Join(w.dir, "large")
	largeFleet(t, w, dir, 500, 40)
	w.sandboxUp(t, "none")
	defer w.imgops(t, dir, "sandbox", "reset", "--name", w.sandbox)
	const size = "500 roles and 20,000 files"
	w.figurePlanOver(t, dir, size, "main~1", 2)
	longHistory(t, w, dir, 10_000)
	w.figurePlanOver(t, dir, size+", 10,000 commits, clean", "main", 1.3, "--base", "main")
	write(t, filepath.Join(dir, "roles", "role-011", "files", "f3"), "dirty\n")
	write(t, filepath.Join(dir, "roles", "role-012", "files", "new"), "dirty\n")
	w.figurePlanOver(t, dir, size+", 10,000 commits, dirty", "main", 1.3, "--base", "main")
	small := w.newFleet(t)
	w.imgops(t, small, "plan")
	var plan []time.Duration
	for range 7 {
		plan = append(plan, timed(t, w.command(small, w.binary, "plan", "-q")))
	}
	t.Logf("FIGURE plan, a new fleet of 2 roles: %v (under 50ms)", median(plan).Round(time.Millisecond))
}

// figurePlanOver measures plan in one state of a repository, with what it remembers of the run before.
func (w *realWorld) figurePlanOver(t *testing.T, dir, state, base string, most float64, flags ...string) {
	w.imgops(t, dir, append([]string{"plan"}, flags...)...) // pins the base
	w.imgops(t, dir, append([]string{"plan"}, flags...)...) // remembers the directories
	mergeBase := strings.TrimSpace(w.git(t, dir, "merge-base", base, "HEAD"))
	var plan, git []time.Duration
	var memory int64
	for range 11 {
		cmd := w.command(dir, w.binary, append([]string{"plan", "-q"}, flags...)...)
		plan = append(plan, timed(t, cmd))
		memory = max(memory, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
		git = append(git, timed(t, w.command(dir, "git", "status", "--porcelain"))+timed(t, w.command(dir, "git", "diff", "--name-only", mergeBase, "HEAD")))
	}
	p, g := median(plan), median(git)
	t.Logf("FIGURE plan %s, %s: %v over git status + diff %v = %.2f (at most %.1f); peak memory %d MiB (under 120)",
		strings.Join(flags, " "), state, p.Round(time.Millisecond), g.Round(time.Millisecond), p.Seconds()/g.Seconds(), most, memory>>10)
}

// longHistory puts n commits on main, each of which changes a file, and checks out a branch with one more.
func longHistory(t *testing.T, w *realWorld, dir string, n int) {
	var stream strings.Builder
	for i := range n {
		fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter t <t@example.com> %d +0000\ndata 1\nc\n", time.Now().Unix()-int64(n-i))
		if i == 0 {
			stream.WriteString("from refs/heads/main^0\n")
		}
		body := fmt.Sprintf("commit %d\n", i)
		fmt.Fprintf(&stream, "M 100644 inline roles/role-%03d/files/f%d\ndata %d\n%s\n", i%499, i/499%37, len(body), body)
	}
	load := w.command(dir, "git", "fast-import", "--quiet", "--force")
	load.Stdin = strings.NewReader(stream.String())
	timed(t, load)
	for _, args := range [][]string{{"reset", "-q", "--hard"}, {"gc", "-q"}, {"checkout", "-q", "-b", "change"}} {
		w.git(t, dir, args...)
	}
	write(t, filepath.Join(dir, "roles", "role-009", "files", "f2"), "changed again\n")
	w.git(t, dir, "commit", "-qam", "Change a role on a branch")
}

// figureBake measures the pipeline on real machines.
func (w *realWorld) figureBake(t *testing.T) {
	w.sandboxUp(t, "nspawn")
	defer w.imgops(t, w.dir, "sandbox", "reset", "--name", w.sandbox)
	fleet := w.newFleet(t)
	w.imgops(t, fleet, "build", "base")
	var bakes, plains, launches []time.Duration
	for range 3 { // in turn, so that a machine whose speed drifts treats both alike
		plain, launch := w.plainAnsible(t.Context(), t, fleet)
		began := time.Now()
		w.imgops(t, fleet, "build", "--force", "web")
		bakes, plains, launches = append(bakes, time.Since(began)), append(plains, plain), append(launches, launch)
	}
	bake, plain := median(bakes), median(plains)
	t.Logf("FIGURE bake of web: imgops build %v over plain ansible-playbook %v = %.2f (at most 1.5)",
		bake.Round(100*time.Millisecond), plain.Round(100*time.Millisecond), bake.Seconds()/plain.Seconds())
	t.Logf("FIGURE launch to SSH with cloud-init done: %v (under 4s)", median(launches).Round(10*time.Millisecond))

	w.imgops(t, fleet, "verify")
	began := time.Now()
	_, calls := w.imgops(t, fleet, "ci", "--event", "push", "--debug")
	t.Logf("FIGURE merge to promoted, nothing to build, 2 accounts x 2 Regions, 2 roles: %v (under 3s); %s", time.Since(began).Round(10*time.Millisecond), lastCalls(calls))
	began = time.Now()
	_, calls = w.imgops(t, fleet, "ci", "--event", "push", "--debug")
	t.Logf("FIGURE second ci on an unchanged tree: %v (under 2s); %s", time.Since(began).Round(10*time.Millisecond), lastCalls(calls))
}

func lastCalls(stderr string) string {
	for _, line := range slices.Backward(strings.Split(stderr, "\n")) {
		if strings.HasPrefix(line, "api calls:") {
			return line
		}
	}
	return "no count"
}

// largeFleet writes a fleet of n roles with per files each, and two commits.
func largeFleet(t *testing.T, w *realWorld, dir string, n, per int) {
	w.imgops(t, w.dir, "init", "--fleet", "large", dir)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "roles", "web")))
	for i := range n - 1 {
		role := filepath.Join(dir, "roles", fmt.Sprintf("role-%03d", i))
		for _, sub := range []string{"tasks", "files", "templates", "tests/default"} {
			require.NoError(t, os.MkdirAll(filepath.Join(role, sub), 0o755))
		}
		write(t, filepath.Join(role, "image.yaml"), "base: {role: base}\nverify: [{suite: default}]\n")
		write(t, filepath.Join(role, "tasks", "main.yml"), "- name: Copy\n  ansible.builtin.copy: {src: f0, dest: /etc/f0}\n")
		write(t, filepath.Join(role, "tests", "default", "goss.yaml"), "file: {/etc/f0: {exists: true}}\n")
		for f := range per - 3 {
			write(t, filepath.Join(role, "files", fmt.Sprintf("f%d", f)), fmt.Sprintf("role %d file %d\n", i, f))
		}
	}
	w.git(t, dir, "add", "-A")
	w.git(t, dir, "commit", "-qm", "A large fleet")
	write(t, filepath.Join(dir, "roles", "role-007", "files", "f1"), "changed\n")
	w.git(t, dir, "commit", "-qam", "Change one role")
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}

func timed(t *testing.T, cmd *exec.Cmd) time.Duration {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	require.NoError(t, cmd.Run(), out.String())
	return time.Since(began)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func decode[T any](t *testing.T, data string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(data), &v), data)
	return v
}
