package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/roles"
)

const externalBase = "base: {owner: \"136693071363\", name: \"debian-12-amd64-*\"}\nverify: [{suite: default}]\n"

func lockIn(region string) string {
	return "version: 1\nbases:\n  136693071363/debian-12-amd64-*/x86_64:\n    image: debian-12-amd64-20260101-1\n    created: 2026-01-01T00:00:00Z\n    ids:\n      " +
		region + ": ami-0123456789abcdef0\n"
}

// TestBaseThatDoesNotLoad: what a pull request repairs or adds does not keep it from being planned and run.
func TestBaseThatDoesNotLoad(t *testing.T) {
	good := "base: {image: ami-0123456789abcdef0}\nverify: [{suite: default}]\n"
	for name, c := range map[string]struct {
		main, branch map[string]string // files by name; "" removes one
		notice       string
		explained    string
	}{
		"it has no fleet": {
			map[string]string{"imgops.yaml": "", "roles": "", "README": "soon\n"}, nil,
			`base \w{10} \(the merge base with main\) has no fleet yet: all roles are new`, `file roles/web/tasks/main.yml is new`,
		},
		"a definition is wrong": {
			map[string]string{web: "bse: {}\n"}, map[string]string{web: good},
			`base \w{10} \(the merge base with main\) does not load, so all roles are taken as affected; there: roles/web/image.yaml:1:1: `, `digest changed: unknown -> sha256:`,
		},
		"its lock has conflict markers": {
			map[string]string{"imgops.lock": "version: 1\n<<<<<<< HEAD\n=======\n>>>>>>> other\n"}, map[string]string{"imgops.lock": "version: 1\n"},
			`does not load, .*; there: imgops.lock:2:1: merge conflict marker`, `digest changed: unknown -> sha256:`,
		},
		"it has no lock": {
			map[string]string{web: externalBase}, map[string]string{"imgops.lock": lockIn("us-east-1")},
			`does not load, .*; there: base 136693071363/debian-12-amd64-\*/x86_64 of web is not pinned`, `digest changed: unknown -> sha256:`,
		},
		"its lock is for another Region": {
			map[string]string{web: externalBase, "imgops.lock": lockIn("eu-west-1")}, map[string]string{"imgops.lock": lockIn("us-east-1")},
			`does not load, .*; there: base .* of web is pinned in eu-west-1, not in us-east-1`, `digest changed: unknown -> sha256:`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			w.write(web, good)
			kept := filepath.Join(t.TempDir(), "kept")
			require.NoError(t, os.CopyFS(kept, os.DirFS(filepath.Join(w.fleet, "roles"))))
			config, err := os.ReadFile(filepath.Join(w.fleet, "imgops.yaml"))
			require.NoError(t, err)
			w.put(c.main)
			w.git("add", "-A")
			w.git("commit", "-qm", "main")
			w.git("switch", "-qc", "repair")
			if c.branch == nil {
				require.NoError(t, os.CopyFS(filepath.Join(w.fleet, "roles"), os.DirFS(kept)))
				w.write("imgops.yaml", string(config))
			}
			w.put(c.branch)
			w.git("add", "-A")
			w.git("commit", "-qm", "Repair")

			out, errs := w.do(exitDone, "plan", "--base", "main", "--explain", "-o", "json")
			require.Regexp(t, c.notice, errs)
			require.Equal(t, 1, strings.Count(errs, "base "+w.git("rev-parse", "main")[:10]), "once: %s", errs)
			planned := decode[[]plannedRole](t, out)
			require.Len(t, planned, 1)
			require.Equal(t, "build", planned[0].Action)
			var lines []string
			for _, change := range planned[0].Changes {
				lines = append(lines, changeText(change))
			}
			require.Contains(t, strings.Join(lines, "\n"), c.explained)

			image := w.bake()
			out, errs = w.do(exitDone, "ci", "--event", "pull-request", "--base", "main", "-o", "json")
			require.Regexp(t, c.notice, errs)
			require.Equal(t, image, decode[[]done](t, out)[0].Image)
		})
	}
}

// put writes files of the fleet; what has no content is removed.
func (w *apiWorld) put(files map[string]string) {
	for name, content := range files {
		if content == "" {
			require.NoError(w.t, os.RemoveAll(filepath.Join(w.fleet, name)))
			continue
		}
		w.write(name, content)
	}
}

// TestExplainedNames says what a new or deleted file or variable was.
func TestExplainedNames(t *testing.T) {
	for want, c := range map[string]roles.Change{
		"var web.yml port is new: 8080":                      {Component: "var web.yml port", New: "8080"},
		"file a is gone; it was 100644 abc":                  {Component: "file a", Old: "100644 abc"},
		"base changed: a -> b (through base)":                {Component: "base", Old: "a", New: "b", Via: []string{"base"}},
		"all files count, for x cannot be followed":          {Component: roles.AllFiles, New: "x cannot be followed"},
		"all files count no more (before: it was a symlink)": {Component: roles.AllFiles, Old: "it was a symlink"},
	} {
		require.Equal(t, want, changeText(c))
	}
}
