package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Restore writes the snapshot's disk to diskPath as a sparse file of sizeBytes, 0 for the snapshot's own size; where the file system can,
// the blocks are shared instead of copied. The file appears when it is complete; a failed restore leaves nothing behind.
func (s *Store) Restore(ctx context.Context, snapshotID, diskPath string, sizeBytes int64) error {
	s.files.RLock()
	defer s.files.RUnlock()
	m, ok := s.get(snapshotID)
	if !ok {
		return notFound(snapshotID)
	}
	if sizeBytes == 0 {
		sizeBytes = m.Size
	}
	if sizeBytes < m.Size {
		return fmt.Errorf("restoring snapshot %s: a disk of %d bytes is smaller than the snapshot's %d", snapshotID, sizeBytes, m.Size)
	}
	if err := s.restore(ctx, m, diskPath, sizeBytes); err != nil {
		return fmt.Errorf("restoring snapshot %s to %s: %w", snapshotID, diskPath, err)
	}
	return nil
}

func (s *Store) restore(ctx context.Context, m *manifest, diskPath string, size int64) error {
	temp := diskPath + ".tmp"
	dst, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	defer dst.Close()
	if err := dst.Truncate(size); err != nil {
		return err
	}
	if err := s.copyRuns(ctx, m, dst); err != nil {
		return err
	}
	return os.Rename(temp, diskPath)
}

// copyRuns fills dst with the blocks of the manifest, with a worker per processor.
func (s *Store) copyRuns(ctx context.Context, m *manifest, dst *os.File) error {
	owners, closeAll, err := s.openOwners(m)
	defer closeAll()
	if err != nil {
		return err
	}
	c := &copier{dst: dst}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, r := range m.Runs {
		for first := r[0]; first < r[0]+r[1]; first += piece {
			start, end := first*blockSize, min((min(first+piece, r[0]+r[1]))*blockSize, m.Size)
			g.Go(func() error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return c.copy(owners[r[2]], start, end)
			})
		}
	}
	return g.Wait()
}

// openOwners opens the data files of a snapshot, when they are whole. closeAll is to be called in any case.
func (s *Store) openOwners(m *manifest) (owners []*os.File, closeAll func(), err error) {
	closeAll = func() {
		for _, f := range owners {
			f.Close()
		}
	}
	for _, name := range m.Owners {
		f, err := os.Open(s.dataPath(name))
		if err != nil {
			return owners, closeAll, err
		}
		owners = append(owners, f)
	}
	return owners, closeAll, checkWhole(m, owners)
}

// Check is an error when a data file of the snapshot is missing or truncated. It does not read the data.
func (s *Store) Check(snapshotID string) error {
	s.files.RLock()
	defer s.files.RUnlock()
	m, ok := s.get(snapshotID)
	if !ok {
		return notFound(snapshotID)
	}
	_, closeAll, err := s.openOwners(m)
	defer closeAll()
	if err != nil {
		return fmt.Errorf("checking snapshot %s: %w", snapshotID, err)
	}
	return nil
}

// checkWhole: past its end a data file would read as a hole, which means zeroes.
func checkWhole(m *manifest, owners []*os.File) error {
	blocks := make([]int64, len(owners))
	for i, f := range owners {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		blocks[i] = (info.Size() + blockSize - 1) / blockSize
	}
	for _, r := range m.Runs {
		if r[0]+r[1] > blocks[r[2]] {
			return fmt.Errorf("the snapshot's data %s is truncated", owners[r[2]].Name())
		}
	}
	return nil
}

// copier copies ranges between files at the same offsets, in the cheapest way that the file system has.
type copier struct {
	dst     *os.File
	noClone atomic.Bool
	noRange atomic.Bool
}

func (c *copier) copy(src *os.File, start, end int64) error {
	if !c.noClone.Load() {
		err := unix.IoctlFileCloneRange(int(c.dst.Fd()), &unix.FileCloneRange{
			Src_fd: int64(src.Fd()), Src_offset: uint64(start), Src_length: uint64(end - start), Dest_offset: uint64(start),
		})
		if err == nil {
			return nil
		}
		if errors.Is(err, unix.ENOSPC) {
			return fmt.Errorf("writing the disk: %w", err)
		}
		c.noClone.Store(true)
	}
	return eachExtent(src, start, end, func(start, end int64) error {
		if c.noRange.Load() {
			return c.readWrite(src, start, end)
		}
		for from, to := start, start; from < end; {
			n, err := unix.CopyFileRange(int(src.Fd()), &from, int(c.dst.Fd()), &to, int(end-from), 0)
			switch {
			case errors.Is(err, unix.EXDEV), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
				c.noRange.Store(true)
				return c.readWrite(src, from, end)
			case errors.Is(err, unix.EINTR):
			case err != nil:
				return fmt.Errorf("writing the disk: %w", err)
			case n == 0:
				return fmt.Errorf("the snapshot's data %s is truncated", src.Name())
			}
		}
		return nil
	})
}

func (c *copier) readWrite(src *os.File, start, end int64) error {
	buf := make([]byte, min(1<<20, end-start))
	for start < end {
		n, err := src.ReadAt(buf[:min(int64(len(buf)), end-start)], start)
		if n == 0 {
			return fmt.Errorf("reading the snapshot's data: %w", err)
		}
		if _, err := c.dst.WriteAt(buf[:n], start); err != nil {
			return fmt.Errorf("writing the disk: %w", err)
		}
		start += int64(n)
	}
	return nil
}
