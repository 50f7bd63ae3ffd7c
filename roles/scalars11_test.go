package roles

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// scalarTable are values as image.yaml may have them, and as JSON takes them to Ansible; "" is one that is refused.
var scalarTable = map[string]string{
	"a b": `"a b"`, "x1": `"x1"`, `"1.0"`: `"1.0"`, "'1'": `"1"`, "1.2.3": `"1.2.3"`, "1,000": `"1,000"`, "10.0.0.0/8": `"10.0.0.0/8"`,
	"~": `null`, "null": `null`, "Null": `null`, "NULL": `null`, "nULL": `"nULL"`, "": `null`, `""`: `""`,
	"yes": `true`, "Yes": `true`, "YES": `true`, "on": `true`, "true": `true`, "TRUE": `true`, "no": `false`, "Off": `false`, "False": `false`,
	"yEs": `"yEs"`, "tRUE": `"tRUE"`, "y": `"y"`, "n": `"n"`, `"yes"`: `"yes"`,
	"0": `0`, "1": `1`, "+1": `1`, "-7": `-7`, "-0": `0`, "8080": `8080`, "1_000": `1000`, "1__0": `10`, "1_": `1`,
	"017": `15`, "00": `0`, "0_7": `7`, "0_": `0`, "0644": `420`, "0o17": `"0o17"`, "018": `"018"`, "08": `"08"`, "-017": `-15`,
	"0x1f": `31`, "+0x1F": `31`, "0X1F": `"0X1F"`, "0x_1": `1`, "0b11": `3`, "-0b1_1": `-3`, "0b12": `"0b12"`, "0x_": ``, "0b_": ``,
	"9223372036854775807": `9223372036854775807`, "9223372036854775808": `9223372036854775808`, "-9223372036854775809": `-9223372036854775809`,
	"18446744073709551616": `18446744073709551616`, "12345678901234567890123": `12345678901234567890123`,
	"0xffffffffffffffffffff": `1208925819614629174706175`,
	"1.0":                    `1.0`, "1.10": `1.1`, "1.": `1.0`, "1._": `1.0`, ".5": `0.5`, ".5_": `0.5`, "-1.0": `-1.0`, "-0.0": `-0.0`, "0.1": `0.1`, "1_0.5": `10.5`,
	"1.5e+3": `1500.0`, "1.e+3": `1000.0`, "1.0e+22": `1e+22`, "100000000000000000000.0": `100000000000000000000.0`, "1.0e-7": `1e-7`, "2.0e-999": `0.0`,
	"3.141592653589793238": `3.141592653589793`, "-.5": `"-.5"`, "+.5": `"+.5"`,
	"1e3": `"1e3"`, "1.5e3": `"1.5e3"`, "12e4567": `"12e4567"`, "1e-7": `"1e-7"`,
	"1:30": ``, "22:22": ``, "-1:30": ``, "1:30.5": ``, "01:30": `"01:30"`, "8080:80": `"8080:80"`, "1:60": `"1:60"`, "0:30": `"0:30"`, `"22:22"`: `"22:22"`,
	".inf": ``, "-.inf": ``, "+.INF": ``, ".nan": ``, ".NaN": ``, "-.nan": `"-.nan"`, "1.0e+999": ``,
	"2024-01-01": ``, "2024-13-45": ``, "2024-1-1": `"2024-1-1"`, "2024-01-01 10:00:00": ``, "2024-01-01T10:00:00Z": ``, `"2024-01-01"`: `"2024-01-01"`,
	"2024-01-01T10:00": `"2024-01-01T10:00"`,
	"=":                ``, "<<": ``, "==": `"=="`,
	"!!str 1.0": `"1.0"`, "!!str": `""`, "!!int \"3\"": `3`, "!!int 0x1f": `31`, "!!float 1": `1.0`, "!!float 1e3": `1000.0`, "!!bool yes": `true`,
	"!!null x": `null`, "!!int 1e3": ``, "!!float abc": ``, "!!bool 1": ``, "!!binary aGk=": ``, "!!timestamp 2024-01-01": ``, "!unsafe x": ``, "!!float .inf": ``,
	"[1.0, 1, '1']": `[1.0,1,"1"]`, "{a: 1.0, b: [017]}": `{"a":1.0,"b":[15]}`, "!!set {a, b}": ``, "!unsafe [a]": ``, "{yes: 1}": ``, "{1: 1}": ``,
	"{1e3: 1}": `{"1e3":1}`, "{\"on\": 1}": `{"on":1}`,
}

