package verifier

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// runTool runs a program of this side that reaches the machine over ssh, and returns its exit status. When ctx ends,
// the program and its children are interrupted.
func (s *suite) runTool(ctx context.Context, cmd *exec.Cmd, out io.Writer) (status int, err error) {
	both := io.MultiWriter(out, s.log)
	cmd.Stdout, cmd.Stderr = both, both // one value: exec then needs one pipe, and keeps the order
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() && ctx.Err() == nil {
		return exit.ExitCode(), nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return 0, err
}

// tool makes the command of a program that shall end with ctx, together with the processes that it starts.
func tool(ctx context.Context, argv []string, env []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(cmd.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}
