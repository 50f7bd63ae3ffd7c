package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
)

// Spool keeps entries in a directory until a store has them: .git/imgops/pending. Every entry is a file of its own, which
// appears at once or not at all, so several runs can use one directory.
type Spool struct{ Dir string }

// Put keeps an entry.
func (s Spool) Put(e Entry) error {
	if _, err := parsePath(e.Path); err != nil {
		return fmt.Errorf("keeping %s for the ledger: %w", e.Path, err)
	}
	file := filepath.Join(s.Dir, filepath.FromSlash(e.Path))
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = renameio.WriteFile(file, e.Data, 0o644)
	}
	if err != nil {
		return fmt.Errorf("keeping %s for the ledger: %w", e.Path, err)
	}
	return nil
}

// Entries lists what is kept, sorted by path. Files that are no entries are left alone.
func (s Spool) Entries() ([]Entry, error) {
	var list []Entry
	err := filepath.WalkDir(s.Dir, func(file string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(s.Dir, file)
		if err != nil {
			return err
		}
		e := Entry{Path: filepath.ToSlash(rel)}
		if _, err := parsePath(e.Path); err != nil {
			return nil //nolint:nilerr // such as a file that is just being written
		}
		if e.Data, err = os.ReadFile(file); errors.Is(err, fs.ErrNotExist) { //nolint:gosec // below .git, which is the user's own
			return nil // another run has stored it meanwhile
		}
		list = append(list, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is kept for the ledger in %s: %w", s.Dir, err)
	}
	slices.SortFunc(list, func(a, b Entry) int { return compare(a.Path, b.Path) })
	return list, nil
}

// Empty says that nothing is kept. It reads no more than the directory's name list.
func (s Spool) Empty() bool {
	list, err := os.ReadDir(s.Dir)
	return err == nil && len(list) == 0 || errors.Is(err, fs.ErrNotExist)
}

// Remove forgets entries, and the directories that are empty without them.
func (s Spool) Remove(entries []Entry) error {
	var errs []error
	for _, e := range entries {
		file := filepath.Join(s.Dir, filepath.FromSlash(e.Path))
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for dir := filepath.Dir(file); dir != s.Dir && len(dir) > len(s.Dir); dir = filepath.Dir(dir) {
			if os.Remove(dir) != nil { // it is not empty
				break
			}
		}
	}
	return errors.Join(errs...)
}

// Flush has a store take what is kept. What it does not take stays, but for entries that the store has already with another
// content: it keeps what it has, and they are named.
func (s Spool) Flush(ctx context.Context, store Store, message func([]Entry) string) (stored int, twice []string, err error) {
	if s.Empty() {
		return 0, nil, nil
	}
	entries, err := s.Entries()
	for len(entries) > 0 && err == nil {
		err = store.Append(ctx, message(entries), entries)
		var conflict *ConflictError
		if !errors.As(err, &conflict) {
			break
		}
		at := slices.IndexFunc(entries, func(e Entry) bool { return e.Path == conflict.Path })
		if at < 0 {
			break
		}
		twice = append(twice, conflict.Path)
		err = s.Remove(entries[at : at+1])
		entries = slices.Delete(slices.Clone(entries), at, at+1)
	}
	if err != nil {
		return 0, twice, err
	}
	return len(entries), twice, s.Remove(entries)
}
