package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

func compare(a, b string) int { return cmp.Compare(a, b) }

// Ledger reads what a store has and what a spool keeps for it. Entries that cannot be read are skipped, and named.
type Ledger struct {
	Store Store // nil: there is only what the spool keeps
	Spool Spool
	// Fleet is the one whose entries are read, for a repository or bucket may hold several; "": all.
	Fleet string
}

// Book is what the ledger knows of a role.
type Book struct {
	Images        []Image        // newest first
	Verifications []Verification // newest first
	Events        []Event        // newest first
	Problems      []Problem
	// Now is the image, of the build location, that is the default as whoever asked AWS knows; "" where nobody did.
	Now    string
	Others map[string]int // how many entries are of another fleet that has a role of the same name

	inventories map[string]string // path by image id
	ledger      Ledger
}

// Book reads everything about a role but the inventories.
func (l Ledger) Book(ctx context.Context, role string) (*Book, error) {
	if !nameForm().MatchString(role) {
		return nil, fmt.Errorf("%q is no name of a role", role)
	}
	b := &Book{Others: map[string]int{}, inventories: map[string]string{}, ledger: l}
	err := l.each(ctx, []string{imageTree + "/" + role + "/", eventTree + "/" + role + "/"}, b)
	b.sort()
	return b, err
}

// sort puts the newest first, and leaves out what is told twice.
func (b *Book) sort() {
	slices.SortStableFunc(b.Images, func(x, y Image) int { return cmp.Or(y.BuiltAt.Compare(x.BuiltAt), cmp.Compare(x.Image, y.Image)) })
	slices.SortStableFunc(b.Verifications, func(x, y Verification) int { return y.At.Compare(x.At) })
	slices.SortStableFunc(b.Events, func(x, y Event) int { return y.At.Compare(x.At) })
	b.Events = once(b.Events)
}

// each reads the entries below the prefixes into the book.
func (l Ledger) each(ctx context.Context, prefixes []string, b *Book) error {
	seen := map[string]bool{}
	kept, err := l.Spool.Entries()
	for _, e := range kept {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(e.Path, p) }) {
			seen[e.Path] = true
			b.add(e.Path, e.Data)
		}
	}
	if l.Store == nil {
		return err
	}
	for _, prefix := range prefixes {
		items, listErr := l.Store.List(ctx, prefix)
		if listErr != nil {
			return errors.Join(err, listErr)
		}
		for _, item := range items {
			if seen[item.Path] {
				continue
			}
			if readErr := l.item(ctx, item, b); readErr != nil {
				return errors.Join(err, readErr)
			}
		}
	}
	return err
}

func (l Ledger) item(ctx context.Context, item Item, b *Book) error {
	at, err := parsePath(item.Path)
	switch {
	case err != nil:
		b.Problems = append(b.Problems, Problem{item.Path, err})
		return nil //nolint:nilerr // it is named
	case item.Size > MaxSize:
		b.Problems = append(b.Problems, Problem{item.Path, tooLarge(item.Size)})
		return nil
	case at.kind == KindInventory: // it is the largest by far, and rarely asked for
		b.inventories[at.image] = item.Path
		return nil
	}
	data, err := l.Store.Read(ctx, item.Path)
	if err != nil {
		return err
	}
	b.add(item.Path, data)
	return nil
}

func (b *Book) add(path string, data []byte) {
	r, err := Read(path, data)
	switch {
	case err != nil:
		b.Problems = append(b.Problems, Problem{path, err})
	case b.ledger.Fleet != "" && r.fleet() != b.ledger.Fleet:
		b.Others[r.fleet()]++
	case r.Image != nil:
		b.Images = append(b.Images, *r.Image)
	case r.Inventory != nil:
		b.inventories[r.Inventory.Image] = path
	case r.Verification != nil:
		b.Verifications = append(b.Verifications, *r.Verification)
	case r.Event != nil:
		b.Events = append(b.Events, *r.Event)
	}
}

