package roles

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"runtime"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/hash"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// objects is go-git's storage, less what it does before it gives the first object of a pack: it reads the pack's index
// whole, checks its hash and turns it around, which for the pack of ten thousand commits takes longer than `git diff`.
// What is not found or not well here goes to go-git, whose errors are the ones that are told.
type objects struct {
	*filesystem.Storage
	dir   *dotgit.DotGit
	packs []*packfile.Packfile
	known bool // packs are open
}

func newObjects(dot billy.Filesystem) *objects {
	// The pack files are kept open: each object would open its pack again otherwise.
	return &objects{
		Storage: filesystem.NewStorageWithOptions(dot, cache.NewObjectLRUDefault(), filesystem.Options{KeepDescriptors: true, AlternatesFS: anywhere()}),
		dir:     dotgit.NewWithOptions(dot, dotgit.Options{AlternatesFS: anywhere()}),
	}
}

// anywhere lets go-git find the objects that a clone shares with another one (git clone --reference), as a CI's do.
func anywhere() billy.Filesystem { return osfs.New("/") }

// EncodedObject gives an object. The content of a commit from a pack has the hash that it is named by; that of trees and
// blobs is for the caller to check.
func (o *objects) EncodedObject(kind plumbing.ObjectType, id plumbing.Hash) (plumbing.EncodedObject, error) {
	o.open(id)
	for _, p := range o.packs {
		obj, err := p.Get(id)
		if err != nil || obj.Type() != kind && kind != plumbing.AnyObject {
			continue
		}
		if t := obj.Type(); t == plumbing.TreeObject || t == plumbing.BlobObject || obj.Hash() == id {
			return obj, nil
		}
	}
	return o.Storage.EncodedObject(kind, id)
}

// EncodedObjectSize gives the size of an object, unread.
func (o *objects) EncodedObjectSize(id plumbing.Hash) (int64, error) {
	o.open(id)
	for _, p := range o.packs {
		if place, err := p.FindOffset(id); err == nil {
			if size, err := p.GetSizeByOffset(place); err == nil {
				return size, nil
			}
		}
	}
	size, err := o.Storage.EncodedObjectSize(id)
	if errors.Is(err, plumbing.ErrObjectNotFound) { // go-git does not look into alternates for it
		if obj, err := o.Storage.EncodedObject(plumbing.AnyObject, id); err == nil {
			return obj.Size(), nil
		}
	}
	return size, err
}

// open opens the packs, once, when an object is wanted that is not a file of its own.
func (o *objects) open(id plumbing.Hash) {
	if o.known {
		return
	}
	if loose, err := o.dir.Object(id); err == nil {
		_ = loose.Close() // it was not read
		return
	}
	o.known = true
	shared := &deltaCache{Object: cache.NewObjectLRUDefault()}
	alternates, _ := o.dir.Alternates()
	for _, dir := range append([]*dotgit.DotGit{o.dir}, alternates...) {
		ids, _ := dir.ObjectPacks()
		for _, id := range ids {
			if p, err := openPack(dir, id, shared); err == nil {
				o.packs = append(o.packs, p)
			}
		}
	}
}

func openPack(dir *dotgit.DotGit, id plumbing.Hash, shared *deltaCache) (*packfile.Packfile, error) {
	index, err := readPackIndex(dir, id)
	if err != nil {
		return nil, err
	}
	index.deltas = shared
	f, err := dir.ObjectPack(id)
	if err != nil {
		return nil, err
	}
	return packfile.NewPackfileWithCache(index, nil, f, shared, 0), nil
}

// Reindex looks for packs anew.
func (o *objects) Reindex() {
	_ = o.closePacks() // they were only read
	o.Storage.Reindex()
}

// Close closes the pack files.
func (o *objects) Close() error { return errors.Join(o.closePacks(), o.Storage.Close()) }

func (o *objects) closePacks() error {
	var errs []error
	for _, p := range o.packs {
		errs = append(errs, p.Close())
	}
	o.packs, o.known = nil, false
	return errors.Join(errs...)
}

