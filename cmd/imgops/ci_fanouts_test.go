package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// What --matrix prints for small fleets, for the tests that hold it against linters, schemas and runners.

// fanOut is the fan-out of a fleet with two levels.
func fanOut(t *testing.T, format string, step *yaml.Node) string {
	t.Helper()
	f := fan{
		levels: byLevel([]fanJob{{Role: "base"}, {Role: "web", Level: 1, Parent: "base"}, {Role: "api.v2", Level: 1, Parent: "base"}}),
		before: []string{"imgops"}, after: []string{"--base", "main~0"}, step: step,
	}
	return fanOutOf(t, format, f)
}

func fanOutOf(t *testing.T, format string, f fan) string {
	t.Helper()
	out, err := matrixFormats()[format](f)
	require.NoError(t, err)
	return string(out)
}

// matrixWorkflow is the workflow with a job per level that the one of init tells of.
func matrixWorkflow(t *testing.T) string {
	t.Helper()
	text := rendered(t, "github", "")[".github/workflows/imgops.yml"]
	start, end := strings.Index(text, "  ci:\n"), strings.Index(text, "  maintain:\n")
	job := text[start:end]
	steps := job[strings.Index(job, "    steps:\n"):strings.Index(job, "      # The outcome goes")]
	told := func(mark string) string { // the line of the comment
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, "#   "); ok && strings.HasPrefix(rest, mark) {
				return strings.TrimSuffix(rest, "\n")
			}
		}
		t.Fatalf("the workflow does not tell of %q", mark)
		return ""
	}
	plan := "  plan:\n    runs-on: ubuntu-latest\n    outputs: {matrix: \"${{ steps.plan.outputs.matrix }}\"}\n" + steps +
		"      " + told("- id: plan") + "\n        " + strings.TrimSpace(told("  run: matrix=")) + "\n\n"
	level := "  level1:\n    " + told("needs:") + "\n    " + told("if:") + "\n    runs-on: ubuntu-latest\n    " + told("strategy:") + "\n" + steps +
		"      - run: imgops ci --role ${{ matrix.role }} --level ${{ matrix.level }}\n\n"
	first := strings.NewReplacer("[plan, level0]", "plan", "level1", "level0").Replace(level)
	return text[:start] + plan + first + level + text[end:]
}

// filledMatrix is the workflow of matrixWorkflow as GitHub has it when the first job has printed its fan-out.
func filledMatrix(t *testing.T, printed string) string {
	t.Helper()
	var levels map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(printed), &levels))
	require.Len(t, levels, 2)
	text := matrixWorkflow(t)
	for level, matrix := range levels {
		told := "matrix: \"${{ fromJSON(needs.plan.outputs.matrix)." + level + " }}\"}\n    steps:"
		require.Equal(t, 1, strings.Count(text, told), level)
		text = strings.Replace(text, told, "matrix: "+string(matrix)+"}\n    steps:", 1)
	}
	return text
}
