package verifier

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/roles"
)

// bench is a verification of a role with suites on local machines.
type bench struct {
	*launcher
	req Request
	log bytes.Buffer
	v   *Verifier
}

// newBench makes one suite per top directory of files.
func newBench(t *testing.T, files map[string]string) *bench {
	t.Helper()
	b := &bench{launcher: &launcher{conns: map[string]*localConn{}, specs: make(chan machine.Spec, 10)}}
	tests := t.TempDir()
	role := &roles.Role{
		Name: "web", File: "roles/web/image.yaml", Digest: "sha256:aa", TestsDigest: "sha256:bb",
		Build: roles.Build{InstanceTypes: []string{"t3.small", "t3a.small"}, SSHUser: "admin"},
	}
	for name, text := range files {
		suite, _, _ := strings.Cut(name, "/")
		dir := "roles/web/tests/" + suite
		write(t, filepath.Join(tests, "roles/web/tests"), map[string]string{name: text})
		if _, ok := b.conns[suite]; !ok {
			b.conns[suite] = newLocal(t)
			role.Verify = append(role.Verify, roles.Suite{Name: suite, Dir: dir, Timeout: roles.Duration(time.Minute)})
		}
	}
	b.req = Request{
		Image: images.Image{ID: "ami-1"}, Role: role, Tests: tests, WorkDir: filepath.Join(t.TempDir(), "work"),
		Location: images.Location{Account: "111111111111", Region: "us-east-1"}, Fleet: "acme", Run: "r1", Log: &b.log,
	}
	b.v = New(b.launch, Options{Executable: forwarder(t)})
	return b
}

// forwarder is a small imgops that runs the large one: packing the test binary takes seconds under the race detector.
func forwarder(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "imgops")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nexec "+machine.Quote(self)+` "$@"`+"\n"), 0o755))
	return path
}

func (b *bench) verify(t *testing.T) (Report, error) {
	t.Helper()
	return b.v.Verify(t.Context(), b.req)
}

// outcomes are "kind name status" lines, for comparing.
func outcomes(r Report) []string {
	var lines []string
	for _, s := range r.Suites {
		for _, t := range s.Results {
			lines = append(lines, t.Suite+" "+t.Kind+" "+t.Name+" "+string(t.Status))
		}
	}
	return lines
}

func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
}

func TestVerifyPasses(t *testing.T) {
	b := newBench(t, map[string]string{
		"default/goss.yaml":      "file: {/etc/passwd: {exists: true}}\nuser: {root: {exists: true, uid: {{.Vars.uid}}}}\n",
		"default/goss_vars.yaml": "uid: 0\n",
		"default/b.sh":           "#!/bin/bash\n[[ $IMGOPS_ROLE/$IMGOPS_SUITE/$IMGOPS_IMAGE = web/default/ami-1 ]] && cat data/x\n",
		"default/a.sh":           "echo not here; exit 77\n",
		"default/data/x":         "the data\n",
		"second/c.sh":            "test -f c.sh\n",
	})
	b.v = New(b.launch, Options{}) // copies the test binary itself, as imgops does
	report, err := b.verify(t)
	require.NoError(t, err, b.log.String())
	require.True(t, report.Passed)
	require.Equal(t, Counts{Tests: 6, Passed: 5, Skipped: 1}, report.Counts)
	require.ElementsMatch(t, []string{
		"default goss File: /etc/passwd: exists passed", "default goss User: root: exists passed", "default goss User: root: uid passed",
		"default sh a.sh skipped", "default sh b.sh passed", "second sh c.sh passed",
	}, outcomes(report))
	for name, conn := range b.conns {
		require.EqualValues(t, 1, conn.closed.Load(), "suite %s", name)
		require.NoDirExists(t, filepath.Join(b.req.WorkDir, "machines", name), "keys of a machine that is gone")
	}
	require.Contains(t, b.log.String(), "web/default | the data")
	for _, s := range report.Suites {
		require.Equal(t, "i-"+s.Name, s.Machine)
		for _, r := range s.Results {
			if r.Name == "b.sh" {
				require.Equal(t, "the data\n", r.Output)
			}
		}
	}
	requireReports(t, b, report)
}

