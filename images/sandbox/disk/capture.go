package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Capture makes a snapshot of the disk, which nobody may be writing to. Only what differs from the parent is stored; parentID is the snapshot that the disk
// was restored from, and when it is empty or has been deleted the snapshot stores all. A failed capture leaves nothing behind.
func (s *Store) Capture(ctx context.Context, diskPath, snapshotID, parentID string) error {
	done, err := s.begin(snapshotID)
	if err != nil {
		return err
	}
	defer done()
	src, err := os.Open(diskPath)
	if err != nil {
		return fmt.Errorf("capturing snapshot %s: %w", snapshotID, err)
	}
	defer src.Close()
	if err := s.capture(ctx, src, snapshotID, parentID); err != nil {
		return fmt.Errorf("capturing snapshot %s of disk %s: %w", snapshotID, diskPath, err)
	}
	return nil
}

// Import makes a snapshot without a parent from a raw disk.
func (s *Store) Import(ctx context.Context, rawPath, snapshotID string) error {
	return s.Capture(ctx, rawPath, snapshotID, "")
}

func (s *Store) capture(ctx context.Context, src *os.File, id, parentID string) error {
	size, err := checkSource(src)
	if err != nil {
		return err
	}
	temp := filepath.Join(s.dir, id+".tmp")
	data, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	defer data.Close()
	if err := data.Truncate(size); err != nil {
		return err
	}
	c := &comparison{src: src, data: data, size: size, owner: make([]int32, blocks(size))}
	if parent, ok := s.get(parentID); ok {
		if err := c.openParent(s, parent); err != nil {
			return err
		}
		defer c.close()
	}
	c.names = append(c.names, id)
	if err := c.run(ctx); err != nil {
		return err
	}
	return s.commit(id, temp, c.manifest())
}

// checkSource returns the size of the disk. One that is shorter than the file system in it has been cut off.
func checkSource(src *os.File) (int64, error) {
	info, err := src.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return 0, errors.New("it is no disk: a regular file with something in it is expected")
	}
	if fs, ok := ext4Size(src); ok && fs > info.Size() {
		return 0, fmt.Errorf("the disk is truncated: it has %d bytes of the %d of its file system", info.Size(), fs)
	}
	return info.Size(), nil
}

// comparison finds out where each block of a new snapshot lies, and writes the blocks that are new.
type comparison struct {
	src, data *os.File
	size      int64
	names     []string   // of the snapshots that may own blocks; the last is the new one
	files     []*os.File // the data files of all but the last
	parent    []int32    // owner of each block of the parent, as below
	owner     []int32    // result: 0 for zeroes, else 1 + the index in names
}

func (c *comparison) openParent(s *Store, parent *manifest) error {
	for _, name := range parent.Owners {
		f, err := os.Open(s.dataPath(name))
		if err != nil {
			c.close()
			return fmt.Errorf("opening a parent's data: %w", err)
		}
		c.names, c.files = append(c.names, name), append(c.files, f)
	}
	c.parent = parent.table()
	return nil
}

func (c *comparison) close() {
	for _, f := range c.files {
		f.Close()
	}
}

// table is the owner of each block: 0 for zeroes, else 1 + the index in Owners.
func (m *manifest) table() []int32 {
	t := make([]int32, blocks(m.Size))
	for _, r := range m.Runs {
		for b := r[0]; b < r[0]+r[1]; b++ {
			t[b] = int32(r[2]) + 1
		}
	}
	return t
}

// piece is the number of blocks that a worker takes at a time: 8 MiB.
const piece = 128

// run looks at the parts of the source that are not holes, with a worker per processor.
func (c *comparison) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	var next int64 // the first block that no worker has
	err := eachExtent(c.src, 0, c.size, func(start, end int64) error {
		last := blocks(end)
		for first := max(start/blockSize, next); first < last; first += piece {
			g.Go(func() error { return c.compare(ctx, first, min(first+piece, last)) })
		}
		next = max(next, last)
		return ctx.Err()
	})
	// Wait comes first: the workers use what the caller closes.
	return errors.Join(g.Wait(), err)
}

