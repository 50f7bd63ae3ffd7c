package roles

import (
	"io/fs"
	"syscall"
	"time"
)

// statOf gives what Git's index remembers of a file.
func statOf(info fs.FileInfo) (fileStat, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileStat{}, false
	}
	return fileStat{
		mtime: time.Unix(st.Mtim.Unix()), ctime: time.Unix(st.Ctim.Unix()),
		inode: uint32(st.Ino), uid: st.Uid, gid: st.Gid, size: uint32(st.Size), //nolint:gosec // the index keeps the low 32 bits
	}, true
}
