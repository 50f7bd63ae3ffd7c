package roles

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// The changes of TestAffectedPrecision are made by a generator that knows, because it wrote the references itself, which
// roles use what: nothing here asks the code that follows references.

// grownFile is a file of a grown fleet, with the roles whose image, or whose verification, it truly takes part in.
type grownFile struct {
	mode, content  string
	recipe, verify []string
}

// grown is a fleet as a generator has made it.
type grown struct {
	rng    *rand.Rand
	files  map[string]grownFile
	parent map[string]string
	roles  []string            // image roles
	usesBy map[string][]string // shared Ansible role -> what uses it, image roles and shared ones
	serial int
	stamp  string // the role that imgops.lock refreshes
}

func (g *grown) put(path, content string, recipe ...string) {
	g.files[path] = grownFile{mode: "100644", content: content, recipe: recipe}
}

func (g *grown) pick(from []string) string { return from[g.rng.IntN(len(from))] }

// next is a number that was not used before.
func (g *grown) next() int { g.serial++; return g.serial }

// ansible are the image roles that Ansible provisions; arm is made by a script.
func (g *grown) ansible() []string {
	return slices.DeleteFunc(slices.Clone(g.roles), func(r string) bool { return r == "arm" })
}

// users are the image roles that apply a shared role, also through others.
func (g *grown) users(shared string) []string {
	out := map[string]bool{}
	var visit func(string)
	visit = func(s string) {
		for _, user := range g.usesBy[s] {
			if strings.HasPrefix(user, "lib-") {
				visit(user)
			} else {
				out[user] = true
			}
		}
	}
	visit(shared)
	return slices.Sorted(maps.Keys(out))
}

// withChildren adds all descendants.
func (g *grown) withChildren(list []string) []string {
	in := map[string]bool{}
	for _, r := range g.roles {
		for p := r; p != ""; p = g.parent[p] {
			in[r] = in[r] || slices.Contains(list, p)
		}
	}
	out := []string{}
	for r, yes := range in {
		if yes {
			out = append(out, r)
		}
	}
	slices.Sort(out)
	return out
}

func newGrown(seed uint64) *grown {
	g := &grown{rng: rand.New(rand.NewPCG(seed, 4)), files: map[string]grownFile{}, parent: map[string]string{}, usesBy: map[string][]string{}}
	g.put("imgops.yaml", imgopsYAML)
	g.put("imgops.lock", "version: 1\n")
	g.put("README.md", "a fleet\n")
	g.put("docs/howto.md", "how\n")
	g.put(".gitignore", "*.retry\n")
	g.addRole("base", "")
	g.addRole("slim", "")
	for i := range 10 {
		g.addRole(fmt.Sprintf("role-%02d", i), g.pick([]string{"base", "slim"}))
	}
	for i := range 8 {
		g.addRole(fmt.Sprintf("app-%02d", i), fmt.Sprintf("role-%02d", g.rng.IntN(10)))
	}
	g.roles = append(g.roles, "arm")
	g.put("roles/arm/image.yaml", "base: {owner: \"136693071363\", name: \"debian-12-arm64-*\", architecture: arm64}\nprovision:\n  - shell: {script: setup.sh}\n", "arm")
	g.put("roles/arm/setup.sh", "#!/bin/sh\n", "arm")
	g.put("roles/arm/tests/default/goss.yaml", suiteOf)
	for i := range 8 {
		g.addShared(fmt.Sprintf("lib-%d", i), i)
	}
	vars := ""
	for _, r := range g.ansible() {
		vars += fmt.Sprintf("v_%s: 1\n", strings.ReplaceAll(r, "-", "_"))
	}
	g.put("group_vars/all.yml", vars, g.ansible()...)
	g.put("requirements.yml", "collections: [{name: vendored/col, type: dir}]\n", g.ansible()...)
	g.put("vendored/col/galaxy.yml", "namespace: a\n", g.ansible()...)
	g.put("vendored/other/galaxy.yml", "namespace: b\n")
	g.link("group_vars/linked.yml", "linked/vars.yml", g.ansible()...)
	g.put("linked/vars.yml", "looked: \"{{ lookup('file', 'shared/far-looked', errors='ignore') }}\"\n", g.ansible()...)
	g.put("shared/far-looked", "looked\n", g.ansible()...)
	for _, r := range g.ansible() {
		g.writeTasks(r)
	}
	for _, lib := range slices.Sorted(maps.Keys(g.usesBy)) {
		if deps := g.libsOf(lib); len(deps) > 0 {
			g.put("roles/"+lib+"/meta/main.yml", "dependencies: ["+strings.Join(deps, ", ")+"]\n", lib)
		}
	}
	// One role names what it includes by an expression. It uses lib-0 and lib-1; all that imgops can tell is that it
	// may be anything.
	tasks := g.files["roles/app-02/tasks/main.yml"]
	tasks.content += "- ansible.builtin.include_role: {name: '{{ item }}'}\n  loop: [lib-0, lib-1]\n"
	g.files["roles/app-02/tasks/main.yml"] = tasks
	for _, lib := range []string{"lib-0", "lib-1"} {
		g.usesBy[lib] = append(g.usesBy[lib], "app-02")
	}
	return g
}