// requireReports reads the files back as another program would.
func requireReports(t *testing.T, b *bench, report Report) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.req.WorkDir, JSONFile))
	require.NoError(t, err)
	var doc struct {
		Image   string
		Passed  bool
		Started time.Time
		Counts  Counts
		Suites  []struct {
			Name     string
			Duration float64 `json:"duration_seconds"`
			Results  []struct{ Name, Status string }
		}
	}
	require.NoError(t, json.Unmarshal(data, &doc))
	require.Equal(t, report.Counts, doc.Counts)
	require.Equal(t, report.Passed, doc.Passed)
	require.True(t, report.Started.Equal(doc.Started))
	require.Len(t, doc.Suites, len(report.Suites))
	data, err = os.ReadFile(filepath.Join(b.req.WorkDir, JUnitFile))
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal(data, new(struct{})))
	back, err := parseJUnit(bytes.NewReader(data))
	require.NoError(t, err)
	tests := report.Counts.Tests
	for _, s := range report.Suites {
		if s.Error != "" {
			tests++
		}
	}
	require.Len(t, back, tests)
}

func TestVerifyReportsFailedTests(t *testing.T) {
	b := newBench(t, map[string]string{
		"default/goss.yaml": "file: {/nonesuch: {exists: true}, /etc/passwd: {exists: true}}\n",
		"default/a.sh":      "echo out; echo why >&2; exit 3\n",
		"default/b.sh":      "true\n",
	})
	report, err := b.verify(t)
	failed := (*FailedError)(nil)
	require.ErrorAs(t, err, &failed)
	require.Equal(t, report, failed.Report)
	require.ErrorContains(t, err, `role web on image ami-1: 2 of 4 tests failed: default/goss "File: /nonesuch: exists", default/sh "a.sh"`)
	require.False(t, report.Passed)
	require.Equal(t, Counts{Tests: 4, Passed: 2, Failed: 2}, report.Counts)
	summary := strings.Join(report.Summary(), "\n")
	require.Contains(t, summary, "FAILED default/sh a.sh: a.sh (image ami-1)\n    exit status 3\n    out\n    why\n")
	require.Contains(t, summary, "FAILED default/goss goss.yaml: File: /nonesuch: exists (image ami-1)\n    File: /nonesuch: exists:\n    Expected\n")
	require.Contains(t, summary, "role web, image ami-1: failed; 4 tests: 2 passed, 2 failed, 0 errors, 0 skipped in 1 suite")
	require.EqualValues(t, 1, b.conns["default"].closed.Load())
	requireReports(t, b, report)
}

func TestVerifyRefusesBeforeLaunching(t *testing.T) {
	for name, c := range map[string]struct {
		files  map[string]string
		change func(*Request)
		want   []string
	}{
		"no suites":     {want: []string{"the role has no suites", "roles/web/image.yaml"}},
		"no tests":      {files: map[string]string{"default/README.md": "", "default/sub/a.sh": "true"}, want: []string{"roles/web/tests/default holds no tests"}},
		"hidden":        {files: map[string]string{"default/.a.sh": ""}, want: []string{"holds no tests"}},
		"all at once":   {files: map[string]string{"one/x": "", "two/y": ""}, want: []string{"suite one", "suite two"}},
		"no directory":  {files: map[string]string{"default/a.sh": ""}, change: func(r *Request) { r.Role.Verify[0].Dir = "roles/web/tests/gone" }, want: []string{"there is no directory roles/web/tests/gone"}},
		"dir like test": {files: map[string]string{"default/a.sh/x": ""}, want: []string{"holds no tests"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.files)
			if c.change != nil {
				c.change(&b.req)
			}
			report, err := b.verify(t)
			requireNotJudged(t, report, err)
			for _, w := range c.want {
				require.ErrorContains(t, err, w)
			}
			require.Empty(t, b.specs, "a machine was launched")
		})
	}
}

