package verifier

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
	"time"
)

//go:embed serverspec_helper.rb
var serverspecHelper []byte

const serverspecHow = "install it with apt-get install ruby-serverspec ruby-rspec or gem install serverspec"

func checkServerspec(ctx context.Context) error {
	if _, err := exec.LookPath("rspec"); err != nil {
		return fmt.Errorf("there is no rspec on this machine; %s", serverspecHow)
	}
	if out, err := exec.CommandContext(ctx, "rspec", "--require", "serverspec", "--version").CombinedOutput(); err != nil {
		return withOutput(fmt.Errorf("rspec on this machine has no serverspec; %s: %w", serverspecHow, err), firstLine(string(out)))
	}
	return nil
}

// runServerspec runs rspec here, with serverspec's backend set to the machine.
func runServerspec(ctx context.Context, s *suite, files []string) error {
	s.say("running "+strings.Join(files, " "), "serverspec against "+s.host.ID)
	helper, results := s.file("serverspec_helper.rb"), s.file("serverspec.json")
	if err := os.WriteFile(helper, serverspecHelper, 0o644); err != nil {
		return err
	}
	if err := os.Remove(results); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	argv := append([]string{
		"rspec", "--require", absolute(helper), "-I", ".", "--no-color",
		"--format", "documentation", "--format", "json", "--out", absolute(results),
	}, files...)
	// TARGET_HOST is what serverspec-init's own spec_helper.rb reads.
	cmd := tool(ctx, argv, append(s.environ(), "TARGET_HOST=machine", "TARGET_SSH_CONFIG="+absolute(s.host.SSHConfig)))
	cmd.Dir = s.plan.dir
	var out capture
	status, err := s.runTool(ctx, cmd, &out)
	if err != nil {
		return fmt.Errorf("running rspec: %w", withOutput(err, out.String()))
	}
	f, err := os.Open(results)
	if err != nil {
		return withOutput(fmt.Errorf("rspec exited with status %d and gave no results", status), out.String())
	}
	defer func() { _ = f.Close() }()
	list, err := parseRSpec(f)
	s.add("serverspec", "", list...)
	if err == nil && status != 0 && !failedIn(list) {
		err = fmt.Errorf("rspec exited with status %d, but no test failed", status)
	}
	if err != nil {
		return withOutput(err, out.String())
	}
	return nil
}

// parseRSpec reads the document of rspec's json formatter. Files that could not be loaded are an error.
func parseRSpec(r io.Reader) ([]Result, error) {
	var doc struct {
		Examples []rspecExample `json:"examples"`
		Summary  struct {
			Outside int `json:"errors_outside_of_examples_count"`
		} `json:"summary"`
	}
	if err := json.NewDecoder(r).Decode(&doc); err != nil {
		return nil, fmt.Errorf("reading the results of rspec: %w", err)
	}
	var list []Result
	for _, e := range doc.Examples {
		list = append(list, e.result())
	}
	switch {
	case doc.Summary.Outside > 0:
		return list, fmt.Errorf("rspec met %d errors outside of tests", doc.Summary.Outside)
	case len(list) == 0:
		return nil, errors.New("rspec ran no tests")
	}
	return list, nil
}

type rspecExample struct {
	Name      string  `json:"full_description"`
	Status    string  `json:"status"`
	File      string  `json:"file_path"`
	Seconds   float64 `json:"run_time"`
	Pending   string  `json:"pending_message"`
	Exception *struct {
		Message string `json:"message"`
	} `json:"exception"`
}

func (e rspecExample) result() Result {
	r := Result{Name: e.Name, File: path.Clean(e.File), Duration: time.Duration(e.Seconds * float64(time.Second))}
	switch e.Status {
	case "passed":
		r.Status = Passed
	case "pending":
		r.Status, r.Output = Skipped, e.Pending
	case "failed":
		r.Status = Failed
	default:
		r.Status, r.Output = Errored, fmt.Sprintf("rspec gave the status %q", e.Status)
	}
	if e.Exception != nil && r.Status != Passed && r.Status != Skipped {
		r.Output = strings.TrimSpace(e.Exception.Message)
	}
	return r
}
