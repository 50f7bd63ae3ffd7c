package builder

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// What imgops adds to the materialized fleet. The inventory and the playbook lie at its root, for beside them Ansible
// looks for group_vars, library and the like.
const (
	inventoryFile     = ".imgops-inventory.yml"
	generatedPlaybook = ".imgops-playbook.yml"
	emptyConfig       = ".imgops-ansible.cfg"
)

// prepare writes the files that cmd names. JSON is YAML to Ansible.
func (p *playbook) prepare() error {
	if err := os.MkdirAll(p.work, 0o700); err != nil {
		return err
	}
	vars := p.ansible.Vars
	if vars == nil {
		vars = map[string]any{}
	}
	if err := writeJSON(p.varsFile(), vars); err != nil {
		return err
	}
	if err := writeJSON(p.connectionFile(), p.connectionVars()); err != nil {
		return err
	}
	if err := p.writeSSH(); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(p.fleet, inventoryFile), p.inventory()); err != nil {
		return err
	}
	if p.config().file == emptyConfig { // with none, Ansible would read the user's
		if err := os.WriteFile(filepath.Join(p.fleet, emptyConfig), nil, 0o600); err != nil {
			return err
		}
	}
	if p.ansible.Playbook != "" {
		return nil
	}
	play := map[string]any{"name": "Role " + p.ansible.Role, "hosts": "all", "become": true, "roles": []string{p.ansible.Role}}
	return writeJSON(filepath.Join(p.fleet, generatedPlaybook), []any{play})
}

// inventory has the one machine, in the groups all and the image role's name. The connection's full name is what no plugin
// of the fleet has; as a host's variable it beats `connection:` in a play, and the fleet's group_vars.
func (p *playbook) inventory() map[string]any {
	type group = map[string]any
	host := group{
		"ansible_host": p.address, "ansible_user": p.user, "ansible_ssh_private_key_file": p.keyFile,
		"ansible_connection": "ansible.builtin.ssh",
	}
	all := group{"hosts": group{"machine": host}}
	if p.role != "all" {
		all["children"] = group{p.role: group{"hosts": group{"machine": group{}}}}
	}
	return group{"all": all}
}

func (p *playbook) varsFile() string { return filepath.Join(p.work, "vars.json") }

// requirements lists the fleet's requirements files, where ansible-galaxy's users put them.
func (p *playbook) requirements() []string { return requirements(p.fleet) }

func requirements(fleet string) []string {
	var found []string
	for _, dir := range []string{".", "roles", "collections"} {
		for _, name := range []string{"requirements.yml", "requirements.yaml"} {
			file := filepath.Join(dir, name)
			if info, err := os.Stat(filepath.Join(fleet, file)); err == nil && info.Mode().IsRegular() {
				found = append(found, file)
			}
		}
	}
	return found
}

// ansibleConfig is what the environment must not hide of the fleet's ansible.cfg.
type ansibleConfig struct {
	file               string // relative to the fleet; emptyConfig when it has none
	roles, collections []string
}

func (p *playbook) config() ansibleConfig {
	text, err := os.ReadFile(filepath.Join(p.fleet, "ansible.cfg"))
	if err != nil {
		return ansibleConfig{file: emptyConfig}
	}
	c := ansibleConfig{file: "ansible.cfg"}
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section != "[defaults]" {
			continue
		}
		switch strings.TrimSpace(key) {
		case "roles_path":
			c.roles = p.below(value)
		case "collections_path", "collections_paths":
			c.collections = p.below(value)
		}
	}
	return c
}

// below resolves the directories of a search path against the place of ansible.cfg, as Ansible does.
func (p *playbook) below(value string) []string {
	var dirs []string
	for _, dir := range filepath.SplitList(strings.TrimSpace(value)) {
		if dir == "" || strings.HasPrefix(dir, "~") {
			continue // the user's home is not part of the recipe
		}
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(p.fleet, dir)
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}
