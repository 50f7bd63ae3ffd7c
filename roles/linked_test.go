package roles

import (
	"os"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// linkMark begins the content of what is a symlink.
const linkMark = "-> "

// writeLinks writes files, of which those that begin with linkMark are symlinks.
func (r *sandboxRepo) writeLinks(files map[string]string) {
	r.t.Helper()
	for name, content := range files {
		target, ok := strings.CutPrefix(content, linkMark)
		if !ok {
			r.write(name, content)
			continue
		}
		r.remove(name)
		require.NoError(r.t, os.MkdirAll(path.Dir(r.path(name)), 0o755))
		require.NoError(r.t, os.Symlink(target, r.path(name)))
	}
}

// seenCase is a fleet in which a change of one file changes what Ansible may do for role web.
type seenCase struct {
	name  string
	files map[string]string
	edit  string // the file; shared/m where it is empty
}

const (
	copiesShared   = "- copy: {src: '{{ item }}', dest: /m}\n  with_first_found: [{files: [%s], skip: true}]\n"
	optionalLookup = "m: \"{{ lookup('file', 'shared/m', errors='ignore') }}\"\n"
	useOfM         = "- copy: {content: '{{ m }}', dest: /m}\n"
)

// optional copies a file if it is there.
func optional(name string) string { return strings.Replace(copiesShared, "%s", name, 1) }

func seenCases() []seenCase {
	up := optional("../../../shared/m")
	json := `[{"copy":{"src":"{{ item }}","dest":"/m"},"with_first_found":[{"files":["../../../shared/m"],"skip":true}]}]`
	tpl := "{% include 'shared/m' ignore missing %}\n"
	return []seenCase{
		{"symlinked tasks file", map[string]string{"roles/web/tasks/main.yml": "-> ../../../shared/tasks/main.yml", "shared/tasks/main.yml": up}, ""},
		{"symlinked tasks file that is relative to its own place", map[string]string{"roles/web/tasks/main.yml": "-> ../../../shared/tasks/main.yml", "shared/tasks/main.yml": optional("../m")}, ""},
		{"symlinked tasks file with a role", map[string]string{"roles/web/tasks/main.yml": "-> ../../../shared/tasks/main.yml", "shared/tasks/main.yml": "- include_role: {name: a}\n"}, "roles/a/tasks/main.yml"},
		{"symlinked tasks file that includes its neighbour", map[string]string{"roles/web/tasks/main.yml": "-> ../../../shared/tasks/main.yml", "shared/tasks/main.yml": "- include_tasks: more.yml\n", "shared/tasks/more.yml": up}, "shared/tasks/more.yml"},
		{"symlink to a symlink", map[string]string{"roles/web/tasks/main.yml": "-> ../../../shared/one.yml", "shared/one.yml": "-> two/x.yml", "shared/two/x.yml": up}, ""},
		{"symlinked tasks directory", map[string]string{"roles/web/tasks": "-> ../../shared/tasks", "shared/tasks/main.yml": "- include_tasks: sub/x.yml\n", "shared/tasks/sub/x.yml": up}, ""},
		{"symlink in a symlinked directory", map[string]string{"roles/web/tasks": "-> ../../shared/tasks", "shared/tasks/main.yml": "-> ../elsewhere.yml", "shared/elsewhere.yml": up}, ""},
		{"symlinked meta", map[string]string{"roles/web/meta/main.yml": "-> ../../../shared/meta.yml", "shared/meta.yml": "dependencies: [a]\n"}, "roles/a/tasks/main.yml"},
		{"symlinked handlers", map[string]string{"roles/web/handlers/main.yml": "-> ../../../shared/h.yml", "shared/h.yml": up}, ""},
		{"symlinked defaults", map[string]string{"roles/web/defaults/main.yml": "-> ../../../shared/d.yml", "shared/d.yml": optionalLookup, "roles/web/tasks/main.yml": useOfM}, ""},
		{"symlinked template", map[string]string{"roles/web/templates/x.j2": "-> ../../../shared/x.j2", "shared/x.j2": tpl, "roles/web/tasks/main.yml": "- template: {src: x.j2, dest: /x}\n"}, ""},
		{"symlinked group_vars file", map[string]string{"group_vars/all.yml": "-> ../shared/gv/all.yml", "shared/gv/all.yml": optionalLookup, "roles/web/tasks/main.yml": useOfM}, ""},
		{"symlinked group_vars directory", map[string]string{"group_vars": "-> shared/gv", "shared/gv/all.yml": optionalLookup, "roles/web/tasks/main.yml": useOfM}, ""},
		{"symlinked host_vars in group_vars form", map[string]string{"host_vars/machine": "-> ../shared/gv", "shared/gv/x.yml": optionalLookup, "roles/web/tasks/main.yml": useOfM}, ""},
		{"symlinked role", map[string]string{"roles/lib": "-> ../shared/lib", "shared/lib/tasks/main.yml": optional("../../m"), "roles/web/meta/main.yml": "dependencies: [lib]\n"}, ""},
		{"a path through a symlinked directory", map[string]string{"conf": "-> shared/conf", "shared/conf/m": "1", "roles/web/defaults/main.yml": "conf_file: conf/m\n"}, "shared/conf/m"},
		{"a symlink by way of another", map[string]string{"roles/web/files/x": "-> ../../../shared/up/../m2", "shared/up": "-> ../other/deep", "other/deep/x": "1", "other/m2": "1"}, "other/m2"},
		{"symlinked requirements", map[string]string{"requirements.yml": "-> shared/req.yml", "shared/req.yml": "collections: [{name: vendored/c, type: dir}]\n", "vendored/c/galaxy.yml": "1"}, "vendored/c/galaxy.yml"},

		{"tasks/main.json", map[string]string{"roles/web/tasks/main.json": json}, ""},
		{"tasks/main", map[string]string{"roles/web/tasks/main": up}, ""},
		{"meta/main.json", map[string]string{"roles/web/meta/main.json": `{"dependencies": ["a"]}`}, "roles/a/tasks/main.yml"},
		{"meta/main", map[string]string{"roles/web/meta/main": "dependencies: [a]\n"}, "roles/a/tasks/main.yml"},
		{"handlers/main.json", map[string]string{"roles/web/handlers/main.json": json}, ""},
		{"vars/main.json", map[string]string{"roles/web/vars/main.json": `{"m": "{{ lookup('file', 'shared/m', errors='ignore') }}"}`, "roles/web/tasks/main.yml": useOfM}, ""},
		{"defaults/main", map[string]string{"roles/web/defaults/main": optionalLookup, "roles/web/tasks/main.yml": useOfM}, ""},
		{"vars/main/x.json", map[string]string{"roles/web/vars/main/x.json": `{"m": "{{ lookup('file', 'shared/m', errors='ignore') }}"}`, "roles/web/tasks/main.yml": useOfM}, ""},
		{"group_vars/all.json", map[string]string{"group_vars/all.json": `{"m": "{{ lookup('file', 'shared/m', errors='ignore') }}"}`, "roles/web/tasks/main.yml": useOfM}, ""},
		{"group_vars/all", map[string]string{"group_vars/all": optionalLookup, "roles/web/tasks/main.yml": useOfM}, ""},
		{"tasks under files", map[string]string{"roles/web/tasks/main.yml": "- include_tasks: ../files/x.yml\n", "roles/web/files/x.yml": up}, ""},
		{"tasks under docs", map[string]string{"roles/web/tasks/main.yml": "- import_tasks: ../docs/x.yml\n", "roles/web/docs/x.yml": up}, ""},
		{"tasks under templates", map[string]string{"roles/web/tasks/main.yml": "- include_tasks: {file: ../templates/x.yml}\n", "roles/web/templates/x.yml": up}, ""},
		{"tasks in a hidden directory", map[string]string{"roles/web/tasks/main.yml": "- include_tasks: ../.hidden/x.yml\n", "roles/web/.hidden/x.yml": up}, ""},
		{"tasks in a hidden file", map[string]string{"roles/web/tasks/main.yml": "- include_tasks: .x.yml\n", "roles/web/tasks/.x.yml": up}, ""},
		{"tasks named .inc", map[string]string{"roles/web/tasks/main.yml": "- include_tasks: x.inc\n", "roles/web/tasks/x.inc": up}, ""},
		{"tasks named .txt", map[string]string{"roles/web/tasks/main.yml": "- include_tasks: x.txt\n", "roles/web/tasks/x.txt": up}, ""},
		{"tasks named by a fact", map[string]string{"roles/web/tasks/main.yml": "- include_tasks: '{{ ansible_os_family }}.txt'\n", "roles/web/tasks/Debian.txt": up}, ""},
		{"tasks named by a loop", map[string]string{"roles/web/tasks/main.yml": "- include_tasks: '../files/{{ item }}'\n  loop: [x.yml]\n", "roles/web/files/x.yml": up}, ""},
		{"tasks that tasks under files include", map[string]string{"roles/web/tasks/main.yml": "- include_tasks: ../files/x.yml\n", "roles/web/files/x.yml": "- include_tasks: y.txt\n", "roles/web/files/y.txt": up}, ""},
		{"tasks_from", map[string]string{"roles/web/tasks/main.yml": "- include_role: {name: a, tasks_from: x}\n", "roles/a/tasks/x.json": json}, ""},
		{"tasks_from with a file's name", map[string]string{"roles/web/tasks/main.yml": "- include_role: {name: a, tasks_from: x.inc}\n", "roles/a/tasks/x.inc": up}, ""},
		{"variables under files", map[string]string{"roles/web/tasks/main.yml": "- include_vars: ../files/x.yml\n" + useOfM, "roles/web/files/x.yml": optionalLookup}, ""},
		{"a directory of variables under files", map[string]string{"roles/web/tasks/main.yml": "- include_vars: {dir: ../files/v}\n" + useOfM, "roles/web/files/v/x.yml": optionalLookup}, ""},
		{"a template under files", map[string]string{"roles/web/tasks/main.yml": "- template: {src: ../files/x.conf, dest: /x}\n", "roles/web/files/x.conf": tpl}, ""},
		{"a plain template line under files", map[string]string{"roles/web/tasks/main.yml": "- template:\n    src: ../files/x.conf\n    dest: /x\n", "roles/web/files/x.conf": tpl}, ""},
		{"a hidden template", map[string]string{"roles/web/tasks/main.yml": "- template:\n    src: .bashrc\n    dest: /x\n", "roles/web/templates/.bashrc": tpl}, ""},
		{"templates under files, by a glob", map[string]string{"roles/web/tasks/main.yml": "- template: {src: '{{ item }}', dest: /x}\n  with_fileglob: ['*.conf']\n", "roles/web/files/x.conf": tpl}, ""},
		{"a template by lookup under files", map[string]string{"roles/web/tasks/main.yml": "- copy: {content: \"{{ lookup('template', '../files/x.conf') }}\", dest: /x}\n", "roles/web/files/x.conf": tpl}, ""},
		{"tasks of a playbook that are named .inc", map[string]string{"web.yml": "- hosts: all\n  tasks: [{include_tasks: conf/x.inc}]\n", "conf/x.inc": "- include_role: {name: a}\n"}, "roles/a/tasks/main.yml"},
		{"variables of a playbook without an extension", map[string]string{"web.yml": "- hosts: all\n  vars_files: [conf/x]\n", "conf/x": optionalLookup}, ""},
		{"tasks beside the playbook that are named .txt", map[string]string{"web.yml": "- hosts: all\n  tasks: [{include_tasks: files/x.txt}]\n", "files/x.txt": "- include_role: {name: a}\n"}, "roles/a/tasks/main.yml"},

		{"a collection that is a directory", map[string]string{"requirements.yml": "collections:\n  - {name: vendored/c, type: dir}\n", "vendored/c/galaxy.yml": "1"}, "vendored/c/galaxy.yml"},
		{"collections that are subdirectories", map[string]string{"requirements.yml": "collections:\n  - {source: ./vendored, type: subdirs}\n", "vendored/c/galaxy.yml": "1"}, "vendored/c/galaxy.yml"},
		{"a collection that is a file", map[string]string{"collections/requirements.yml": "collections:\n  - ./vendored/c.tar.gz\n", "vendored/c.tar.gz": "1"}, "vendored/c.tar.gz"},
		{"a role that is an archive", map[string]string{"roles/requirements.yml": "- src: vendored/r.tar.gz\n  name: r\n", "vendored/r.tar.gz": "1"}, "vendored/r.tar.gz"},
		{"requirements that include others", map[string]string{"requirements.yml": "- include: vendored/more.yml\n", "vendored/more.yml": "- src: vendored/r.tar.gz\n", "vendored/r.tar.gz": "1"}, "vendored/r.tar.gz"},
		{"a repository by a file's URL", map[string]string{"requirements.yml": "roles: [{src: 'git+file://vendored/r', version: main}]\n", "vendored/r/HEAD": "1"}, "vendored/r/HEAD"},
	}
}

// TestSeen is the hard zero: a change that Ansible sees changes the digest.
func TestSeen(t *testing.T) {
	for _, c := range seenCases() {
		t.Run(c.name, func(t *testing.T) {
			edit := c.edit
			if edit == "" {
				edit = "shared/m"
			}
			base := reachCase{files: map[string]string{"shared/m": "1"}}
			if book, ok := c.files["web.yml"]; ok {
				base.files["web.yml"] = book
			}
			r := newSandboxRepo(t, base.fleet())
			for name := range c.files { // a directory that is a symlink here
				r.remove(name)
			}
			r.writeLinks(c.files)
			r.commit()
			repo := r.open()
			before, err := repo.Load(t.Context(), "HEAD")
			require.NoError(t, err)
			require.NoError(t, before.Resolve(testPins))
			r.write(edit, "- debug: {msg: changed}\n")
			r.commit()
			after := r.load()
			require.Contains(t, changed(digests(before), digests(after)), "web")
			near, err := repo.LoadNear(t.Context(), "HEAD", before)
			require.NoError(t, err)
			requireSame(t, after, near)
			require.Equal(t, digests(after), digests(r.worktree()))
			out := path.Join(t.TempDir(), "out")
			require.NoError(t, after.Materialize(t.Context(), roleOf(t, after, "web"), out))
			require.FileExists(t, path.Join(out, edit), "what counts is there when the image is built")
		})
	}
}

// TestAstraySymlinks: those that lead nowhere are refused where Ansible would read them, and told of where the machine may
// be meant.
func TestAstraySymlinks(t *testing.T) {
	cases := []struct {
		name, link, target string
		problem, warning   string
	}{
		{"tasks out of the fleet", "roles/web/tasks/more.yml", "../../../../x.yml", "roles/web/tasks/more.yml: the symlink leads out of the fleet", ""},
		{"absolute variables", "group_vars/web.yml", "/etc/imgops/web.yml", "group_vars/web.yml: the symlink leads out of the fleet", ""},
		{"variables that are not there", "roles/web/vars/main.yml", "../../../gone.yml", "roles/web/vars/main.yml: the symlink leads to nothing", ""},
		{"tasks that lead to themselves", "roles/web/tasks/more.yml", "more.yml", "roles/web/tasks/more.yml: the symlink leads to itself", ""},
		{"an editor's lock", "roles/web/tasks/.#main.yml", "ann@host.123", "", ""},
		{"tests of the role", "roles/web/tests/default/x", "/nowhere", "", ""},
		{"a file for the machine", "roles/web/files/rootfs/etc/mtab", "../proc/self/mounts", "", ""},
		{"an absolute one for the machine", "roles/web/files/rootfs/etc/alternatives/vi", "/usr/bin/vim", "", "roles/web/files/rootfs/etc/alternatives/vi"},
		{"a file out of the fleet", "roles/web/files/x", "../../../../y", "", "roles/web/files/x"},
		{"nobody's", "docs/x", "/nowhere", "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newSandboxRepo(t, fleetFiles())
			r.writeLinks(map[string]string{c.link: linkMark + c.target})
			r.commit()
			f, err := r.open().Load(t.Context(), "HEAD")
			if c.problem != "" {
				require.ErrorContains(t, err, c.problem)
				return
			}
			require.NoError(t, err)
			warned := []string{}
			for _, w := range f.Warnings(f.Roles) {
				warned = append(warned, w.File)
			}
			require.Equal(t, strings.Fields(c.warning), warned)
		})
	}
	r := newSandboxRepo(t, fleetFiles())
	r.writeLinks(map[string]string{"roles/web/files/abs": linkMark + r.path("shared/unused.yml")})
	r.commit()
	_, err := r.open().Load(t.Context(), "HEAD")
	require.ErrorContains(t, err, "make it relative: ln -sfn ../../../shared/unused.yml roles/web/files/abs")
}