// handed gives what Ansible is handed for a value: the JSON of the variables; or the problems.
func handed(t *testing.T, value string) (string, []Problem) {
	t.Helper()
	text := "base: {role: base}\nprovision:\n  - ansible:\n      role: web\n      vars:\n        v: " + value + "\n"
	def := parseDefinition("web", "roles/web/image.yaml", []byte(text))
	if len(def.source.problems) > 0 {
		return "", def.source.problems
	}
	out, err := json.Marshal(def.role.Provision[0].Ansible.Vars)
	require.NoError(t, err)
	return string(out), nil
}

// TestVariablesLikeTheTable holds what is read against the table.
func TestVariablesLikeTheTable(t *testing.T) {
	for value, want := range scalarTable {
		got, problems := handed(t, value)
		if want == "" {
			require.Len(t, problems, 1, value)
			require.Equal(t, 6, problems[0].Line)
			require.NotEmpty(t, problems[0].Fix)
			continue
		}
		require.Empty(t, problems, value)
		require.Equal(t, `{"v":`+want+`}`, got, value)
	}
}

// likePython prints, for each YAML text of stdin, the JSON that says its value and kind exactly; nothing for what JSON has
// no word for, or PyYAML refuses.
const likePython = `
import json, sys, yaml
def exact(v):
    if isinstance(v, dict):
        if not all(isinstance(k, str) for k in v): raise ValueError
        return {k: exact(x) for k, x in v.items()}
    if isinstance(v, list): return [exact(x) for x in v]
    if v is None or isinstance(v, (bool, str)): return v
    if isinstance(v, int): return 'int %d' % v
    if isinstance(v, float) and v == v and abs(v) != float('inf'): return 'float %r' % v
    raise ValueError
out = []
for text in json.load(sys.stdin):
    try: out.append(exact((yaml.safe_load if sys.argv[1] == 'yaml' else json.loads)(text)['v']))
    except Exception: out.append({'refused': True})
json.dump(out, sys.stdout)
`

func pythonReads(t *testing.T, how string, texts []string) []any {
	t.Helper()
	in, err := json.Marshal(texts)
	require.NoError(t, err)
	cmd := exec.Command("python3", "-c", likePython, how)
	cmd.Stdin = strings.NewReader(string(in))
	out, err := cmd.Output()
	require.NoError(t, err)
	var values []any
	require.NoError(t, json.Unmarshal(out, &values))
	require.Len(t, values, len(texts))
	return values
}

// TestVariablesLikePyYAML: what Ansible is handed as JSON is what PyYAML reads in the same text, in kind and in value; what
// PyYAML refuses is refused.
func TestVariablesLikePyYAML(t *testing.T) {
	if exec.Command("python3", "-c", "import yaml").Run() != nil {
		t.Skip("python3 with PyYAML is not here: what Ansible reads cannot be asked for")
	}
	var texts, ours []string
	for value := range scalarTable {
		got, problems := handed(t, value)
		if len(problems) > 0 {
			got = "{"
		}
		texts, ours = append(texts, "v: "+value), append(ours, got)
	}
	read, sent := pythonReads(t, "yaml", texts), pythonReads(t, "json", ours)
	refused := map[string]any{"refused": true}
	for i, text := range texts {
		if fmt.Sprint(sent[i]) == fmt.Sprint(refused) {
			continue // imgops may refuse more: sixties, dates
		}
		require.Equal(t, read[i], sent[i], text)
	}
}

