package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// buildkiteFile is what `imgops init --ci buildkite` writes for the steps of a fan-out: a pipeline of one step, with what all
// of them have. Buildkite itself cannot include files.
const buildkiteFile = ".buildkite/imgops.yml"

// buildkiteStepLimit is the number of steps that one upload may have
// (https://buildkite.com/docs/agent/cli/reference/pipeline).
const buildkiteStepLimit = 500

// buildkiteCommon reads buildkiteFile in the repository at top; nil where there is none.
func buildkiteCommon(top string) (*yaml.Node, error) {
	path := filepath.Join(top, filepath.FromSlash(buildkiteFile))
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what the steps have in common: %w", err)
	}
	var doc struct {
		Steps []yaml.Node `yaml:"steps"`
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, &usageError{err: fmt.Errorf("%s: %w; correct it, or remove it for steps of a command only", path, err)}
	}
	if len(doc.Steps) != 1 || doc.Steps[0].Kind != yaml.MappingNode {
		return nil, &usageError{err: fmt.Errorf("%s: not one step below steps; write what the roles' steps have in common into one", path)}
	}
	step := &doc.Steps[0]
	for i := 0; i < len(step.Content); i += 2 {
		if k, v := step.Content[i], step.Content[i+1]; k.Value == "command" && v.Kind != yaml.ScalarNode || k.Value == "commands" {
			return nil, &usageError{err: fmt.Errorf("%s: line %d: not one command; write its lines after `command: |`", path, k.Line)}
		}
	}
	return step, nil
}

// buildkite is for `buildkite-agent pipeline upload`
// (https://buildkite.com/docs/pipelines/configure/dependencies), which replaces variables: a dollar is written twice.
// More roles than an upload may have steps share some.
func (f fan) buildkite() ([]byte, error) {
	keys := map[string]string{} // of the steps, by role
	var steps []*yaml.Node
	for _, g := range f.groups(buildkiteStepLimit) {
		label := "imgops " + g[0].Role
		if len(g) > 1 {
			label += fmt.Sprintf(" and %d more", len(g)-1)
		}
		var names, after []string
		key := buildkiteKey(g[0].Role)
		for _, j := range g {
			names = append(names, j.Role)
			keys[j.Role] = key
			if parent := keys[j.Parent]; j.Parent != "" && !slices.Contains(after, parent) {
				after = append(after, parent)
			}
		}
		command := f.command(strings.Join(names, ","), g[0].Level)
		steps = append(steps, f.buildkiteStep(label, key, strings.ReplaceAll(command, "$", "$$"), after))
	}
	if len(steps) == 0 {
		steps = append(steps, fan{}.buildkiteStep("imgops", "imgops-nothing-to-do", "echo no role needs work", nil))
	}
	return yamlBytes(map[string]any{"steps": steps}, nil)
}

// buildkiteStep is a step with what the steps have in common; their command goes before its own.
func (f fan) buildkiteStep(label, key, command string, after []string) *yaml.Node {
	type own struct {
		Label     string   `yaml:"label"`
		Key       string   `yaml:"key"`
		Command   string   `yaml:"command"`
		DependsOn []string `yaml:"depends_on,omitempty"`
	}
	var common []*yaml.Node
	for i := 0; f.step != nil && i < len(f.step.Content); i += 2 {
		switch name, value := f.step.Content[i], f.step.Content[i+1]; name.Value {
		case "label", "key", "depends_on":
		case "command":
			command = strings.TrimRight(value.Value, "\n") + "\n" + command + "\n"
		default:
			common = append(common, name, value)
		}
	}
	step := &yaml.Node{}
	_ = step.Encode(own{label, key, command, after}) // texts can be encoded
	step.Content = append(step.Content, common...)
	return step
}

// buildkiteKey keeps to letters, digits, "-", "_" and ":". Roles may have dots, and what replaces one stays apart from
// every other name because a role's name has no colon.
func buildkiteKey(role string) string { return "imgops-" + strings.ReplaceAll(role, ".", ":") }
