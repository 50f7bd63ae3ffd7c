package roles

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // Git names blobs by SHA-1; this computes Git's names
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// store reads Git's objects, one at a time (go-git's storage may not be shared), and remembers trees.
type store struct {
	mu    sync.Mutex
	git   *objects
	trees map[plumbing.Hash]*tree
}

func newStore(git *objects) *store {
	return &store{git: git, trees: map[plumbing.Hash]*tree{}}
}

// forget makes the store look again for what it did not find.
func (s *store) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.git.Reindex()
	s.trees = map[plumbing.Hash]*tree{}
}

// tree gives the directory with this id, unread.
func (s *store) tree(id plumbing.Hash) *tree {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.treeLocked(id)
}

func (s *store) treeLocked(id plumbing.Hash) *tree {
	t, ok := s.trees[id]
	if !ok {
		t = &tree{id: id, store: s}
		s.trees[id] = t
	}
	return t
}

// warm reads the indexes of the pack files.
func (s *store) warm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.git.open(plumbing.ZeroHash)
}

// know takes over the directories of a working tree, so that those of a commit that are the same need no reading.
func (s *store) know(t *tree) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.knowLocked(t)
}

func (s *store) knowLocked(t *tree) {
	if _, ok := s.trees[t.id]; ok || t.store != nil {
		return
	}
	s.trees[t.id] = t
	if t.index != nil {
		for _, b := range t.index.below {
			s.knowLocked(b.tree)
		}
		return
	}
	for _, e := range t.entries {
		if e.sub != nil {
			s.knowLocked(e.sub)
		}
	}
}

// emptyTree is the id of a directory without entries, which Git knows without storing it (find_cached_object in its
// object-file.c): `git commit --allow-empty` in a branch without files names it.
func emptyTree() plumbing.Hash {
	return plumbing.Hash{0x4b, 0x82, 0x5d, 0xc6, 0x42, 0xcb, 0x6e, 0xb9, 0xa0, 0x60, 0xe5, 0x4b, 0xf8, 0xd6, 0x92, 0x88, 0xfb, 0xee, 0x49, 0x04}
}

func (s *store) readTree(id plumbing.Hash) ([]entry, error) {
	if id == emptyTree() {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := s.readLocked(plumbing.TreeObject, id)
	if err != nil {
		return nil, err
	}
	entries, err := decodeTree(data)
	if err != nil {
		return nil, fmt.Errorf("reading tree %s: %w", id, err)
	}
	for i := range entries {
		if entries[i].isDir() {
			entries[i].sub = s.treeLocked(entries[i].id)
		}
	}
	return entries, nil
}

func (s *store) readBlob(id plumbing.Hash) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readLocked(plumbing.BlobObject, id)
}

func (s *store) readLocked(kind plumbing.ObjectType, id plumbing.Hash) (data []byte, err error) {
	obj, err := s.git.EncodedObject(kind, id)
	if err != nil {
		return nil, objectError(kind, id, err)
	}
	r, err := obj.Reader()
	if err != nil {
		return nil, objectError(kind, id, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	data = make([]byte, obj.Size())
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, objectError(kind, id, err)
	}
	if objectID(kind, data) != id { // go-git does not look
		return nil, objectError(kind, id, errors.New("its content has another hash"))
	}
	return data, nil
}

// objectError says what to do about an object that is not here, or is damaged.
func objectError(kind plumbing.ObjectType, id plumbing.Hash, err error) error {
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return fmt.Errorf("reading %s %s: %w (%w): it is partial or damaged; run `git fetch --refetch`, or `git fsck` to see what else is missing", kind, id, ErrIncomplete, err)
	}
	return fmt.Errorf("reading %s %s: %w (%w); `git fsck` lists what else is, and `git fetch --refetch` or a new clone replaces it", kind, id, ErrDamaged, err)
}

// blobID is the id that Git gives a file's content.
func blobID(data []byte) plumbing.Hash { return objectID(plumbing.BlobObject, data) }

func objectID(kind plumbing.ObjectType, data []byte) plumbing.Hash {
	h := sha1.New() //nolint:gosec // see the import
	h.Write([]byte(kind.String() + " " + strconv.Itoa(len(data)) + "\x00"))
	h.Write(data)
	var id plumbing.Hash
	h.Sum(id[:0])
	return id
}

// files reads the content of a fleet's files: from the checkout where that holds the wanted content, else from Git.
type files struct {
	repo  *Repo
	store *store
	root  string          // the fleet's root on disk; "" for a commit
	disk  changedFiles    // content that Git does not have
	plain bool            // no file of attributes in the repository converts anything
	above []attributeText // the files of attributes above the fleet's root
	lfs   string          // where Git LFS keeps what it has downloaded
}

// read gives the content of the file with this id. hint is its path below the root: reading a clean file from disk
// is several times faster than unpacking it, and its hash proves that it is the same.
func (f *files) read(hint string, id plumbing.Hash) ([]byte, error) {
	if f.root != "" {
		if p, ok := f.disk.find(hint, id); ok {
			data, err := readDisk(f.onDisk(p))
			if err != nil {
				return nil, err
			}
			if blobID(data) != f.disk.files[p].raw {
				return nil, fmt.Errorf("reading %s: %w; run the command again", Printable(p), ErrChanged)
			}
			return data, nil
		}
		if data, ok := f.clean(f.onDisk(hint), id); ok {
			return data, nil
		}
	}
	return f.store.readBlob(id)
}

// quickBuffers are for reading small files; what is kept of one is copied.
var quickBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// clean reads a file from disk if its content has the wanted id.
func (f *files) clean(name string, id plumbing.Hash) ([]byte, bool) {
	buffer := quickBuffers.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
	defer quickBuffers.Put(buffer)
	if data, ok := readQuick(name, *buffer); ok {
		return bytes.Clone(data), blobID(data) == id
	}
	data, err := readDisk(name)
	return data, err == nil && blobID(data) == id
}

// onDisk is the path of a file of the fleet.
func (f *files) onDisk(p string) string { return filepath.Join(f.root, filepath.FromSlash(p)) }
