package verifier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/imgops/imgops/images/machine"
)

// closeTime is how long the end of a machine may take; it has its own clock, since the run's may be over.
const closeTime = 5 * time.Minute

// suite is one suite that is being run.
type suite struct {
	v      *Verifier
	req    *Request
	plan   plan
	host   *Host
	remote *remote // the directory on the machine; nil when nothing runs there
	log    *lineWriter

	mu     sync.Mutex
	step   string // what is being done, and what is waited for: the message of a timeout says so
	report SuiteReport
}

// timeoutError is the cause of the suite's context when its time is over.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string {
	return fmt.Sprintf("the suite's timeout of %s is over", e.after)
}

// Timeout marks the error as one, as net.Error does.
func (e *timeoutError) Timeout() bool { return true }

// runSuite runs one suite from launch to clean-up.
func (v *Verifier) runSuite(ctx context.Context, req *Request, p plan) (SuiteReport, error) {
	logFile, err := os.Create(filepath.Join(req.WorkDir, p.suite.Name+".log"))
	if err != nil {
		return SuiteReport{Name: p.suite.Name, Error: err.Error()}, fmt.Errorf("suite %s: %w", p.suite.Name, err)
	}
	defer func() { _ = logFile.Close() }()
	s := &suite{v: v, req: req, plan: p, report: SuiteReport{Name: p.suite.Name, Started: v.opts.Now().UTC()}}
	s.log = &lineWriter{fn: func(line string) {
		_, _ = fmt.Fprintln(logFile, line) // a log that cannot be written does not stop a verification
		_, _ = fmt.Fprintf(req.Log, "%s/%s | %s\n", req.Role.Name, p.suite.Name, line)
	}}

	limit := cmp.Or(time.Duration(p.suite.Timeout), 15*time.Minute)
	limited, cancel := context.WithTimeoutCause(ctx, limit, &timeoutError{limit})
	err = s.run(limited)
	if err != nil && limited.Err() != nil {
		err = fmt.Errorf("%s: %w", s.doing(), interrupted(limited, err))
	}
	cancel()
	if err != nil {
		s.report.Error = err.Error()
		err = fmt.Errorf("suite %s on image %s: %w", p.suite.Name, req.Image.ID, err)
	}
	err = errors.Join(err, s.end(ctx))
	s.log.Flush()
	s.report.Duration = v.opts.Now().Sub(s.report.Started)
	return s.report, err
}

// interrupted makes sure that the reason why the context ended is part of the error.
func interrupted(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		return cause
	case !errors.Is(err, cause):
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

func (s *suite) run(ctx context.Context) error {
	s.say("launching a machine", "EC2 and the first SSH login")
	host, err := s.v.launch(ctx, s.spec(), s.req.Progress)
	if err != nil {
		return fmt.Errorf("launching a machine: %w", err)
	}
	s.host, s.report.Machine = host, host.ID
	s.say("booting", cmp.Or(s.plan.suite.Wait, machine.WaitCloudInit)+" on "+host.ID)
	if err := host.WaitBooted(ctx, s.plan.suite.Wait, s.req.Progress); err != nil {
		return fmt.Errorf("waiting for machine %s to boot: %w", host.ID, err)
	}
	if s.plan.onMachine() {
		s.say("uploading the tests", "machine "+host.ID)
		if s.remote, err = prepare(ctx, host, s.plan.dir); err != nil {
			return fmt.Errorf("preparing machine %s: %w", host.ID, err)
		}
	}
	var errs []error
	for _, j := range s.plan.jobs {
		if ctx.Err() != nil {
			break
		}
		if err := j.run(ctx, s, j.files); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", j.name, err))
		}
	}
	if ctx.Err() != nil {
		return interrupted(ctx, errors.Join(errs...))
	}
	return errors.Join(append(errs, s.doubt(ctx))...)
}

// doubt says why the results are not to be believed, although every kind of tests ran.
func (s *suite) doubt(ctx context.Context) error {
	c := s.report.counts()
	if c.Failed+c.Errors > 0 {
		// Tests that reach the machine from here fail too when it has gone away, and that is no verdict on the image.
		if err := s.host.Run(ctx, "true", nil, nil, nil); err != nil {
			s.report.lost = true
			return fmt.Errorf("machine %s does not answer any more, so its failed tests may mean nothing: %w", s.host.ID, err)
		}
	}
	if c.Tests > 0 && c.Skipped == c.Tests {
		return fmt.Errorf("skipped %d of %s: nothing was verified", c.Skipped, count(c.Tests, "test"))
	}
	return nil
}

// end closes the machine, or says how to reach it when it is kept.
func (s *suite) end(ctx context.Context) error {
	if s.host == nil {
		return os.RemoveAll(s.machineDir())
	}
	if s.req.Keep {
		s.report.Login = "ssh -F " + machine.Quote(s.host.SSHConfig) + " machine"
		s.say("keeping machine "+s.host.ID, "you: "+s.report.Login)
		_, _ = io.WriteString(s.log, "machine "+s.host.ID+" is kept until it expires; log in with: "+s.report.Login+"\n")
		return nil
	}
	s.say("ending machine "+s.host.ID, "EC2 to terminate it")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	if err := s.host.Close(ctx); err != nil {
		return fmt.Errorf("suite %s: ending machine %s: %w", s.plan.suite.Name, s.host.ID, err)
	}
	return os.RemoveAll(s.machineDir())
}

func (s *suite) spec() machine.Spec {
	types := s.req.Role.Build.InstanceTypes
	if t := s.plan.suite.InstanceType; t != "" {
		types = []string{t}
	}
	life := cmp.Or(time.Duration(s.plan.suite.Timeout), 15*time.Minute) + 30*time.Minute
	if s.req.Keep {
		life += s.v.opts.Keep
	}
	return machine.Spec{
		Location: s.req.Location, Image: s.req.Image, Purpose: "verify", Fleet: s.req.Fleet, Role: s.req.Role.Name,
		Run: s.req.Run, Suffix: s.plan.suite.Name, InstanceTypes: types, SSHUser: s.req.Role.Build.SSHUser,
		SSHCIDR: s.req.Build.SSHCIDR, SubnetID: s.req.Build.SubnetID, Lifetime: life,
		WorkDir: s.machineDir(),
	}
}

// machineDir holds what is needed to reach the machine; it is there as long as the machine is.
func (s *suite) machineDir() string {
	return filepath.Join(s.req.WorkDir, "machines", s.plan.suite.Name)
}

// file names a file of this suite in the WorkDir.
func (s *suite) file(suffix string) string {
	return filepath.Join(s.req.WorkDir, s.plan.suite.Name+"-"+suffix)
}

// say tells what is being done, and remembers it for the message of a timeout.
func (s *suite) say(step, waitingFor string) {
	s.mu.Lock()
	s.step = step + " (" + waitingFor + ")"
	s.mu.Unlock()
	s.req.Progress.Say("suite "+s.plan.suite.Name+": "+step, waitingFor)
}

func (s *suite) doing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "stopped while " + s.step
}

// add records results; it fills in what they have in common.
func (s *suite) add(kind, file string, results ...Result) {
	for _, r := range results {
		r.Suite, r.Kind = s.plan.suite.Name, kind
		r.File = cmp.Or(r.File, file)
		s.report.Results = append(s.report.Results, r)
	}
}
