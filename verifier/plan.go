package verifier

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgops/imgops/roles"
)

// kind is one kind of tests.
type kind struct {
	name string
	// match says that a file of this name, directly in the suite's directory, is a test of this kind.
	match string // a pattern of path.Match
	// onMachine kinds need the suite's directory there.
	onMachine bool
	// check finds out, before any machine is launched, whether this side has what is needed; nil when nothing is.
	check func(ctx context.Context) error
	// run runs the test files and adds their results to the suite. An error says why they could not be judged.
	run func(ctx context.Context, s *suite, files []string) error
}

// kinds in the order in which a suite runs them: what only looks comes before what may change the machine.
func kinds() []kind {
	return []kind{
		{name: "goss", match: gossFile, onMachine: true, run: runGoss},
		{name: "bats", match: "*.bats", onMachine: true, run: runBats},
		{name: "testinfra", match: "test_*.py", check: checkTestinfra, run: runTestinfra},
		{name: "serverspec", match: "*_spec.rb", check: checkServerspec, run: runServerspec},
		{name: "sh", match: "*.sh", onMachine: true, run: runScripts},
	}
}

// plan is what one suite will run.
type plan struct {
	suite roles.Suite
	dir   string // local
	jobs  []job
}

type job struct {
	kind
	files []string // names in dir, sorted
}

// plan looks at every suite and reports everything that is wrong at once, before a machine is launched.
func (v *Verifier) plan(ctx context.Context, req Request) ([]plan, error) {
	if len(req.Role.Verify) == 0 {
		return nil, fmt.Errorf("the role has no suites; add roles/%s/tests/<suite>/ with a goss.yaml, *.bats, test_*.py, *_spec.rb or *.sh, and name it under verify: in %s",
			req.Role.Name, req.Role.File)
	}
	var plans []plan
	var problems []error
	checked := map[string]bool{}
	for _, s := range req.Role.Verify {
		p, err := planSuite(req.Tests, s)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		plans = append(plans, p)
		if err := v.checkAgent(p, req); err != nil {
			problems = append(problems, fmt.Errorf("suite %s, %s: %w", s.Name, gossFile, err))
		}
		for _, j := range p.jobs {
			if j.check == nil || checked[j.name] {
				continue
			}
			checked[j.name] = true
			if err := j.check(ctx); err != nil {
				problems = append(problems, fmt.Errorf("suite %s, %s: %w", s.Name, j.files[0], err))
			}
		}
	}
	return plans, errors.Join(problems...)
}

// CheckTools names the programs that tests of these file names need on this computer and that it lacks. What the machine can
// have itself (bats) is not among them.
func CheckTools(ctx context.Context, files []string) error {
	var problems []error
	for _, k := range kinds() {
		needed := slices.ContainsFunc(files, func(f string) bool {
			ok, err := path.Match(k.match, path.Base(f))
			return err == nil && ok
		})
		if !needed || k.check == nil {
			continue
		}
		if err := k.check(ctx); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// checkAgent finds out whether there is an imgops for the image's machines, when it needs one and EC2 says what they are.
func (v *Verifier) checkAgent(p plan, req Request) error {
	if req.Image.Architecture == "" || !p.has("goss") {
		return nil
	}
	_, err := v.opts.agentFor("Linux", req.Image.Architecture)
	return err
}

func planSuite(tests string, s roles.Suite) (plan, error) {
	p := plan{suite: s, dir: filepath.Join(tests, filepath.FromSlash(s.Dir))}
	entries, err := os.ReadDir(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return p, fmt.Errorf("suite %s: there is no directory %s", s.Name, s.Dir)
	}
	if err != nil {
		return p, fmt.Errorf("suite %s: %w", s.Name, err)
	}
	for _, k := range kinds() {
		var files []string
		for _, e := range entries {
			if ok, _ := path.Match(k.match, e.Name()); ok && !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
				files = append(files, e.Name())
			}
		}
		if len(files) > 0 {
			p.jobs = append(p.jobs, job{k, files})
		}
	}
	if len(p.jobs) == 0 {
		return p, fmt.Errorf("suite %s: %s holds no tests; expected a goss.yaml, *.bats, test_*.py, *_spec.rb or *.sh directly in it", s.Name, s.Dir)
	}
	return p, nil
}

func (p plan) has(kind string) bool {
	return slices.ContainsFunc(p.jobs, func(j job) bool { return j.name == kind })
}

// onMachine says that something of the suite runs there.
func (p plan) onMachine() bool {
	return slices.ContainsFunc(p.jobs, func(j job) bool { return j.onMachine })
}
