package roles

import (
	"bytes"
	"context"
	"path"
)

// CheckSuites reads the goss.yaml of the suites of some roles and reports each mistake that shows without a machine: its
// syntax, and sections that are neither among the given ones nor the author's own, which goss would pass over in silence.
// Files with templates in them are left to the machine. The error is a *ProblemsError.
func (f *Fleet) CheckSuites(ctx context.Context, list []*Role, sections []string, own func(section string) bool) error {
	known := fields{}
	for _, name := range sections {
		known[name] = nil
	}
	var problems []Problem
	for _, r := range list {
		for _, suite := range r.Verify {
			if err := ctx.Err(); err != nil {
				return err
			}
			found, err := f.checkGoss(path.Join(suite.Dir, gossFile), known, own)
			if err != nil {
				return err
			}
			problems = append(problems, found...)
		}
	}
	return problemsError(problems)
}

func (f *Fleet) checkGoss(file string, known fields, own func(string) bool) ([]Problem, error) {
	e, ok, err := f.view.root.lookup(file)
	if err != nil || !ok || !e.isFile() {
		return nil, err
	}
	data, err := f.view.files.read(file, e.id)
	if err != nil || bytes.Contains(data, []byte("{{")) {
		return nil, err
	}
	s := &source{file: file, data: data}
	root := s.parse(gossFile)
	if root == nil {
		return s.problems, nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := resolveAlias(root.Content[i])
		if _, ok := known[key.Value]; ok || key.Value == "" || own(key.Value) {
			continue
		}
		s.add(at(root.Content[i]), "goss knows no section \""+key.Value+"\"", choose(key.Value, names(known)))
	}
	return s.problems, nil
}
