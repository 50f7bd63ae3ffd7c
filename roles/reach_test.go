package roles

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReach lists what counts for role "web" beside its own directory.
// reachCase is a fleet with a role web, and what that reaches beside its own directory.
type reachCase struct {
	name  string
	files map[string]string
	want  []string
}

// fleet is all files of the case.
func (c reachCase) fleet() map[string]string {
	files := map[string]string{
		"imgops.yaml": imgopsYAML, "roles/base/image.yaml": debianBase, "roles/base/tests/x/a.sh": "x", "roles/web/image.yaml": "base: {role: base}\n",
		"roles/a/tasks/main.yml": "[]", "roles/b/tasks/main.yml": "[]", "roles/c/tasks/main.yml": "[]", "roles/web/defaults/main.yml": "a: 1",
	}
	maps.Copy(files, c.files)
	if _, ok := c.files["web.yml"]; ok {
		files["roles/web/image.yaml"] = "base: {role: base}\nprovision: [{ansible: {playbook: web.yml}}]\n"
	}
	return withSuites(files)
}

func reachCases() []reachCase {
	everything := []string{"."}
	return []reachCase{
		{"nothing", map[string]string{"roles/other/tasks/main.yml": "[]"}, nil},
		{"roles of a play", map[string]string{"web.yml": "- hosts: all\n  roles: [a, {role: b, x: 1}, {name: c}, ns.col.d]"}, []string{"roles/a", "roles/b", "roles/c", "web.yml"}},
		{"role by expression", map[string]string{"web.yml": "- hosts: all\n  roles: ['{{ x }}']"}, everything},
		{"include_role", map[string]string{"web.yml": "- hosts: all\n  tasks: [{block: [{ansible.builtin.include_role: {name: a}}], rescue: [{import_role: name=b tasks_from=x}]}]"}, []string{"roles/a", "roles/b", "web.yml"}},
		{"include_role by expression", map[string]string{"roles/web/tasks/main.yml": "- include_role: {name: '{{ item }}'}\n  loop: [a, b]"}, everything},
		{"include_role in an included file", map[string]string{"roles/web/tasks/main.yml": "- include_tasks: '{{ ansible_os_family }}.yml'", "roles/web/tasks/debian.yml": "- include_role: {name: a}"}, []string{"roles/a"}},
		{"old action syntax", map[string]string{"roles/web/tasks/main.yml": "- action: include_role name=a"}, everything},
		{"dependencies, transitively", map[string]string{"roles/web/meta/main.yml": "dependencies: [{role: a}]", "roles/a/meta/main.yaml": "dependencies: [b]", "roles/b/tasks/main.yml": "- include_role: {name: c}"}, []string{"roles/a", "roles/b", "roles/c"}},
		{"dependency by expression", map[string]string{"roles/web/meta/main.yml": "dependencies: ['{{ x }}']"}, everything},
		{"a cycle of dependencies", map[string]string{"roles/web/meta/main.yml": "dependencies: [a]", "roles/a/meta/main.yml": "dependencies: [web, a]"}, []string{"roles/a"}},
		{"import_playbook", map[string]string{"web.yml": "- import_playbook: plays/site.yml", "plays/site.yml": "- hosts: all\n  roles: [a, local]", "plays/roles/local/tasks/main.yml": "[]", "plays/group_vars/all.yml": "a: 1"}, []string{"plays/group_vars", "plays/roles/local", "plays/site.yml", "roles/a", "web.yml"}},
		{"playbooks that import each other", map[string]string{"web.yml": "- import_playbook: b.yml", "b.yml": "- import_playbook: web.yml"}, []string{"b.yml", "web.yml"}},
		{"imported playbook by expression", map[string]string{"web.yml": "- import_playbook: '{{ x }}.yml'"}, everything},
		{"vars_files and include_vars", map[string]string{"web.yml": "- hosts: all\n  vars_files: [conf/x.yml]\n  tasks: [{include_vars: {dir: conf/d}}]", "conf/x.yml": "a: 1", "conf/d/y.yml": "b: 1", "conf/z.yml": "c: 1"}, []string{"conf/d", "conf/x.yml", "web.yml"}},
		{"vars_files by expression", map[string]string{"web.yml": "- hosts: all\n  vars_files: ['{{ env }}.yml']"}, everything},
		{"vars_files by expression below a directory", map[string]string{"web.yml": "- hosts: all\n  vars_files: ['conf/{{ env }}.yml']", "conf/a.yml": "a: 1"}, []string{"conf", "web.yml"}},
		{"included tasks, and what those include", map[string]string{"web.yml": "- hosts: all\n  tasks: [{import_tasks: common/setup.yml}]", "common/setup.yml": "- include_tasks: more.yml\n- import_role: {name: a}", "common/more.yml": "[]", "common/other.yml": "[]"}, []string{"common/more.yml", "common/setup.yml", "roles/a", "web.yml"}},
		{"a plain file beside the playbook", map[string]string{"web.yml": "- hosts: all\n  tasks: [{copy: src=motd dest=/etc/motd}, {copy: {src: data/x, dest: /x}}]", "motd": "hi", "data/x": "x", "data/y": "y"}, []string{"data/x", "motd", "web.yml"}},
		{"directories beside the playbook", map[string]string{"web.yml": "- hosts: all", "files/x": "x", "templates/y": "y", "library/m.py": "pass"}, []string{"files", "library", "templates", "web.yml"}},
		{"task titles are no files", map[string]string{"web.yml": "- hosts: all\n  name: motd\n  tasks: [{name: motd}]", "motd": "hi"}, []string{"web.yml"}},
		{"a role that reaches out", map[string]string{"roles/web/tasks/main.yml": "- template: {src: ../../../shared/x.j2, dest: /x}", "shared/x.j2": "x", "shared/y": "y"}, []string{"shared/x.j2"}},
		{"a role that reaches into another", map[string]string{"roles/web/tasks/main.yml": "- copy: {src: '{{ role_path }}/../a/files/x', dest: /x}", "roles/a/files/x": "x"}, []string{"roles/a/files/x"}},
		{"playbook_dir", map[string]string{"roles/web/tasks/main.yml": "- copy: {src: '{{ playbook_dir }}/shared/x', dest: /x}", "shared/x": "x"}, []string{"shared/x"}},
		{"playbook_dir in a formula", map[string]string{"roles/web/tasks/main.yml": "- copy: {src: \"{{ playbook_dir ~ '/shared/x' }}\", dest: /x}", "shared/x": "x"}, everything},
		{"relative to the playbook, from a role", map[string]string{"roles/web/tasks/main.yml": "- copy: {src: shared/x, dest: /x}", "shared/x": "x"}, []string{"shared/x"}},
		{"expressions inside the role", map[string]string{"roles/web/tasks/main.yml": "- template: {src: x.j2, dest: '/{{ y }}', owner: '{{ x }}'}\n- include_vars: '{{ ansible_os_family }}.yml'\n- copy: {content: '{{ a }}/{{ b }}', dest: /x}\n- apt: {name: '{{ item }}'}\n  loop: '{{ packages }}'", "roles/web/templates/x.j2": "{% for a in b %}{{ a }}{% endfor %}{{ lookup('env', 'HOME') }}", "roles/web/vars/Debian.yml": "a: '{{ b }}'"}, nil},
		{"a source by expression", map[string]string{"roles/web/tasks/main.yml": "- template: {src: '{{ x }}.j2', dest: /x}", "roles/web/templates/a.j2": "x"}, everything},
		{"a source below a variable", map[string]string{"roles/web/tasks/main.yml": "- copy: src=\"{{ src_dir }}/x\" dest=/x", "roles/web/defaults/main.yml": "src_dir: ../../elsewhere"}, everything},
		{"a source that is not there", map[string]string{"roles/web/tasks/main.yml": "- copy: {src: gone, dest: /x}"}, everything},
		{"sources on the machine, and elsewhere", map[string]string{"roles/web/tasks/main.yml": "- copy: {src: '/{{ x }}', dest: /x}\n- unarchive: {src: 'https://example.com/{{ v }}.tgz', dest: /x}\n- unarchive: {src: '{{ x }}', dest: /x, remote_src: true}\n- file: {src: '{{ x }}', dest: /y, state: link}\n- mount: {src: tmpfs, path: /x}"}, nil},
		{"items of a literal loop", map[string]string{"roles/web/tasks/main.yml": "- copy: {src: '{{ item }}', dest: /x}\n  loop: [a, b]\n- template: {src: '{{ item.src }}', dest: /x}\n  with_items: [{src: c.j2, dest: /y}]", "roles/web/files/a": "a", "roles/web/files/b": "b", "roles/web/templates/c.j2": "c"}, nil},
		{"items that are not known", map[string]string{"roles/web/tasks/main.yml": "- copy: {src: '{{ item }}', dest: /x}\n  loop: '{{ names }}'"}, everything},
		{"facts that may name a file beside the playbook", map[string]string{"roles/web/tasks/main.yml": "- include_vars: '{{ ansible_os_family }}.yml'", "roles/web/vars/RedHat.yml": "a: 1", "Debian.yml": "a: 2"}, everything},
		{"with_fileglob by a variable", map[string]string{"roles/web/tasks/main.yml": "- copy: {src: '{{ item }}', dest: /x}\n  with_fileglob: ['{{ keys_dir }}/*.pub']", "roles/web/defaults/main.yml": "keys_dir: '{{ playbook_dir }}/keys'", "keys/a.pub": "a"}, everything},
		{"with_fileglob of the role", map[string]string{"roles/web/tasks/main.yml": "- copy: {src: '{{ item }}', dest: /x}\n  with_fileglob: ['keys/*.pub']", "roles/web/files/keys/a.pub": "a", "other": "x"}, nil},
		{"a query by a variable", map[string]string{"roles/web/tasks/main.yml": "- debug: {msg: \"{{ query('fileglob', keys_glob) }}\"}"}, everything},
		{"a lookup by a variable", map[string]string{"roles/web/tasks/main.yml": "- copy: {content: '{{ lookup(\"file\", pem) }}', dest: /x}"}, everything},
		{"a lookup of the role's file", map[string]string{"roles/web/tasks/main.yml": "- copy: {content: \"{{ lookup('file', 'a.pem') }}\", dest: /x}", "roles/web/files/a.pem": "x"}, nil},
		{"a lookup in defaults", map[string]string{"roles/web/defaults/main.yml": "pem: \"{{ lookup('file', 'certs/' ~ name) }}\""}, everything},
		{"a lookup in vars", map[string]string{"roles/web/vars/main.yml": "pem: \"{{ lookup('file', 'pems/ca.pem') }}\"", "pems/ca.pem": "x", "pems/other.pem": "y"}, []string{"pems/ca.pem"}},
		{"a path in defaults", map[string]string{"roles/web/defaults/main.yml": "keys_dir: '{{ playbook_dir }}/keys'", "keys/a.pub": "a"}, []string{"keys"}},
		{"a lookup in group_vars", map[string]string{"group_vars/all.yml": "pem: \"{{ lookup('file', name) }}\""}, everything},
		{"a lookup in host_vars of a file beside", map[string]string{"host_vars/x.yml": "pem: \"{{ lookup('file', 'a.pem') }}\"", "files/a.pem": "a"}, []string{"files", "host_vars"}},
		{"a lookup in a variable of the image", map[string]string{"roles/web/image.yaml": "base: {role: base}\nprovision: [{ansible: {role: web, vars: {a: {b: [\"{{ lookup('file', x) }}\"]}}}}]\n"}, everything},
		{"a template that includes a foreign one", map[string]string{"roles/web/templates/x.j2": "{% include 'common/header.j2' %}\n", "common/header.j2": "x"}, []string{"common/header.j2"}},
		{"a template that includes one that is not there", map[string]string{"roles/web/templates/x.j2": "{%- import 'gone.j2' as x -%}\n"}, everything},
		{"a template that extends by expression", map[string]string{"roles/web/templates/x.j2": "{% extends layout %}\n"}, everything},
		{"a template that includes its neighbour", map[string]string{"roles/web/templates/a/x.j2": "{% include 'y.j2' ignore missing %}{% from 'a/y.j2' import m %}\n", "roles/web/templates/a/y.j2": "y"}, nil},
		{"a foreign template that includes", map[string]string{"roles/web/tasks/main.yml": "- template: {src: '{{ playbook_dir }}/shared/x.j2', dest: /x}", "shared/x.j2": "{% include name %}"}, everything},
		{"a script", map[string]string{"roles/web/tasks/main.yml": "- script: files/x.sh {{ arg }}\n- script: y.sh", "roles/web/files/x.sh": "x", "roles/web/files/y.sh": "y"}, nil},
		{"a script by expression", map[string]string{"roles/web/tasks/main.yml": "- script: '{{ x }}'"}, everything},
		{"files found first", map[string]string{"roles/web/tasks/main.yml": "- include_vars: '{{ item }}'\n  with_first_found: [{files: ['{{ name }}.yml', default.yml]}]", "roles/web/vars/default.yml": "a: 1"}, everything},
		{"a task on the controller", map[string]string{"roles/web/tasks/main.yml": "- command: cat keys\n  delegate_to: localhost"}, everything},
		{"an image role as an Ansible role", map[string]string{"web.yml": "- hosts: all\n  roles: [base]"}, []string{"roles/base", "web.yml"}},
		{"custom roles_path", map[string]string{"ansible.cfg": "[defaults]\nroles_path = vendor:roles\n"}, everything},
		{"the usual roles_path", map[string]string{"ansible.cfg": "[defaults]\n# library = x\nroles_path = ./roles\nforks=5\n"}, []string{"ansible.cfg"}},
		{"a playbook that is no list", map[string]string{"web.yml": "hosts: all"}, everything},
		{"what Ansible can parse", map[string]string{"roles/web/tasks/main.yml": "---\n- set_fact: {x: !unsafe '{{ a }}', y: !vault abc, z: ..}\n---\n- include_role: {name: a}\n"}, []string{"roles/a"}},
		{"a vaulted task file", map[string]string{"roles/web/tasks/main.yml": "$ANSIBLE_VAULT;1.1;AES256\n6162..include_role\n"}, everything},
		{"a vaulted variable", map[string]string{"web.yml": "- hosts: all\n  vars: {x: !vault abc}"}, []string{"web.yml"}},
		{"the same role by path", map[string]string{"web.yml": "- hosts: all\n  roles: [roles/a]"}, []string{"roles/a", "web.yml"}},
		{"a role by a path that is not found", map[string]string{"web.yml": "- hosts: all\n  roles: [../elsewhere/a]"}, everything},
		{"requirements and collections", map[string]string{"requirements.yml": "[]", "roles/requirements.yml": "[]", "collections/requirements.yml": "[]"}, []string{"collections", "requirements.yml", "roles/requirements.yml"}},
	}
}

