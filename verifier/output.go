package verifier

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// outputLimit is how much of a test's output is kept at its start, and again at its end.
const outputLimit = 32 << 10

// capture keeps the start and the end of what is written to it. Stdout and stderr of one command may share it.
type capture struct {
	mu   sync.Mutex
	head []byte
	tail []byte
	lost int
}

func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(p), outputLimit-len(c.head))
	c.head = append(c.head, p[:n]...)
	c.tail = append(c.tail, p[n:]...)
	if len(c.tail) > 2*outputLimit { // cut in large steps, not on every write
		c.trim()
	}
	return len(p), nil
}

func (c *capture) trim() {
	if over := len(c.tail) - outputLimit; over > 0 {
		c.tail = append(c.tail[:0], c.tail[over:]...)
		c.lost += over
	}
}

func (c *capture) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trim()
	text := string(c.head)
	if c.lost > 0 {
		text += fmt.Sprintf("\n[... %d bytes left out ...]\n", c.lost)
	}
	return strings.ToValidUTF8(text+string(c.tail), "\uFFFD")
}

// lineWriter hands every complete line to fn, one at a time; Flush hands on an unfinished last one.
type lineWriter struct {
	mu   sync.Mutex
	rest []byte
	fn   func(line string)
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.fn(strings.ToValidUTF8(strings.TrimSuffix(string(l.rest[:i]), "\r"), "\uFFFD"))
		l.rest = l.rest[i+1:]
	}
}

func (l *lineWriter) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.fn(strings.ToValidUTF8(string(l.rest), "\uFFFD"))
		l.rest = nil
	}
}

// syncWriter lets parallel suites share a log.
type syncWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *syncWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}