func (g *grown) addRole(name, parent string) {
	g.roles, g.parent[name] = append(g.roles, name), parent
	dir := "roles/" + name
	base := "{role: " + parent + "}"
	if parent == "" {
		base = `{owner: "136693071363", name: "debian-12-amd64-*"}`
	}
	g.put(dir+"/image.yaml", fmt.Sprintf("base: %s\nprovision:\n  - ansible: {role: %s, vars: {port: %d}}\n", base, name, g.next()), name)
	g.put(dir+"/templates/site.conf.j2", "listen {{ port }} {{ v_"+strings.ReplaceAll(name, "-", "_")+" }}\n", name)
	g.put(dir+"/files/data", fmt.Sprintf("data %d\n", g.next()), name)
	g.put(dir+"/files/keys/a.pub", "key\n", name)
	g.put(dir+"/files/unused", "nobody copies this\n")
	g.put(dir+"/defaults/main.yml", "level: 1\n", name)
	g.put(dir+"/README.md", "about "+name+"\n")
	g.put(dir+"/tests/default/goss.yaml", suiteOf)
	g.setVerify(dir+"/tests/default/goss.yaml", name)
	g.put(dir+"/tests/default/app.bats", "@test up { true; }\n")
	g.setVerify(dir+"/tests/default/app.bats", name)
}

func (g *grown) setVerify(path string, role string) {
	f := g.files[path]
	f.verify = []string{role}
	g.files[path] = f
}

// addShared makes a shared Ansible role, which two image roles and perhaps a later shared one use.
func (g *grown) addShared(name string, i int) {
	for range 2 {
		if r := g.pick(g.ansible()); !slices.Contains(g.usesBy[name], r) {
			g.usesBy[name] = append(g.usesBy[name], r)
		}
	}
	if i > 0 && g.rng.IntN(2) == 0 {
		g.usesBy[name] = append(g.usesBy[name], fmt.Sprintf("lib-%d", g.rng.IntN(i)))
	}
	dir := "roles/" + name
	g.put(dir+"/tasks/main.yml", "- name: Copy\n  ansible.builtin.copy: {src: lib.dat, dest: /opt/lib}\n", name)
	g.put(dir+"/files/lib.dat", "lib\n", name)
	g.put(dir+"/templates/part.j2", "{% include 'lib-common.j2' %}\n", name)
	g.put(dir+"/templates/lib-common.j2", "common\n", name)
	g.put(dir+"/README.md", "about "+name+"\n")
}

// writeTasks writes what a role refers to: its own files, shared roles, files beside the playbook, links.
func (g *grown) writeTasks(name string) {
	dir := "roles/" + name
	tasks := "- name: Site\n  ansible.builtin.template: {src: site.conf.j2, dest: /etc/site.conf}\n" +
		"- name: Data\n  ansible.builtin.copy: {src: data, dest: /etc/data}\n" +
		"- name: Keys\n  ansible.builtin.copy: {src: '{{ item }}', dest: /etc/keys/}\n  with_fileglob: ['keys/*.pub']\n"
	meta := []string{}
	for _, lib := range slices.Sorted(maps.Keys(g.usesBy)) {
		switch {
		case !slices.Contains(g.usesBy[lib], name):
		case g.rng.IntN(2) == 0:
			meta = append(meta, lib)
		default:
			tasks += "- ansible.builtin.include_role: {name: " + lib + "}\n"
		}
	}
	switch g.rng.IntN(10) {
	case 0:
		g.put("shared/"+name+".dat", "beside\n", name)
		tasks += "- ansible.builtin.copy: {src: '{{ playbook_dir }}/shared/" + name + ".dat', dest: /x}\n"
	case 1:
		g.put("shared/"+name+".yml", "beside: 1\n", name)
		tasks += "- ansible.builtin.include_vars: {file: '{{ playbook_dir }}/shared/" + name + ".yml'}\n"
	case 2:
		g.put("linked/"+name, "linked\n", name)
		g.files[dir+"/files/link"] = grownFile{mode: "120000", content: "../../../linked/" + name, recipe: []string{name}}
		tasks += "- ansible.builtin.copy: {src: link, dest: /y}\n"
	case 3:
		g.put(dir+"/files/cert.pem", "pem\n", name)
		tasks += "- ansible.builtin.copy: {content: \"{{ lookup('file', 'cert.pem') }}\", dest: /z}\n"
	case 4, 5, 6, 7, 8:
		tasks += g.writeFar(name, g.next()%8)
	case 9:
		g.link(dir+"/meta/main.yml", "linked/"+name+"/meta/main.yml", name)
	}
	g.put(dir+"/tasks/main.yml", tasks, name)
	metaFile := dir + "/meta/main.yml"
	if g.files[metaFile].mode == "120000" {
		metaFile = "linked/" + name + "/meta/main.yml"
	}
	g.put(metaFile, "dependencies: ["+strings.Join(meta, ", ")+"]\n", name)
	if name == "role-03" {
		g.files[dir+"/files/vendor"] = grownFile{mode: "160000", content: strings.Repeat("1", 40), recipe: []string{name}}
	}
}

