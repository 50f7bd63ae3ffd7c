package roles

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Pins are the image ids that external bases stand for in the build Region, by External.Key.
type Pins map[string]string

// Lock is imgops.lock: what the external bases were resolved to, and when roles were refreshed.
type Lock struct {
	Bases []LockedBase // sorted by Key
	// Refresh says when `imgops update --refresh` asked for a new image of a role, in UTC. The zero time is never: such
	// an entry only keeps the role's place in the file, so that the stamps of two roles merge.
	Refresh map[string]time.Time
}

// LockedBase is one external base and the image that it is pinned to.
type LockedBase struct {
	Key     string            // External.Key: owner/name/architecture
	Image   string            // the image's name, the same in all Regions
	Created time.Time         // when the image was made, in UTC
	IDs     map[string]string // Region -> image id
}

// never stands for a role that was not refreshed yet.
const never = "never"

const lockHead = `# Written by ` + "`imgops update`" + `. After a merge conflict run it again: it joins the two sides.
version: 1
`

// ReadLock reads imgops.lock; file names it in messages. Empty data is an empty lock. The error is a *ProblemsError.
func ReadLock(data []byte, file string) (Lock, error) {
	l, problems := parseLock(data, file)
	return l, problemsError(problems)
}

func parseLock(data []byte, file string) (Lock, []Problem) {
	l := Lock{Refresh: map[string]time.Time{}}
	if len(bytes.TrimSpace(data)) == 0 {
		return l, nil
	}
	s := &source{file: file, data: data}
	root := s.parse(file)
	if root == nil {
		return l, s.problems
	}
	s.mapping(root, file, fields{
		"version": func(n *yaml.Node) {
			if v, ok := s.number(n, "version", 1); ok && v != 1 {
				s.add(at(n), fmt.Sprintf("version %d is newer than this imgops reads", v), "install the imgops that wrote the file, or delete it and run `imgops update`")
			}
		},
		"bases":   func(n *yaml.Node) { s.pairs(n, "bases", l.readBase(s)) },
		"refresh": func(n *yaml.Node) { s.pairs(n, "refresh", l.readRefresh(s)) },
	}, "version")
	slices.SortFunc(l.Bases, func(a, b LockedBase) int { return cmp.Compare(a.Key, b.Key) })
	return l, s.problems
}

// pairs reads a mapping whose keys are data.
func (s *source) pairs(n *yaml.Node, what string, read func(key, value *yaml.Node)) {
	where := at(n)
	n = resolveAlias(n)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		s.add(where, what+" must be a mapping, not "+kind(n), "run `imgops update` to write the file anew")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if first := seen[key.Value]; first > 0 {
			s.add(at(key), fmt.Sprintf("%s has %q twice", what, key.Value), fmt.Sprintf("delete this one or the one in line %d", first))
			continue
		}
		seen[key.Value] = key.Line
		read(key, n.Content[i+1])
	}
}

func (l *Lock) readBase(s *source) func(key, value *yaml.Node) {
	return func(key, value *yaml.Node) {
		b := LockedBase{Key: key.Value, IDs: map[string]string{}}
		if owner, rest, ok := strings.Cut(b.Key, "/"); !ok || owner == "" || !strings.Contains(rest, "/") {
			s.add(at(key), fmt.Sprintf("%q is not a base", b.Key), "write owner/name/architecture, or run `imgops update` to write the file anew")
		}
		s.mapping(value, "base", fields{
			"image":   func(n *yaml.Node) { b.Image, _ = s.text(n, "image") },
			"created": func(n *yaml.Node) { b.Created = s.timestamp(n, "created") },
			"ids": func(n *yaml.Node) {
				s.pairs(n, "ids", func(key, value *yaml.Node) {
					region, ok := s.region(key, "Region")
					id, valid := s.form(value, "image id", imageForm(), "an image id", "run `imgops update`")
					if ok && valid {
						b.IDs[region] = id
					}
				})
			},
		}, "ids")
		l.Bases = append(l.Bases, b)
	}
}

func (l *Lock) readRefresh(s *source) func(key, value *yaml.Node) {
	return func(key, value *yaml.Node) {
		if message, fix := checkName(key.Value, maxRoleName); message != "" {
			s.add(at(key), fmt.Sprintf("role %q %s", key.Value, message), fix)
			return
		}
		if v := resolveAlias(value); v.Kind == yaml.ScalarNode && v.Value == never {
			l.Refresh[key.Value] = time.Time{}
			return
		}
		l.Refresh[key.Value] = s.timestamp(value, "refresh")
	}
}