// readPackIndex gives a pack's index without reading the whole of it, as Git does: of millions of objects a few dozen are
// looked up. Such a file never changes; one that is replaced or deleted stays as it was for who has it.
func readPackIndex(dir *dotgit.DotGit, pack plumbing.Hash) (*packIndex, error) {
	data, release, err := mapFile(filepath.Join(dir.Fs().Root(), "objects", "pack", "pack-"+pack.String()+".idx"))
	if err != nil {
		return nil, err
	}
	x, err := parsePackIndex(data)
	if err == nil && x.PackfileChecksum != pack {
		err = idxfile.ErrMalformedIdxFile
	}
	if err != nil {
		release(data)
		return nil, err
	}
	runtime.AddCleanup(x, release, data) // readers of it may outlive the pack
	return x, nil
}

// packIndex is a pack's index as it is in its file: what idxfile.Decoder makes is the same, copied and checked.
type packIndex struct {
	idxfile.MemoryIndex
	deltas *deltaCache
}

// deltaCache is go-git's cache of what deltas are made against. To use it takes the hash of each of these objects, and
// each pack's index turned around: it pays when many are read. A plan reads a few dozen.
type deltaCache struct {
	cache.Object
	deltas int // how many were read
}

// manyDeltas is from when on the cache is used.
const manyDeltas = 1000

func (c *deltaCache) Put(o plumbing.EncodedObject) {
	if c.deltas > manyDeltas {
		c.Object.Put(o)
	}
}

func (c *deltaCache) Get(id plumbing.Hash) (plumbing.EncodedObject, bool) {
	if c.deltas > manyDeltas {
		return c.Object.Get(id)
	}
	return nil, false
}

const (
	packIndexHead = "\xfftOc\x00\x00\x00\x02"
	fanoutSize    = 256 * 4
	trailerSize   = 2 * hash.Size
)

// parsePackIndex reads version 2 (gitformat-pack(5)). The tables are parts of data.
func parsePackIndex(data []byte) (*packIndex, error) {
	rest, ok := bytes.CutPrefix(data, []byte(packIndexHead))
	if !ok || len(rest) < fanoutSize+trailerSize {
		return nil, idxfile.ErrMalformedIdxFile
	}
	x := &packIndex{}
	x.Version = idxfile.VersionSupported
	last := uint32(0)
	for i := range x.Fanout {
		x.Fanout[i] = binary.BigEndian.Uint32(rest[4*i:])
		if x.Fanout[i] < last {
			return nil, idxfile.ErrMalformedIdxFile
		}
		last = x.Fanout[i]
	}
	tables, trailer := rest[fanoutSize:len(rest)-trailerSize], rest[len(rest)-trailerSize:]
	count := uint64(last)
	if uint64(len(tables)) < count*(hash.Size+4+4) {
		return nil, idxfile.ErrMalformedIdxFile
	}
	names, crcs, offsets := tables[:count*hash.Size], tables[count*hash.Size:count*(hash.Size+4)], tables[count*(hash.Size+4):count*(hash.Size+8)]
	x.Offset64 = tables[count*(hash.Size+8):]
	copy(x.PackfileChecksum[:], trailer)
	copy(x.IdxChecksum[:], trailer[hash.Size:])
	from := uint32(0)
	for i, to := range x.Fanout {
		x.FanoutMapping[i] = i
		x.Names = append(x.Names, names[hash.Size*from:hash.Size*to])
		x.CRC32 = append(x.CRC32, crcs[4*from:4*to])
		x.Offset32 = append(x.Offset32, offsets[4*from:4*to])
		from = to
	}
	return x, nil
}

// FindHash says what object lies at a place, or that it does not know. go-git asks for the base of every delta, to see
// whether it is in its cache.
func (x *packIndex) FindHash(place int64) (plumbing.Hash, error) {
	if x.deltas.deltas++; x.deltas.deltas > manyDeltas {
		return x.MemoryIndex.FindHash(place)
	}
	return plumbing.ZeroHash, nil
}
