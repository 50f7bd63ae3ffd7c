package roles

import (
	"encoding/binary"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// listings remembers, in .git/imgops/listings, the names in each directory of the working tree, as Git's untracked
// cache does: a directory whose times and inode are those remembered holds the same names, and needs no reading. What
// the files hold is never taken from here. The file may be deleted at any time.
//
// A directory that changes in the same instant in which it is listed would keep its times. So a listing is kept only
// of a directory whose times lie before the file system's own clock when this process began to list.
type listings struct {
	file   string
	prefix string // the fleet's root, relative to the working tree: two fleets of one repository share the file

	load  sync.Once
	known map[string]*dirListing // by path relative to the fleet's root
	rest  map[string]*dirListing // of other fleets, by path relative to the working tree

	mu    sync.Mutex
	fresh map[string]*dirListing // what this process listed
	clock *dirStamp              // see tick; nil until it was asked
}

// dirStamp is by what a directory is known to hold the same names.
type dirStamp struct {
	device, inode uint64
	mtime, ctime  [2]int64 // seconds, nanoseconds
}

func before(a, b [2]int64) bool { return a[0] < b[0] || a[0] == b[0] && a[1] < b[1] }

type dirListing struct {
	stamp dirStamp
	files []diskFile // sorted by name
	seen  bool       // the directory is as it was when it was listed
}

const (
	listingsHead = "imgops listings 1\n"
	maxListed    = 1_000_000 // names
	usualListing = 200       // bytes of a directory with some files
)

func newListings(gitDir, prefix string) *listings {
	return &listings{file: filepath.Join(gitDir, "imgops", "listings"), prefix: prefix, fresh: map[string]*dirListing{}}
}

// list gives the names in a directory, sorted, from memory where that is sure.
func (l *listings) list(disk *diskRoot, rel string) ([]diskFile, error) {
	l.load.Do(l.read)
	if old, ok := l.known[rel]; ok {
		if now, ok := disk.stamp(rel); ok && now == old.stamp {
			old.seen = true // each directory is listed once
			return old.files, nil
		}
	}
	now := l.tick() // before the names are read
	files, stamp, err := disk.list(rel)
	if err == nil && now.device == stamp.device && before(stamp.mtime, now.mtime) && before(stamp.ctime, now.mtime) {
		l.mu.Lock()
		l.fresh[rel] = &dirListing{stamp: stamp, files: files}
		l.mu.Unlock()
	}
	return files, err
}

// tick asks the file system for its time, once: it is the time of a file made now. Where none can be made, and where the
// file system is not known to keep the times of directories well, it is the beginning of time, and nothing is remembered.
func (l *listings) tick() dirStamp {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clock != nil {
		return *l.clock
	}
	l.clock = &dirStamp{}
	if err := os.MkdirAll(filepath.Dir(l.file), 0o755); err != nil {
		return *l.clock
	}
	f, err := os.CreateTemp(filepath.Dir(l.file), "tick-*")
	if err != nil {
		return *l.clock
	}
	if stamp, ok := fileStamp(f); ok && hasSureTimes(f) {
		*l.clock = stamp
	}
	_ = f.Close() // nothing was written
	_ = os.Remove(f.Name())
	return *l.clock
}

// save writes what was seen. It is best effort: nothing depends on the file.
func (l *listings) save() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.fresh) == 0 {
		return
	}
	body, names := []byte(listingsHead), 0
	write := func(dir string, of *dirListing) {
		if names += len(of.files); names <= maxListed {
			body = appendListing(body, dir, of)
		}
	}
	for rel, of := range l.known {
		if _, again := l.fresh[rel]; !again && of.seen {
			l.fresh[rel] = of
		}
	}
	for _, rel := range slices.Sorted(maps.Keys(l.fresh)) {
		write(join(l.prefix, rel), l.fresh[rel])
	}
	for _, dir := range slices.Sorted(maps.Keys(l.rest)) {
		write(dir, l.rest[dir])
	}
	saveMemory(l.file, body)
}

func appendListing(b []byte, dir string, of *dirListing) []byte {
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	text(dir)
	s := of.stamp
	for _, v := range []uint64{s.device, s.inode, uint64(s.mtime[0]), uint64(s.mtime[1]), uint64(s.ctime[0]), uint64(s.ctime[1])} { //nolint:gosec // the same bits
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.AppendUvarint(b, uint64(len(of.files)))
	for _, f := range of.files {
		b = binary.LittleEndian.AppendUint32(b, uint32(f.kind))
		text(f.name)
	}
	return b
}

// read takes a damaged or missing file as empty.
func (l *listings) read() {
	l.known, l.rest = map[string]*dirListing{}, map[string]*dirListing{}
	if body, ok := readMemory(l.file, listingsHead); ok {
		l.parse(body)
	}
}

func (l *listings) parse(body string) {
	r := memoryReader{rest: body}
	l.known = make(map[string]*dirListing, len(body)/usualListing)
	for r.rest != "" {
		dir := r.text()
		of := &dirListing{stamp: dirStamp{device: r.word(), inode: r.word(), mtime: [2]int64{int64(r.word()), int64(r.word())}, ctime: [2]int64{int64(r.word()), int64(r.word())}}} //nolint:gosec // the same bits
		count := r.count()
		of.files = make([]diskFile, 0, count)
		for range count {
			kind := fs.FileMode(r.half())
			of.files = append(of.files, diskFile{name: r.text(), kind: kind})
		}
		if r.bad {
			l.known, l.rest = map[string]*dirListing{}, map[string]*dirListing{}
			return
		}
		switch {
		case l.prefix == "":
			l.known[dir] = of
		case dir == l.prefix:
			l.known[""] = of
		case strings.HasPrefix(dir, l.prefix+"/"):
			l.known[dir[len(l.prefix)+1:]] = of
		default:
			l.rest[dir] = of
		}
	}
}