func requireNotJudged(t *testing.T, report Report, err error) {
	t.Helper()
	failed := (*FailedError)(nil)
	require.Error(t, err)
	require.False(t, errors.As(err, &failed), "it is taken for failed tests: %v", err)
	require.False(t, report.Passed)
}

func TestVerifyCannotJudge(t *testing.T) {
	for name, c := range map[string]struct {
		files  map[string]string
		change func(*bench)
		want   string
	}{
		"launch": {map[string]string{"s/a.sh": "true"}, func(b *bench) { b.err = errors.New("no capacity") }, "suite s on image ami-1: launching a machine: no capacity"},
		"boot": {map[string]string{"s/a.sh": "true"}, func(b *bench) { b.conns["s"].boot = errors.New("cloud-init: error") },
			"waiting for machine i-s to boot: cloud-init: error"},
		"connection lost": {map[string]string{"s/a.sh": "true"}, func(b *bench) {
			b.conns["s"].run = func(cmd string) error {
				if strings.Contains(cmd, "./a.sh") {
					return errors.New("connection reset")
				}
				return nil
			}
		}, "sh: running a.sh: connection reset"},
		"no root":        {map[string]string{"s/a.sh": "true"}, func(b *bench) { b.conns["s"].path = noSudo(b.conns["s"]) }, "cannot become root"},
		"all skipped":    {map[string]string{"s/a.sh": "exit 77"}, nil, "skipped 1 of 1 test: nothing was verified"},
		"empty script":   {map[string]string{"s/a.sh": ""}, nil, "script a.sh is empty"},
		"empty goss":     {map[string]string{"s/goss.yaml": "file: {}\n"}, nil, "found 0 tests"},
		"misspelt goss":  {map[string]string{"s/goss.yaml": "file: {/etc: {exists: true}}\nservce: {x: {running: true}}\n"}, nil, `unknown section "servce"`},
		"bad goss":       {map[string]string{"s/goss.yaml": "file: [\n"}, nil, "goss.yaml cannot be used"},
		"wrong goss var": {map[string]string{"s/goss.yaml": "file: {/etc: {exists: {{.Vars.x}}}}\n"}, nil, "goss.yaml cannot be used"},
		"no arch": {map[string]string{"s/goss.yaml": "file: {/etc: {exists: true}}\n"}, func(b *bench) {
			b.conns["s"].path = fakeUname(b.conns["s"])
		}, "GOOS=linux GOARCH=riscv64"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.files)
			if c.change != nil {
				c.change(b)
			}
			report, err := b.verify(t)
			requireNotJudged(t, report, err)
			require.ErrorContains(t, err, c.want)
			require.Contains(t, report.Suites[0].Error, strings.TrimPrefix(c.want, "suite s on image ami-1: "))
			require.Contains(t, strings.Join(report.Summary(), "\n"), "ERROR s: not judged (image ami-1)")
			if b.err == nil {
				require.EqualValues(t, 1, b.conns["s"].closed.Load())
			}
			requireReports(t, b, report)
		})
	}
}

func noSudo(l *localConn) string {
	_ = os.WriteFile(filepath.Join(l.home, "bin/sudo"), []byte("#!/bin/sh\nexit 1\n"), 0o755)
	_ = os.WriteFile(filepath.Join(l.home, "bin/id"), []byte("#!/bin/sh\necho 1000\n"), 0o755)
	return l.path
}

func fakeUname(l *localConn) string {
	_ = os.WriteFile(filepath.Join(l.home, "bin/uname"), []byte("#!/bin/sh\n[ $1 = -s ] && echo Linux || echo riscv64\n"), 0o755)
	return l.path
}
