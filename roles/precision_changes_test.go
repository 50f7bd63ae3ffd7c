package roles

import (
	"fmt"
	"slices"
	"strings"
)

// grownChange is one change, and what it truly affects.
type grownChange struct {
	what           string
	recipe, verify []string
}

// paths are those for which keep says so, sorted.
func (g *grown) paths(keep func(p string, f grownFile) bool) []string {
	var out []string
	for p, f := range g.files {
		if keep(p, f) {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// change makes one change of a kind.
func (g *grown) change(kind int) grownChange {
	kinds := []func() grownChange{
		g.edit, g.edit, g.edit, g.edit, g.comment, g.chmod, g.rename, g.remove, g.addUnused, g.addVariables, g.retarget, g.definition,
		g.oneVariable, g.refresh, g.dependency, g.newRole, g.docs, g.plugin, g.moveBase, g.bump, g.editFar, g.editFar, g.editFar,
	}
	return kinds[kind%len(kinds)]()
}

// editable is what can be changed by a line more without a change of its references.
func editable(p string, f grownFile) bool {
	return f.mode == "100644" && !strings.HasSuffix(p, ".yaml") && p != "imgops.lock" && !strings.HasPrefix(p, "group_vars/") && !strings.HasSuffix(p, ".gitignore")
}

func (g *grown) edit() grownChange { return g.editOneOf(g.paths(editable)) }

// editFar changes what a role gets at by a symlink, from a file with an unusual name, or by requirements.yml.
func (g *grown) editFar() grownChange {
	return g.editOneOf(g.paths(func(p string, f grownFile) bool {
		far := strings.HasPrefix(p, "linked/") || strings.HasPrefix(p, "vendored/") || strings.HasPrefix(p, "shared/far-")
		return far && len(f.recipe) > 0 && editable(p, f)
	}))
}

func (g *grown) editOneOf(paths []string) grownChange {
	p := g.pick(paths)
	f := g.files[p]
	line := fmt.Sprintf("line %d\n", g.next())
	switch {
	case strings.HasSuffix(p, ".json"):
		line = "\n"
	case strings.HasPrefix(f.content, "- "):
		line = fmt.Sprintf("- ansible.builtin.debug: {msg: hello %d}\n", g.next())
	case strings.HasSuffix(p, "tasks/main.yml"):
		line = fmt.Sprintf("- ansible.builtin.debug: {msg: hello %d}\n", g.next())
	case strings.HasSuffix(p, "meta/main.yml"):
		line = fmt.Sprintf("allow_duplicates: true # %d\n", g.next())
		f.content = strings.SplitAfter(f.content, "\n")[0]
	case strings.HasSuffix(p, ".yml"):
		line = fmt.Sprintf("key_%d: 1\n", g.next())
	case strings.HasSuffix(p, ".sh") || strings.HasSuffix(p, ".bats"):
		line = fmt.Sprintf("true %d\n", g.next())
	}
	f.content += line
	g.files[p] = f
	recipe, verify := g.truth(p)
	return grownChange{"edit " + p, recipe, verify}
}

func (g *grown) comment() grownChange {
	p := g.pick(g.paths(func(p string, f grownFile) bool {
		return strings.HasSuffix(p, "tasks/main.yml") || strings.HasSuffix(p, "image.yaml")
	}))
	f := g.files[p]
	f.content = fmt.Sprintf("# why: %d\n", g.next()) + f.content
	g.files[p] = f
	return grownChange{what: "comment in " + p}
}

func (g *grown) chmod() grownChange {
	p := g.pick(g.paths(func(p string, f grownFile) bool {
		return f.mode == "100644" && strings.Contains(p, "/files/") && len(f.recipe) > 0
	}))
	f := g.files[p]
	f.mode = "100755"
	g.files[p] = f
	recipe, _ := g.truth(p)
	return grownChange{"chmod " + p, recipe, nil}
}

// rename moves a template, and the reference to it.
func (g *grown) rename() grownChange {
	p := g.pick(g.paths(func(p string, f grownFile) bool { return strings.Contains(p, "/templates/site") }))
	role := strings.Split(p, "/")[1]
	name := fmt.Sprintf("site-%d.conf.j2", g.next())
	f := g.files[p]
	delete(g.files, p)
	old := p[strings.LastIndex(p, "/")+1:]
	g.files["roles/"+role+"/templates/"+name] = f
	tasks := g.files["roles/"+role+"/tasks/main.yml"]
	tasks.content = strings.Replace(tasks.content, "src: "+old, "src: "+name, 1)
	g.files["roles/"+role+"/tasks/main.yml"] = tasks
	return grownChange{what: "rename " + p, recipe: []string{role}}
}

func (g *grown) remove() grownChange {
	unused := g.paths(func(p string, f grownFile) bool { return strings.Contains(p, "/files/unused") })
	if len(unused) == 0 {
		return g.addUnused()
	}
	p := g.pick(unused)
	delete(g.files, p)
	return grownChange{what: "remove " + p}
}

func (g *grown) addUnused() grownChange {
	p := fmt.Sprintf("roles/%s/files/unused-%d", g.pick(g.ansible()), g.next())
	g.put(p, "nobody copies this\n")
	return grownChange{what: "add " + p}
}

func (g *grown) addVariables() grownChange {
	p := fmt.Sprintf("group_vars/all/more-%d.yml", g.next())
	if g.rng.IntN(2) == 0 {
		p = fmt.Sprintf("inventory/group_vars/more-%d.yml", g.next()) // imgops gives Ansible no inventory of the fleet
		g.put(p, "a: 1\n")
		return grownChange{what: "add " + p}
	}
	f := g.files["group_vars/all.yml"]
	delete(g.files, "group_vars/all.yml")
	if f.content != "" {
		g.files["group_vars/all/main.yml"] = f
	}
	g.put(p, fmt.Sprintf("more_%d: 1\n", g.serial), g.ansible()...)
	return grownChange{what: "add " + p, recipe: g.ansible()}
}

func (g *grown) retarget() grownChange {
	p := g.pick(g.paths(func(p string, f grownFile) bool { return f.mode == "120000" && strings.HasSuffix(p, "/files/link") }))
	f := g.files[p]
	name := fmt.Sprintf("linked/new-%d", g.next())
	g.put(name, "linked elsewhere\n", f.recipe...)
	old := g.files[p].content
	f.content = "../../../" + name
	g.files[p] = f
	left := g.files[strings.TrimPrefix(old, "../../../")]
	left.recipe = nil // nobody uses it any more
	g.files[strings.TrimPrefix(old, "../../../")] = left
	return grownChange{what: "retarget " + p, recipe: f.recipe}
}

// definition changes image.yaml: what counts, or what does not.
func (g *grown) definition() grownChange {
	role := g.pick(g.ansible())
	p := "roles/" + role + "/image.yaml"
	f := g.files[p]
	if g.rng.IntN(2) == 0 {
		f.content = strings.Replace(f.content, "vars: {", fmt.Sprintf("vars: {x%d: 1, ", g.next()), 1)
		g.files[p] = f
		return grownChange{what: "variable in " + p, recipe: []string{role}}
	}
	if strings.Contains(f.content, "targets:") {
		f.content = strings.Replace(f.content, "targets: [staging]\n", "", 1)
	} else {
		f.content += "targets: [staging]\n"
	}
	g.files[p] = f
	return grownChange{what: "targets in " + p}
}

// oneVariable changes a variable in group_vars that the template of one role uses.
func (g *grown) oneVariable() grownChange {
	role := g.pick(g.ansible())
	p := g.pick(g.paths(func(p string, f grownFile) bool {
		return strings.HasPrefix(p, "group_vars/") && strings.Contains(f.content, "v_base")
	}))
	f := g.files[p]
	name := "v_" + strings.ReplaceAll(role, "-", "_") + ": "
	if !strings.Contains(f.content, name) { // a role that came later
		return g.docs()
	}
	f.content = strings.Replace(f.content, name, fmt.Sprintf("%s%d", name, g.next()), 1)
	g.files[p] = f
	return grownChange{what: name + "in " + p, recipe: []string{role}}
}

func (g *grown) refresh() grownChange {
	role := g.pick(g.roles)
	g.put("imgops.lock", fmt.Sprintf("version: 1\nrefresh: {%s: 2026-01-02T03:%02d:05Z}\n", role, g.next()%60))
	affected := []string{role}
	if g.stamp != "" {
		affected = append(affected, g.stamp) // it loses its stamp
	}
	g.stamp = role
	return grownChange{what: "refresh " + role, recipe: affected}
}

// dependency gives an image role one more shared role.
func (g *grown) dependency() grownChange {
	role, lib := g.pick(g.ansible()), fmt.Sprintf("lib-%d", g.rng.IntN(8))
	p := "roles/" + role + "/tasks/main.yml"
	f := g.files[p]
	f.content += "- ansible.builtin.import_role: {name: " + lib + "}\n"
	g.files[p] = f
	g.usesBy[lib] = append(g.usesBy[lib], role)
	return grownChange{what: role + " uses " + lib, recipe: []string{role}}
}

func (g *grown) newRole() grownChange {
	name := fmt.Sprintf("new-%d", g.next())
	g.addRole(name, g.pick(g.ansible()))
	g.writeTasks(name)
	return grownChange{what: "new role " + name, recipe: []string{name}, verify: []string{name}}
}

func (g *grown) docs() grownChange {
	p := g.pick(g.paths(func(p string, f grownFile) bool { return strings.HasSuffix(p, ".md") }))
	f := g.files[p]
	f.content += fmt.Sprintf("more %d\n", g.next())
	g.files[p] = f
	return grownChange{what: "docs " + p}
}

func (g *grown) plugin() grownChange {
	p := fmt.Sprintf("filter_plugins/f%d.py", g.next())
	g.put(p, "pass\n", g.ansible()...)
	return grownChange{what: "add " + p, recipe: g.ansible()}
}

// moveBase gives a role another parent, or another external image.
func (g *grown) moveBase() grownChange {
	role := g.pick([]string{"base", "slim", "role-00", "role-05"})
	p := "roles/" + role + "/image.yaml"
	f := g.files[p]
	_, rest, _ := strings.Cut(f.content, "provision:")
	f.content = fmt.Sprintf("base: {image: ami-%017d}\nprovision:%s", g.next(), rest)
	g.files[p] = f
	g.parent[role] = ""
	return grownChange{what: "base of " + role, recipe: []string{role}}
}

func (g *grown) bump() grownChange {
	const p = "roles/role-03/files/vendor"
	f := g.files[p]
	f.content = fmt.Sprintf("%040d", g.next())
	g.files[p] = f
	return grownChange{what: "submodule " + p, recipe: f.recipe}
}
