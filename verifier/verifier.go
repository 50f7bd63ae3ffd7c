package verifier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

// Options of a Verifier.
type Options struct {
	// Executable is the imgops that is copied to machines of this system and architecture, to run the goss engine
	// there; empty: the running one.
	Executable string
	// Agent is the path of the imgops for machines of another kind, with {os} and {arch} (Go's names: linux, arm64);
	// empty: imgops-{os}-{arch} beside Executable.
	Agent string
	// Keep is how long a machine that is kept may live; 0: 4 hours.
	Keep time.Duration
	// Now is the clock of the report; nil: time.Now.
	Now func() time.Time
}

// Verifier verifies images. It is safe for concurrent use.
type Verifier struct {
	launch LaunchFunc
	opts   Options
	agents agents
}

// New makes a Verifier that launches its machines with launch; On makes one of a machine.Launcher.
func New(launch LaunchFunc, opts Options) *Verifier {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.Keep = cmp.Or(opts.Keep, 4*time.Hour)
	return &Verifier{launch: launch, opts: opts}
}

// Request says what to verify.
type Request struct {
	Image images.Image
	// Role whose suites (Verify) are run; Digest and TestsDigest go into the report.
	Role *roles.Role
	// Tests is a local directory that holds the suites' directories under the same relative paths as the fleet.
	Tests    string
	Location images.Location
	Fleet    string
	Run      string // id of this run of imgops
	// WorkDir gets the report (report.json and junit.xml), the log of each suite (<suite>.log) and, while the machine
	// lives, what is needed to reach it (machines/<suite>/ssh_config and its keys). No two verifications share one.
	WorkDir string
	// Build says who may reach the machines (SSHCIDR) and in which subnet they are.
	Build roles.BuildLocation
	// Keep leaves the machines running, until they expire; the report says how to log in.
	Keep bool
	// Parallel is how many suites run at the same time; 0: 4.
	Parallel int
	Progress images.Progress
	// Log gets what the machines and the tools say, line by line; nil: only the files in WorkDir do.
	Log io.Writer
}

// Verify runs every suite of the role, each on a machine of its own, and returns what they found; it also writes the
// report into the WorkDir. The machines are ended on every way out, unless the request keeps them.
//
// The error is nil when the report passed and everything was cleaned up. It is (errors.As) a *FailedError when tests
// failed. Any other error says why the image could not be judged or, when the report passed nevertheless, what could
// not be cleaned up or written. The report holds what is known in every case.
func (v *Verifier) Verify(ctx context.Context, req Request) (Report, error) {
	report := Report{
		Image: req.Image.ID, Role: req.Role.Name, Account: req.Location.Account, Region: req.Location.Region,
		Digest: req.Role.Digest, TestsDigest: req.Role.TestsDigest, Run: req.Run, Started: v.opts.Now().UTC(),
	}
	plans, err := v.plan(ctx, req)
	if err != nil {
		return report, fmt.Errorf("verifying role %s: %w", req.Role.Name, err)
	}
	if err := os.MkdirAll(req.WorkDir, 0o700); err != nil {
		return report, fmt.Errorf("verifying role %s: %w", req.Role.Name, err)
	}
	if req.Log == nil {
		req.Log = io.Discard
	}
	req.Log = &syncWriter{w: req.Log}
	defer v.prepack(plans)()
	var errs []error
	report.Suites, errs = v.runAll(ctx, &req, plans)
	report.judge()
	if report.failed() {
		errs = append([]error{&FailedError{Report: report, Dir: req.WorkDir}}, errs...)
	}
	errs = append(errs, report.write(req.WorkDir))
	return report, errors.Join(errs...)
}

// runAll runs the suites side by side. One that fails does not stop the others: the report is to be whole.
func (v *Verifier) runAll(ctx context.Context, req *Request, plans []plan) ([]SuiteReport, []error) {
	reports, errs := make([]SuiteReport, len(plans)), make([]error, len(plans))
	var group errgroup.Group
	group.SetLimit(cmp.Or(max(req.Parallel, 0), 4))
	for i, p := range plans {
		group.Go(func() error {
			reports[i], errs[i] = v.runSuite(ctx, req, p)
			return nil
		})
	}
	_ = group.Wait() // every error is in errs
	return reports, errs
}
