package roles

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

const gossFile = "goss.yaml"

// testFiles are the names that the verifier runs, directly in a suite's directory.
var testFiles = []string{gossFile, "*.bats", "test_*.py", "*_spec.rb", "*.sh"}

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
			"write "+path.Join(dir, "default", gossFile))
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
	found, err := testsIn(e.sub)
	if err != nil || len(found) > 0 {
		return err
	}
	l.missing(r, suite, fmt.Sprintf("suite %s holds no tests", suite.name),
		fmt.Sprintf("write %s, or a *.bats, test_*.py, *_spec.rb or *.sh directly in it, or delete the suite", path.Join(suite.name, gossFile)))
	return nil
}

// testsIn lists the files, directly in a suite's directory, that the verifier runs.
func testsIn(suite *tree) ([]string, error) {
	entries, err := suite.list()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		isTest := slices.ContainsFunc(testFiles, func(form string) bool {
			ok, err := path.Match(form, e.name)
			return err == nil && ok
		})
		if isTest && !e.isDir() && !strings.HasPrefix(e.name, ".") {
			found = append(found, e.name)
		}
	}
	return found, nil
}

// TestFiles lists the files of the roles' suites that the verifier runs, as paths from the fleet's root.
func (f *Fleet) TestFiles(list []*Role) ([]string, error) {
	var files []string
	for _, r := range list {
		for _, s := range r.Verify {
			e, ok, err := f.view.root.lookup(s.Dir)
			if err != nil {
				return nil, err
			}
			if !ok || e.sub == nil {
				continue
			}
			found, err := testsIn(e.sub)
			if err != nil {
				return nil, err
			}
			for _, name := range found {
				files = append(files, path.Join(s.Dir, name))
			}
		}
	}
	return files, nil
}
