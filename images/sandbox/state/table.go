package state

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"go.etcd.io/bbolt"
)

// Table is a set of rows by key, with any number of indexes. A row is never changed in place: Get gives a copy, whose
// slices and maps the caller replaces rather than edits, and Put stores the changed copy.
type Table[T any] struct {
	name    string
	indexOf func(T) []string
	rows    map[string]*T
	indexes map[string][]string // index entry -> keys in order
}

// NewTable makes the table in the store and loads its rows. indexOf names the index entries under which Scan finds a
// row; it may be nil.
func NewTable[T any](s *Store, name string, indexOf func(T) []string) (*Table[T], error) {
	t := &Table[T]{name: name, indexOf: indexOf, rows: map[string]*T{}, indexes: map[string][]string{}}
	err := s.db.Update(func(db *bbolt.Tx) error {
		b, err := db.CreateBucketIfNotExists([]byte(name))
		if err != nil {
			return err
		}
		return b.ForEach(func(key, raw []byte) error {
			row := new(T)
			if err := json.Unmarshal(raw, row); err != nil {
				return fmt.Errorf("row %s: %w", key, err)
			}
			t.store(string(key), row)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("load table %s of the sandbox's state: %w", name, err)
	}
	return t, nil
}

// overlay is what a transaction has staged for the table; nil rows are deletions.
func (t *Table[T]) overlay(tx *Tx) map[string]*T {
	staged, _ := tx.writes[t].(map[string]*T)
	return staged
}

func (t *Table[T]) stage(tx *Tx, key string, row *T) {
	staged := t.overlay(tx)
	if staged == nil {
		staged = map[string]*T{}
		tx.writes[t] = staged // a nil map in a View: a write there is a mistake of this program
	}
	staged[key] = row
}

// Get is a copy of the row, as the transaction sees it.
func (t *Table[T]) Get(tx *Tx, key string) (T, bool) {
	row, ok := t.overlay(tx)[key]
	if !ok {
		row = t.rows[key]
	}
	if row == nil {
		var none T
		return none, false
	}
	return *row, true
}

// Put stages the row.
func (t *Table[T]) Put(tx *Tx, key string, row T) { t.stage(tx, key, &row) }

// Delete stages the removal of the row; a row that is not there is no error.
func (t *Table[T]) Delete(tx *Tx, key string) { t.stage(tx, key, nil) }

// Len is the number of rows that are stored, without what is staged.
func (t *Table[T]) Len(*Tx) int { return len(t.rows) }

// Scan yields the rows under one index entry, in the order of their keys (staged ones last). They are to be read only.
func (t *Table[T]) Scan(tx *Tx, entry string) iter.Seq2[string, *T] {
	return func(yield func(string, *T) bool) {
		staged := t.overlay(tx)
		for _, key := range t.indexes[entry] {
			if _, changed := staged[key]; changed {
				continue
			}
			if !yield(key, t.rows[key]) {
				return
			}
		}
		for key, row := range staged {
			if row != nil && slices.Contains(t.entries(row), entry) && !yield(key, row) {
				return
			}
		}
	}
}

// Count is how many stored rows are under an index entry, without what is staged: enough to choose between two entries.
func (t *Table[T]) Count(entry string) int { return len(t.indexes[entry]) }

// All yields every row, in no order. They are to be read only.
func (t *Table[T]) All(tx *Tx) iter.Seq2[string, *T] {
	return func(yield func(string, *T) bool) {
		staged := t.overlay(tx)
		for key, row := range t.rows {
			if _, changed := staged[key]; !changed && !yield(key, row) {
				return
			}
		}
		for key, row := range staged {
			if row != nil && !yield(key, row) {
				return
			}
		}
	}
}

func (t *Table[T]) entries(row *T) []string {
	if t.indexOf == nil {
		return nil
	}
	return t.indexOf(*row)
}

// store puts a row into memory and into the indexes.
func (t *Table[T]) store(key string, row *T) {
	if old := t.rows[key]; old != nil {
		for _, e := range t.entries(old) {
			t.unindex(e, key)
		}
		delete(t.rows, key)
	}
	if row == nil {
		return
	}
	t.rows[key] = row
	for _, e := range t.entries(row) {
		keys := t.indexes[e]
		if i, found := slices.BinarySearch(keys, key); !found {
			t.indexes[e] = slices.Insert(keys, i, key)
		}
	}
}

func (t *Table[T]) unindex(entry, key string) {
	keys := t.indexes[entry]
	i, found := slices.BinarySearch(keys, key)
	switch {
	case !found:
	case len(keys) == 1:
		delete(t.indexes, entry)
	default:
		t.indexes[entry] = slices.Delete(keys, i, i+1)
	}
}

func (t *Table[T]) bucket() []byte { return []byte(t.name) }

func (t *Table[T]) encode(tx *Tx) (map[string][]byte, error) {
	out := map[string][]byte{}
	for key, row := range t.overlay(tx) {
		if row == nil {
			out[key] = nil
			continue
		}
		raw, err := json.Marshal(row)
		if err != nil {
			return nil, fmt.Errorf("encode row %s of table %s: %w", key, t.name, err)
		}
		out[key] = raw
	}
	return out, nil
}

func (t *Table[T]) apply(tx *Tx) {
	for key, row := range t.overlay(tx) {
		t.store(key, row)
	}
}
