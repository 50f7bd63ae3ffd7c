package roles

import "cmp"

// diffTrees calls visit for every path below two directories whose mode or id differ; old or new is nil where the
// path is missing. Equal subtrees are not read. Either tree may be nil.
func diffTrees(prefix string, a, b *tree, visit func(p string, old, new *entry)) error {
	if a != nil && b != nil && a.id == b.id {
		return nil
	}
	left, err := a.entriesOf()
	if err != nil {
		return err
	}
	right, err := b.entriesOf()
	if err != nil {
		return err
	}
	for len(left) > 0 || len(right) > 0 {
		var l, r *entry // of one name; that of a directory and of a file stand in different places
		switch order := nextInOrder(left, right); {
		case order < 0:
			l, left = &left[0], left[1:]
		case order > 0:
			r, right = &right[0], right[1:]
		default:
			l, r, left, right = &left[0], &right[0], left[1:], right[1:]
			if l.id == r.id && l.mode == r.mode {
				continue
			}
		}
		if err := diffEntry(join(prefix, cmp.Or(l, r).name), l, r, visit); err != nil {
			return err
		}
	}
	return nil
}

// nextInOrder compares the first entries of two directories, either of which may have none left.
func nextInOrder(left, right []entry) int {
	switch {
	case len(right) == 0:
		return -1
	case len(left) == 0:
		return 1
	}
	return gitOrder(left[0], right[0])
}

// entriesOf is list, of a directory that may not be there.
func (t *tree) entriesOf() ([]entry, error) {
	if t == nil {
		return nil, nil
	}
	return t.list()
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
