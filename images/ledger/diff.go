package ledger

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// The kinds of a Change.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Change is one difference between two images.
type Change struct {
	Name   string `json:"name"`           // package, path or unit
	Change string `json:"change"`         // added, removed or changed
	Old    string `json:"old,omitempty"`  // version, mode and owner, or state
	New    string `json:"new,omitempty"`  // the same
	What   string `json:"what,omitempty"` // of a file: what has changed of content, mode, owner, type and link
}

// Difference is what differs between two images.
type Difference struct {
	Packages []Change `json:"packages"`
	Etc      []Change `json:"etc"`
	Services []Change `json:"services"`
	// Unknown are those of packages, etc and services that are not compared, for of one image they were not recorded: there was
	// no program on the machine that lists them.
	Unknown []string `json:"unknown,omitempty"`
}

// Empty says that nothing that can be compared differs.
func (d Difference) Empty() bool { return len(d.Packages)+len(d.Etc)+len(d.Services) == 0 }

// ownFiles are patterns (path.Match) of files whose content each machine makes for itself: its name and id, its host keys, the
// name servers and network of the place where it was built, its clock's drift, and when its /etc was last set up.
var ownFiles = []string{
	"/etc/hostname", "/etc/mailname", "/etc/machine-id", "/etc/ssh/ssh_host_*_key", "/etc/ssh/ssh_host_*_key.pub", "/etc/resolv.conf", "/etc/adjtime", "/etc/.updated",
	"/etc/netplan/50-cloud-init.yaml", "/etc/network/interfaces.d/50-cloud-init", "/etc/NetworkManager/system-connections/cloud-init-*.nmconnection",
	"/etc/sysconfig/network-scripts/ifcfg-*",
}

// own says that a file's content is the machine's, not the image's.
func own(file string) bool {
	return slices.ContainsFunc(ownFiles, func(pattern string) bool {
		ok, err := path.Match(pattern, file)
		return ok && err == nil
	})
}

// Compare says what changed from a to b. Of files that each machine writes for itself (ownFiles) another content is no
// difference; that they came or went, and their type, mode and owner, still is. No machine has none of a list, so an empty one
// was not recorded.
func Compare(a, b Inventory) Difference {
	d := Difference{Packages: []Change{}, Etc: []Change{}, Services: []Change{}}
	if len(a.Packages) > 0 && len(b.Packages) > 0 {
		d.Packages = differ(packages(a.Packages), packages(b.Packages), strings.Compare, func(old, now string) Change { return Change{Old: old, New: now} })
	} else {
		d.Unknown = append(d.Unknown, "packages")
	}
	if len(a.Etc) > 0 && len(b.Etc) > 0 {
		d.Etc = differ(byPath(a.Etc), byPath(b.Etc), compareFiles, fileChange)
	} else {
		d.Unknown = append(d.Unknown, "etc")
	}
	if len(a.Services) > 0 && len(b.Services) > 0 {
		d.Services = differ(byUnit(a.Services), byUnit(b.Services), strings.Compare, func(old, now string) Change { return Change{Old: old, New: now} })
	} else {
		d.Unknown = append(d.Unknown, "services")
	}
	return d
}

// differ compares two maps; describe words the change of a value, the zero value being one that is not there.
func differ[T any](a, b map[string]T, compare func(T, T) int, describe func(old, now T) Change) []Change {
	list := []Change{}
	add := func(name, change string, old, now T) {
		c := describe(old, now)
		c.Name, c.Change = name, change
		list = append(list, c)
	}
	var none T
	for name, old := range a {
		if now, ok := b[name]; !ok {
			add(name, Removed, old, none)
		} else if compare(old, now) != 0 {
			add(name, Changed, old, now)
		}
	}
	for name, now := range b {
		if _, ok := a[name]; !ok {
			add(name, Added, none, now)
		}
	}
	slices.SortFunc(list, func(x, y Change) int { return cmp.Compare(x.Name, y.Name) })
	return list
}

// packages maps names to versions. A package that is there for several architectures, or in several versions as kernels
// are, has all of them.
func packages(list []Package) map[string]string {
	archs := map[string]map[string]bool{}
	for _, p := range list {
		if archs[p.Name] == nil {
			archs[p.Name] = map[string]bool{}
		}
		archs[p.Name][p.Arch] = true
	}
	m := map[string]string{}
	for _, p := range slices.SortedFunc(slices.Values(list), func(a, b Package) int { return cmp.Compare(a.key(), b.key()) }) {
		name := p.Name
		if len(archs[p.Name]) > 1 {
			name += ":" + p.Arch
		}
		if m[name] != "" {
			m[name] += ", "
		}
		m[name] += p.Version
	}
	return m
}

func byUnit(list []Service) map[string]string {
	m := map[string]string{}
	for _, s := range list {
		m[s.Unit] = s.State
	}
	return m
}

func byPath(list []File) map[string]File {
	m := map[string]File{}
	for _, f := range list {
		m[f.Path] = f
	}
	return m
}

func compareFiles(a, b File) int {
	if len(a.differs(b)) == 0 {
		return 0
	}
	return 1
}

// differs lists what is not the same about a file.
func (f File) differs(o File) []string {
	var what []string
	for _, c := range []struct {
		name string
		same bool
	}{
		{"type", f.Type == o.Type},
		{"content", f.Type != o.Type || sameContent(f, o) || own(f.Path)},
		{"link", f.Link == o.Link},
		{"mode", f.Mode == o.Mode || f.Type == "link"},
		{"owner", f.Owner == o.Owner && f.Group == o.Group},
	} {
		if !c.same {
			what = append(what, c.name)
		}
	}
	return what
}

// sameContent cannot be said of a file that has become private or public, for its sums are of two kinds, nor of one without a
// sum. Then the size counts.
func sameContent(a, b File) bool {
	if a.Sum == "" || b.Sum == "" || strings.HasPrefix(a.Sum, "slow:") != strings.HasPrefix(b.Sum, "slow:") {
		return a.Size == b.Size
	}
	return a.Sum == b.Sum
}

func fileChange(old, now File) Change {
	c := Change{Old: old.describe(), New: now.describe()}
	if old.Path != "" && now.Path != "" {
		c.What = strings.Join(old.differs(now), ", ")
	}
	return c
}

func (f File) describe() string {
	if f.Path == "" {
		return ""
	}
	text := f.Type + " " + f.Mode + " " + f.Owner + ":" + f.Group
	if f.Link != "" {
		text += " -> " + f.Link
	}
	return text
}
