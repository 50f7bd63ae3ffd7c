package roles

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func compileSchema(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema(name)))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource(name+".json", doc))
	s, err := c.Compile(name + ".json")
	require.NoError(t, err)
	return s
}

// asJSON reads YAML as an editor's schema checker does; ok is false for what JSON cannot hold (keys that are no text).
func asJSON(data []byte) (any, bool) {
	var v any
	if yaml.Unmarshal(data, &v) != nil {
		return nil, false
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, false
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	return doc, err == nil
}

// problemsOf is what the parser behind a schema says of a file.
func problemsOf(name string, data []byte) []Problem {
	if name == "image" {
		return parseDefinition("web", "roles/web/image.yaml", data).source.problems
	}
	_, problems := parseConfig(data)
	return problems
}

const schemaRest = "version: 1\nfleet: acme\nbuild: {account: \"111111111111\", region: us-east-1}\n"

// TestSchemas: the schema and the parser are of one mind about each of these.
func TestSchemas(t *testing.T) {
	targets := "targets: [{name: a, accounts: [\"222222222222\"], regions: [us-east-1]}]\n"
	for name, cases := range map[string]map[string]bool{
		"image": {
			debianBase:                 true,
			"base: {role: base}":       true,
			"base: {owner: amazon}":    false,
			"base: {}":                 false,
			"base: web":                false,
			"bas: {role: base}":        false,
			"base: {image: ami-01234}": false,
			"base: {image: ami-0123456789abcdef0}\nbuild: {instance_type: [t3.small, t3a.small], disk: 8GiB, ssh_user: admin, timeout: 1h30m}": true,
			"base: {role: a, image: ami-0123456789abcdef0}":                                                                             false,
			"base: {role: a, architecture: arm64}":                                                                                      false,
			"base: {owner: \"136693071363\", name: d-*, architecture: arm64}":                                                           true,
			"base: {owner: 136693071363, name: d-*}":                                                                                    false,
			"base: {owner: \"136693071363\", name: d-*, architecture: arm}":                                                             false,
			"base: {role: a}\nprovision: [{ansible: {playbook: web.yml, vars: {port: 1}}}, {shell: {script: a.sh, env: {A: 1, B: x}}}]": true,
			"base: {role: a}\nprovision: [{ansible: {playbook: web.yml, role: x}}]":                                                     false,
			"base: {role: a}\nprovision: [{ansible: {role: x}, shell: {script: x}}]":                                                    false,
			"base: {role: a}\nprovision: [{shell: {}}]":                                                                                 false,
			"base: {role: a}\nprovision: [{shell: {script: /etc/x}}]":                                                                   false,
			"base: {role: a}\nprovision: [{puppet: {manifest: site.pp}}]":                                                               true,
			"base: {role: a}\nverify: [{suite: x, boot: {instance_type: t3.small, wait: ssh}, timeout: 90s}]":                           true,
			"base: {role: a}\nverify: [{suite: x, boot: {wait: never}}]":                                                                false,
			"base: {role: a}\nverify: [{timeout: 90s}]":                                                                                 false,
			"base: {role: a}\nbuild: {timeout: 1d}":                                                                                     false,
			"base: {role: a}\nbuild: {timeout: 90}":                                                                                     false,
			"base: {role: a}\nbuild: {disk: 8G}":                                                                                        false,
			"base: {role: a}\nbuild: {disk: 0GiB}":                                                                                      false,
			"base: {role: a}\ntargets: [a, b]\nignore: [README.md]":                                                                     true,
			"base: {role: a}\ntargets: [a, a]":                                                                                          false,
			"base: {role: a}\ntargets: []":                                                                                              false,
		},
		"imgops": {
			imgopsYAML:           true,
			schemaRest:           false,
			schemaRest + targets: true,
			schemaRest + targets + "main: trunk\nmax_base_age: 720h\nretention: {keep: 3, min_age: 24h, deprecate_for: 168h}\nsettings: {output: json, parallel: 4, quiet: true}": true,
			schemaRest + targets + "main: origin/main":                                               false,
			schemaRest + targets + "ledger: off":                                                     true,
			schemaRest + targets + "ledger: s3://acme/x":                                             true,
			schemaRest + targets + "ledger: {store: s3://acme/x, required: true, region: us-east-1}": true,
			schemaRest + targets + "ledger: S3://acme":                                               false,
			schemaRest + targets + "ledger: {required: \"yes\"}":                                     false,
			schemaRest + targets + "retention: {keep: 0}":                                            false,
			schemaRest + targets + "retention: {deprecate_for: 7d}":                                  false,
			schemaRest + targets + "settings: {parallel: many}":                                      false,
			schemaRest + "targets: []":                                                               false,
			schemaRest + "targets: [{name: a, accounts: [\"222222222222\"], regions: [us-east-1], mode: copy, kms_key: {us-east-1: alias/x}}]":        true,
			schemaRest + "targets: [{name: a, accounts: [\"222222222222\"], regions: [us-east-1], role_arn: \"arn:aws:iam::{account}:role/imgops\"}]": true,
			schemaRest + "targets: [{name: a, accounts: [\"222222222222\"], regions: [us-east-1], role_arn: imgops}]":                                 false,
			schemaRest + "targets: [{name: a, accounts: [222222222222], regions: [us-east-1]}]":                                                       false,
			schemaRest + "targets: [{name: a, accounts: [\"222222222222\"], regions: [us-east]}]":                                                     false,
			strings.Replace(schemaRest, "version: 1", "version: 2", 1) + targets:                                                                      false,
			strings.Replace(schemaRest, "region: us-east-1", "region: us-east-1, ssh_cidr: 10.0.0.0/8, subnet_id: subnet-1", 1) + targets:             true,
			strings.Replace(schemaRest, "region: us-east-1", "region: us-east-1, ssh_cidr: here", 1) + targets:                                        false,
		},
	} {
		s := compileSchema(t, name)
		for data, good := range cases {
			doc, ok := asJSON([]byte(data))
			require.True(t, ok, data)
			err, problems := s.Validate(doc), problemsOf(name, []byte(data))
			require.Equal(t, good, err == nil, "the schema of %s on %s: %v", name, data, err)
			require.Equal(t, good, len(problems) == 0, "the parser of %s on %s: %v", name, data, problems)
		}
	}
}

// TestSchemaFields: each mapping has the same fields in the schema and in the parser, which names its own when it meets
// a word in the mapping's place.
func TestSchemaFields(t *testing.T) {
	for name, places := range map[string]map[string]string{
		"image": {
			"base":                    "base: WORD",
			"provision/items":         "provision: [WORD]",
			"provision/items/ansible": "provision: [{ansible: WORD}]",
			"provision/items/shell":   "provision: [{shell: WORD}]",
			"provision/items/puppet":  "provision: [{puppet: WORD}]",
			"build":                   "build: WORD",
			"verify/items":            "verify: [WORD]",
			"verify/items/boot":       "verify: [{suite: x, boot: WORD}]",
		},
		"imgops": {
			"build":         "build: WORD",
			"targets/items": "targets: [WORD]",
			"retention":     "retention: WORD",
			"settings":      "settings: WORD",
		},
	} {
		var root map[string]any
		require.NoError(t, json.Unmarshal(Schema(name), &root))
		for where, data := range places {
			object := root
			for part := range strings.SplitSeq(where, "/") {
				if part == "items" {
					object = object["items"].(map[string]any)
				} else {
					object = object["properties"].(map[string]any)[part].(map[string]any)
				}
			}
			var fields []string
			for field := range object["properties"].(map[string]any) {
				fields = append(fields, field)
			}
			slices.Sort(fields)
			want := "write {" + strings.Join(fields, ": ..., ") + ": ...}"
			require.Contains(t, fmt.Sprint(problemsOf(name, []byte(data))), want, "%s of %s", where, name)
			require.Equal(t, false, object["additionalProperties"], "%s of %s", where, name)
		}
	}
	require.Nil(t, Schema("nothing"))
}

// TestSchemaOfInit: what init writes, and the fixtures, pass.
func TestSchemaOfInit(t *testing.T) {
	written, err := filepath.Glob("../cmd/imgops/fleet/roles/*/image.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, written)
	s := compileSchema(t, "image")
	for _, file := range written {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		doc, ok := asJSON(data)
		require.True(t, ok)
		require.NoError(t, s.Validate(doc), file)
	}
}

// FuzzSchema looks for a file that imgops takes and an editor with the schema calls wrong.
func FuzzSchema(f *testing.F) {
	for _, seed := range []string{debianBase, imgopsYAML, "base: {role: base}\nbuild: {timeout: 1.5h, disk: 008GiB}", "base: {image: ami-0123456789abcdef0}\nverify: [{suite: x, boot: {wait: ssh}}]", "base: {role: a}\nprovision: [{shell: {script: x, env: {A: ~}}}]"} {
		f.Add([]byte(seed))
	}
	schemas := map[string]*jsonschema.Schema{}
	for _, name := range SchemaNames() {
		schemas[name] = compileSchema(f, name)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, ok := asJSON(data)
		for name, s := range schemas {
			if len(problemsOf(name, data)) == 0 && ok {
				require.NoError(t, s.Validate(doc), name)
			}
		}
	})
}
