package roles

import (
	"crypto/sha1" //nolint:gosec // Git names blobs by SHA-1; this computes Git's names
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
)

// gitIndex is Git's memory of the working tree: what was checked out, and how it looked on disk then.
type gitIndex struct {
	entries []indexEntry // sorted by path
	written time.Time
}

type indexEntry struct {
	path         string
	id           plumbing.Hash
	mode         filemode.FileMode
	stat         fileStat
	skipWorktree bool
	unmerged     bool
}

// fileStat is what Git compares to see that a file is unchanged.
type fileStat struct {
	mtime, ctime    time.Time
	inode, uid, gid uint32 // the low 32 bits, as the index keeps them
	size            uint32
}

func (r *Repo) readIndex() (*gitIndex, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	read, err := r.git.Storer.Index()
	if errors.Is(err, index.ErrUnknownExtension) || errors.Is(err, index.ErrUnsupportedVersion) {
		return nil, fmt.Errorf("reading Git's index: %w; run `git update-index --no-split-index` and `git sparse-checkout reapply --no-sparse-index`", err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading Git's index: %w; run `git status` to see whether Git can read it", err)
	}
	idx := &gitIndex{entries: make([]indexEntry, 0, len(read.Entries)), written: read.ModTime}
	for _, e := range read.Entries {
		entry := indexEntry{
			path: e.Name, id: e.Hash, mode: e.Mode, skipWorktree: e.SkipWorktree, unmerged: e.Stage != 0,
			stat: fileStat{mtime: e.ModifiedAt, ctime: e.CreatedAt, inode: e.Inode, uid: e.UID, gid: e.GID, size: e.Size},
		}
		if n := len(idx.entries); n > 0 && idx.entries[n-1].path == e.Name {
			continue // another stage of an unmerged file
		}
		idx.entries = append(idx.entries, entry)
	}
	return idx, nil
}

// unchanged says whether a file is surely the one that the index remembers. A file written in the same instant as the
// index, or after it, may have changed without a trace ("racily clean"): it is not sure.
func (x *gitIndex) unchanged(e indexEntry, info fs.FileInfo, fileMode bool) bool {
	mode, ok := diskMode(info, e.mode, fileMode)
	if !ok || mode != e.mode || e.unmerged {
		return false
	}
	now, ok := statOf(info)
	return ok && e.stat.size == now.size && e.stat.inode == now.inode && e.stat.uid == now.uid && e.stat.gid == now.gid &&
		e.stat.mtime.Equal(now.mtime) && e.stat.ctime.Equal(now.ctime) && now.mtime.Before(x.written)
}

// hasTop says whether a top-level directory of the fleet holds tracked files.
func (x *gitIndex) hasTop(prefix, top string) bool {
	p := join(prefix, top) + "/"
	i := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].path >= p })
	return i < len(x.entries) && strings.HasPrefix(x.entries[i].path, p)
}

// hashDisk computes the id that Git would give to what is on disk, without filters or line-ending conversion.
func hashDisk(name string, info fs.FileInfo) (id plumbing.Hash, err error) {
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := readDisk(name)
		return blobID(target), err
	}
	f, err := os.Open(name)
	if err != nil {
		return id, fmt.Errorf("hashing a changed file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha1.New() //nolint:gosec // see the import
	_, _ = io.WriteString(h, "blob "+strconv.FormatInt(info.Size(), 10)+"\x00")
	n, err := io.Copy(h, f)
	if err != nil {
		return id, fmt.Errorf("hashing a changed file: %w", err)
	}
	if n != info.Size() {
		return id, fmt.Errorf("hashing %s: %w; run the command again", name, ErrChanged)
	}
	h.Sum(id[:0])
	return id, nil
}
