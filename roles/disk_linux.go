package roles

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// diskRoot is an open directory below which files are looked at by their relative paths. A fleet has thousands of
// directories and tens of thousands of files: package os would make twice as many system calls for them.
type diskRoot struct {
	fd   int
	path string
}

func openRoot(path string) (*diskRoot, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &diskRoot{fd, path}, nil
}

func (d *diskRoot) close() error { return unix.Close(d.fd) }

// lstat looks at one path, relative to the root.
func (d *diskRoot) lstat(rel string) (diskStat, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, rel, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return diskStat{}, &fs.PathError{Op: "lstat", Path: rel, Err: err}
	}
	return statOf(&st), nil
}

func statOf(st *unix.Stat_t) diskStat {
	s := diskStat{bytes: st.Size, exec: st.Mode&unix.S_IXUSR != 0, exact: true, fileStat: fileStat{ //nolint:gosec // the index keeps the low 32 bits
		ctime: moment{uint32(st.Ctim.Sec), uint32(st.Ctim.Nsec)}, mtime: moment{uint32(st.Mtim.Sec), uint32(st.Mtim.Nsec)},
		inode: uint32(st.Ino), uid: st.Uid, gid: st.Gid, size: uint32(st.Size),
	}}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFLNK:
		s.kind = fs.ModeSymlink
	case unix.S_IFDIR:
		s.kind = fs.ModeDir
	default:
		s.kind = fs.ModeIrregular
	}
	return s
}

// stamp looks at a directory; false when it is none.
func (d *diskRoot) stamp(rel string) (dirStamp, bool) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, here(rel), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return dirStamp{}, false
	}
	return stampOf(&st), st.Mode&unix.S_IFMT == unix.S_IFDIR
}

func stampOf(st *unix.Stat_t) dirStamp {
	return dirStamp{device: st.Dev, inode: st.Ino, mtime: [2]int64{st.Mtim.Sec, st.Mtim.Nsec}, ctime: [2]int64{st.Ctim.Sec, st.Ctim.Nsec}} //nolint:unconvert // the widths differ between architectures
}

// fileStamp is the stamp of an open file.
func fileStamp(f *os.File) (dirStamp, bool) {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	return stampOf(&st), err == nil
}

// keepsTimes are the file systems known to give a directory a new time whenever a name in it changes. Git tries that out
// before it turns on its own cache (git-update-index(1), --test-untracked-cache), which takes seconds.
var keepsTimes = []int64{
	unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC,
}

// hasSureTimes says whether an open file lies on such a file system.
func hasSureTimes(f *os.File) bool {
	var st unix.Statfs_t
	err := unix.Fstatfs(int(f.Fd()), &st)
	return err == nil && slices.Contains(keepsTimes, int64(st.Type)) //nolint:unconvert // the width differs between architectures
}

// list reads the names in a directory, sorted; a missing one is empty. The stamp is from before the names were read.
func (d *diskRoot) list(rel string) ([]diskFile, dirStamp, error) {
	fd, err := unix.Openat(d.fd, here(rel), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, dirStamp{}, nil
	}
	if err != nil {
		return nil, dirStamp{}, &fs.PathError{Op: "open", Path: rel, Err: err}
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	var files []diskFile
	if err == nil {
		files, err = d.read(fd, rel)
	}
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return nil, dirStamp{}, &fs.PathError{Op: "read", Path: rel, Err: err}
	}
	slices.SortFunc(files, func(a, b diskFile) int { return cmp.Compare(a.name, b.name) })
	return files, stampOf(&st), nil
}

func here(rel string) string {
	if rel == "" {
		return "."
	}
	return rel
}

// direntBuffers are shared: each directory needs one for a moment.
var direntBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

func (d *diskRoot) read(fd int, rel string) (files []diskFile, err error) {
	buffer := direntBuffers.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
	defer direntBuffers.Put(buffer)
	for {
		n, err := unix.ReadDirent(fd, *buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return files, err
		}
		for b := (*buffer)[:n]; len(b) >= direntHead; {
			size := int(b[16]) | int(b[17])<<8 //nolint:gosec // struct linux_dirent64; every Linux that Go runs imgops on is little-endian or falls to the check
			if size < direntHead || size > len(b) {
				return nil, fmt.Errorf("directory entry of %d bytes", size)
			}
			if name := unix.ByteSliceToString(b[direntHead:size]); name != "." && name != ".." {
				files = append(files, diskFile{name, d.kind(join(rel, name), b[18])})
			}
			b = b[size:]
		}
	}
}

// direntHead is where the name starts: after the inode (8), the offset (8), the record's length (2) and the type (1).
const direntHead = 19

// kind gives type bits for a directory entry's type.
func (d *diskRoot) kind(rel string, dtype byte) fs.FileMode {
	switch dtype {
	case unix.DT_REG:
		return 0
	case unix.DT_DIR:
		return fs.ModeDir
	case unix.DT_LNK:
		return fs.ModeSymlink
	case unix.DT_UNKNOWN: // some file systems do not say
		if s, err := d.lstat(rel); err == nil {
			return s.kind
		}
	}
	return fs.ModeIrregular
}

// readQuick gives the content of a small file in three system calls; false when it takes more. The caller checks the
// content's hash, so a short read cannot do harm.
func readQuick(name string, buffer []byte) ([]byte, bool) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false
	}
	n, err := unix.Read(fd, buffer)
	if e := unix.Close(fd); e != nil || err != nil || n == len(buffer) {
		return nil, false
	}
	return buffer[:n], true
}

// mapFile gives the bytes of a file that nobody writes to, each read when it is looked at, until release.
func mapFile(name string) (data []byte, release func([]byte), err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	data, err = unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, &fs.PathError{Op: "mmap", Path: name, Err: err}
	}
	return data, func(data []byte) { _ = unix.Munmap(data) }, nil // it fails only for what is not mapped
}
