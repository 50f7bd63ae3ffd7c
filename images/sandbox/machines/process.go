package machines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process identifies a process across restarts of the server: pids are used again, the pair of pid and start time is not.
type process struct {
	Pid   int    `json:"pid,omitempty"`
	Start uint64 `json:"start,omitempty"` // clock ticks since the computer's boot
}

func newProcess(pid int) process {
	start, _, _ := stat(pid)
	return process{Pid: pid, Start: start}
}

// alive is false for a zombie too.
func (p process) alive() bool {
	if p.Pid <= 0 {
		return false
	}
	start, state, err := stat(p.Pid)
	return err == nil && start == p.Start && state != 'Z' && state != 'X'
}

// stat reads the start time and the state of a process (proc_pid_stat(5): fields 22 and 3; field 2 may hold anything in parentheses).
func stat(pid int) (start uint64, state byte, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, ok := strings.Cut(string(data[bytes.LastIndexByte(data, ')')+1:]), " ")
	f := strings.Fields(rest)
	if !ok || len(f) < 20 {
		return 0, 0, fmt.Errorf("unreadable /proc/%d/stat", pid)
	}
	start, err = strconv.ParseUint(f[19], 10, 64)
	return start, f[0][0], err
}

// open returns the process's pidfd as a file, which is readable when the process has ended; nil when it has already.
func (p process) open() (*os.File, error) {
	if !p.alive() {
		return nil, nil
	}
	fd, err := unix.PidfdOpen(p.Pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("watching process %d: %w", p.Pid, err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	if !p.alive() { // it ended, and the pid may be another's by now
		f.Close()
		return nil, nil
	}
	return f, nil
}

// wait returns when the process has ended (true) or the file has been closed (false).
func waitPidfd(f *os.File) bool {
	c, err := f.SyscallConn()
	if err != nil {
		return false
	}
	err = c.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return err == nil && n > 0
	})
	return err == nil
}

// kill ends the process at once and waits until it is gone.
func (p process) kill(ctx context.Context) error {
	f, err := p.open()
	if f == nil || err != nil {
		return err
	}
	defer f.Close()
	if err := unix.PidfdSendSignal(int(f.Fd()), unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing process %d: %w", p.Pid, err)
	}
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	if !waitPidfd(f) {
		return fmt.Errorf("waiting for the end of process %d: %w", p.Pid, context.Cause(ctx))
	}
	return nil
}

// findProcess looks for the process that has arg among its arguments; for machines whose server died before it could record the pid.
func findProcess(arg string) process {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	needle := []byte("\x00" + arg + "\x00")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(data, needle) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			return newProcess(pid)
		}
	}
	return process{}
}

// leader is the init of the container that the nspawn process p supervises: its child that is pid 1 in a namespace below. 0 when there is none yet.
func (p process) leader() int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", p.Pid))
	if err != nil {
		return 0
	}
	for _, word := range strings.Fields(string(data)) {
		status, err := os.ReadFile("/proc/" + word + "/status")
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
				if f := strings.Fields(ids); len(f) > 1 && f[len(f)-1] == "1" {
					pid, _ := strconv.Atoi(word)
					return pid
				}
			}
		}
	}
	return 0
}

// booted says that the container runs its own init: until then its first process is another copy of systemd-nspawn.
func (p process) booted() bool {
	leader := p.leader()
	if leader == 0 {
		return false
	}
	init, err1 := os.Readlink(fmt.Sprintf("/proc/%d/exe", leader))
	nspawn, err2 := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.Pid))
	return err1 == nil && err2 == nil && init != nspawn
}
