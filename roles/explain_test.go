package roles

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// blob is how a regular file with this content stands in a Change.
func blob(content string) string { return "100644 " + blobID([]byte(content)).String() }

// TestExplainNames: every kind of change is seen in the digest, and named with its old and new value.
func TestExplainNames(t *testing.T) {
	files := fleetFiles()
	files["roles/web/files/a.sh"] = "true\n"
	files["roles/web/files/plain"] = "plain\n"
	files["roles/worker/README.md"] = "one\n"
	files["roles/worker/image.yaml"] = "base: {role: base}\nignore: [README.md]\n"
	files["shared/linked"] = "one\n"
	base := []string{"base"}
	own := func(changes ...Change) []Change { return changes }
	for _, c := range []struct {
		name    string
		role    string // whose change is explained
		change  func(r *sandboxRepo)
		changed []string // all roles whose digest changes
		want    []Change
	}{
		{"a renamed file", "web", func(r *sandboxRepo) { renamed(r, "roles/web/files/plain") }, []string{"web"}, own(
			Change{Component: "file roles/web/files/plain", Old: blob("plain\n")},
			Change{Component: "file roles/web/files/plain.new", New: blob("plain\n")})},
		{"a mode", "web", func(r *sandboxRepo) { executable(r, "roles/web/files/a.sh") }, []string{"web"}, own(
			Change{Component: "file roles/web/files/a.sh", Old: blob("true\n"), New: "100755 " + blobID([]byte("true\n")).String()})},
		{"a shared Ansible role", "web", func(r *sandboxRepo) { r.write("roles/certs/files/ca.pem", "new\n") }, []string{"web"}, own(
			Change{Component: "file roles/certs/files/ca.pem", Old: blob("pem\n"), New: blob("new\n")})},
		{"a variable in group_vars", "base", func(r *sandboxRepo) { r.write("group_vars/all.yml", "domain: example.org\nttl: 5\n") }, []string{"base", "web", "worker"}, own(
			Change{Component: "var group_vars/all.yml domain", Old: `"example.com"`, New: `"example.org"`},
			Change{Component: "var group_vars/all.yml ttl", New: "5"})},
		{"a comment in group_vars", "base", func(r *sandboxRepo) { r.write("group_vars/all.yml", "# why\ndomain: example.com\n") }, []string{"base", "web", "worker"}, own(
			Change{Component: "file group_vars/all.yml", Old: blob("domain: example.com\n"), New: blob("# why\ndomain: example.com\n")})},
		{"requirements.yml", "base", func(r *sandboxRepo) { r.write("requirements.yml", "collections: [a.b]\n") }, []string{"base", "web", "worker"}, own(
			Change{Component: "file requirements.yml", Old: blob("collections: []\n"), New: blob("collections: [a.b]\n")})},
		{"where a symlink points", "web", func(r *sandboxRepo) {
			r.remove("roles/web/files/link")
			require.NoError(r.t, os.Symlink("b", r.path("roles/web/files/link")))
		}, []string{"web"}, own(
			Change{Component: "file roles/web/files/link", Old: "120000 " + blobID([]byte("a.sh")).String(), New: "120000 " + blobID([]byte("b")).String()})},
		{"what a symlink out of the role points at", "web", func(r *sandboxRepo) { r.write("shared/linked", "two\n") }, []string{"web"}, own(
			Change{Component: "file shared/linked", Old: blob("one\n"), New: blob("two\n")})},
		{"a file in place of a symlink", "web", func(r *sandboxRepo) {
			r.remove("roles/web/files/link")
			r.write("roles/web/files/link", "a.sh")
		}, []string{"web"}, own(
			Change{Component: "file roles/web/files/link", Old: "120000 " + blobID([]byte("a.sh")).String(), New: blob("a.sh")})},
		{"a variable of the image", "web", func(r *sandboxRepo) { edit("port: 8080", "port: 9090")(r, "roles/web/image.yaml") }, []string{"web"}, own(
			Change{Component: "var web.yml port", Old: "8080", New: "9090"})},
		{"the base image", "base", func(r *sandboxRepo) { r.write("roles/base/image.yaml", "base: {image: ami-00000000000000009}\n") }, []string{"base", "web", "worker"}, own(
			Change{Component: "base", Old: "ami-00000000000000001", New: "ami-00000000000000009"})},
		{"the base image of a parent", "worker", func(r *sandboxRepo) { r.write("roles/base/image.yaml", "base: {image: ami-00000000000000009}\n") }, []string{"base", "web", "worker"}, own(
			Change{Component: "base", Old: "ami-00000000000000001", New: "ami-00000000000000009", Via: base})},
		{"a file of a parent", "worker", func(r *sandboxRepo) { r.write("roles/base/tasks/main.yml", "[]\n") }, []string{"base", "web", "worker"}, own(
			Change{Component: "file roles/base/tasks/main.yml", Old: blob("- apt: {name: curl}\n"), New: blob("[]\n"), Via: base})},
		{"an ignored README", "worker", func(r *sandboxRepo) { r.write("roles/worker/README.md", "two\n") }, []string{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newSandboxRepo(t, files)
			require.NoError(t, os.Symlink("a.sh", r.path("roles/web/files/link")))
			require.NoError(t, os.Symlink("../../../shared/linked", r.path("roles/web/files/out")))
			r.commit()
			before := r.load()
			c.change(r)
			dirty := r.worktree()
			r.commit()
			after := r.load()
			require.Equal(t, c.changed, changed(digests(before), digests(after)))
			require.Equal(t, digests(after), digests(dirty))
			require.Equal(t, c.want, Explain(roleOf(t, before, c.role), roleOf(t, after, c.role)))
			require.Equal(t, c.want, Explain(roleOf(t, before, c.role), roleOf(t, dirty, c.role)))
		})
	}
}

