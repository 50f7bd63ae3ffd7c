package verifier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/verifier/gossagent"
)

const (
	gossFile = "goss.yaml"
	gossVars = "goss_vars.yaml" // the variables of its templates; optional
)

// runGoss copies the goss engine to the machine, as a part of imgops, and runs it there as root.
func runGoss(ctx context.Context, s *suite, _ []string) error {
	agent, err := s.uploadAgent(ctx)
	if err != nil {
		return err
	}
	argv := []string{agent.remote, gossagent.Command, "-gossfile", gossFile}
	if _, err := os.Stat(filepath.Join(s.plan.dir, gossVars)); err == nil {
		argv = append(argv, "-vars", gossVars)
	}
	s.say("running "+gossFile, "goss on "+s.host.ID)
	var stdout bytes.Buffer
	var stderr capture
	err = s.sudo(ctx, &stdout, io.MultiWriter(&stderr, s.log), argv...)
	status, ok := exited(err)
	if !ok {
		return withOutput(err, stderr.String())
	}
	switch status {
	case gossagent.Pass, gossagent.Fail:
	case gossagent.Invalid:
		return withOutput(fmt.Errorf("%s cannot be used", gossFile), stderr.String())
	default:
		return agent.cannotRun(status, stderr.String())
	}
	results, err := gossagent.Parse(&stdout)
	if err != nil {
		return agent.cannotRun(status, err.Error()+"\n"+stderr.String())
	}
	for _, g := range results {
		r := gossResult(g)
		_, _ = fmt.Fprintf(s.log, "goss: %s: %s\n", r.Status, r.Name)
		s.add("goss", gossFile, r)
	}
	return s.removeAgent(ctx, agent)
}

func gossResult(g gossagent.Result) Result {
	r := Result{Name: g.Name(), Status: Passed, Duration: g.Duration}
	switch {
	case g.Skipped:
		r.Status = Skipped
	case !g.Successful:
		r.Status, r.Output = Failed, strings.TrimSpace(g.Summary)
	}
	return r
}

func (s *suite) removeAgent(ctx context.Context, a agent) error {
	if err := s.host.Run(ctx, shell("rm -f "+machine.Quote(a.remote)), nil, nil, nil); err != nil {
		return fmt.Errorf("removing %s: %w", a.remote, err)
	}
	return nil
}

// cannotRun explains why the agent gave no results.
func (a agent) cannotRun(status int, output string) error {
	err := fmt.Errorf("imgops (%s) does not run on the machine, exit status %d", a.local, status)
	if dynamic(a.local) {
		err = fmt.Errorf("%w: it is dynamically linked and needs this machine's libraries; build it with CGO_ENABLED=0 (make build)", err)
	}
	return withOutput(err, output)
}

var errNoAgent = errors.New("no imgops for this kind of machine")
