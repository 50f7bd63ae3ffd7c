package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// ext4Size reads the size of an ext2, 3 or 4 file system that begins at the start of the disk from its superblock
// (Documentation/filesystems/ext4, "Super Block"): bytes; false when there is none.
func ext4Size(f *os.File) (int64, bool) {
	var sb [1024]byte
	if _, err := f.ReadAt(sb[:], 1024); err != nil || binary.LittleEndian.Uint16(sb[0x38:]) != 0xEF53 {
		return 0, false
	}
	count := uint64(binary.LittleEndian.Uint32(sb[0x04:]))
	const incompat64Bit = 0x80
	if binary.LittleEndian.Uint32(sb[0x60:])&incompat64Bit != 0 {
		count |= uint64(binary.LittleEndian.Uint32(sb[0x150:])) << 32
	}
	shift := binary.LittleEndian.Uint32(sb[0x18:]) // the block size is 1024 << shift
	if shift > 6 || count > 1<<52 {
		return 0, false
	}
	return int64(count << (10 + shift)), true
}

// Grow makes the ext4 file system at the start of a disk as large as the disk. The usual case, nothing to do, runs no program.
func (s *Store) Grow(ctx context.Context, diskPath string) error {
	disk, err := os.Open(diskPath)
	if err != nil {
		return fmt.Errorf("growing the file system: %w", err)
	}
	defer disk.Close()
	info, err := disk.Stat()
	if err != nil {
		return fmt.Errorf("growing the file system: %w", err)
	}
	fs, ok := ext4Size(disk)
	if !ok || info.Size()-fs < blockSize { // less than a block group's worth of blocks cannot be used anyway
		return nil
	}
	// resize2fs wants a file system that has been checked since it was last mounted; e2fsck's exit status 1 says that it repaired something.
	err = program(ctx, "e2fsck", "-f", "-p", disk.Name())
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 1) {
		return err
	}
	return program(ctx, "resize2fs", disk.Name())
}

func program(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("growing the file system needs %s: apt-get install e2fsprogs", name)
	}
	if err != nil {
		return fmt.Errorf("growing the file system: %s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
