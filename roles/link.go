package roles

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Defaults of image.yaml.
const (
	defaultBuildTimeout = Duration(time.Hour)
	defaultSuiteTimeout = Duration(15 * time.Minute)
	defaultSSHUser      = "admin"
	defaultWait         = "cloud-init"
	defaultArchitecture = "x86_64"
)

// smallType is the instance type used where a role names none.
var smallType = map[string]string{"x86_64": "t3.small", "arm64": "t4g.small"}

// link makes roles of the definitions: parents, order, defaults, and that everything they name exists.
func (l *loading) link(context.Context) error {
	l.makeRoles()
	if len(l.fleet.Roles) == 0 && len(l.problems) == 0 {
		l.problems = append(l.problems, l.configSource.problem(place{1, 1}, "the fleet has no role", "write roles/<role>/image.yaml, or run `imgops init`"))
	}
	l.parents()
	for _, r := range l.fleet.Roles {
		l.defaults(r)
		if err := l.suites(r); err != nil {
			return err
		}
		for _, ref := range r.def.references {
			if err := l.check(r, ref); err != nil {
				return err
			}
		}
	}
	for role := range l.fleet.Lock.Refresh {
		if _, ok := l.fleet.byName[role]; !ok {
			delete(l.fleet.Lock.Refresh, role) // a stamp of a role that is gone
		}
	}
	return nil
}

func (l *loading) makeRoles() {
	folded := make(map[string]string, len(l.definitions))
	l.fleet.byName = make(map[string]*Role, len(l.definitions))
	for _, def := range l.definitions {
		l.problems = append(l.problems, def.source.problems...)
		role := def.role
		role.fleet, role.def = l.fleet, def
		if message, fix := checkName(role.Name, maxRoleName); message != "" {
			l.problems = append(l.problems, def.source.problem(place{1, 1}, fmt.Sprintf("role name %q %s", role.Name, message), fix))
		}
		lower := strings.ToLower(role.Name)
		if other, ok := folded[lower]; ok {
			l.problems = append(l.problems, def.source.problem(place{1, 1}, fmt.Sprintf("role %q is role %q in other letters", role.Name, other),
				"rename one: they are one directory on file systems that ignore case"))
		}
		folded[lower] = role.Name
		l.fleet.byName[role.Name] = &role
		l.fleet.Roles = append(l.fleet.Roles, &role)
	}
}

// parents sets Role.Parent and sorts the roles by their distance from an external base, then by name.
func (l *loading) parents() {
	for _, r := range l.fleet.Roles {
		r.Parent = l.fleet.byName[r.Base.Role]
	}
	depth := make(map[*Role]int, len(l.fleet.Roles))
	for _, r := range l.fleet.Roles {
		l.depth(r, depth, nil)
	}
	slices.SortStableFunc(l.fleet.Roles, func(a, b *Role) int {
		return cmp.Or(cmp.Compare(depth[a], depth[b]), cmp.Compare(a.Name, b.Name))
	})
}

// depth counts the ancestors of r. below are the roles that asked, nearest last; a cycle is reported once and cut.
func (l *loading) depth(r *Role, known map[*Role]int, below []*Role) int {
	if d, ok := known[r]; ok {
		return d
	}
	if i := slices.Index(below, r); i >= 0 {
		l.cycle(below[i:])
		return 0
	}
	d := 0
	if r.Parent != nil {
		d = 1 + l.depth(r.Parent, known, append(below, r))
	}
	known[r] = d
	return d
}

func (l *loading) cycle(members []*Role) {
	names := make([]string, 0, len(members)+1)
	for _, m := range members {
		names = append(names, m.Name)
	}
	first := members[0]
	for _, ref := range first.def.references {
		if ref.what == "base.role" {
			l.problems = append(l.problems, first.def.source.problem(ref.at, "base.role makes a cycle: "+strings.Join(append(names, first.Name), " -> "),
				"give one of these roles another base"))
		}
	}
	first.Parent = nil
}

// defaults fills what the definition leaves out; parents come first, so theirs are there.
func (l *loading) defaults(r *Role) {
	switch {
	case r.Parent != nil:
		r.Architecture = r.Parent.Architecture
	default:
		r.Base.Architecture = cmp.Or(r.Base.Architecture, defaultArchitecture)
		r.Architecture = r.Base.Architecture
	}
	if r.Base.Role != "" {
		r.Base.Architecture = ""
	}
	if r.Architecture == "" {
		r.Architecture = defaultArchitecture
	}
	b := &r.Build
	if len(b.InstanceTypes) == 0 {
		b.InstanceTypes = []string{smallType[r.Architecture]}
	}
	if r.Parent != nil {
		b.SSHUser = cmp.Or(b.SSHUser, r.Parent.Build.SSHUser)
		l.disk(r)
	}
	b.SSHUser = cmp.Or(b.SSHUser, defaultSSHUser)
	b.Timeout = cmp.Or(b.Timeout, defaultBuildTimeout)
	if len(r.Provision) == 0 {
		r.Provision = []Provisioner{{Ansible: &Ansible{Role: r.Name}}}
	}
	if len(r.Targets) == 0 {
		for _, t := range l.fleet.Config.Targets {
			r.Targets = append(r.Targets, t.Name)
		}
	}
}

// disk refuses a root volume smaller than the parent's: EC2 cannot make one of the parent's snapshot.
func (l *loading) disk(r *Role) {
	for p := r.Parent; p != nil; p = p.Parent {
		if p.Build.DiskGiB > 0 && r.Build.DiskGiB > 0 && r.Build.DiskGiB < p.Build.DiskGiB {
			l.problems = append(l.problems, r.def.source.problem(r.def.disk,
				fmt.Sprintf("disk is smaller than the %dGiB of parent role %q", p.Build.DiskGiB, p.Name),
				fmt.Sprintf("write at least %dGiB, or delete the line", p.Build.DiskGiB)))
			return
		}
	}
}
