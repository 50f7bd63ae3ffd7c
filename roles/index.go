package roles

import (
	"crypto/sha1" //nolint:gosec // Git ends its index with a SHA-1; this checks it
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// gitIndex is Git's memory of the working tree: what was checked out, and how it looked on disk then. go-git reads
// the index too, ten times slower than a whole `git status` may take on a fleet of 20,000 files.
// The format is described in gitformat-index(5).
type gitIndex struct {
	entries []indexEntry // sorted by path
	written moment
	link    []byte // of a split index: the extension that names the file with the other entries
}

type indexEntry struct {
	path         string
	id           plumbing.Hash
	mode         filemode.FileMode
	stat         fileStat
	skipWorktree bool
	assumeValid  bool // git update-index --assume-unchanged
	unmerged     bool
	clean        bool // it was looked at, and is surely unchanged
}

// moment is a time as the index keeps it.
type moment struct{ sec, nsec uint32 }

func (m moment) before(n moment) bool { return m.sec < n.sec || m.sec == n.sec && m.nsec < n.nsec }

// fileStat is what Git compares to see that a file is unchanged: the low 32 bits of each.
type fileStat struct {
	ctime, mtime          moment
	inode, uid, gid, size uint32
}

var (
	errBadIndex = errors.New("malformed index; run `git status` to see whether Git can read it")
	errNewIndex = errors.New("the index is of a newer format than imgops knows; a new clone made with Git's default settings has a known one")
)

func (r *Repo) readIndex() (*gitIndex, error) {
	name := filepath.Join(r.gitDir, "index")
	data, info, err := readText(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &gitIndex{}, nil // nothing was ever added
	}
	if err != nil {
		return nil, fmt.Errorf("reading Git's index: %w", err)
	}
	x, err := parseIndex(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if err := r.mergeShared(x); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(x.entries, func(e indexEntry) bool { return e.path == "" }) {
		return nil, fmt.Errorf("reading %s: an entry without a name: %w", name, errBadIndex)
	}
	if err := x.expand(r.store); err != nil {
		return nil, err
	}
	// Of an unmerged file, one stage is enough.
	x.entries = slices.CompactFunc(x.entries, func(a, b indexEntry) bool { return a.path == b.path })
	x.written = moment{uint32(info.ModTime().Unix()), uint32(info.ModTime().Nanosecond())} //nolint:gosec // as the index keeps times
	return x, nil
}

// parseIndex reads versions 2 to 4.
func parseIndex(data string) (*gitIndex, error) {
	if len(data) < 12+sha1.Size || data[:4] != "DIRC" {
		return nil, errBadIndex
	}
	version, count := wordAt(data, 4), wordAt(data, 8)
	body, sum := data[:len(data)-sha1.Size], data[len(data)-sha1.Size:]
	sound := make(chan bool, 1)
	go func() { // while the entries are read: both take milliseconds
		skipped := sum == string(make([]byte, sha1.Size))             // index.skipHash
		sound <- skipped || sum == string(hashText(sha1.New(), body)) //nolint:gosec // see the import
	}()
	x, err := parseEntries(body, version, count)
	if !<-sound {
		return nil, fmt.Errorf("wrong checksum: %w", errBadIndex)
	}
	return x, err
}

func parseEntries(body string, version, count uint32) (_ *gitIndex, err error) {
	if version < 2 || version > 4 || int(count) > len(body)/entryHead {
		return nil, fmt.Errorf("version %d, %d entries: %w", version, count, errBadIndex)
	}
	x := &gitIndex{entries: make([]indexEntry, 0, count)}
	rest, previous := body[12:], ""
	for range count {
		e, size, err := parseEntry(rest, version, previous)
		if err != nil {
			return nil, err
		}
		previous, rest = e.path, rest[size:]
		x.entries = append(x.entries, e)
	}
	x.link, err = readExtensions(rest)
	return x, err
}

const (
	entryHead    = 62
	extendedFlag = 0x4000
	stageMask    = 0x3000
	assumeFlag   = 0x8000
	skipFlag     = 0x4000 // in the extended flags
)

// wordAt is the number in network order at a place in a text.
func wordAt(b string, at int) uint32 {
	return uint32(b[at])<<24 | uint32(b[at+1])<<16 | uint32(b[at+2])<<8 | uint32(b[at+3])
}

// parseEntry reads one entry and says how many bytes it takes.
func parseEntry(b string, version uint32, previous string) (e indexEntry, size int, err error) {
	if len(b) < entryHead+2 {
		return e, 0, errBadIndex
	}
	word := func(i int) uint32 { return wordAt(b, 4*i) }
	e.stat = fileStat{
		ctime: moment{word(0), word(1)}, mtime: moment{word(2), word(3)},
		inode: word(5), uid: word(7), gid: word(8), size: word(9),
	}
	e.mode = filemode.FileMode(word(6))
	copy(e.id[:], b[40:60])
	flags := wordAt(b, 60) >> 16
	e.unmerged, e.assumeValid = flags&stageMask != 0, flags&assumeFlag != 0
	size = entryHead
	if flags&extendedFlag != 0 {
		e.skipWorktree = wordAt(b, 60)&skipFlag != 0
		size += 2
	}
	prefix := ""
	if version == 4 {
		strip, n := stripLength(b[size:])
		if n == 0 || strip > len(previous) {
			return e, 0, errBadIndex
		}
		prefix, size = previous[:len(previous)-strip], size+n
	}
	end := strings.IndexByte(b[size:], 0)
	if end < 0 {
		return e, 0, errBadIndex
	}
	e.path = prefix + b[size:size+end]
	size += end + 1
	if version < 4 { // padded to eight bytes, at least one of them zero
		size = (size + 7) &^ 7
	}
	checked := e.path
	if e.isDir() && e.skipWorktree {
		checked = strings.TrimSuffix(checked, "/")
	}
	// A split index keeps some of the names in another file.
	if size > len(b) || e.path != "" && !safePath(checked, previous) {
		return e, 0, errBadIndex
	}
	return e, size, nil
}

// stripLength reads the variable-width number of version 4: how much of the previous path to drop.
func stripLength(b string) (value, size int) {
	for i := range min(len(b), 5) {
		c := b[i]
		if i > 0 {
			value++
		}
		value = value<<7 | int(c&0x7f)
		if c&0x80 == 0 {
			return value, i + 1
		}
	}
	return 0, 0
}

// safePath checks the names of a path, less those that it shares with one that was checked.
func safePath(p, checked string) bool {
	same := 0
	for i := 0; i < len(p) && i < len(checked) && p[i] == checked[i]; i++ {
		if p[i] == '/' {
			same = i + 1
		}
	}
	for name := range strings.SplitSeq(p[same:], "/") {
		if !safeName(name) {
			return false
		}
	}
	return true
}

// readExtensions looks for what changes the meaning of the entries, which Git marks by a small first letter: "link", which
// is given, and "sdir", which says that some are whole directories.
func readExtensions(b string) (link []byte, err error) {
	for len(b) >= 8 {
		name, size := b[:4], int(wordAt(b, 4))
		if size > len(b)-8 {
			return nil, errBadIndex
		}
		switch {
		case name == "link" && size < sha1.Size:
			return nil, errBadIndex
		case name == "link":
			link = []byte(b[8 : 8+size])
		case name != "sdir" && (name[0] < 'A' || name[0] > 'Z'):
			return nil, fmt.Errorf("extension %q: %w", name, errNewIndex)
		}
		b = b[8+size:]
	}
	return link, nil
}

// unchanged says whether a file is surely the one that the index remembers. A file written in the same instant as the
// index, or after it, may have changed without a trace ("racily clean"): it is not sure.
func (x *gitIndex) unchanged(e *indexEntry, now diskStat, can diskModes) bool {
	mode, ok := now.gitMode(e.mode, can)
	return ok && now.exact && mode == e.mode && !e.unmerged && e.stat == now.fileStat && now.mtime.before(x.written)
}

// hasTop says whether a top-level directory of the fleet holds tracked files.
func (x *gitIndex) hasTop(prefix, top string) bool {
	p := join(prefix, top) + "/"
	i := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].path >= p })
	return i < len(x.entries) && strings.HasPrefix(x.entries[i].path, p)
}
