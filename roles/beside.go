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
	c.all, c.problems = c.all || common.all, append(c.problems, common.problems...)
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
			if c.err == nil && c.found[p].sub != nil {
				c.besideFiles(dir, name, p)
			}
		}
	}
	c.config("ansible.cfg")
	c.config(path.Join(dir, "ansible.cfg"))
	v.besides[dir] = c
	return c, c.err
}

// besideFiles scans variables, tasks and templates beside a playbook. Any role may use them, so that a file which they
// name counts only where every role finds it: there too.
func (c *reacher) besideFiles(dir, name, p string) {
	if !slices.Contains([]string{"group_vars", "host_vars", "vars", "tasks", "handlers", "templates"}, name) || c.visited[p] {
		return
	}
	c.visited[p] = true
	facts := &ansibleFacts{}
	c.err = c.found[p].sub.walk(p, func(file string, e entry) error {
		if !e.isFile() || !looksText(file) || strings.HasPrefix(path.Base(file), ".") {
			return nil
		}
		data, err := c.v.files.read(file, e.id)
		if err != nil {
			return err
		}
		s := &scanner{facts: facts, from: path.Dir(file), vars: strings.HasSuffix(name, "vars"), name: file}
		ext := path.Ext(file)
		switch {
		case name == "templates":
			s.template(data)
		case ext == ".yml" || ext == ".yaml" || ext == "" && s.vars: // group_vars/all is one, too
			s.scan(data, c.v.tops())
		}
		return nil
	})
	c.all = c.all || len(facts.books) > 0
	facts.books = nil
	if c.err == nil {
		c.follow(dir, "", facts)
	}
}

// config looks into ansible.cfg: settings that move the search paths make what is reached unknown.
func (c *reacher) config(file string) {
	if !c.count(file) || c.found[file].sub != nil {
		return
	}
	data, err := c.v.files.read(file, c.found[file].id)
	if err != nil {
		c.err = err
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
			c.all = true
		}
	}
}
