package roles

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // Git names trees by SHA-1; this computes Git's names
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// tree is a directory, named by the id that Git gives it. Trees are immutable once made and shared freely; those of
// a commit read their entries on first use.
type tree struct {
	id      plumbing.Hash
	store   *store   // reads the entries of a tree of Git's
	index   *indexed // makes the entries of a directory that is as in the index
	once    sync.Once
	entries []entry // in Git's order
	err     error

	indexed sync.Once
	byName  map[string]int // of a large directory, made on first use
}

// entry is one name in a directory.
type entry struct {
	name string
	mode filemode.FileMode
	id   plumbing.Hash
	sub  *tree // for a directory
}

func (e entry) isDir() bool  { return e.mode == filemode.Dir }
func (e entry) isFile() bool { return e.mode.IsFile() && e.mode != filemode.Symlink }

// value is how an entry stands in a component: its mode and id.
func (e entry) value() string { return fmt.Sprintf("%06o %s", uint32(e.mode), e.id) }

// newTree makes a tree of entries in Git's order and computes its id.
func newTree(entries []entry) *tree {
	return &tree{id: treeID(entries), entries: entries}
}

func treeID(entries []entry) plumbing.Hash {
	b := newTreeBody()
	for _, e := range entries {
		b.add(e.mode, e.name, e.id)
	}
	return b.id()
}

// treeBody is a tree object in the making, with room for its head.
type treeBody struct{ data []byte }

const treeHeadRoom = 32

var treeBodies = sync.Pool{New: func() any { return &treeBody{make([]byte, treeHeadRoom, 4<<10)} }}

func newTreeBody() *treeBody { return treeBodies.Get().(*treeBody) } //nolint:forcetypeassert // the pool holds nothing else

func (b *treeBody) add(mode filemode.FileMode, name string, id plumbing.Hash) {
	b.data = strconv.AppendUint(b.data, uint64(mode), 8)
	b.data = append(b.data, ' ')
	b.data = append(b.data, name...)
	b.data = append(b.data, 0)
	b.data = append(b.data, id[:]...)
}

// id is the tree's; the body is not to be used after it.
func (b *treeBody) id() plumbing.Hash {
	var room [treeHeadRoom]byte
	head := append(strconv.AppendInt(append(room[:0], "tree "...), int64(len(b.data)-treeHeadRoom), 10), 0)
	from := treeHeadRoom - len(head)
	copy(b.data[from:], head)
	id := sha1.Sum(b.data[from:]) //nolint:gosec // see the import
	b.data = b.data[:treeHeadRoom]
	treeBodies.Put(b)
	return id
}

func (t *tree) list() ([]entry, error) {
	switch {
	case t.store != nil:
		t.once.Do(func() { t.entries, t.err = t.store.readTree(t.id) })
	case t.index != nil:
		t.once.Do(func() { t.entries = t.index.entries() })
	}
	return t.entries, t.err
}

// child finds one name; ok is false when there is none.
func (t *tree) child(name string) (entry, bool, error) {
	entries, err := t.list()
	if err != nil {
		return entry{}, false, err
	}
	if len(entries) > 16 {
		t.indexed.Do(func() {
			t.byName = make(map[string]int, len(entries))
			for i := range slices.Backward(entries) { // of a name that is there twice, the first counts
				t.byName[entries[i].name] = i
			}
		})
		if i, ok := t.byName[name]; ok {
			return entries[i], true, nil
		}
		return entry{}, false, nil
	}
	for _, e := range entries {
		if e.name == name {
			return e, true, nil
		}
	}
	return entry{}, false, nil
}

// lookup finds what stands at a slash-separated path; "" and "." are the tree itself. It follows no symlink.
func (t *tree) lookup(p string) (entry, bool, error) {
	e := entry{mode: filemode.Dir, id: t.id, sub: t}
	if p = path.Clean(p); p == "." {
		return e, true, nil
	}
	for name := range strings.SplitSeq(p, "/") {
		if e.sub == nil {
			return entry{}, false, nil
		}
		var ok bool
		var err error
		if e, ok, err = e.sub.child(name); err != nil || !ok {
			return entry{}, false, err
		}
	}
	return e, true, nil
}

var errSkipDir = errors.New("skip this directory")

// walk calls visit for every entry below t, parents first; errSkipDir keeps it out of a directory.
func (t *tree) walk(prefix string, visit func(p string, e entry) error) error {
	entries, err := t.list()
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := join(prefix, e.name)
		switch err := visit(p, e); {
		case errors.Is(err, errSkipDir):
			continue
		case err != nil:
			return err
		}
		if e.sub != nil {
			if err := e.sub.walk(p, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "/" + name
}

// filter gives t without what drop says; t itself when nothing is dropped. Directories left empty go too.
func (t *tree) filter(prefix string, drop func(p string, e entry) bool) (*tree, error) {
	entries, err := t.list()
	if err != nil {
		return nil, err
	}
	kept, changed := make([]entry, 0, len(entries)), false
	for _, e := range entries {
		p := join(prefix, e.name)
		if drop(p, e) {
			changed = true
			continue
		}
		if e.sub != nil {
			sub, err := e.sub.filter(p, drop)
			if err != nil {
				return nil, err
			}
			if sub != e.sub {
				changed = true
				if len(sub.entries) == 0 {
					continue
				}
				e.sub, e.id = sub, sub.id
			}
		}
		kept = append(kept, e)
	}
	if !changed {
		return t, nil
	}
	return newTree(kept), nil
}

// decodeTree reads a tree object. Names that could lead out of a directory are refused: they come from a repository
// that someone made by hand to harm whoever checks it out.
func decodeTree(data []byte) ([]entry, error) {
	entries := make([]entry, 0, bytes.Count(data, []byte{0}))
	for len(data) > 0 {
		space := bytes.IndexByte(data, ' ')
		end := bytes.IndexByte(data, 0)
		if space < 0 || end < space || len(data) < end+21 {
			return nil, errors.New("malformed tree object")
		}
		mode, err := strconv.ParseUint(string(data[:space]), 8, 32)
		if err != nil {
			return nil, fmt.Errorf("malformed mode in tree object: %w", err)
		}
		e := entry{name: string(data[space+1 : end]), mode: filemode.FileMode(mode)}
		if !safeName(e.name) {
			return nil, fmt.Errorf("tree object holds the unsafe name %q", e.name)
		}
		copy(e.id[:], data[end+1:end+21])
		entries = append(entries, e)
		data = data[end+21:]
	}
	return entries, nil
}

// safeName says that a name stands for something in its directory, on this platform: a backslash is a letter of a name on
// most (systemd's var-lib\x2dfoo.mount), and leads to another directory on Windows.
func safeName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.EqualFold(name, ".git") && !strings.ContainsAny(name, "/\x00") &&
		(filepath.Separator == '/' || !strings.ContainsRune(name, filepath.Separator))
}
