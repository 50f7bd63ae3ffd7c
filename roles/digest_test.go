package roles

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// changed names the roles whose digests differ, sorted.
func changed(before, after map[string]string) []string {
	out := []string{}
	for name, digest := range after {
		if before[name] != digest {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func edit(old, new string) func(r *sandboxRepo, file string) {
	return func(r *sandboxRepo, file string) {
		data, err := os.ReadFile(r.path(file))
		require.NoError(r.t, err)
		require.Contains(r.t, string(data), old)
		r.write(file, strings.Replace(string(data), old, new, 1))
	}
}

func content(text string) func(r *sandboxRepo, file string) {
	return func(r *sandboxRepo, file string) { r.write(file, text) }
}

func executable(r *sandboxRepo, file string) { require.NoError(r.t, os.Chmod(r.path(file), 0o755)) }

func renamed(r *sandboxRepo, file string) {
	require.NoError(r.t, os.Rename(r.path(file), r.path(file)+".new"))
}

func removed(r *sandboxRepo, file string) { r.remove(file) }

// TestDigest is the definition of identity: each single change, and the roles whose images it makes different.
func TestDigest(t *testing.T) {
	// Roles that Ansible provisions: arm is made by a script alone.
	ansible := []string{"base", "web", "worker"}
	cases := []struct {
		name, file string
		change     func(r *sandboxRepo, file string)
		recipe     []string // roles whose digest changes
		tests      []string // roles whose tests digest changes
	}{
		{"content of a role", "roles/worker/files/worker.conf", content("queue=2\n"), []string{"worker"}, nil},
		{"content of a parent", "roles/base/tasks/main.yml", content("- apt: {name: wget}\n"), ansible, nil},
		{"mode", "roles/web/harden.sh", executable, []string{"web"}, nil},
		{"name", "roles/web/templates/site.conf", renamed, []string{"web"}, nil},
		{"new file", "roles/web/files/new", content("new"), []string{"web"}, nil},
		{"deleted file", "roles/worker/files/worker.conf", removed, []string{"worker"}, nil},
		{"readme of a role", "roles/worker/README.md", content("x"), []string{"worker"}, nil},
		{"script of a role without Ansible", "roles/arm/setup.sh", content("#!/bin/sh\ntrue\n"), []string{"arm"}, nil},
		{"playbook", "web.yml", edit("hosts: all", "hosts: web"), []string{"web"}, nil},
		{"vars file", "shared/web.yml", content("greeting: bye\n"), []string{"web"}, nil},
		{"included role", "roles/logging/tasks/main.yml", content("- apt: {name: syslog-ng}\n"), []string{"web"}, nil},
		{"dependency of an included role", "roles/certs/files/ca.pem", content("new\n"), []string{"web"}, nil},
		{"dependency", "roles/tuning/tasks/main.yml", content("- sysctl: {name: b, value: 1}\n"), []string{"worker"}, nil},
		{"group_vars", "group_vars/all.yml", content("domain: example.org\n"), ansible, nil},
		{"new host_vars", "host_vars/x.yml", content("a: 1\n"), ansible, nil},
		{"requirements", "requirements.yml", content("roles: []\n"), ansible, nil},
		{"new ansible.cfg", "ansible.cfg", content("[defaults]\nforks = 5\n"), ansible, nil},
		{"new filter plugin", "filter_plugins/x.py", content("pass\n"), ansible, nil},
		{"collection", "collections/ansible_collections/a/b/plugins/x.py", content("pass\n"), ansible, nil},
		{"variable", "roles/web/image.yaml", edit("port: 8080", "port: 8081"), []string{"web"}, nil},
		{"type of a variable", "roles/web/image.yaml", edit("port: 8080", `port: "8080"`), []string{"web"}, nil},
		{"environment", "roles/web/image.yaml", edit("LEVEL: 2", "LEVEL: 3"), []string{"web"}, nil},
		{"parent", "roles/worker/image.yaml", edit("base: {role: base}", strings.TrimSpace(debianBase)), []string{"worker"}, nil},
		{"instance type", "roles/worker/image.yaml", edit("\n", "\nbuild: {instance_type: m7i.large}\n"), []string{"worker"}, []string{"worker"}},
		{"disk", "roles/base/image.yaml", edit("\n", "\nbuild: {disk: 9GiB}\n"), ansible, nil},
		{"ssh user, which children inherit", "roles/base/image.yaml", edit("\n", "\nbuild: {ssh_user: root}\n"), ansible, nil},
		{"refresh stamp", "imgops.lock", content("version: 1\nrefresh: {worker: 2026-01-02T03:04:05Z}\n"), []string{"worker"}, nil},

		// A change of the machine that suites run on is a change of the tests, too: the default follows the build's type.
		{"default type of a suite", "roles/base/image.yaml", edit("\n", "\nbuild: {instance_type: t3.large}\n"), ansible, []string{"base"}},

		{"file of no role", "README.md", content("other\n"), nil, nil},
		{"file that nothing refers to", "shared/unused.yml", content("a: 2\n"), nil, nil},
		{"comment", "roles/web/image.yaml", edit("base:", "# why\nbase:"), nil, nil},
		{"order of keys", "roles/web/image.yaml", edit("port: 8080, tls: {enabled: yes}", "tls: {enabled: yes}, port: 8080"), nil, nil},
		{"another way to write a default", "roles/worker/image.yaml", edit("\n", "\nbuild: {instance_type: [t3.small], timeout: 2h}\nprovision: [{ansible: {role: worker}}]\n"), nil, nil},
		{"another way to write true", "roles/web/image.yaml", edit("enabled: yes", "enabled: true"), nil, nil},
		{"targets", "roles/web/image.yaml", edit("[production]", "[staging]"), nil, nil},
		{"config", "imgops.yaml", edit("staging", "stage"), nil, nil},
		{"pin of another Region", "imgops.lock", content("version: 1\n"), nil, nil},
		{"test", "roles/web/tests/default/web.bats", content("@test down { false; }\n"), nil, []string{"web"}},
		{"new suite", "roles/base/tests/more/goss.yaml", content("file: {}\n"), nil, []string{"base"}},
		{"wait of a suite", "roles/web/image.yaml", edit("- suite: default", "- suite: default\n    boot: {wait: ssh}"), nil, []string{"web"}},
		{"timeout of a suite", "roles/web/image.yaml", edit("- suite: default", "- suite: default\n    timeout: 1m"), nil, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newSandboxRepo(t, fleetFiles())
			r.commit()
			before := r.load()
			c.change(r, c.file)
			dirty := r.worktree()
			r.commit()
			after := r.load()
			require.ElementsMatch(t, c.recipe, changed(digests(before), digests(after)), "recipe")
			require.ElementsMatch(t, c.tests, changed(testsDigests(before), testsDigests(after)), "tests")
			require.Equal(t, digests(after), digests(dirty), "a change has the same digest before it is committed")
			require.Equal(t, testsDigests(after), testsDigests(dirty))

			affected := map[string]bool{}
			for _, role := range after.Affected(before) {
				affected[role.Name] = true
				require.True(t, roleOf(t, dirty, role.Name).Dirty, "%s is dirty before the commit", role.Name)
				old, _ := before.Role(role.Name)
				require.NotEmpty(t, Explain(old, role), "the change of %s is explained", role.Name)
			}
			for _, role := range after.Roles {
				require.Equal(t, slices.Contains(c.recipe, role.Name) || slices.Contains(c.tests, role.Name), affected[role.Name], role.Name)
			}
		})
	}
}

func roleOf(t testing.TB, f *Fleet, name string) *Role {
	t.Helper()
	r, ok := f.Role(name)
	require.True(t, ok, "role %s", name)
	return r
}

func TestDigestPins(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	f := r.load()
	before := digests(f)
	require.NoError(t, f.Resolve(Pins{"136693071363/debian-12-amd64-*/x86_64": "ami-00000000000000009", "136693071363/debian-12-arm64-*/arm64": testPins["136693071363/debian-12-arm64-*/arm64"]}))
	require.Equal(t, []string{"base", "web", "worker"}, changed(before, digests(f)))

	err := f.Resolve(Pins{"136693071363/debian-12-arm64-*/arm64": "ami-00000000000000002"})
	var missing *MissingPinsError
	require.ErrorAs(t, err, &missing)
	require.EqualError(t, err, "base 136693071363/debian-12-amd64-*/x86_64 of base is not pinned to an image\nrun `imgops update` and commit imgops.lock")
}

func TestDigestRoleIsNew(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	before := r.load()
	r.writeAll(withSuites(map[string]string{"roles/cache/image.yaml": "base: {role: web}\n"}))
	r.commit()
	after := r.load()
	affected := after.Affected(before)
	require.Len(t, affected, 1)
	require.Equal(t, "cache", affected[0].Name)
	require.Equal(t, []string{"arm", "base", "web", "worker", "cache"}, roleNames(after.Roles), "by distance from the base, then by name")
}

func roleNames(roles []*Role) []string {
	out := []string{}
	for _, r := range roles {
		out = append(out, r.Name)
	}
	return out
}

func TestDigestIgnore(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.write("roles/worker/image.yaml", "base: {role: base}\nignore: [README.md, docs/, files/*.bak]\n")
	r.commit()
	before := digests(r.load())
	r.writeAll(map[string]string{"roles/worker/README.md": "x", "roles/worker/docs/a": "x", "roles/worker/files/a.bak": "x", "roles/worker/tasks/README.md": "x"})
	dirty := r.worktree()
	require.False(t, roleOf(t, dirty, "worker").Dirty, "what is ignored does not make a role dirty")
	r.commit()
	require.Equal(t, before, digests(r.load()))
	r.write("roles/worker/files/b.conf", "x")
	r.commit()
	require.Equal(t, []string{"worker"}, changed(before, digests(r.load())))
}

func TestExplain(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	before := r.load()
	r.write("roles/base/files/motd", "hi\n")
	r.remove("roles/base/tasks/main.yml")
	edit("port: 8080", "port: 9090")(r, "roles/web/image.yaml")
	r.write("roles/web/tests/default/web.bats", "@test x { true; }\n")
	r.commit()
	after := r.load()
	changes := Explain(roleOf(t, before, "web"), roleOf(t, after, "web"))
	for i := range changes {
		if strings.HasPrefix(changes[i].Component, "test ") {
			changes[i].Old, changes[i].New = "x", "y"
		}
	}
	require.Equal(t, []Change{
		{Component: "test roles/web/tests/default/web.bats", Old: "x", New: "y"},
		{Component: "var web.yml port", Old: "8080", New: "9090"},
		{Component: "file roles/base/files/motd", New: "100644 " + blobID([]byte("hi\n")).String(), Via: []string{"base"}},
		{Component: "file roles/base/tasks/main.yml", Old: "100644 " + blobID([]byte("- apt: {name: curl}\n")).String(), Via: []string{"base"}},
	}, changes)
	require.Empty(t, Explain(roleOf(t, after, "web"), roleOf(t, after, "web")))
	require.NotEmpty(t, Explain(nil, roleOf(t, after, "web")), "everything of a new role")
	require.Empty(t, Explain(nil, nil))
}
