package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// blockSize is the unit in which snapshots are compared and shared.
const blockSize = 64 << 10

// Store is a directory of snapshots. Its methods may be called from several goroutines.
type Store struct {
	dir string

	files sync.RWMutex // held for reading while data files are used, for writing while they are deleted
	mu    sync.Mutex
	index map[string]*manifest
	busy  map[string]bool // snapshots that are being made
}

// manifest is what <id>.map says.
type manifest struct {
	Size   int64      `json:"size"`   // of the disk, bytes
	Block  int64      `json:"block"`  // bytes
	Owners []string   `json:"owners"` // snapshots in whose data files the blocks lie
	Runs   [][3]int64 `json:"runs"`   // first block, number of blocks, index in Owners; what is in no run is zero
}

var validID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`) }) // most runs need no disk

// Open reads the store in dir, which it makes when it is missing, and removes what killed processes left.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the snapshot store: %w", err)
	}
	s := &Store{dir: dir, index: map[string]*manifest{}, busy: map[string]bool{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the snapshot store: %w", err)
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".map")
		if !ok {
			continue
		}
		m, err := readManifest(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading snapshot %s: %w", id, err)
		}
		s.index[id] = m
	}
	return s, s.sweep(entries)
}

func readManifest(path string) (*manifest, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := new(manifest)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, err
	}
	return m, m.check()
}

// check refuses what would lead outside the disk or the store.
func (m *manifest) check() error {
	if m.Block != blockSize || m.Size < 0 {
		return fmt.Errorf("the manifest is damaged: size %d, block %d", m.Size, m.Block)
	}
	for _, id := range m.Owners {
		if !validID().MatchString(id) {
			return fmt.Errorf("the manifest is damaged: owner %q", id)
		}
	}
	var last int64
	for _, r := range m.Runs {
		if r[0] < last || r[1] < 1 || r[1] > blocks(m.Size)-r[0] || r[2] < 0 || r[2] >= int64(len(m.Owners)) {
			return fmt.Errorf("the manifest is damaged: run %v", r)
		}
		last = r[0] + r[1]
	}
	return nil
}

func blocks(size int64) int64 { return (size + blockSize - 1) / blockSize }

// sweep removes temporary files, and data files that no manifest names.
func (s *Store) sweep(entries []fs.DirEntry) error {
	var errs []error
	for _, e := range entries {
		id, isData := strings.CutSuffix(e.Name(), ".data")
		if isData && s.needed(id) || strings.HasSuffix(e.Name(), ".map") || e.IsDir() {
			continue
		}
		errs = append(errs, os.Remove(filepath.Join(s.dir, e.Name())))
	}
	return errors.Join(errs...)
}

// needed says whether a manifest names the data file of id. s.mu is held, or s is not shared yet.
func (s *Store) needed(id string) bool {
	for _, m := range s.index {
		if slices.Contains(m.Owners, id) {
			return true
		}
	}
	return false
}

func (s *Store) dataPath(id string) string { return filepath.Join(s.dir, id+".data") }

func (s *Store) get(id string) (*manifest, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.index[id]
	return m, ok
}

// Has says whether the snapshot exists.
func (s *Store) Has(snapshotID string) bool {
	_, ok := s.get(snapshotID)
	return ok
}

// IDs lists the snapshots, sorted.
func (s *Store) IDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, 0, len(s.index))
	for id := range s.index {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Size returns the size of the snapshot's disk and what the snapshot itself takes on this computer, both in bytes: the blocks that it shares
// with its parents are not counted.
func (s *Store) Size(snapshotID string) (virtual, stored int64, err error) {
	m, ok := s.get(snapshotID)
	if !ok {
		return 0, 0, notFound(snapshotID)
	}
	if !slices.Contains(m.Owners, snapshotID) {
		return m.Size, 0, nil
	}
	var st unix.Stat_t
	if err := unix.Stat(s.dataPath(snapshotID), &st); err != nil {
		return 0, 0, fmt.Errorf("measuring snapshot %s: %w", snapshotID, err)
	}
	return m.Size, st.Blocks * 512, nil
}

func notFound(id string) error { return fmt.Errorf("snapshot %s: %w", id, fs.ErrNotExist) }

// Delete removes the snapshot. Blocks that other snapshots share with it stay, the others are given back.
func (s *Store) Delete(snapshotID string) error {
	s.files.Lock()
	defer s.files.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.index[snapshotID]
	if !ok {
		return notFound(snapshotID)
	}
	if err := os.Remove(filepath.Join(s.dir, snapshotID+".map")); err != nil {
		return fmt.Errorf("deleting snapshot %s: %w", snapshotID, err)
	}
	delete(s.index, snapshotID)
	var errs []error
	for _, owner := range m.Owners {
		if _, alive := s.index[owner]; !alive {
			errs = append(errs, s.shrink(owner, m.Size))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("freeing the blocks of snapshot %s: %w", snapshotID, err)
	}
	return nil
}

// shrink frees the blocks in the data file of a deleted snapshot that no manifest names, or the file when none is named.
func (s *Store) shrink(owner string, size int64) error {
	if !s.needed(owner) {
		return os.Remove(s.dataPath(owner))
	}
	f, err := os.OpenFile(s.dataPath(owner), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	used := make([]bool, blocks(max(size, info.Size())))
	for _, m := range s.index {
		i := int64(slices.Index(m.Owners, owner))
		for _, r := range m.Runs {
			for b := r[0]; r[2] == i && b < r[0]+r[1]; b++ {
				used[b] = true
			}
		}
	}
	for first := 0; first < len(used); {
		last := first
		for last < len(used) && used[last] == used[first] {
			last++
		}
		if !used[first] {
			err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(first)*blockSize, int64(last-first)*blockSize)
			if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
				return err
			}
		}
		first = last
	}
	return nil
}

// begin reserves the id of a snapshot that is to be made; done gives it back.
func (s *Store) begin(id string) (done func(), err error) {
	if !validID().MatchString(id) {
		return nil, fmt.Errorf("snapshot id %q: it has up to 64 letters, digits and hyphens", id)
	}
	s.files.RLock() // before s.mu, as everywhere
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index[id] != nil || s.busy[id] || s.needed(id) {
		s.files.RUnlock()
		return nil, fmt.Errorf("snapshot %s: %w", id, fs.ErrExist)
	}
	s.busy[id] = true
	return func() {
		s.files.RUnlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.busy, id)
	}, nil
}

// commit makes a snapshot whose data has been written to the temporary file exist.
func (s *Store) commit(id, temp string, m *manifest) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if slices.Contains(m.Owners, id) {
		if err := os.Rename(temp, s.dataPath(id)); err != nil {
			return err
		}
	}
	path := filepath.Join(s.dir, id+".map")
	if err = os.WriteFile(temp, data, 0o600); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(s.dataPath(id))
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index[id] = m
	return nil
}
