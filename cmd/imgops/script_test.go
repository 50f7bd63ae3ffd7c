package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

var updateScripts = flag.Bool("update", false, "rewrite the expected output in testdata/script")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"imgops": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		code := run(ctx, world{Args: os.Args[1:], Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
		stop()
		os.Exit(code)
	}})
}

// TestScripts runs the command line as a user does, on sandboxes without machines.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "../../testdata/script",
		UpdateScripts: *updateScripts,
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"exitcode": exitcode},
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir+"/home")
			e.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			for k, v := range map[string]string{
				"AWS_EC2_METADATA_DISABLED": "true", "GIT_AUTHOR_NAME": "A U Thor", "GIT_AUTHOR_EMAIL": "author@example.com",
				"GIT_COMMITTER_NAME": "A U Thor", "GIT_COMMITTER_EMAIL": "author@example.com",
				"GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
			} {
				e.Setenv(k, v)
			}
			e.Defer(func() { endServers(t, e.WorkDir+"/home") })
			return os.MkdirAll(e.WorkDir+"/home", 0o755)
		},
	})
}

// exitcode runs a command that has to end with a given exit code: exitcode CODE COMMAND [ARG...].
func exitcode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE COMMAND [ARG...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// endServers ends the sandbox servers that a script has left.
func endServers(t *testing.T, home string) {
	found, err := filepath.Glob(home + "/.local/state/imgops/sandbox/*/server.json")
	require.NoError(t, err)
	for _, file := range found {
		h := &sandboxHome{name: filepath.Base(filepath.Dir(file)), dir: filepath.Dir(file)}
		require.NoError(t, h.stopServer(context.WithoutCancel(t.Context())))
	}
}
