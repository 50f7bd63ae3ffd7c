package main

import (
	"bytes"
	"io"
	"sync"
)

// prefixWriter writes whole lines, each with a prefix, so that the output of roles that are worked on at once stays readable.
type prefixWriter struct {
	w      io.Writer
	prefix string
	mu     sync.Mutex
	rest   []byte
}

func (p *prefixWriter) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest = append(p.rest, b...)
	for {
		i := bytes.IndexByte(p.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		line := append([]byte(p.prefix), p.rest[:i+1]...)
		p.rest = p.rest[i+1:]
		if _, err := p.w.Write(line); err != nil {
			return 0, err
		}
	}
}
