package roles

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// testFiles are the names that the verifier runs, directly in a suite's directory.
var testFiles = []string{"goss.yaml", "*.bats", "test_*.py", "*_spec.rb", "*.sh"}

// suites completes the suites; without `verify` every directory under tests/ is one. A role without a suite is
// refused: its image could never be verified, and so never be promoted.
func (l *loading) suites(r *Role) error {
	dir := path.Join("roles", r.Name, "tests")
	e, ok, err := l.fleet.view.root.lookup(dir)
	if err != nil {
		return err
	}
	if ok && e.sub != nil {
		r.tests = e.sub
	}
	r.Verify = slices.Clone(r.Verify)
	if r.tests != nil && !r.def.hasVerify {
		entries, err := r.tests.list()
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.isDir() {
				continue
			}
			r.Verify = append(r.Verify, Suite{Name: e.name, Dir: path.Join(dir, e.name)})
			if err := l.hasTests(r, reference{"suite", path.Join(dir, e.name), r.def.verify}); err != nil {
				return err
			}
		}
	}
	if len(r.Verify) == 0 && len(r.def.source.problems) == 0 {
		l.missing(r, reference{at: r.def.verify}, fmt.Sprintf("role %q has no tests: its image could never be promoted", r.Name),
			"write "+path.Join(dir, "default", "goss.yaml"))
	}
	for i := range r.Verify {
		s := &r.Verify[i]
		s.InstanceType = cmp.Or(s.InstanceType, r.Build.InstanceTypes[0])
		s.Wait = cmp.Or(s.Wait, defaultWait)
		s.Timeout = cmp.Or(s.Timeout, defaultSuiteTimeout)
	}
	return nil
}

// hasTests adds a problem when a suite's directory holds nothing that the verifier runs.
func (l *loading) hasTests(r *Role, suite reference) error {
	e, ok, err := l.fleet.view.root.lookup(suite.name)
	if err != nil || !ok || e.sub == nil {
		return err
	}
	entries, err := e.sub.list()
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, form := range testFiles {
			if ok, err := path.Match(form, e.name); err == nil && ok && !e.isDir() && !strings.HasPrefix(e.name, ".") {
				return nil
			}
		}
	}
	l.missing(r, suite, fmt.Sprintf("suite %s holds no tests", suite.name),
		fmt.Sprintf("write %s, or a *.bats, test_*.py, *_spec.rb or *.sh directly in it, or delete the suite", path.Join(suite.name, "goss.yaml")))
	return nil
}