func TestReach(t *testing.T) {
	for _, c := range reachCases() {
		t.Run(c.name, func(t *testing.T) {
			r := newSandboxRepo(t, c.fleet())
			r.commit()
			f := r.load()
			web := roleOf(t, f, "web")
			var got []string
			for _, p := range web.parts {
				if p.path != "roles/web" {
					got = append(got, p.path)
				}
			}
			require.Equal(t, c.want, got)
			require.Equal(t, digests(f), digests(r.worktree()))
			for _, in := range web.Inputs() {
				require.NotContains(t, []string{"imgops.yaml", "roles/web/image.yaml", "roles/base/image.yaml", "roles/base/tests/x/a.sh"}, in.Path)
			}
		})
	}
}

func TestReachAllIsAffectedByEverythingButTests(t *testing.T) {
	files := fleetFiles()
	files["roles/web/tasks/main.yml"] = "- include_role: {name: '{{ x }}'}\n"
	r := newSandboxRepo(t, files)
	r.commit()
	before := digests(r.load())
	r.write("shared/unused.yml", "a: 2\n")
	r.write("roles/worker/tests/default/x.sh", "x")
	r.write("roles/worker/image.yaml", "# comment\nbase: {role: base}\n")
	require.Equal(t, []string{"web"}, changed(before, digests(r.worktree())))
	r.write("shared/unused.yml", "a: 1\n")
	require.Empty(t, changed(before, digests(r.worktree())))
}

