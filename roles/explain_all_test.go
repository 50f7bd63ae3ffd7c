package roles

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestExplainAllFiles: where a reference cannot be followed any more, the reason is told, and old files are not new.
func TestExplainAllFiles(t *testing.T) {
	for name, c := range map[string]struct{ tasks, why string }{
		"a role elsewhere": {"- include_role: {name: lib/common}\n", `the Ansible role "lib/common" is found some other way`},
		"an expression":    {"- include_role: {name: '{{ x }}'}\n", `roles/base names something in a way that cannot be followed`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newSandboxRepo(t, fleetFiles())
			r.write("README.md", "old\n")
			r.commit()
			before := r.load()
			r.write("roles/base/tasks/main.yml", c.tasks)
			r.write("docs/new", "new\n")
			r.commit()
			after := r.load()
			changes := Explain(roleOf(t, before, "base"), roleOf(t, after, "base"))
			var components []string
			for _, change := range changes {
				components = append(components, change.Component)
			}
			require.Equal(t, []string{AllFiles, "file docs/new", "file roles/base/tasks/main.yml"}, components)
			require.Equal(t, Change{Component: AllFiles, New: c.why}, changes[0])
			require.NotEmpty(t, changes[2].Old)

			back := Explain(roleOf(t, after, "base"), roleOf(t, before, "base"))
			require.Equal(t, Change{Component: AllFiles, Old: c.why}, back[0])
			require.Len(t, back, 3)
		})
	}
}

// TestScannedOnce: what was scanned for references is not read once more for merge conflicts, which are found all the same.
func TestScannedOnce(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	f := r.load()
	for _, in := range roleOf(t, f, "base").Inputs() {
		e, ok, err := f.view.lookup(in.Path)
		require.NoError(t, err)
		require.True(t, ok)
		if in.Path == "roles/base/tasks/main.yml" {
			_, clean := f.view.clean.Load(e.id)
			require.True(t, clean, in.Path)
		}
	}
	r.write("roles/base/tasks/main.yml", "<<<<<<< HEAD\n- a:\n=======\n- b:\n>>>>>>> other\n")
	r.commit()
	_, err := r.open().Load(t.Context(), "HEAD")
	require.ErrorContains(t, err, "roles/base/tasks/main.yml:1:1: merge conflict marker")
}
