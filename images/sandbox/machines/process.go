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

// findProcesses looks for the processes that have arg among their arguments, less the children of such ones; for those whose server died before it could
// record them.
func findProcesses(arg string) []process {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	needle := []byte("\x00" + arg + "\x00")
	found := map[int]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(data, needle) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			found[pid] = true
		}
	}
	var top []process
	for pid := range found {
		if status, err := readStatus(pid); err == nil && !found[status.parent] {
			top = append(top, newProcess(pid))
		}
	}
	return top
}

// status is a part of /proc/<pid>/status.
type status struct {
	parent int
	depth  int // number of PID namespaces that it is in
	inner  int // its pid in the innermost of them
}

func readStatus(pid int) (status, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return status{}, err
	}
	var s status
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		switch f := strings.Fields(value); {
		case name == "PPid" && len(f) == 1:
			s.parent, _ = strconv.Atoi(f[0])
		case name == "NSpid":
			if s.depth = len(f); s.depth > 0 {
				s.inner, _ = strconv.Atoi(f[s.depth-1])
			}
		}
	}
	return s, nil
}

// leader finds the init of the container below a machine's process, and the systemd-nspawn that supervises it; 0 when there is none yet. It
// is process 1 two PID namespaces below ours: the shell has one of its own.
func leader(pid int) (init, supervisor int) {
	self, err := readStatus(os.Getpid())
	if err != nil {
		return 0, 0
	}
	return findInit(pid, self.depth+2)
}

func findInit(pid, depth int) (init, supervisor int) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", pid))
	if err != nil {
		return 0, 0
	}
	for _, word := range strings.Fields(string(data)) {
		child, err := strconv.Atoi(word)
		if err != nil {
			continue
		}
		if s, err := readStatus(child); err == nil && s.depth == depth && s.inner == 1 {
			return child, pid
		}
		if init, supervisor := findInit(child, depth); init > 0 {
			return init, supervisor
		}
	}
	return 0, 0
}

// booted says that the container runs its own init: until then its first process is another copy of systemd-nspawn.
func (p process) booted() bool {
	child, supervisor := leader(p.Pid)
	if child == 0 {
		return false
	}
	init, err1 := os.Readlink(fmt.Sprintf("/proc/%d/exe", child))
	nspawn, err2 := os.Readlink(fmt.Sprintf("/proc/%d/exe", supervisor))
	return err1 == nil && err2 == nil && init != nspawn
}
