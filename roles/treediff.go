package roles

// diffTrees calls visit for every path below two directories whose mode or id differ; old or new is nil where the
// path is missing. Equal subtrees are not read. Either tree may be nil.
func diffTrees(prefix string, a, b *tree, visit func(p string, old, new *entry)) error {
	if a != nil && b != nil && a.id == b.id {
		return nil
	}
	left, err := byName(a)
	if err != nil {
		return err
	}
	right, err := byName(b)
	if err != nil {
		return err
	}
	for name, l := range left {
		r, ok := right[name]
		if ok && l.id == r.id && l.mode == r.mode {
			continue
		}
		if err := diffEntry(join(prefix, name), l, r, visit); err != nil {
			return err
		}
	}
	for name, r := range right {
		if _, ok := left[name]; !ok {
			if err := diffEntry(join(prefix, name), nil, r, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

func byName(t *tree) (map[string]*entry, error) {
	if t == nil {
		return nil, nil
	}
	entries, err := t.list()
	if err != nil {
		return nil, err
	}
	out := make(map[string]*entry, len(entries))
	for i := range entries {
		out[entries[i].name] = &entries[i]
	}
	return out, nil
}

func diffEntry(p string, l, r *entry, visit func(string, *entry, *entry)) error {
	var lt, rt *tree
	if l != nil {
		lt = l.sub
	}
	if r != nil {
		rt = r.sub
	}
	lf, rf := l, r
	if lt != nil {
		lf = nil
	}
	if rt != nil {
		rf = nil
	}
	if lf != nil || rf != nil {
		visit(p, lf, rf)
	}
	if lt == nil && rt == nil {
		return nil
	}
	return diffTrees(p, lt, rt, visit)
}
