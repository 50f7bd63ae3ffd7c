package machines

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// openLoop makes a loop device of a disk. The kernel takes it away when nobody has it open any more, so that it cannot outlive its users
// whatever becomes of them. No write barrier is asked of the host, as with the root.
func openLoop(disk string) (*os.File, error) {
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("looking for a free loop device: %w", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("opening a loop device: %w", err)
		}
		config := unix.LoopConfig{Fd: uint32(f.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &config); err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) { // else somebody was quicker
			return nil, fmt.Errorf("making a loop device of %s: %w", disk, err)
		}
	}
}

// findLoop opens the loop device that a disk has, or makes one.
func findLoop(disk string) (*os.File, error) {
	loops, err := loopsOf(disk)
	if err != nil {
		return nil, err
	}
	for _, name := range loops {
		loop, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("opening the loop device of %s: %w", disk, err)
		}
		if still, err := loopsOf(disk); err == nil && slices.Contains(still, name) {
			return loop, nil
		}
		loop.Close() // it was freed before it was opened
	}
	return openLoop(disk)
}

// loopsOf are the loop devices of a disk: /dev/loop3. Of a file that is not there any more there can be none that is asked for.
func loopsOf(disk string) ([]string, error) {
	disk, err := filepath.EvalSymlinks(disk)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	var loops []string
	for _, f := range files {
		if data, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(data)) == disk {
			loops = append(loops, "/dev/"+filepath.Base(filepath.Dir(filepath.Dir(f))))
		}
	}
	return loops, err
}

// inUse says that the device is mounted, is swapped to, or is part of another device: it cannot be opened exclusively.
func inUse(device string) (bool, error) {
	f, err := os.OpenFile(device, os.O_RDONLY|unix.O_EXCL, 0)
	if errors.Is(err, unix.EBUSY) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, f.Close()
}
