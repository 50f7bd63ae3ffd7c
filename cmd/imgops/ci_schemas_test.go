package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The schemas are in testdata/schemas, whose README tells where each is from. ci_schemas_broken_test.go shows that they reject
// something.

// schemaEdits is what of a schema as it was published cannot be used; each old text is there once.
var schemaEdits = map[string][][2]string{
	"bitbucket": {
		// Go's regular expressions have no lookahead. This one says that the first character is no dash.
		{`"^(?!-)[-a-z0-9]{0,49}[a-z0-9]$"`, `"^([a-z0-9][-a-z0-9]{0,48})?[a-z0-9]$"`},
		// The schema of 2022 has no oidc in a step, though Bitbucket had.
		{`"name": {
     "type": "string",
     "title": "Name of the step"`, `"oidc": {"type": "boolean"}, "name": {
     "type": "string",
     "title": "Name of the step"`},
	},
	"buildkite": {
		// The schema of 2022 wants no steps; today's and the documentation do.
		{`"title": "JSON schema for Buildkite pipeline configuration files"`, `"title": "Buildkite", "required": ["steps"]`},
	},
	"circleci": {
		// Draft 4 takes no notice of what is beside $ref, so that anything would be a step.
		{`"$schema": "http://json-schema.org/draft-04/schema#"`, `"$schema": "https://json-schema.org/draft/2019-09/schema"`},
		// A checkout has had a method since 2024.
		{`"path": {
       "description": "Checkout directory`, `"method": {"enum": ["blobless", "full"]}, "path": {
       "description": "Checkout directory`},
	},
	"travis": {
		{`"$schema": "http://json-schema.org/draft-04/schema#"`, `"$schema": "https://json-schema.org/draft/2019-09/schema"`}, // as CircleCI's
	},
	"azure": {
		// A task of an extension.
		{`"task": {
     "anyOf": [`, `"task": {
     "anyOf": [{"enum": ["AWSShellScript@1"]},`},
		{`"firstProperty": [
    "task"
   ],
   "anyOf": [`, `"anyOf": [` + awsShellScript + `,`},
	},
}

// awsShellScript is the task as its task.json has it (https://github.com/aws/aws-toolkit-azure-devops).
const awsShellScript = `{
  "required": ["task", "inputs"],
  "properties": {
    "task": {"pattern": "^AWSShellScript@1$"},
    "inputs": {
      "additionalProperties": false,
      "required": ["scriptType"],
      "properties": {
        "awsCredentials": {"type": "string"}, "regionName": {"type": "string"}, "arguments": {"type": "string"},
        "scriptType": {"enum": ["filePath", "inline"]}, "filePath": {"type": "string"},
        "inlineScript": {"type": "string", "maxLength": 5000}, "disableAutoCwd": {"enum": ["true", "false"]},
        "workingDirectory": {"type": "string"}, "failOnStandardError": {"enum": ["true", "false"]}
      }
    }
  }
}`

// pipelineSchema compiles the schema of a system's files.
func pipelineSchema(t *testing.T, system string) *jsonschema.Schema {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "schemas", system+".json"))
	require.NoError(t, err)
	text := string(data)
	for _, edit := range schemaEdits[system] {
		require.Equal(t, 1, strings.Count(text, edit[0]), "%s: %s", system, edit[0])
		text = strings.Replace(text, edit[0], edit[1], 1)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	require.NoError(t, err, system)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource(system+".json", doc))
	schema, err := c.Compile(system + ".json")
	require.NoError(t, err, system)
	return schema
}

// pipelineDocument reads a pipeline file as its system does, in the values that JSON has.
func pipelineDocument(t *testing.T, system, text string) any {
	t.Helper()
	var doc any
	require.NoError(t, yaml.Unmarshal([]byte(text), &doc), "%s:\n%s", system, text)
	if system == "azure" {
		doc = texts(doc)
	}
	data, err := json.Marshal(doc)
	require.NoError(t, err, system)
	doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err, system)
	return doc
}

// texts makes numbers and booleans texts, as which Azure Pipelines reads all of them and its schema wants most.
func texts(doc any) any {
	switch v := doc.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = texts(value)
		}
	case []any:
		for i, value := range v {
			v[i] = texts(value)
		}
	case nil, string:
	default:
		return fmt.Sprint(v)
	}
	return doc
}

// pipelineTexts gives what a system reads of what imgops writes: the files of init by their paths, with "+ image" for those
// with a container image, and the fan-outs of ci.
func pipelineTexts(t *testing.T, system string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, image := range []string{"", "registry.example.com/imgops:1.2"} {
		if system == "travis" && image != "" { // its jobs run on machines; refused
			continue
		}
		for path, text := range rendered(t, system, image) {
			if image != "" {
				path += " + image"
			}
			all[path] = text
		}
	}
	if system == "gitlab" || system == "buildkite" {
		all["fan-out"], all["fan-out of nothing"], all["large fan-out"] = fanOut(t, system, nil), fanOutOf(t, system, fan{}), fanOutOf(t, system, bigFan())
	}
	switch system {
	case "gitlab":
		for _, image := range []string{"", " + image"} {
			all["jobs"+image] = extended(t, all[".gitlab-ci.yml"+image], all[gitlabFile+image])
		}
		all["jobs of the fan-out"] = extended(t, fanOut(t, system, nil), all[gitlabFile])
	case "buildkite":
		for _, image := range []string{"", " + image"} {
			var common struct{ Steps []yaml.Node }
			require.NoError(t, yaml.Unmarshal([]byte(all[buildkiteFile+image]), &common))
			all["fan-out with steps in common"+image] = fanOut(t, system, &common.Steps[0])
		}
	case "github":
		all["workflow with levels"] = matrixWorkflow(t)
		all["workflow with the matrix"] = filledMatrix(t, fanOut(t, system, nil))
		all["workflow with a large matrix"] = filledMatrix(t, fanOutOf(t, system, bigFan()))
	}
	return all
}

// extended is a pipeline with its include and its jobs' extends done, since nothing looks into a hidden job alone
// (https://docs.gitlab.com/ci/yaml/yaml_optimization/#merge-details).
func extended(t *testing.T, pipeline, included string) string {
	t.Helper()
	var doc, hidden map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(pipeline), &doc))
	require.NoError(t, yaml.Unmarshal([]byte(included), &hidden))
	delete(doc, "include")
	for _, value := range doc {
		job, ok := value.(map[string]any)
		if !ok || job["extends"] == nil {
			continue
		}
		base, ok := hidden[fmt.Sprint(job["extends"])].(map[string]any)
		require.True(t, ok, "%v is not in %s", job["extends"], gitlabFile)
		delete(job, "extends")
		for key, value := range base {
			if _, own := job[key]; !own { // no job has a mapping that the base has, too: nothing to merge below
				job[key] = value
			}
		}
	}
	data, err := yaml.Marshal(doc)
	require.NoError(t, err)
	return string(data)
}

// TestPipelineSchemas holds the files, and what --matrix prints, against the systems' own schemas.
func TestPipelineSchemas(t *testing.T) {
	for _, system := range ciSystems() {
		if system == "jenkins" { // no schema, for it is no data; TestJenkinsfile
			continue
		}
		t.Run(system, func(t *testing.T) {
			schema := pipelineSchema(t, system)
			for name, text := range pipelineTexts(t, system) {
				require.NoError(t, schema.Validate(pipelineDocument(t, system, text)), name)
			}
		})
	}
}