// TestSymlinksUp: a symlink to the fleet's root, or to a directory above itself, makes that count as a whole.
func TestSymlinksUp(t *testing.T) {
	for _, c := range []struct{ link, target, edit string }{
		{"roles/web/files/top", "../../..", "shared/new"},
		{"roles/web/files/roles", "../..", "roles/tuning/files/new"},
		{"roles/web/files/self", "..", "roles/web/files/new"},
		{"roles/web/files/here", ".", "roles/web/files/new"},
		{"roles/web/templates/common", ".", "roles/web/files/new"},
		{"roles/web/tasks/all", "..", "roles/web/files/new"},
		{"group_vars/all/up", "..", "group_vars/new"},
		{"shared/r", "..", "docs/new"},
	} {
		t.Run(c.link, func(t *testing.T) {
			files := fleetFiles()
			delete(files, "group_vars/all.yml")
			files["roles/web/files/shared"] = linkMark + "../../../shared"
			r := newSandboxRepo(t, nil)
			files[c.link] = linkMark + c.target
			r.writeLinks(withSuites(files))
			r.commit()
			before := r.load()
			for _, role := range before.Roles {
				out := path.Join(t.TempDir(), "out")
				require.NoError(t, before.Materialize(t.Context(), role, out))
				if role.Name == "web" {
					target, err := os.Readlink(path.Join(out, c.link))
					require.NoError(t, err)
					require.Equal(t, c.target, target)
				}
			}
			r.write(c.edit, "new\n")
			r.commit()
			require.Contains(t, changed(digests(before), digests(r.load())), "web")
		})
	}
}

// TestLinkedIsRemembered: what was found out about a file behind a symlink is not taken for what another one says.
func TestLinkedIsRemembered(t *testing.T) {
	files := fleetFiles()
	files["shared/quiet.yml"] = "- debug: {msg: hello}\n"
	files["roles/web/tasks/linked.yml"] = linkMark + "../../../shared/quiet.yml"
	r := newSandboxRepo(t, nil)
	r.writeLinks(withSuites(files))
	r.commit()
	require.Equal(t, digests(r.load()), digests(r.load()))
	r.write("shared/quiet.yml", "- include_role: {name: '{{ x }}'}\n")
	r.commit()
	f := r.load()
	require.Equal(t, ".", roleOf(t, f, "web").parts[0].path)
	r.write("shared/quiet.yml", "- debug: {msg: hello}\n")
	r.commit()
	require.NotEqual(t, ".", roleOf(t, r.load(), "web").parts[0].path)
}
