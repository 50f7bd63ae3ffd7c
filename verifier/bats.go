package verifier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/imgops/imgops/images/machine"
)

// runBats runs each file with the machine's bats, or with this side's, which is uploaded: bats is a set of bash scripts.
func runBats(ctx context.Context, s *suite, files []string) error {
	bats, env, err := s.findBats(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range files {
		if err := s.batsFile(ctx, bats, env, file); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (s *suite) batsFile(ctx context.Context, bats string, env []string, file string) error {
	s.say("running "+file, "bats on "+s.host.ID)
	t := newTAP()
	lines := &lineWriter{fn: func(line string) {
		t.line(line)
		s.say("running "+file, fmt.Sprintf("bats on %s, %d of %d tests done", s.host.ID, len(t.tests), max(t.planned, 0)))
	}}
	var stderr capture
	argv := append(append([]string{"env"}, env...), bats, "--tap", "--timing", file)
	err := s.sudo(ctx, io.MultiWriter(lines, s.log), io.MultiWriter(&stderr, s.log), argv...)
	lines.Flush()
	s.add("bats", file, t.tests...)
	status, ok := exited(err)
	if !ok {
		return withOutput(err, stderr.String())
	}
	if err := t.check(); err != nil {
		if failedIn(t.tests) { // such as setup_file: then bats itself leaves the others out
			s.add("bats", file, Result{Name: "all of " + file, Status: Errored, Output: err.Error()})
			return nil
		}
		return withOutput(withOutput(err, t.preamble()), stderr.String())
	}
	if status != 0 && !failedIn(t.tests) { // teardown_file, or bats itself
		s.add("bats", file, Result{
			Name: "all of " + file, Status: Errored, Output: fmt.Sprintf("bats exited with status %d\n%s\n%s", status, t.preamble(), stderr.String()),
		})
	}
	return nil
}

func failedIn(results []Result) bool {
	for _, r := range results {
		if r.Status == Failed || r.Status == Errored {
			return true
		}
	}
	return false
}

// findBats returns the bats to run on the machine and the environment that it needs.
func (s *suite) findBats(ctx context.Context) (string, []string, error) {
	if s.remote.bash == "" {
		return "", nil, errors.New("the image has no bash, which bats needs; add it, or write the test as *.sh")
	}
	if s.remote.bats != "" {
		return s.remote.bats, nil, nil
	}
	local, err := exec.LookPath("bats")
	if err == nil {
		local, err = filepath.EvalSymlinks(local)
	}
	if err != nil {
		return "", nil, errors.New("neither the image nor this machine has bats; install it here (apt-get install bats, brew install bats-core, npm install -g bats)")
	}
	s.say("uploading bats", "machine "+s.host.ID)
	root := s.remote.dir + "/bats"
	env, err := uploadBats(ctx, s.host, local, root)
	if err != nil {
		return "", nil, fmt.Errorf("uploading the bats of this machine (%s): %w", local, err)
	}
	return root + "/bin/bats", env, nil
}

// uploadBats copies an installation of bats-core: <prefix>/bin/bats finds the rest relative to itself. The libraries
// that Debian has in <prefix>/lib/bats (bats-assert and others) go with it.
func uploadBats(ctx context.Context, host *Host, local, root string) ([]string, error) {
	prefix := filepath.Dir(filepath.Dir(local))
	if err := host.Run(ctx, shell("mkdir -p "+machine.Quote(root+"/bin")), nil, nil, nil); err != nil {
		return nil, err
	}
	for _, dir := range []string{"libexec/bats-core", "lib/bats-core", "lib64/bats-core", "lib/bats"} {
		from := filepath.Join(prefix, dir)
		info, err := os.Stat(from)
		if err != nil || !info.IsDir() {
			if dir == "libexec/bats-core" {
				return nil, fmt.Errorf("%s is not a bats-core installation: there is no %s", prefix, from)
			}
			continue
		}
		if err := host.UploadDir(ctx, from, root+"/"+dir); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(local)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return []string{"BATS_LIB_PATH=" + root + "/lib/bats:/usr/lib/bats"}, host.Upload(ctx, f, root+"/bin/bats", 0o755)
}