// link puts a symlink to a path of the fleet.
func (g *grown) link(path, target string, recipe ...string) {
	g.files[path] = grownFile{mode: "120000", content: strings.Repeat("../", strings.Count(path, "/")) + target, recipe: recipe}
}

// writeFar writes what is hard to find: task files, variables and templates behind symlinks and under names that nothing but
// a task gives away, each of which gets at a file beside the playbook. It gives the tasks that use it.
func (g *grown) writeFar(name string, shape int) string {
	dir, far := "roles/"+name, "shared/far-"+name
	g.put(far, "far\n", name)
	use := "- ansible.builtin.copy: {src: '{{ item }}', dest: /far}\n  with_first_found: [{files: ['../../../" + far + "'], skip: true}]\n"
	template := "{% include '" + far + "' ignore missing %}\n"
	switch shape {
	case 0:
		g.link(dir+"/tasks/linked.yml", "linked/"+name+"-tasks.yml", name)
		g.put("linked/"+name+"-tasks.yml", use, name)
		return "- ansible.builtin.include_tasks: linked.yml\n"
	case 1:
		g.link(dir+"/tasks/common", "linked/"+name+"-dir", name)
		g.put("linked/"+name+"-dir/step.yml", use, name)
		return "- ansible.builtin.include_tasks: common/step.yml\n"
	case 2:
		g.put(dir+"/tasks/more.json", `[{"copy": {"src": "{{ item }}", "dest": "/far"}, "with_first_found": [{"files": ["../../../`+far+`"], "skip": true}]}]`, name)
		return "- ansible.builtin.include_tasks: more.json\n"
	case 3:
		g.put(dir+"/files/steps.inc", use, name)
		return "- ansible.builtin.include_tasks: ../files/steps.inc\n"
	case 4:
		g.put(dir+"/.steps/Debian.txt", use, name)
		return "- ansible.builtin.include_tasks: '../.steps/{{ ansible_os_family }}.txt'\n"
	case 5:
		g.put(dir+"/files/far.conf", template, name)
		return "- ansible.builtin.template:\n    src: ../files/far.conf\n    dest: /far\n"
	case 6:
		g.link(dir+"/templates/far.j2", "linked/"+name+".j2", name)
		g.put("linked/"+name+".j2", template, name)
		return "- ansible.builtin.template:\n    src: far.j2\n    dest: /far\n"
	}
	g.put(dir+"/vars/main.json", `{"far": "{{ lookup('file', '`+far+`', errors='ignore') }}"}`, name)
	return "- ansible.builtin.copy: {content: '{{ far }}', dest: /far}\n"
}

// libsOf are the shared roles that a shared role depends on.
func (g *grown) libsOf(user string) []string {
	var out []string
	for _, lib := range slices.Sorted(maps.Keys(g.usesBy)) {
		if slices.Contains(g.usesBy[lib], user) {
			out = append(out, lib)
		}
	}
	return out
}

// truth is what a change of a path affects: the image roles whose recipe, and whose tests, it is part of.
func (g *grown) truth(path string) (recipe, verify []string) {
	for _, r := range g.files[path].recipe {
		if strings.HasPrefix(r, "lib-") {
			recipe = append(recipe, g.users(r)...)
		} else {
			recipe = append(recipe, r)
		}
	}
	return recipe, g.files[path].verify
}