func (c *comparison) compare(ctx context.Context, first, last int64) error {
	buf, old := make([]byte, blockSize), make([]byte, blockSize)
	for b := first; b < last; b++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(blockSize, c.size-b*blockSize)
		if err := readBlock(c.src, buf[:n], b); err != nil {
			return fmt.Errorf("reading the disk: %w", err)
		}
		if isZero(buf[:n]) {
			continue
		}
		if b < int64(len(c.parent)) && c.parent[b] > 0 {
			was := c.parent[b]
			if err := readOld(c.files[was-1], old[:n], b); err != nil {
				return fmt.Errorf("reading the parent's data: %w", err)
			}
			if bytes.Equal(buf[:n], old[:n]) {
				c.owner[b] = was
				continue
			}
		}
		c.owner[b] = int32(len(c.names))
		if err := writeSparse(c.data, buf[:n], b*blockSize); err != nil {
			return fmt.Errorf("writing the snapshot: %w", err)
		}
	}
	return nil
}

func readBlock(f *os.File, buf []byte, block int64) error {
	n, err := f.ReadAt(buf, block*blockSize)
	if n < len(buf) && errors.Is(err, io.EOF) {
		return fmt.Errorf("it has been truncated meanwhile: %w", io.ErrUnexpectedEOF)
	}
	if n == len(buf) {
		return nil
	}
	return err
}

// readOld fills buf from a data file that may be shorter than the present disk.
func readOld(f *os.File, buf []byte, block int64) error {
	n, err := f.ReadAt(buf, block*blockSize)
	if errors.Is(err, io.EOF) {
		clear(buf[n:])
		return nil
	}
	return err
}

var zeroes [blockSize]byte

func isZero(b []byte) bool { return bytes.Equal(b, zeroes[:len(b)]) }

// writeSparse writes the pages that are not zero; the file is zero there already.
func writeSparse(f *os.File, buf []byte, at int64) error {
	const page = 4096
	for start := 0; start < len(buf); {
		end := start
		for end < len(buf) && !isZero(buf[end:min(end+page, len(buf))]) {
			end += page
		}
		if end = min(end, len(buf)); end > start {
			if _, err := f.WriteAt(buf[start:end], at+int64(start)); err != nil {
				return err
			}
		}
		start = end + page // the page at end, if any, is zero
	}
	return nil
}

// manifest sums up the result; owners of no block are left out.
func (c *comparison) manifest() *manifest {
	m := &manifest{Size: c.size, Block: blockSize}
	index := make([]int64, len(c.names)+1) // 1 + the place in m.Owners
	for b, o := range c.owner {
		if o == 0 {
			continue
		}
		if index[o] == 0 {
			m.Owners = append(m.Owners, c.names[o-1])
			index[o] = int64(len(m.Owners))
		}
		owner := index[o] - 1
		if n := len(m.Runs); n > 0 && m.Runs[n-1][2] == owner && m.Runs[n-1][0]+m.Runs[n-1][1] == int64(b) {
			m.Runs[n-1][1]++
			continue
		}
		m.Runs = append(m.Runs, [3]int64{int64(b), 1, owner})
	}
	return m
}

// eachExtent calls f with each part of [start, end) of the file that is not a hole.
func eachExtent(file *os.File, start, end int64, f func(start, end int64) error) error {
	for start < end {
		data, err := unix.Seek(int(file.Fd()), start, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && data >= end {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking for data in %s: %w", file.Name(), err)
		}
		hole, err := unix.Seek(int(file.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("looking for holes in %s: %w", file.Name(), err)
		}
		if err := f(data, min(hole, end)); err != nil {
			return err
		}
		start = hole
	}
	return nil
}
