package roles

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// openDir is an open directory whose names are read and looked up without its path. A fleet has thousands of
// directories and tens of thousands of files: package os would make twice as many system calls for them.
type openDir struct {
	fd    int
	files []diskFile // sorted by name
}

// direntBuffers are shared: each directory needs one for a moment.
var direntBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// readDir opens and lists a directory; a missing one is empty.
func readDir(name string) (*openDir, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return &openDir{fd: -1}, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	d := &openDir{fd: fd}
	if err := d.read(); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "read", Path: name, Err: err}, d.close())
	}
	slices.SortFunc(d.files, func(a, b diskFile) int { return cmp.Compare(a.name, b.name) })
	return d, nil
}

func (d *openDir) close() error {
	if d.fd < 0 {
		return nil
	}
	return unix.Close(d.fd)
}

func (d *openDir) read() error {
	buffer := direntBuffers.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
	defer direntBuffers.Put(buffer)
	for {
		n, err := unix.ReadDirent(d.fd, *buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return err
		}
		for b := (*buffer)[:n]; len(b) >= direntHead; {
			size := int(b[16]) | int(b[17])<<8 //nolint:gosec // struct linux_dirent64; every Linux that Go runs imgops on is little-endian or falls to the check
			if size < direntHead || size > len(b) {
				return fmt.Errorf("directory entry of %d bytes", size)
			}
			if name := unix.ByteSliceToString(b[direntHead:size]); name != "." && name != ".." {
				d.files = append(d.files, diskFile{name, d.kind(name, b[18])})
			}
			b = b[size:]
		}
	}
}

// direntHead is where the name starts: after the inode (8), the offset (8), the record's length (2) and the type (1).
const direntHead = 19

// kind gives type bits for a directory entry's type.
func (d *openDir) kind(name string, dtype byte) fs.FileMode {
	switch dtype {
	case unix.DT_REG:
		return 0
	case unix.DT_DIR:
		return fs.ModeDir
	case unix.DT_LNK:
		return fs.ModeSymlink
	case unix.DT_UNKNOWN: // some file systems do not say
		if s, err := d.lstat(name); err == nil {
			return s.kind
		}
	}
	return fs.ModeIrregular
}

// lstat looks at one name.
func (d *openDir) lstat(name string) (diskStat, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return diskStat{}, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
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
	return s, nil
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