func (s *source) timestamp(n *yaml.Node, what string) time.Time {
	v := resolveAlias(n).Value
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, v); err == nil && resolveAlias(n).Kind == yaml.ScalarNode {
			return t.UTC()
		}
	}
	s.add(at(n), fmt.Sprintf("%s must be a time, not %s", what, written(resolveAlias(n))), "write it as 2026-01-31T12:00:00Z")
	return time.Time{}
}

// Encode writes the lock. The result depends on the content only. Every base and role has lines of its own in a fixed
// order, with an empty line between them: Git merges changes that have an unchanged line between them.
func (l Lock) Encode() []byte {
	var b bytes.Buffer
	b.WriteString(lockHead)
	if len(l.Bases) > 0 {
		b.WriteString("\nbases:\n")
	}
	for i, base := range slices.SortedFunc(slices.Values(l.Bases), func(a, b LockedBase) int { return cmp.Compare(a.Key, b.Key) }) {
		if i > 0 {
			b.WriteString("\n")
		}
		base.encode(&b)
	}
	if len(l.Refresh) > 0 {
		b.WriteString("\nrefresh:\n")
	}
	for i, role := range slices.Sorted(maps.Keys(l.Refresh)) {
		if i > 0 {
			b.WriteString("\n")
		}
		at := never
		if stamp := l.Refresh[role]; !stamp.IsZero() {
			at = stamp.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(&b, "  %s: %s\n", quoted(role), at)
	}
	return b.Bytes()
}

func (base LockedBase) encode(b *bytes.Buffer) {
	fmt.Fprintf(b, "  %s:\n", quoted(base.Key))
	if base.Image != "" {
		fmt.Fprintf(b, "    image: %s\n", quoted(base.Image))
	}
	if !base.Created.IsZero() {
		fmt.Fprintf(b, "    created: %s\n", base.Created.UTC().Format(time.RFC3339))
	}
	ids := ""
	for _, region := range slices.Sorted(maps.Keys(base.IDs)) {
		ids += fmt.Sprintf("\n      %s: %s", region, base.IDs[region])
	}
	fmt.Fprintf(b, "    ids:%s\n", cmp.Or(ids, " {}"))
}

// quoted writes a YAML string that reads back as itself, whatever it holds.
func quoted(s string) string {
	node := yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}
	out, err := yaml.Marshal(&node)
	if err != nil || bytes.Count(out, []byte("\n")) > 1 {
		return fmt.Sprintf("%q", s)
	}
	return strings.TrimSpace(string(out))
}

// Pins gives the image ids of one Region, for Fleet.Resolve.
func (l Lock) Pins(region string) Pins {
	pins := Pins{}
	for _, b := range l.Bases {
		if id := b.IDs[region]; id != "" {
			pins[b.Key] = id
		}
	}
	return pins
}

// Base gives the entry with this key.
func (l Lock) Base(key string) (LockedBase, bool) {
	for _, b := range l.Bases {
		if b.Key == key {
			return b, true
		}
	}
	return LockedBase{}, false
}

// Set puts an entry in place of the one with the same key, or adds it.
func (l *Lock) Set(base LockedBase) {
	base.Created = base.Created.UTC().Truncate(time.Second)
	i, found := slices.BinarySearchFunc(l.Bases, base.Key, func(b LockedBase, key string) int { return cmp.Compare(b.Key, key) })
	if found {
		l.Bases[i] = base
		return
	}
	l.Bases = slices.Insert(l.Bases, i, base)
}

// SetRefresh stamps a role: its digest changes, so that a new image is made of the same recipe.
func (l *Lock) SetRefresh(role string, when time.Time) {
	if l.Refresh == nil {
		l.Refresh = map[string]time.Time{}
	}
	l.Refresh[role] = when.UTC().Truncate(time.Second)
}

// Fit drops the bases that no role starts from and the stamps of roles that are gone, and gives every other role its
// place.
func (l *Lock) Fit(f *Fleet) {
	used := map[string]bool{}
	for _, x := range f.Externals() {
		used[x.Key] = true
	}
	l.Bases = slices.DeleteFunc(l.Bases, func(b LockedBase) bool { return !used[b.Key] })
	maps.DeleteFunc(l.Refresh, func(role string, _ time.Time) bool { _, ok := f.Role(role); return !ok })
	if l.Refresh == nil {
		l.Refresh = map[string]time.Time{}
	}
	for _, r := range f.Roles {
		if _, ok := l.Refresh[r.Name]; !ok {
			l.Refresh[r.Name] = time.Time{}
		}
	}
}
