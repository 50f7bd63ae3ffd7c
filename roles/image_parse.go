package roles

import (
	"fmt"
	"path"
	"slices"

	"go.yaml.in/yaml/v3"
)

// reference is something that image.yaml names and another file must hold.
type reference struct {
	what string // "base.role", "playbook", "ansible role", "script", "manifest", "suite", "target"
	name string
	at   place
}

// definition is a parsed image.yaml. It depends on the file's content only and is shared between loads: what another
// file decides (the parent, defaults that follow the parent) is filled in on a copy of role.
type definition struct {
	source     *source
	role       Role
	references []reference
	ignore     []string // patterns of files that do not count, relative to the role's directory
	disk       place
	arch       place
	hasVerify  bool
	verify     place // of the value of `verify`; the file's start without one
}

// imageParser reads an image.yaml.
type imageParser struct {
	*source
	def *definition
}

// parseDefinition reads roles/<name>/image.yaml.
func parseDefinition(name, file string, data []byte) *definition {
	p := &imageParser{source: &source{file: file, data: data}}
	p.def = &definition{source: p.source, role: Role{Name: name, File: file}, verify: place{1, 1}}
	root := p.parse(definitionFile)
	if root == nil {
		return p.def
	}
	p.mapping(root, definitionFile, fields{
		"base":      p.base,
		"provision": func(n *yaml.Node) { p.list(n, "provision", p.step) },
		"build":     p.build,
		"verify":    p.verify,
		"targets":   p.targets,
		"ignore":    p.ignored,
	}, "base")
	return p.def
}

func (p *imageParser) refer(what, name string, at place) {
	p.def.references = append(p.def.references, reference{what, name, at})
}

func (p *imageParser) base(n *yaml.Node) {
	b := &p.def.role.Base
	p.mapping(n, "base", fields{
		"role": func(n *yaml.Node) {
			if v, ok := p.text(n, "base.role"); ok {
				b.Role = v
				p.refer("base.role", v, at(n))
			}
		},
		"owner": func(n *yaml.Node) { b.Owner = p.owner(n) },
		"name":  func(n *yaml.Node) { b.Name, _ = p.text(n, "base.name") },
		"image": func(n *yaml.Node) {
			b.Image, _ = p.form(n, "base.image", imageForm(), "an image id", "write an id such as ami-0123456789abcdef0")
		},
		"architecture": func(n *yaml.Node) {
			b.Architecture, _ = p.word(n, "architecture", "x86_64", "arm64")
			p.def.arch = at(n)
		},
	})
	if resolved := resolveAlias(n); resolved.Kind == yaml.MappingNode {
		p.baseForm(at(n), keys(resolved))
	}
}

// baseForm checks that exactly one way to name a base is used.
func (p *imageParser) baseForm(where place, given []string) {
	has := func(k string) bool { return slices.Contains(given, k) }
	forms := 0
	for _, form := range []bool{has("role"), has("owner") || has("name"), has("image")} {
		if form {
			forms++
		}
	}
	const choice = "write {role: NAME}, {owner: ACCOUNT, name: PATTERN} or {image: ami-...}"
	switch {
	case forms == 0:
		p.add(where, "base names nothing to start from", choice)
	case forms > 1:
		p.add(where, "base names more than one thing to start from", "keep one: "+choice)
	case has("owner") != has("name"):
		p.add(where, "base needs both owner and name", "write {owner: ACCOUNT, name: PATTERN}")
	case has("role") && has("architecture"):
		p.add(p.def.arch, "architecture comes from the parent role", "delete it here")
	}
}

func keys(n *yaml.Node) []string {
	out := make([]string, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		out = append(out, resolveAlias(n.Content[i]).Value)
	}
	return out
}

// owner is an account id or one of EC2's aliases.
func (p *imageParser) owner(n *yaml.Node) string {
	if resolved := resolveAlias(n); resolved.Kind == yaml.ScalarNode && slices.Contains([]string{"amazon", "aws-marketplace", "self"}, resolved.Value) {
		return resolved.Value
	}
	v, _ := p.account(n, "base.owner")
	return v
}

