package verifier

import (
	"context"
	"errors"
	"fmt"
	"github.com/imgops/imgops/images/machine"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// testinfraHost is the machine's name in the SSH configuration, and so in the names that testinfra gives to tests.
const testinfraHost = "ssh://machine"

// The exit statuses of pytest (pytest documentation, "Exit codes").
const (
	pytestInterrupted = 2 // also when a file cannot be loaded
	pytestNoTests     = 5
)

// pytestCommands are tried in order; the first that has the testinfra plugin is used.
func pytestCommands() [][]string {
	return [][]string{{"pytest"}, {"pytest-3"}, {"py.test"}, {"python3", "-m", "pytest"}}
}

func checkTestinfra(ctx context.Context) error {
	if _, err := findPytest(ctx); err != nil {
		return err
	}
	_, err := machine.FindSSH()
	return err
}

func findPytest(ctx context.Context) ([]string, error) {
	found := ""
	for _, argv := range pytestCommands() {
		if _, err := exec.LookPath(argv[0]); err != nil {
			continue
		}
		// --version given twice lists the plugins.
		out, err := exec.CommandContext(ctx, argv[0], append(argv[1:], "--version", "--version")...).CombinedOutput()
		if err == nil && strings.Contains(string(out), "testinfra") {
			return argv, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err == nil {
			found = strings.Join(argv, " ")
		}
	}
	how := "install it with apt-get install python3-testinfra or pip install pytest-testinfra"
	if found != "" {
		return nil, fmt.Errorf("%s on this machine has no testinfra plugin; %s", found, how)
	}
	return nil, fmt.Errorf("there is no pytest on this machine; %s", how)
}

// runTestinfra runs pytest here, against the machine, over one shared SSH connection.
func runTestinfra(ctx context.Context, s *suite, files []string) error {
	pytest, err := findPytest(ctx)
	if err != nil {
		return err
	}
	s.say("running "+strings.Join(files, " "), "testinfra against "+s.host.ID)
	xmlPath := s.file("testinfra.xml")
	if err := os.Remove(xmlPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	bin, err := s.checkedSSH()
	if err != nil {
		return fmt.Errorf("preparing ssh for testinfra: %w", err)
	}
	cmd := tool(ctx, testinfraArgs(pytest, s.host.SSHConfig, xmlPath, files), append(s.environ(), "PYTHONDONTWRITEBYTECODE=1",
		"PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH")))
	cmd.Dir = s.plan.dir
	var out capture
	status, err := s.runTool(ctx, cmd, &out)
	if err != nil {
		return fmt.Errorf("running %s: %w", pytest[0], withOutput(err, out.String()))
	}
	switch {
	case status == pytestNoTests:
		return fmt.Errorf("%s hold no tests", strings.Join(files, ", "))
	case status > pytestInterrupted:
		return withOutput(fmt.Errorf("%s exited with status %d", pytest[0], status), out.String())
	}
	return s.testinfraResults(xmlPath, status, out.String())
}

func (s *suite) testinfraResults(xmlPath string, status int, output string) error {
	f, err := os.Open(xmlPath)
	if err != nil {
		return withOutput(fmt.Errorf("reading the results of pytest: %w", err), output)
	}
	defer func() { _ = f.Close() }()
	results, err := parseJUnit(f)
	if err != nil {
		return fmt.Errorf("reading %s: %w", xmlPath, err)
	}
	for i, r := range results {
		results[i].Name = testinfraName(r.Name)
	}
	s.add("testinfra", "", results...)
	switch {
	case len(results) == 0:
		return withOutput(errors.New("pytest ran no tests"), output)
	case status != 0 && !failedIn(results):
		return withOutput(fmt.Errorf("pytest exited with status %d, but no test failed", status), output)
	}
	return nil
}

// testinfraArgs is pytest's command line. The ssh options that testinfra adds (ControlMaster, ControlPersist) fit the
// ControlPath of the SSH configuration. xunit1 is the form of report that names each test's file.
func testinfraArgs(pytest []string, sshConfig, xmlPath string, files []string) []string {
	args := append([]string{}, pytest...)
	args = append(args, "--verbose", "--color=no", "-p", "no:cacheprovider", "--rootdir=.",
		"--hosts="+testinfraHost, "--ssh-config="+absolute(sshConfig), "--sudo",
		"--override-ini=junit_family=xunit1", "--junitxml="+absolute(xmlPath))
	return append(args, files...)
}

var testinfraParam = lazy(`\[` + regexp.QuoteMeta(testinfraHost) + `(?:-(.*))?\]$`)

// testinfraName takes the host, which is the same for all, out of a test's name: test_port[ssh://machine-80] is test_port[80].
func testinfraName(name string) string {
	m := testinfraParam().FindStringSubmatchIndex(name)
	switch {
	case m == nil:
		return name
	case m[2] < 0:
		return name[:m[0]]
	}
	return name[:m[0]] + "[" + name[m[2]:m[3]] + "]"
}

// absolute makes a path independent of the directory in which a tool runs.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