// TestVariablesLikeAnsible: a playbook's own `vars:` with the same text render the same.
func TestVariablesLikeAnsible(t *testing.T) {
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		t.Skip("ansible-playbook is not here: what it makes of the same text cannot be asked for")
	}
	dir := t.TempDir()
	var own, play strings.Builder
	vars, names := map[string]any{}, []string{}
	for value := range scalarTable {
		got, problems := handed(t, value)
		if len(problems) > 0 {
			continue
		}
		name := fmt.Sprintf("own_%d", len(names))
		var one map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(got), &one))
		vars["sent_"+name] = one["v"]
		fmt.Fprintf(&own, "        %s: %s\n", name, value)
		names = append(names, name)
	}
	const shown = `{{ %[1]s is string }} {{ %[1]s is boolean }} {{ %[1]s is integer }} {{ %[1]s is float }} {{ %[1]s is none }} {{ %[1]s | to_json(sort_keys=true) }} {{ %[1]s }}`
	var text strings.Builder
	for _, name := range names {
		fmt.Fprintf(&text, "%s\n%s\n", fmt.Sprintf(shown, name), fmt.Sprintf(shown, "sent_"+name))
	}
	out := filepath.Join(dir, "out")
	fmt.Fprintf(&play, "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - vars:\n%s      copy: {content: \"{{ lookup('template', '%s') }}\", dest: %s}\n",
		own.String(), filepath.Join(dir, "t.j2"), out)
	sent, err := json.Marshal(vars)
	require.NoError(t, err)
	for name, content := range map[string]string{"ansible.cfg": "", "t.j2": text.String(), "p.yml": play.String(), "vars.json": string(sent)} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	cmd := exec.Command("ansible-playbook", "-i", "localhost,", "-c", "local", "-e", "@vars.json", "p.yml")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "ANSIBLE_CONFIG="+filepath.Join(dir, "ansible.cfg"), "ANSIBLE_LOCAL_TEMP="+dir+"/l", "ANSIBLE_REMOTE_TEMP="+dir+"/r", "ANSIBLE_LOCALHOST_WARNING=false", "LC_ALL=C.UTF-8")
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
	data, err := os.ReadFile(out)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	require.Len(t, lines, 2*len(names))
	for i := range names {
		require.Equal(t, lines[2*i], lines[2*i+1])
	}
}

// TestNumbersDecideTheDigest: values that a floating-point number of Go, or JSON's 1 for 1.0, would make the same are not;
// the memory of definitions carries them as they are.
func TestNumbersDecideTheDigest(t *testing.T) {
	seen := map[string]string{}
	for _, value := range []string{
		"1", "1.0", `"1.0"`, "12345678901234567890123", "12345678901234567890124", "12345678901234567890123.0", "[1]", "[1.0]", "{a: 2}", "{a: 2.0}",
		"9223372036854775807", "9223372036854775808", "0.1", "0.100000000000000005", "0.30000000000000004", "0.3",
	} {
		r := newSandboxRepo(t, fleetFiles())
		r.write("roles/web/image.yaml", "base: {role: base}\nprovision: [{ansible: {playbook: web.yml, vars: {v: "+value+"}}}]\n")
		r.commit()
		cold := digests(r.load())["web"]
		require.FileExists(t, filepath.Join(r.dir, ".git/imgops/definitions"))
		require.Equal(t, cold, digests(r.load())["web"], "from the memory: %s", value)
		if value == "0.100000000000000005" {
			require.Equal(t, seen["0.1"], cold, "two ways to write one number")
			continue
		}
		for other, digest := range seen {
			require.NotEqual(t, digest, cold, "%s and %s", value, other)
		}
		seen[value] = cold
	}
}

// TestExplainNumbers tells exact values also of a file of variables.
func TestExplainNumbers(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.write("group_vars/all.yml", "version: 1.0\nbig: 12345678901234567890123\nday: 2024-01-01\n")
	r.commit()
	before := r.load()
	r.write("group_vars/all.yml", "version: 1\nbig: 12345678901234567890124\nday: 2024-01-02\n")
	r.commit()
	after := r.load()
	require.Equal(t, []Change{
		{Component: "var group_vars/all.yml big", Old: "12345678901234567890123", New: "12345678901234567890124"},
		{Component: "var group_vars/all.yml day", Old: `"2024-01-01"`, New: `"2024-01-02"`},
		{Component: "var group_vars/all.yml version", Old: "1.0", New: "1"},
	}, Explain(roleOf(t, before, "base"), roleOf(t, after, "base")))
}