// TestExplainSubmodule: the commit of a submodule is in the digest; what it holds is written for the build, or the error
// says how to get it.
func TestExplainSubmodule(t *testing.T) {
	lib := newSandboxRepo(t, map[string]string{"x": "one\n"})
	one := lib.commit()
	r := newSandboxRepo(t, fleetFiles())
	r.git("submodule", "add", "-q", lib.dir, "roles/web/files/lib")
	r.commit()
	before := r.load()
	lib.write("x", "two\n")
	two := lib.commit()
	gitIn(t, r.path("roles/web/files/lib"), "pull", "-q")
	require.Equal(t, []string{"web"}, changed(digests(before), digests(r.worktree())), "before it is committed, too")
	r.commit()
	after := r.load()
	require.Equal(t, []string{"web"}, changed(digests(before), digests(after)))
	require.Equal(t, []Change{{Component: "file roles/web/files/lib", Old: "160000 " + one, New: "160000 " + two}}, Explain(roleOf(t, before, "web"), roleOf(t, after, "web")))
	require.NoError(t, after.Complete(t.Context(), after.Roles))
	out := filepath.Join(t.TempDir(), "out")
	require.NoError(t, before.Materialize(t.Context(), roleOf(t, before, "web"), out))
	require.Equal(t, "-rw-r--r-- one\n", listing(t, out)["roles/web/files/lib/x"], "as the commit says, not the checkout")

	clone := &sandboxRepo{t, filepath.Join(t.TempDir(), "clone")}
	gitIn(t, r.dir, "clone", "-q", r.dir, clone.dir)
	for _, f := range []*Fleet{clone.load(), clone.worktree()} {
		require.Equal(t, digests(after), digests(f), "what is planned does not need it")
		err := f.Complete(t.Context(), f.Roles)
		require.ErrorIs(t, err, ErrIncomplete)
		require.Equal(t, "incomplete clone: submodule roles/web/files/lib is not checked out; run `git -C "+clone.dir+" submodule update --init --recursive roles/web/files/lib`", err.Error())
	}
}
