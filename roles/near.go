package roles

import (
	"bytes"
	"maps"
	"slices"
)

// unchanged are the roles of a fleet that are, but for their parents, as in another one that was loaded before.
type unchanged struct {
	fleet   *Fleet
	touched pathSet         // see touchedBy
	own     map[string]bool // see touchedBy
}

// unchanged compares the fleet being loaded with the one near it; nil when any role may have changed: mayFind knows
// what a role looked up, but not what it would find through a new symlink, how Git would check its files out, with other top-level names to look for, or in
// an image role that ignores other files.
func (l *loading) unchanged() (*unchanged, error) {
	if l.near == nil {
		return nil, nil
	}
	var changed []string
	links, attributes := false, false
	old, now := l.near.view, l.fleet.view
	err := diffTrees("", old.root, now.root, func(p string, a, b *entry) {
		changed = append(changed, p)
		links, attributes = links || isLink(a) || isLink(b), attributes || isAttributes(p)
	})
	attributes = attributes || !slices.Equal(old.files.above, now.files.above)
	now.files.plain = old.files.plain && !attributes
	if err != nil || links || attributes || !slices.EqualFunc(old.tops(), now.tops(), bytes.Equal) || !maps.EqualFunc(old.drops, now.drops, slices.Equal) {
		return nil, err
	}
	u := &unchanged{fleet: l.near}
	u.touched, u.own, _ = touchedBy(changed, now.drops)
	return u, nil
}

// role gives the role of the other fleet whose files are those of r, or nil.
func (u *unchanged) role(r *Role) *Role {
	if u == nil {
		return nil
	}
	old := u.fleet.byName[r.Name]
	if old == nil || old.def != r.def || u.own[r.Name] || old.seen.mayFind(u.touched) {
		return nil
	}
	return old
}
