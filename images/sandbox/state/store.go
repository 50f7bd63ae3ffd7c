package state

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Store is the file and the lock of a set of tables.
type Store struct {
	mu sync.RWMutex
	db *bbolt.DB
}

// Open opens or makes the file. It is locked while open: a second process gets an error that says so.
func Open(path string) (*Store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: time.Second,
		// Only the process is ever killed, not the machine: what has been written is in the page cache, which outlives
		// the process. An fsync per request would cost more than the request.
		NoSync:         true,
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open state file %s: another sandbox process has it open; stop that one first", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open state file %s: %w", path, err)
	}
	if err := reserve(path); err != nil {
		return nil, fmt.Errorf("open state file %s: %w", path, errors.Join(err, db.Close()))
	}
	return &Store{db: db}, nil
}

// Close closes the file, after flushing it to disk.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.db.Sync(), s.db.Close())
}

// Tx is one look at the tables, or one change of them. It is valid only within the function of View or Update.
type Tx struct {
	writes map[tableWriter]any // the table's own overlay
}

// tableWriter is what a Tx needs of a table of any row type.
type tableWriter interface {
	encode(tx *Tx) (map[string][]byte, error) // nil value: delete
	apply(tx *Tx)
	bucket() []byte
}

// View runs fn while nobody writes.
func (s *Store) View(fn func(*Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return fn(&Tx{})
}

// Update runs fn while nobody else reads or writes, and makes its writes durable and visible, all at once, when fn
// returns nil.
func (s *Store) Update(fn func(*Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := &Tx{writes: map[tableWriter]any{}}
	if err := fn(tx); err != nil {
		return err
	}
	if len(tx.writes) == 0 {
		return nil
	}
	if err := s.db.Update(tx.save); err != nil {
		return fmt.Errorf("write the sandbox's state file: %w", err)
	}
	for t := range tx.writes {
		t.apply(tx)
	}
	return nil
}

func (tx *Tx) save(db *bbolt.Tx) error {
	for t := range tx.writes {
		rows, err := t.encode(tx)
		if err != nil {
			return err
		}
		b := db.Bucket(t.bucket())
		for key, raw := range rows {
			if raw == nil {
				err = b.Delete([]byte(key))
			} else {
				err = b.Put([]byte(key), raw)
			}
			if err != nil {
				return fmt.Errorf("table %s, row %s: %w", t.bucket(), key, err)
			}
		}
	}
	return nil
}