func (p *imageParser) build(n *yaml.Node) {
	b := &p.def.role.Build
	p.mapping(n, "build", fields{
		"instance_type": func(n *yaml.Node) { b.InstanceTypes = p.instanceTypes(n) },
		"disk":          func(n *yaml.Node) { b.DiskGiB, _ = p.disk(n, "disk"); p.def.disk = at(n) },
		"ssh_user": func(n *yaml.Node) {
			b.SSHUser, _ = p.form(n, "ssh_user", userForm(), "a user name", "write the login of the base image: admin, ubuntu, ec2-user, ...")
		},
		"timeout": func(n *yaml.Node) { b.Timeout, _ = p.duration(n, "timeout") },
	})
}

func (p *imageParser) instanceType(n *yaml.Node) (string, bool) {
	return p.form(n, "instance_type", typeForm(), "an instance type", "write one such as t3.small")
}

// instanceTypes reads one type or a list of them.
func (p *imageParser) instanceTypes(n *yaml.Node) []string {
	var types []string
	read := func(n *yaml.Node) {
		v, ok := p.instanceType(n)
		switch {
		case ok && slices.Contains(types, v):
			p.add(at(n), fmt.Sprintf("instance_type %s is there twice", v), "delete one of the two")
		case ok:
			types = append(types, v)
		}
	}
	if resolveAlias(n).Kind != yaml.SequenceNode {
		read(n)
		return types
	}
	p.list(n, "instance_type", read)
	if len(types) == 0 && len(resolveAlias(n).Content) == 0 {
		p.add(at(n), "instance_type is empty", "name at least one type, or delete the line")
	}
	return types
}

func (p *imageParser) verify(n *yaml.Node) {
	p.def.hasVerify, p.def.verify = true, at(n)
	seen := map[string]place{}
	p.list(n, "verify", func(n *yaml.Node) {
		var s Suite
		p.mapping(n, "suite", fields{
			"suite": func(n *yaml.Node) {
				v, ok := p.name(n, "suite", maxRoleName)
				if first, twice := seen[v]; ok && twice {
					p.add(at(n), fmt.Sprintf("suite %q is there twice", v), fmt.Sprintf("delete this one or the one in line %d", first.line))
					return
				}
				if seen[v] = at(n); ok {
					s.Name, s.Dir = v, path.Join(path.Dir(p.file), "tests", v)
					p.refer("suite", s.Dir, at(n))
				}
			},
			"boot":    func(n *yaml.Node) { p.boot(n, &s) },
			"timeout": func(n *yaml.Node) { s.Timeout, _ = p.duration(n, "timeout") },
		}, "suite")
		if s.Name != "" {
			p.def.role.Verify = append(p.def.role.Verify, s)
		}
	})
}

func (p *imageParser) boot(n *yaml.Node, s *Suite) {
	p.mapping(n, "boot", fields{
		"instance_type": func(n *yaml.Node) { s.InstanceType, _ = p.instanceType(n) },
		"wait":          func(n *yaml.Node) { s.Wait, _ = p.word(n, "wait", "cloud-init", "systemd", "ssh") },
	})
}

func (p *imageParser) targets(n *yaml.Node) {
	seen := map[string]bool{}
	p.list(n, "targets", func(n *yaml.Node) {
		v, ok := p.text(n, "target")
		if ok && seen[v] {
			p.add(at(n), fmt.Sprintf("target %q is there twice", v), "delete one of the two")
			return
		}
		if seen[v] = true; ok {
			p.def.role.Targets = append(p.def.role.Targets, v)
			p.refer("target", v, at(n))
		}
	})
	if resolved := resolveAlias(n); resolved.Kind == yaml.SequenceNode && len(resolved.Content) == 0 {
		p.add(at(n), "targets is empty", "delete the line to take all targets of imgops.yaml, or name some")
	}
}

func (p *imageParser) ignored(n *yaml.Node) {
	p.list(n, "ignore", func(n *yaml.Node) {
		v, ok := p.text(n, "ignore pattern")
		if !ok {
			return
		}
		if message, fix := neverIgnored(v); message != "" {
			p.add(at(n), fmt.Sprintf("ignore pattern %q %s", v, message), fix)
			return
		}
		if _, err := path.Match(v, "x"); err != nil || path.IsAbs(v) || path.Clean(v) == ".." || path.Clean(v) == "." {
			p.add(at(n), fmt.Sprintf("ignore pattern %q cannot be read", v), "write a glob relative to the role's directory: README.md, docs, *.md")
			return
		}
		p.def.ignore = append(p.def.ignore, v)
	})
}
