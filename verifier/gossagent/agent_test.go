package gossagent_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/verifier/gossagent"
)

// The goss library keeps state in globals and sets the standard logger: each run is a process, as on a machine.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == gossagent.Command {
		os.Exit(gossagent.RunAgent(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func run(t *testing.T, dir, stdin string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, append([]string{gossagent.Command}, args...)...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		require.ErrorAs(t, err, new(*exec.ExitError))
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "inc"), 0o755))
	for name, text := range map[string]string{
		"goss.yaml":      "gossfile: {inc/*.yaml: {}}\nfile:\n  {{.Vars.path}}: {exists: true, title: here}\n  /nonesuch: {exists: true}\ncommand: {false: {exit-status: 0, skip: true}}\n",
		"inc/more.yaml":  "command: {'echo one; echo two': {exit-status: 0, stdout: [one, /^t.o$/]}}\n",
		"goss_vars.yaml": "path: /etc/passwd\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	stdout, stderr, status := run(t, dir, "", "-vars", "goss_vars.yaml")
	require.Equal(t, gossagent.Fail, status, stderr)
	require.Empty(t, stderr)
	require.Equal(t, 1, strings.Count(stdout, "\n"), "one document, on one line")
	results, err := gossagent.Parse(strings.NewReader(stdout))
	require.NoError(t, err)
	got := map[string]string{}
	for _, r := range results {
		got[r.Name()] = map[bool]string{true: "ok", false: "not ok"}[r.Successful]
		if r.Skipped {
			got[r.Name()] = "skipped"
		}
	}
	require.Equal(t, map[string]string{
		"File: /etc/passwd: exists (here)": "ok", "File: /nonesuch: exists": "not ok", "Command: false: exit-status": "skipped",
		"Command: echo one; echo two: exit-status": "ok", "Command: echo one; echo two: stdout": "ok",
	}, got)
}

func TestRunStdin(t *testing.T) {
	_, stderr, status := run(t, t.TempDir(), `{"file": {"/etc/passwd": {"exists": true}}}`, "-gossfile", "-")
	require.Equal(t, gossagent.Pass, status, stderr)
}

func TestRunRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		stdin  string
		args   []string
		status int
		want   string
	}{
		"nothing":           {"", nil, gossagent.Invalid, "found 0 tests"},
		"no tests":          {"file: {}", nil, gossagent.Invalid, "found 0 tests"},
		"not YAML":          {"file: {", nil, gossagent.Invalid, "did not find expected node content"},
		"a list":            {"[]", nil, gossagent.Invalid, "cannot unmarshal"},
		"unknown section":   {"file: {/: {exists: true}}\nservce:\n  x: {}\n", nil, gossagent.Invalid, `line 3: unknown section "servce"; goss knows file, package`},
		"unknown attribute": {"file: {/: {exist: true}}", nil, gossagent.Invalid, "invalid Attribute for File:/: exist"},
		"no such variable":  {"file: {/: {exists: {{.Vars.x}}}}", nil, gossagent.Invalid, `map has no entry for key "x"`},
		"no such file":      {"", []string{"-gossfile", "/nonesuch.yaml"}, gossagent.Invalid, "/nonesuch.yaml"},
		"unknown flag":      {"", []string{"-x"}, gossagent.Usage, "flag provided but not defined: -x"},
		"argument":          {"", []string{"x"}, gossagent.Usage, `unexpected argument "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			if c.args == nil {
				c.args = []string{"-gossfile", "-"}
			}
			stdout, stderr, status := run(t, t.TempDir(), c.stdin, c.args...)
			require.Equal(t, c.status, status)
			require.Empty(t, stdout)
			require.Contains(t, stderr, c.want)
		})
	}
}

func TestYAMLAnchorsMayHaveASection(t *testing.T) {
	_, stderr, status := run(t, t.TempDir(), "x-dir: &dir {exists: true, filetype: directory}\nfile: {/: *dir}\n", "-gossfile", "-")
	require.Equal(t, gossagent.Pass, status, stderr)
}

func FuzzParse(f *testing.F) {
	f.Add(`{"results":[{"resource-id":"a","successful":true,"duration":3}],"summary":{"test-count":1}}`)
	f.Add(`{"results":[],"summary":{"test-count":0}}`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := gossagent.Parse(strings.NewReader(text))
		if err == nil {
			require.NotEmpty(t, list)
		}
	})
}
