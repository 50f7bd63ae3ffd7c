package verifier

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/roles"
)

const batsFile = `
setup() { load helper; }
@test "passes" { helped; }
@test "fails, says why" { echo found 3; false; }
@test "skips # hash" { skip "not here"; }
`

var batsFiles = map[string]string{"s/web.bats": batsFile, "s/helper.bash": "helped() { :; }\n", "s/b.bats": "@test b { [ $IMGOPS_ROLE = web ]; }\n"}

func TestBats(t *testing.T) {
	needs(t, "bats")
	for name, prepare := range map[string]func(*localConn){
		"the machine's": func(*localConn) {},
		"uploaded":      func(l *localConn) { l.hide(t, "bats") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, batsFiles)
			prepare(b.conns["s"])
			report, err := b.verify(t)
			require.ErrorAs(t, err, new(*FailedError))
			require.Empty(t, report.Suites[0].Error)
			require.Equal(t, []string{
				"s bats b passed", "s bats passes passed", "s bats fails, says why failed", "s bats skips # hash skipped",
			}, outcomes(report))
			failed := report.Failures()[0]
			require.Equal(t, "web.bats", failed.File)
			require.Contains(t, failed.Output, "web.bats, line 3)")
			require.Contains(t, failed.Output, "\nfound 3\n")
			require.Equal(t, "not here", report.Suites[0].Results[3].Output)
		})
	}
}

