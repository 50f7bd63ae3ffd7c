package verifier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// skipStatus is the exit status by which a script says that it does not apply here (as with automake and Meson).
const skipStatus = 77

// runScripts runs each script on the machine as root: 0 is passed, 77 skipped, anything else failed.
func runScripts(ctx context.Context, s *suite, files []string) error {
	var errs []error
	for _, file := range files {
		argv, err := scriptCommand(filepath.Join(s.plan.dir, file), file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.say("running "+file, "the script on "+s.host.ID)
		var out capture
		both := io.MultiWriter(&out, s.log)
		start := time.Now()
		err = s.sudo(ctx, both, both, argv...)
		status, ok := exited(err)
		if !ok {
			return errors.Join(append(errs, fmt.Errorf("running %s: %w", file, withOutput(err, out.String())))...)
		}
		r := Result{Name: file, Status: Passed, Duration: time.Since(start), Output: out.String()}
		switch status {
		case 0:
		case skipStatus:
			r.Status = Skipped
		default:
			r.Status = Failed
			r.Output = fmt.Sprintf("exit status %d\n%s", status, r.Output)
		}
		s.add("sh", file, r)
	}
	return errors.Join(errs...)
}

// scriptCommand honours a script's #! line, whether or not Git has it as executable. The outputs become one on the
// machine: over SSH they are two streams, whose order is lost.
func scriptCommand(local, name string) ([]string, error) {
	f, err := os.Open(local)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	start := make([]byte, 2)
	n, err := io.ReadFull(f, start)
	if err != nil && n == 0 {
		return nil, fmt.Errorf("script %s is empty: it tests nothing", name)
	}
	if bytes.Equal(start, []byte("#!")) {
		return []string{"sh", "-c", `chmod +x "$1" && exec "$1" 2>&1`, "sh", "./" + name}, nil
	}
	return []string{"sh", "-c", `exec sh "$1" 2>&1`, "sh", "./" + name}, nil
}
