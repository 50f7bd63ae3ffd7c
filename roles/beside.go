package roles

import (
	"bufio"
	"bytes"
	"path"
	"slices"
	"strings"
)

// besidePlaybook are the names that Ansible looks up in the directory of a playbook; all of each counts.
var besidePlaybook = []string{
	"files", "templates", "vars", "tasks", "handlers", "group_vars", "host_vars", "collections", "library", "module_utils",
	"plugins", "action_plugins", "become_plugins", "cache_plugins", "callback_plugins", "cliconf_plugins", "connection_plugins",
	"doc_fragments", "filter_plugins", "httpapi_plugins", "inventory_plugins", "lookup_plugins", "modules", "netconf_plugins",
	"shell_plugins", "strategy_plugins", "terminal_plugins", "test_plugins", "vars_plugins",
}

// atRoot are further names that count for every role that Ansible provisions.
var atRoot = []string{"ansible.cfg", "requirements.yml", "requirements.yaml", "roles/requirements.yml", "roles/requirements.yaml"}

// ansible takes in what Ansible always looks up for a playbook in dir. It is the same for every role, so it is looked
// up once.
func (c *reacher) ansible(dir string) {
	common, err := c.v.beside(dir)
	if err != nil {
		c.err = err
		return
	}
	c.everything(common.all, "%s", common.why)
	c.problems = append(c.problems, common.problems...)
	if !slices.Contains(c.common, common) {
		c.common = append(c.common, common)
	}
}

func (v *view) beside(dir string) (*reacher, error) {
	v.besideMu.Lock()
	defer v.besideMu.Unlock()
	if c, ok := v.besides[dir]; ok {
		return c, nil
	}
	c := newReacher(v)
	for _, name := range atRoot {
		c.count(name)
	}
	for _, name := range besidePlaybook {
		c.count(name)
		c.count(path.Join(dir, name))
	}
	for _, name := range besidePlaybook {
		for _, p := range []string{name, path.Join(dir, name)} {
			if e, ok := c.found[p]; ok && c.err == nil {
				c.besideFiles(dir, name, p, e)
			}
		}
	}
	for _, name := range atRoot[1:] {
		c.requirements(name, 0)
	}
	c.requirements("collections/requirements.yml", 0)
	c.requirements("collections/requirements.yaml", 0)
	c.config("ansible.cfg")
	c.config(path.Join(dir, "ansible.cfg"))
	v.besides[dir] = c
	return c, c.err
}

// besideFiles looks into variables, tasks and templates beside a playbook. Any role may use them, so that a file which they
// name counts only where every role finds it: there too.
func (c *reacher) besideFiles(dir, name, p string, e entry) {
	if !slices.Contains(lookedInto, name) || c.visited[p] || c.all {
		return
	}
	c.visited[p] = true
	facts := &ansibleFacts{}
	c.err = c.linked(facts, name, p, p, e, func(at, real string, e entry) error {
		k := besideKind(name, at)
		if k == asData {
			return nil
		}
		data, err := c.v.scanned(real, e.id)
		if err != nil {
			return err
		}
		s := &scanner{facts: facts, from: path.Dir(at), vars: k == asVars}
		if at != real {
			s.also = path.Dir(real)
		}
		if k == asTemplate {
			s.template(data)
			return nil
		}
		if hasYAMLName(at) || path.Ext(at) == "" {
			s.name = real
		}
		s.scan(data, c.v.tops())
		return nil
	})
	c.everything(len(facts.books) > 0, "%s imports a playbook", p)
	facts.books = nil
	if c.err == nil {
		c.follow(dir, "", facts)
	}
}

// lookedInto are those of besidePlaybook whose files name others.
var lookedInto = []string{"group_vars", "host_vars", "vars", "tasks", "handlers", "templates"}

// besideKind is what a file in one of lookedInto is read as, unless something names it.
func besideKind(name, p string) usage {
	switch {
	case name == "templates" && looksText(p):
		return asTemplate
	case name == "templates" || strings.HasPrefix(path.Base(p), ".") || !structured(p):
		return asData
	case strings.HasSuffix(name, "vars"):
		return asVars
	}
	return asTasks
}

// config looks into ansible.cfg: settings that move the search paths make what is reached unknown.
func (c *reacher) config(file string) {
	data, ok := c.content(file)
	if !ok {
		return
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), "=")
		if key = strings.TrimSpace(key); !ok || strings.HasPrefix(key, "#") || strings.HasPrefix(key, ";") {
			continue
		}
		value = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(value), "./"), "/")
		switch {
		case key == "roles_path" && value == "roles", (key == "collections_path" || key == "collections_paths") && value == "collections":
		case strings.HasSuffix(key, "_path"), strings.HasSuffix(key, "_paths"), strings.HasSuffix(key, "_plugins"), strings.HasSuffix(key, "_file"),
			key == "library", key == "module_utils", key == "inventory", key == "playbook_dir":
			c.everything(true, "%s sets %s", file, key)
		}
	}
}

// content counts a file and reads it, through symlinks; false where there is none.
func (c *reacher) content(file string) ([]byte, bool) {
	if !c.count(file) || c.err != nil {
		return nil, false
	}
	real, e, to, err := c.v.resolve(file)
	if err != nil || to != toEntry || !e.isFile() {
		c.err = err
		return nil, false
	}
	data, err := c.v.files.read(real, e.id)
	c.err = err
	return data, err == nil
}
