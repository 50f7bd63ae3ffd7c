package state

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// reserved is the room that the state file has on the disk from the start: what is deleted to make room on a full disk must
// be written down too.
const reserved = 8 << 20

// reserve gives the file its room without changing its length. File systems that cannot are left alone.
func reserve(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, reserved)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("reserving %d bytes for it: %w", reserved, err)
	}
	return nil
}