func TestBatsCannotJudge(t *testing.T) {
	needs(t, "bats")
	for name, c := range map[string]struct {
		file   string
		change func(*localConn)
		want   string
	}{
		"no tests": {"# nothing\n", nil, "web.bats: the file holds no tests"},
		"no bash":  {batsFile, func(l *localConn) { l.hide(t, "bash", "bats") }, "the image has no bash"},
		"cut off": {batsFile, func(l *localConn) {
			bats := "#!/bin/sh\necho 1..3\necho ok 1 a\necho killed >&2\n"
			require.NoError(t, os.WriteFile(filepath.Join(l.home, "bin/bats"), []byte(bats), 0o755))
		}, "web.bats: 3 tests were planned, 1 ended: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, map[string]string{"s/web.bats": c.file})
			if c.change != nil {
				c.change(b.conns["s"])
			}
			report, err := b.verify(t)
			requireNotJudged(t, report, err)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestBatsSetupOfFileFails(t *testing.T) {
	needs(t, "bats")
	b := newBench(t, map[string]string{"s/a.bats": "setup_file() { echo no database; false; }\n@test a { true; }\n@test b { true; }\n"})
	report, err := b.verify(t)
	require.ErrorAs(t, err, new(*FailedError))
	require.Equal(t, []string{"s bats setup_file failed failed", "s bats all of a.bats error"}, outcomes(report))
	require.Contains(t, report.Failures()[0].Output, "no database")
	require.Equal(t, "2 tests were planned, 1 ended", report.Failures()[1].Output)
}

const testinfraFile = `
import pytest

def test_passwd(host):
    f = host.file("/etc/passwd")
    assert f.exists and f.user == "root"

@pytest.mark.parametrize("name", ["a", "b"])
def test_marker(host, name):
    assert host.run("test -f ~/marker-%s", name).rc == 0

def test_fails(host):
    assert host.check_output("echo from the machine") == "something else"

@pytest.mark.skip(reason="not here")
def test_skipped(host):
    pass
`

func needTestinfra(t *testing.T) {
	t.Helper()
	needs(t, "ssh")
	if err := checkTestinfra(t.Context()); err != nil {
		t.Skip(err)
	}
}

func TestTestinfra(t *testing.T) {
	needTestinfra(t)
	b := newBench(t, map[string]string{"s/test_web.py": testinfraFile, "s/conftest.py": "", "s/a.sh": "true\n"})
	conn := b.conns["s"]
	serveSSH(t, conn)
	write(t, conn.home, map[string]string{"marker-a": "", "marker-b": ""}) // only the machine's home has them
	report, err := b.verify(t)
	require.ErrorAs(t, err, new(*FailedError), b.log.String())
	require.Empty(t, report.Suites[0].Error)
	require.Equal(t, []string{
		"s testinfra test_passwd passed", "s testinfra test_marker[a] passed", "s testinfra test_marker[b] passed",
		"s testinfra test_fails failed", "s testinfra test_skipped skipped", "s sh a.sh passed",
	}, outcomes(report), b.log.String())
	failed := report.Failures()[0]
	require.Equal(t, "test_web.py", failed.File)
	require.Contains(t, firstLine(failed.Output), "AssertionError: assert 'from the machine' == 'something else'")
	require.NoDirExists(t, filepath.Join(b.req.Tests, "roles/web/tests/s/__pycache__"))
	require.NoDirExists(t, filepath.Join(b.req.Tests, "roles/web/tests/s/.pytest_cache"))
}

func TestTestinfraCannotJudge(t *testing.T) {
	needTestinfra(t)
	for name, c := range map[string]struct{ file, want string }{
		"no tests":    {"x = 1\n", "test_web.py hold no tests"},
		"unreachable": {"def test_a(host):\n    assert host.file('/').exists\n", "does not answer any more"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, map[string]string{"s/test_web.py": c.file})
			write(t, b.conns["s"].home, map[string]string{"ssh_config": "Host machine\n HostName 127.0.0.1\n Port 1\n BatchMode yes\n"})
			if name == "unreachable" {
				b.conns["s"].run = func(string) error { return os.ErrDeadlineExceeded }
			}
			report, err := b.verify(t)
			requireNotJudged(t, report, err)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestTestinfraFileDoesNotLoad(t *testing.T) {
	needTestinfra(t)
	b := newBench(t, map[string]string{"s/test_web.py": "import nonesuch\n"})
	write(t, b.conns["s"].home, map[string]string{"ssh_config": "Host machine\n"})
	report, err := b.verify(t)
	require.ErrorAs(t, err, new(*FailedError))
	require.Equal(t, Counts{Tests: 1, Errors: 1}, report.Counts)
	require.Contains(t, report.Failures()[0].Output, "No module named 'nonesuch'")
}

func TestTestinfraTimeoutEndsPytest(t *testing.T) {
	needTestinfra(t)
	b := newBench(t, map[string]string{"s/test_web.py": "import os, time\ndef test_a():\n    open('pid', 'w').write(str(os.getpid()))\n    time.sleep(600)\n"})
	write(t, b.conns["s"].home, map[string]string{"ssh_config": "Host machine\n"})
	b.req.Role.Verify[0].Timeout = roles.Duration(3 * time.Second)
	report, err := b.verify(t)
	requireNotJudged(t, report, err)
	require.ErrorContains(t, err, "stopped while running test_web.py (testinfra against i-s): ")
	require.ErrorContains(t, err, "the suite's timeout of 3s is over")
	pid, err := os.ReadFile(filepath.Join(b.req.Tests, "roles/web/tests/s/pid"))
	require.NoError(t, err)
	require.NoDirExists(t, "/proc/"+string(pid))
	require.EqualValues(t, 1, b.conns["s"].closed.Load())
}

func TestTestinfraArgs(t *testing.T) {
	require.Equal(t, []string{
		"python3", "-m", "pytest", "--verbose", "--color=no", "-p", "no:cacheprovider", "--rootdir=.", "--hosts=ssh://machine",
		"--ssh-config=/w/ssh_config", "--sudo", "--override-ini=junit_family=xunit1", "--junitxml=/w/x.xml", "test_a.py", "test_b.py",
	}, testinfraArgs([]string{"python3", "-m", "pytest"}, "/w/ssh_config", "/w/x.xml", []string{"test_a.py", "test_b.py"}))
}

func TestTestinfraName(t *testing.T) {
	for name, want := range map[string]string{
		"test_a": "test_a", "test_a[ssh://machine]": "test_a", "test_a[ssh://machine-80]": "test_a[80]", "test_a[80]": "test_a[80]",
		"test_a[ssh://machine-a-[b]]": "test_a[a-[b]]", "": "",
	} {
		require.Equal(t, want, testinfraName(name))
	}
}

const specFile = `
describe file('/etc/passwd') do
  it { should exist }
end
describe command('cat ~/marker') do
  its(:stdout) { should match /only there/ }
  its(:exit_status) { should eq 4 }
end
describe 'later' do
  it('is pending') { skip 'not here' }
end
`

func needServerspec(t *testing.T) {
	t.Helper()
	if err := checkServerspec(t.Context()); err != nil {
		t.Skip(err)
	}
}

func TestServerspec(t *testing.T) {
	needServerspec(t)
	b := newBench(t, map[string]string{"s/web_spec.rb": specFile})
	serveSSH(t, b.conns["s"])
	write(t, b.conns["s"].home, map[string]string{"marker": "only there\n"})
	report, err := b.verify(t)
	require.ErrorAs(t, err, new(*FailedError), b.log.String())
	require.Empty(t, report.Suites[0].Error)
	require.Equal(t, Counts{Tests: 4, Passed: 2, Failed: 1, Skipped: 1}, report.Counts, b.log.String())
	require.Contains(t, report.Failures()[0].Output, "expected: 4")
	require.Equal(t, "web_spec.rb", report.Failures()[0].File)
}

func TestServerspecCannotJudge(t *testing.T) {
	needServerspec(t)
	for name, c := range map[string]struct{ file, want string }{
		"other backend": {"set :backend, :exec\n" + specFile, "spec_helper.rb sets the backend to exec"},
		"other host":    {"set :host, 'localhost'\n" + specFile, "spec_helper.rb sets the host to localhost"},
		"no tests":      {"# nothing\n", "rspec ran no tests"},
		"syntax":        {"describe do\n", "rspec met 1 errors outside of tests"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, map[string]string{"s/web_spec.rb": c.file})
			serveSSH(t, b.conns["s"])
			report, err := b.verify(t)
			requireNotJudged(t, report, err)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestMissingToolIsFoundBeforeLaunching(t *testing.T) {
	empty := t.TempDir()
	sh, err := exec.LookPath("sh")
	require.NoError(t, err)
	require.NoError(t, os.Symlink(sh, filepath.Join(empty, "sh")))
	b := newBench(t, map[string]string{"a/test_x.py": "", "b/x_spec.rb": ""})
	t.Setenv("PATH", empty)
	report, err := b.verify(t)
	requireNotJudged(t, report, err)
	require.ErrorContains(t, err, "suite a, test_x.py: there is no pytest on this machine; install it with apt-get install python3-testinfra")
	require.ErrorContains(t, err, "suite b, x_spec.rb: there is no rspec on this machine; install it with apt-get install ruby-serverspec")
	require.Empty(t, b.specs)
}

func TestPytestWithoutTestinfra(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pytest"), []byte("#!/bin/sh\necho This is pytest version 8\n"), 0o755))
	t.Setenv("PATH", dir+":/nonesuch")
	_, err := findPytest(t.Context())
	require.ErrorContains(t, err, "pytest on this machine has no testinfra plugin")
	require.False(t, strings.Contains(err.Error(), "no pytest"))
}
