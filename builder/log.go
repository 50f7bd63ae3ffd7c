package builder

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// tailLines is how much of a program's output an error shows; the log file has all of it.
const tailLines = 12

// stepLog is the log file of one kind of step. It copies to Request.Log and remembers the last lines.
type stepLog struct {
	path string
	file *os.File
	out  io.Writer

	mu   sync.Mutex
	last []byte
}

// openLog opens WorkDir/<kind>.log for appending.
func (k *bake) openLog(kind string) (*stepLog, error) {
	path := filepath.Join(k.req.WorkDir, kind+".log")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	l := &stepLog{path: path, file: file, out: file}
	if k.req.Log != nil {
		l.out = io.MultiWriter(file, k.req.Log)
	}
	return l, nil
}

// Write is safe for concurrent use: standard output and standard error come at the same time.
func (l *stepLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = append(l.last, p...)
	if over := len(l.last) - 8<<10; over > 0 {
		l.last = l.last[over:]
	}
	return l.out.Write(p)
}

// tail gives the last lines, each ended, without control characters.
func (l *stepLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(l.last)), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	if text := printable(strings.Join(lines, "\n")); text != "" {
		return text + "\n"
	}
	return ""
}

func (l *stepLog) close() { _ = l.file.Close() }

// printable removes what could disturb a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