// Inventory reads the inventory of an image; ErrNoEntry when the ledger has none.
func (b *Book) Inventory(ctx context.Context, image string) (Inventory, error) {
	path, ok := b.inventories[image]
	if !ok {
		return Inventory{}, fmt.Errorf("the inventory of image %s: %w", image, ErrNoEntry)
	}
	data, err := b.ledger.read(ctx, path)
	if err != nil {
		return Inventory{}, err
	}
	r, err := Read(path, data)
	if err != nil {
		return Inventory{}, Problem{path, err}
	}
	return *r.Inventory, nil
}

func (l Ledger) read(ctx context.Context, path string) ([]byte, error) {
	kept, err := l.Spool.Entries()
	if at := slices.IndexFunc(kept, func(e Entry) bool { return e.Path == path }); at >= 0 {
		return kept[at].Data, nil
	}
	if l.Store == nil {
		return nil, errors.Join(err, fmt.Errorf("%s: %w", path, ErrNoEntry))
	}
	return l.Store.Read(ctx, path)
}

// RoleOf finds the role of an image by its id: of an image that was built, or of a copy that a pointer has named.
func (l Ledger) RoleOf(ctx context.Context, image string) (string, error) {
	roles, err := l.Roles(ctx, image)
	for _, role := range roles {
		book, bookErr := l.Book(ctx, role)
		if bookErr != nil {
			return "", errors.Join(err, bookErr)
		}
		if _, ok := book.Find(image); ok {
			return role, nil
		}
	}
	return "", errors.Join(err, fmt.Errorf("image %s: %w", image, ErrNoEntry))
}

// Roles lists the roles that the ledger knows; those with an entry of the image first.
func (l Ledger) Roles(ctx context.Context, image string) ([]string, error) {
	has := map[string]bool{}
	note := func(path string) {
		if at, err := parsePath(path); err == nil {
			has[at.role] = has[at.role] || at.image == image
		}
	}
	kept, err := l.Spool.Entries()
	for _, e := range kept {
		note(e.Path)
	}
	if l.Store != nil {
		items, listErr := l.Store.List(ctx, "")
		err = errors.Join(err, listErr)
		for _, item := range items {
			note(item.Path)
		}
	}
	var roles []string
	for role := range has {
		roles = append(roles, role)
	}
	slices.SortFunc(roles, func(a, b string) int {
		if has[a] != has[b] {
			if has[a] {
				return -1
			}
			return 1
		}
		return compare(a, b)
	})
	return roles, err
}

// checkParallel bounds how many entries are read at once.
const checkParallel = 16

// Check reads what the store has about some roles, or without any about all, and says what does not belong in the ledger:
// files that imgops has not written wherever they are, and entries that cannot be read or were changed. Nil is good.
func (l Ledger) Check(ctx context.Context, roles ...string) ([]Problem, error) {
	if l.Store == nil {
		return nil, nil
	}
	items, err := l.Store.List(ctx, "")
	if err != nil {
		return nil, err
	}
	problems := make([]error, len(items))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(checkParallel)
	for i, item := range items {
		at, err := parsePath(item.Path)
		switch {
		case err != nil:
			problems[i] = err
		case item.Size > MaxSize:
			problems[i] = tooLarge(item.Size)
		case len(roles) == 0 || slices.Contains(roles, at.role):
			group.Go(func() error {
				data, err := l.Store.Read(ctx, item.Path)
				if err == nil {
					_, problems[i] = Read(item.Path, data)
				}
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return named(items, problems), nil
}

// Foreign lists the files in the store that are no entries by their names. It reads none.
func (l Ledger) Foreign(ctx context.Context) ([]Problem, error) {
	if l.Store == nil {
		return nil, nil
	}
	items, err := l.Store.List(ctx, "")
	problems := make([]error, len(items))
	for i, item := range items {
		_, problems[i] = parsePath(item.Path)
	}
	return named(items, problems), err
}

func named(items []Item, problems []error) []Problem {
	var list []Problem
	for i, err := range problems {
		if err != nil {
			list = append(list, Problem{items[i].Path, err})
		}
	}
	return list
}
