package roles

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// BakeFormat is the version of how imgops bakes. It is part of every digest: raising it rebuilds everything.
const BakeFormat = 1

// Resolve computes Digest, TestsDigest and Components of every role. pins must hold an image id for the key of each
// of Externals; the error is a *MissingPinsError otherwise.
func (f *Fleet) Resolve(pins Pins) error {
	missing := &MissingPinsError{Region: f.Config.Build.Region}
	for _, x := range f.Externals() {
		if pins[x.Key] == "" {
			missing.Externals = append(missing.Externals, x)
		}
	}
	if len(missing.Externals) > 0 {
		return missing
	}
	// All but the parent's digest is each role's own business. The work is short: nobody would cancel it.
	err := each(context.Background(), len(f.Roles), batch, func(i int) (err error) {
		r := f.Roles[i]
		if r.resolveSame(pins) {
			return nil
		}
		if r.Components, err = r.components(pins); err != nil {
			return fmt.Errorf("computing the digest of role %s: %w", r.Name, err)
		}
		if r.TestsDigest, err = r.testsDigest(); err != nil {
			return fmt.Errorf("computing the tests digest of role %s: %w", r.Name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range f.Roles { // parents first: a child's digest holds its parent's
		if r.Parent != nil {
			base := slices.IndexFunc(r.Components, func(c Component) bool { return c.Name == "base" })
			r.Components[base].Value = r.Parent.Digest
		}
		if r.same != nil && slices.Equal(r.Components, r.same.Components) {
			r.Digest = r.same.Digest
		} else {
			r.Digest = digestOf("recipe", r.Components)
		}
	}
	return nil
}

// resolveSame takes over what follows from the role's own files, where the fleet near by has been resolved; it says
// whether it could. Settings that come from a parent, from imgops.lock and from the pins may be others.
func (r *Role) resolveSame(pins Pins) bool {
	old := r.same
	if old == nil || len(old.Components) == 0 || r.Architecture != old.Architecture || !reflect.DeepEqual(r.Build, old.Build) ||
		!reflect.DeepEqual(r.Verify, old.Verify) || !r.fleet.Lock.Refresh[r.Name].Equal(old.fleet.Lock.Refresh[r.Name]) {
		return false
	}
	r.TestsDigest, r.Components = old.TestsDigest, slices.Clone(old.Components)
	base := slices.IndexFunc(r.Components, func(c Component) bool { return c.Name == "base" })
	r.Components[base].Value = r.base(pins)
	return true
}

// base is the component that a role's image starts from; the digest of a parent, which may not be known yet, is left empty.
func (r *Role) base(pins Pins) string {
	switch {
	case r.Parent != nil:
		return ""
	case r.Base.Image != "":
		return r.Base.Image
	}
	return pins[r.Base.key()]
}

// components lists everything that decides the content of the role's image; the digest of a parent, which may not be
// known yet, is left empty. Timeouts are not among it: they decide
// whether a bake succeeds, not what it makes.
func (r *Role) components(pins Pins) ([]Component, error) {
	c := components{list: make([]Component, 0, 8+len(r.parts))}
	c.add("format", strconv.Itoa(BakeFormat))
	c.add("architecture", r.Architecture)
	c.add("base", r.base(pins))
	c.addJSON("build.instance_type", r.Build.InstanceTypes)
	c.add("build.disk", strconv.Itoa(int(r.Build.DiskGiB)))
	c.add("build.ssh_user", r.Build.SSHUser)
	if stamp := r.fleet.Lock.Refresh[r.Name]; !stamp.IsZero() {
		c.add("refresh", stamp.UTC().Format(time.RFC3339))
	}
	c.provision(r.Provision)
	for _, p := range r.parts {
		if p.entry.isDir() {
			c.add("dir "+p.path, p.entry.value())
		} else {
			c.add("file "+p.path, p.entry.value())
		}
	}
	c.attributes(r.converted)
	slices.SortFunc(c.list, func(a, b Component) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value)) })
	return c.list, c.err
}

// components is a list in the making.
type components struct {
	list []Component
	err  error
}

func (c *components) add(name, value string) {
	c.list = append(c.list, Component{Name: name, Value: value})
}

// attributes adds how files are checked out that a checkout does not give as they are stored.
func (c *components) attributes(list []convertedFile) {
	for _, f := range list {
		c.add("attributes "+f.path, f.as.String())
	}
}

// addJSON adds a value as canonical JSON: encoding/json sorts the keys of maps.
func (c *components) addJSON(name string, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		c.err = cmp.Or(c.err, fmt.Errorf("encoding %s: %w", name, err))
	}
	c.add(name, string(data))
}

// provision adds the steps in order, and each of their variables by its name.
func (c *components) provision(steps []Provisioner) {
	order, seen := make([]string, 0, len(steps)), map[string]int{}
	for _, s := range steps {
		kind, name := s.describe()
		order = append(order, kind+" "+name)
		if seen[order[len(order)-1]]++; seen[order[len(order)-1]] > 1 {
			name += "#" + strconv.Itoa(seen[order[len(order)-1]]) // the same playbook again, with other variables
		}
		if s.Ansible != nil {
			for key, value := range s.Ansible.Vars {
				c.addJSON("var "+name+" "+key, value)
			}
		}
		if s.Shell != nil {
			for key, value := range s.Shell.Env {
				c.addJSON("env "+name+" "+key, value)
			}
		}
	}
	c.addJSON("provision", order)
}

func (s Provisioner) describe() (kind, name string) {
	switch {
	case s.Ansible != nil && s.Ansible.Playbook != "":
		return "ansible playbook", s.Ansible.Playbook
	case s.Ansible != nil:
		return "ansible role", s.Ansible.Role
	case s.Shell != nil:
		return "shell", s.Shell.Script
	}
	return "puppet", s.Puppet.Manifest
}

// testsDigest covers the suites and roles/<role>/tests. The recipe digest is not part of it: a verification is keyed by both.
func (r *Role) testsDigest() (string, error) {
	c := components{}
	c.add("format", strconv.Itoa(BakeFormat))
	for _, s := range r.Verify {
		c.addJSON("suite "+s.Name, []string{s.InstanceType, s.Wait})
	}
	if r.tests != nil {
		c.add("dir tests", "040000 "+r.tests.id.String())
	}
	c.attributes(r.testsConverted)
	slices.SortFunc(c.list, func(a, b Component) int { return cmp.Compare(a.Name, b.Name) })
	return digestOf("tests", c.list), c.err
}

// digestOf hashes components so that no two lists share an encoding: every string is preceded by its length.
func digestOf(kind string, list []Component) string {
	b := make([]byte, 0, 2048)
	write := func(s string) {
		b = strconv.AppendInt(b, int64(len(s)), 10)
		b = append(b, ':')
		b = append(append(b, s...), ',')
	}
	write("imgops " + kind)
	for _, c := range list {
		write(c.Name)
		write(c.Value)
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
