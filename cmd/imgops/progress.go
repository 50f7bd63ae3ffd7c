package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/imgops/imgops/images"
)

// heartbeat is how long a step may be silent before it is reported again.
const heartbeat = 15 * time.Second

// progress writes one line per step and subject to standard error, and repeats a step that takes long, with what is
// being waited for: a silent pipeline looks like a hung one.
type progress struct {
	w     io.Writer
	quiet bool
	start time.Time

	mu      sync.Mutex
	current map[string]*step
}

type step struct {
	name, waiting string
	since, said   time.Time
}

func newProgress(w io.Writer, quiet bool) *progress {
	return &progress{w: w, quiet: quiet, start: time.Now(), current: map[string]*step{}}
}

// of gives the progress of one subject, such as a role.
func (p *progress) of(subject string) images.Progress {
	return func(name, waiting string) { p.say(subject, name, waiting) }
}

func (p *progress) say(subject, name, waiting string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	s := p.current[subject]
	if s == nil || s.name != name {
		s = &step{name: name, since: now}
		p.current[subject] = s
	}
	if s.waiting == waiting && !s.said.IsZero() {
		return
	}
	s.waiting, s.said = waiting, now
	p.line(subject, s, now)
}

func (p *progress) line(subject string, s *step, now time.Time) {
	if p.quiet {
		return
	}
	text := s.name
	if s.waiting != "" {
		text += ": " + s.waiting
	}
	fmt.Fprintf(p.w, "%7s  %-12s %s%s\n", clock(now.Sub(p.start)), subject, text, took(now.Sub(s.since)))
}

// done ends a subject: it is not repeated any more.
func (p *progress) done(subject string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.current, subject)
}

// beat repeats long steps until stop is called.
func (p *progress) beat() (stop func()) {
	tick, quit := time.NewTicker(heartbeat/5), make(chan struct{})
	go func() {
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case now := <-tick.C:
				p.repeat(now)
			}
		}
	}()
	return sync.OnceFunc(func() { close(quit) })
}

func (p *progress) repeat(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for subject, s := range p.current {
		if now.Sub(s.said) >= heartbeat {
			s.said = now
			p.line(subject, s, now)
		}
	}
}

func clock(d time.Duration) string {
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func took(d time.Duration) string {
	if d < time.Second {
		return ""
	}
	return fmt.Sprintf(" (%s)", d.Round(time.Second))
}

// note writes one line for people to standard error.
func (a *app) note(format string, args ...any) {
	if !a.set.Quiet {
		fmt.Fprintln(a.Stderr, printable(fmt.Sprintf(format, args...)))
	}
}