func TestReachSymlinks(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	require.NoError(t, os.Symlink("../../../shared/unused.yml", r.path("roles/worker/files/link")))
	require.NoError(t, os.Symlink("/etc/passwd", r.path("roles/worker/files/absolute")))
	require.NoError(t, os.Symlink("../../../../outside", r.path("roles/worker/files/outside")))
	require.NoError(t, os.Symlink("loop", r.path("roles/worker/files/loop")))
	require.NoError(t, os.Symlink("certs", r.path("roles/certs-link")))
	r.write("roles/worker/meta/main.yml", "dependencies: [tuning]\n")
	r.commit()
	f := r.load()
	before := digests(f)
	require.Equal(t, before, digests(r.worktree()))
	paths := []string{}
	for _, in := range roleOf(t, f, "worker").Inputs() {
		paths = append(paths, in.Path)
	}
	require.Contains(t, paths, "shared/unused.yml", "what a symlink points at counts")
	out := filepath.Join(t.TempDir(), "out")
	require.NoError(t, f.Materialize(t.Context(), roleOf(t, f, "worker"), out))
	data, err := os.ReadFile(filepath.Join(out, "roles/worker/files/link"))
	require.NoError(t, err)
	require.Equal(t, "a: 1\n", string(data))

	r.write("shared/unused.yml", "a: 2\n")
	require.Equal(t, []string{"worker"}, changed(before, digests(r.worktree())))
	require.Equal(t, []string{"worker"}, dirtyRoles(r.worktree()))
	require.True(t, slices.IsSorted(paths))
}
