package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// githubMatrixLimit is the number of jobs that one matrix may make
// (https://docs.github.com/en/actions/reference/limits).
const githubMatrixLimit = 256

func (f fan) json() ([]byte, error) {
	levels := f.levels
	if levels == nil {
		levels = []fanLevel{}
	}
	return marshal(struct {
		Levels []fanLevel `json:"levels"`
	}{levels})
}

// github is one line: an object with a matrix per level under level0, level1, ..., for fromJSON in strategy.matrix. A
// level without roles has no key, for an empty matrix is an error: guard the job with if. More roles than a matrix may
// have share jobs.
func (f fan) github() ([]byte, error) {
	type entry struct {
		Role  string `json:"role"` // for --role: one, or several with commas
		Level int    `json:"level"`
	}
	type matrix struct {
		Include []entry `json:"include"`
	}
	out := map[string]matrix{}
	for _, l := range f.levels {
		per := (len(l.Jobs) + githubMatrixLimit - 1) / githubMatrixLimit
		var m matrix
		for i := 0; i < len(l.Jobs); i += per {
			var names []string
			for _, j := range l.Jobs[i:min(i+per, len(l.Jobs))] {
				names = append(names, j.Role)
			}
			m.Include = append(m.Include, entry{strings.Join(names, ","), l.Level})
		}
		out["level"+strconv.Itoa(l.Level)] = m
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encoding the fan-out: %w", err)
	}
	return append(b, '\n'), nil
}

// gitlabFile is what `imgops init --ci gitlab` writes for both the pipeline and its children.
const gitlabFile = ".gitlab/imgops.yml"

type gitlabJob struct {
	Extends       string              `yaml:"extends,omitempty"`
	Interruptible bool                `yaml:"interruptible"`
	Needs         []string            `yaml:"needs"`
	Rules         []map[string]string `yaml:"rules"`
	Script        []string            `yaml:"script"`
}

// gitlab is a child pipeline (https://docs.gitlab.com/ci/pipelines/downstream_pipelines/#dynamic-child-pipelines). The
// jobs have rules because those without run in no merge request's pipeline. A newer commit ends the jobs of a child that are
// interruptible, and not because those of its parent are (https://gitlab.com/gitlab-org/gitlab/-/issues/208411).
func (f fan) gitlab() ([]byte, error) {
	always := []map[string]string{{"when": "on_success"}}
	var doc yaml.Node
	doc.Kind = yaml.MappingNode
	add := func(key string, value any) error {
		var k, v yaml.Node
		k.SetString(key)
		if err := v.Encode(value); err != nil {
			return fmt.Errorf("encoding the fan-out: %w", err)
		}
		doc.Content = append(doc.Content, &k, &v)
		return nil
	}
	err := add("workflow", map[string]any{
		"auto_cancel": map[string]string{"on_new_commit": "interruptible"}, "rules": []map[string]string{{"when": "always"}},
	})
	if len(f.levels) == 0 && err == nil { // a pipeline without jobs is an error
		err = add("nothing to do", gitlabJob{Interruptible: f.interruptible, Needs: []string{}, Rules: always, Script: []string{"echo no role needs work"}})
		return yamlBytes(&doc, err)
	}
	if err == nil {
		err = add("include", []map[string]string{{"local": gitlabFile}})
	}
	for _, l := range f.levels {
		for _, j := range l.Jobs {
			job := gitlabJob{Extends: ".imgops", Interruptible: f.interruptible, Needs: []string{}, Rules: always, Script: []string{f.command(j.Role, j.Level)}}
			if j.Parent != "" {
				job.Needs = []string{gitlabName(j.Parent)}
			}
			if err == nil {
				err = add(gitlabName(j.Role), job)
			}
		}
	}
	return yamlBytes(&doc, err)
}

// gitlabName is a job's name: a role can be called image or default, a job cannot.
func gitlabName(role string) string { return "imgops " + role }

func yamlBytes(v any, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding the fan-out: %w", err)
	}
	return b.Bytes(), nil
}
