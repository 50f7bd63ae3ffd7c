package roles

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestYAMLThatAnsibleReads: what is refused by go.yaml.in/yaml only is read as it is meant.
func TestYAMLThatAnsibleReads(t *testing.T) {
	for name, c := range map[string]struct{ tasks, shared string }{
		"a slash that is escaped":          {`- copy: {src: "..\/..\/..\/shared\/m", dest: /x}` + "\n", "found"},
		"and not in double quotes":         {`- debug: {msg: 'a\/b'} # c\/d "` + "\n- copy: {src: \"../../../shared\\/m\", dest: 'a\\/b'}\n", "found"},
		"YAML 1.2":                         {"%YAML 1.2\n---\n- copy: {src: ../../../shared/m, dest: /x}\n", "found"},
		"both, after a comment":            {"# tasks\n%YAML   1.2\n---\n- copy: {src: \"../../../shared\\/m\", dest: /x}\n", "found"},
		"a question mark in a flow":        {"- copy: {src: ../../../shared/m, dest: /x?}\n", "everything"},
		"a byte order mark in the middle":  {"- copy:\n\ufeff    src: ../../../shared/m\n", "everything"},
		"backslashes, as any parser reads": {`- debug: {msg: "\\/ \\\\/"}` + "\n", "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			files := fleetFiles()
			files["shared/m"], files["roles/base/tasks/main.yml"] = "m\n", c.tasks
			r := newSandboxRepo(t, files)
			r.commit()
			inputs := roleOf(t, r.load(), "base").Inputs()
			paths := map[string]bool{}
			for _, in := range inputs {
				paths[in.Path] = true
			}
			require.Equal(t, c.shared != "nothing", paths["shared/m"])
			require.Equal(t, c.shared == "everything", paths["README.md"])
		})
	}
}

// TestYAMLOfDefinitions: the fleet's own files may be YAML 1.2.
func TestYAMLOfDefinitions(t *testing.T) {
	def := parseDefinition("web", "roles/web/image.yaml", []byte("%YAML 1.2\n---\nbase: {role: base}\nprovision: [{ansible: {role: web, vars: {a: \"x\\/y\", b: 'x\\/y'}}}]\n"))
	require.Empty(t, def.source.problems)
	require.Equal(t, map[string]any{"a": "x/y", "b": `x\/y`}, def.role.Provision[0].Ansible.Vars)
}

// TestPlacesOfMistakes are where a person looks for them.
func TestPlacesOfMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`a: "\q"`: "1:5", "a: 1\nb:\n  c: \"x\\qy\"\n": "3:8", "a: 1\nc: \"x\n  y\\q\"\n": "3:4", `a: "\/\q"`: "1:7", "a: 1\nb: \"é\\q\"\n": "2:6",
		"a: 1\nb: [1\nc: 2\n": "2:1", "# x\n%YAML 2.0\n---\na: b\n": "2:1", "a: 1\nb: *x\n": "2:4", "a: &x 1\nb: !x!y z\n": "2:1",
		"a: |\n  x\n y\nb: 1": "3:2", "a: b\nc: d: e\n": "2:1", "\n\na: b\n  c: 1\n": "4:3", "a: b\nb: 1\nc: {a: b}}\n": "3:1", "x: y\na: @b\n": "2:1",
	} {
		def := parseDefinition("web", "roles/web/image.yaml", []byte(text))
		require.Len(t, def.source.problems, 1, text)
		p := def.source.problems[0]
		require.Equal(t, want, fmt.Sprintf("%d:%d", p.Line, p.Column), "%s: %s", text, p.Message)
	}
}

// edited are random edits of files as Ansible has them.
func edited(random *rand.Rand) string {
	seeds := []string{
		"---\n- name: Install \"x\"\n  apt: {name: [a, b], state: present}\n  when: x is defined and (y | bool)   # why\n- copy:\n    content: |\n      a: b\n    dest: \"/etc/{{ x }}\"\n- shell: >-\n    echo a\n  loop:\n    - {a: 1, b: \"c\\n\"}\n    - &x {q: 'it''s'}\n    - *x\n",
		"a: &anchor\n  b: !vault |\n    x\n  c: [1, 2,\n      3]   # x\n  ? complex\n  : value\nd: \"multi\n  line\"\n...\n",
		"%YAML 1.1\n---\n{a: b, c: [d, e], \"f\":g, h: , ? i : j}\n---\n- - x\n-\n  z: \"\\x41\\/\"\n",
	}
	pieces := []string{" ", "  ", "\n", "\t", "#", ": ", ":", "- ", "[", "]", "{", "}", ",", "\"", "'", "|", ">", "*a", "&a", "!", "!<x>", "%", "@", "?", "? ", "\\", "\\/", "\\q", "...", "\n---\n", "%YAML 1.2\n---\n", "\ufeff", "\u0085", "é", "\n  "}
	s := seeds[random.IntN(len(seeds))]
	for range 1 + random.IntN(2) {
		at := random.IntN(len(s) + 1)
		if random.IntN(4) > 0 {
			s = s[:at] + pieces[random.IntN(len(pieces))] + s[at:]
		} else {
			s = s[:at] + s[min(len(s), at+1+random.IntN(3)):]
		}
	}
	return strings.ToValidUTF8(s, "")
}

// TestMistakesAreMistakes: no file that Ansible's parser reads is called wrong.
func TestMistakesAreMistakes(t *testing.T) {
	const ask = "import json, sys, yaml\ndef ok(text):\n    try: list(yaml.compose_all(text, Loader=yaml.CSafeLoader))\n    except Exception: return False\n    return True\n" +
		"if yaml.__with_libyaml__: json.dump([ok(t) for t in json.load(sys.stdin)], sys.stdout)"
	random := rand.New(rand.NewPCG(7, 7))
	texts := make([]string, 6000)
	for i := range texts {
		texts[i] = edited(random)
	}
	in, err := json.Marshal(texts)
	require.NoError(t, err)
	cmd := exec.Command("python3", "-c", ask)
	cmd.Stdin = strings.NewReader(string(in))
	out, err := cmd.Output()
	if err != nil || len(out) == 0 {
		t.Skip("python3 with PyYAML and libyaml is not here: what Ansible reads cannot be asked for")
	}
	var fine []bool
	require.NoError(t, json.Unmarshal(out, &fine))
	refused := 0
	for i, text := range texts {
		_, err := readYAML([]byte(text))
		data, err := readable([]byte(text), err)
		if err == nil || !isMistake(data, err) {
			continue
		}
		refused++
		require.False(t, fine[i], "%q: %v", text, err)
		s := &source{file: "x", data: []byte(text)}
		s.syntax(err)
		require.Positive(t, s.problems[0].Column)
		require.LessOrEqual(t, s.problems[0].Line, 1+strings.Count(text, "\n"))
	}
	require.Greater(t, refused, 500)
}
