package roles

import (
	"fmt"
	"path"

	"go.yaml.in/yaml/v3"
)

var envForm = lazy(`^[A-Za-z_][A-Za-z0-9_]*$`)

// step reads one step of `provision`: a mapping with exactly one provisioner.
func (p *imageParser) step(n *yaml.Node) {
	var step Provisioner
	p.mapping(n, "provision step", fields{
		"ansible": func(n *yaml.Node) { step.Ansible = p.ansible(n) },
		"shell":   func(n *yaml.Node) { step.Shell = p.shell(n) },
		"puppet":  func(n *yaml.Node) { step.Puppet = p.puppet(n) },
	})
	if resolved := resolveAlias(n); resolved.Kind == yaml.MappingNode && len(resolved.Content) != 2 {
		p.add(at(n), fmt.Sprintf("a provision step has one of ansible, shell and puppet, not %d fields", len(resolved.Content)/2),
			"write each provisioner as its own `- ` item")
	}
	if step != (Provisioner{}) {
		p.def.role.Provision = append(p.def.role.Provision, step)
	}
}

func (p *imageParser) ansible(n *yaml.Node) *Ansible {
	var a Ansible
	p.mapping(n, "ansible", fields{
		"playbook": func(n *yaml.Node) {
			if v, ok := p.filePath(n, "playbook"); ok {
				a.Playbook = v
				p.refer("playbook", v, at(n))
			}
		},
		"role": func(n *yaml.Node) {
			if v, ok := p.text(n, "ansible role"); ok {
				a.Role = v
				p.refer("ansible role", v, at(n))
			}
		},
		"vars": func(n *yaml.Node) { a.Vars = p.variables(n, "vars") },
	})
	if resolved := resolveAlias(n); resolved.Kind == yaml.MappingNode {
		p.oneOf(at(n), keys(resolved), "ansible", "playbook", "role")
	}
	return &a
}

func (p *imageParser) oneOf(where place, given []string, what, a, b string) {
	count := 0
	for _, k := range given {
		if k == a || k == b {
			count++
		}
	}
	if count != 1 {
		p.add(where, fmt.Sprintf("%s needs one of %s and %s", what, a, b), fmt.Sprintf("write {%s: ...} or {%s: ...}", a, b))
	}
}

func (p *imageParser) shell(n *yaml.Node) *Shell {
	var s Shell
	p.mapping(n, "shell", fields{
		"script": func(n *yaml.Node) { s.Script = p.roleFile(n, "script") },
		"env":    func(n *yaml.Node) { s.Env = p.environment(n) },
	}, "script")
	return &s
}

func (p *imageParser) puppet(n *yaml.Node) *Puppet {
	var m Puppet
	p.mapping(n, "puppet", fields{
		"manifest": func(n *yaml.Node) { m.Manifest = p.roleFile(n, "manifest") },
	}, "manifest")
	return &m
}

// roleFile reads a path relative to the role's directory.
func (p *imageParser) roleFile(n *yaml.Node, what string) string {
	v, ok := p.filePath(n, what)
	if ok {
		p.refer(what, path.Join(path.Dir(p.file), v), at(n))
	}
	return v
}

// environment reads variables of a script: text, or numbers and booleans taken as they are written.
func (p *imageParser) environment(n *yaml.Node) map[string]string {
	resolved := resolveAlias(n)
	if resolved.Kind != yaml.MappingNode {
		p.add(at(n), "env must be a mapping, not "+kind(n), "write {NAME: value}")
		return nil
	}
	env := map[string]string{}
	for i := 0; i+1 < len(resolved.Content); i += 2 {
		key, value := resolveAlias(resolved.Content[i]), resolveAlias(resolved.Content[i+1])
		_, twice := env[key.Value]
		switch {
		case !envForm().MatchString(key.Value):
			p.add(at(resolved.Content[i]), fmt.Sprintf("env name %q is not a variable name", key.Value), "use letters, digits and `_`")
		case twice:
			p.add(at(resolved.Content[i]), fmt.Sprintf("env has %q twice", key.Value), "delete one of the two")
		case value.Kind != yaml.ScalarNode:
			p.add(at(resolved.Content[i+1]), fmt.Sprintf("env %s must be text, not %s", key.Value, kind(value)), "write one quoted string")
		default:
			env[key.Value] = value.Value
		}
	}
	return env
}
