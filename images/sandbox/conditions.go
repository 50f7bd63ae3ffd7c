package sandbox

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Conditions are what makes calling AWS harder than calling a server on this machine. The zero value has none of it.
type Conditions struct {
	Latency     float64 // scales the times of AWS; 0: everything is as quick as this machine
	Consistency float64 // scales how long reads lag behind; 0: what was written is read
	Throttle    bool    // EC2's token buckets, and the rates of SSM, STS and KMS
	Faults      []Fault
	Seed        uint64 // of all that is drawn at random: the same calls in the same order meet the same conditions
}

// ParseConditions reads the words of the command line: latency and consistency are "", "aws" or "aws:FACTOR", throttle is
// "" or "aws", faults are rules as ParseFault reads them. Its errors tell the syntax.
func ParseConditions(latency, consistency, throttle string, faults []string, seed uint64) (Conditions, error) {
	c := Conditions{Throttle: throttle == "aws", Seed: seed}
	var err error
	if c.Latency, err = parseFactor("latency", latency); err != nil {
		return Conditions{}, err
	}
	if c.Consistency, err = parseFactor("consistency", consistency); err != nil {
		return Conditions{}, err
	}
	if throttle != "" && throttle != "aws" {
		return Conditions{}, fmt.Errorf("throttle %q: the only choice is aws", throttle)
	}
	for _, text := range faults {
		f, err := ParseFault(text)
		if err != nil {
			return Conditions{}, err
		}
		c.Faults = append(c.Faults, f)
	}
	return c, nil
}

const maxFactor = 1000

func parseFactor(name, word string) (float64, error) {
	rest, ok := strings.CutPrefix(word, "aws")
	switch {
	case word == "":
		return 0, nil
	case ok && rest == "":
		return 1, nil
	case ok && rest[0] == ':':
		if f, err := strconv.ParseFloat(rest[1:], 64); err == nil && f > 0 && f <= maxFactor { // which NaN is not
			return f, nil
		}
	}
	return 0, fmt.Errorf("%s %q: use aws, or aws:FACTOR with a factor above 0 up to %d, such as aws:0.1", name, word, maxFactor)
}

func (c Conditions) none() bool {
	return c.Latency == 0 && c.Consistency == 0 && !c.Throttle && len(c.Faults) == 0
}

// simulation is Conditions at work. A nil simulation has none.
type simulation struct {
	Conditions
	clock func() time.Time
	sleep func(context.Context, time.Duration) error

	mu      sync.Mutex
	streams map[string]*rand.Rand // by what they decide, so that one kind of call does not change the luck of another
	buckets map[string]*bucket
	tallies []tally // of Faults
}

func newSimulation(c Conditions, clock func() time.Time, sleep func(context.Context, time.Duration) error) *simulation {
	if c.none() {
		return nil
	}
	if sleep == nil {
		sleep = sleepFor
	}
	return &simulation{Conditions: c, clock: clock, sleep: sleep, streams: map[string]*rand.Rand{}, buckets: map[string]*bucket{},
		tallies: make([]tally, len(c.Faults))}
}

func sleepFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// draw is the next number of a stream, in [0, 1).
func (s *simulation) draw(stream string) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.streams[stream]
	if !ok {
		h := fnv.New64a()
		h.Write([]byte(stream))
		r = rand.New(rand.NewPCG(s.Seed, h.Sum64())) //nolint:gosec // repeatable on purpose
		s.streams[stream] = r
	}
	return r.Float64()
}

// errLost ends a request whose connection is to be closed without an answer.
var errLost = errors.New("the answer is lost by a fault rule")

// perform runs an action under the sandbox's conditions: a call may be throttled, be hit by a fault, take its time and see
// a state that is not the latest.
func (c *Cloud) perform(q *call, do action, decode func(any) error) (any, error) {
	s := c.simulation
	if s == nil {
		return do.run(q, decode)
	}
	if err := s.throttle(q); err != nil {
		return nil, err
	}
	f := s.strike(q)
	ctx, cancel := context.WithCancel(q.ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	if err := s.hold(ctx, q, f); err != nil {
		return nil, fmt.Errorf("hold up %s: %w", q.action, err)
	}
	if f.kind == strikeError {
		s.forgive(q, f)
		return nil, f.apiError()
	}
	q.now, q.lag, q.fate = c.clock().UTC(), s.lag(q), f.fate()
	answer, err := do.run(q, decode)
	if err != nil {
		s.forgive(q, f)
		return nil, err
	}
	if f.kind == strikeLost {
		return nil, errLost
	}
	return answer, err
}

// hold sleeps for the call's latency and the fault's.
func (s *simulation) hold(ctx context.Context, q *call, f Fault) error {
	d := s.latency(q) + f.hang
	if d <= 0 {
		return nil
	}
	return s.sleep(ctx, d)
}

// describe lists the conditions as the flags that ask for them, and how often each fault has struck.
func (s *simulation) describe() []string {
	if s == nil {
		return nil
	}
	var out []string
	factor := func(name string, f float64) {
		if f > 0 {
			out = append(out, name+" aws:"+strconv.FormatFloat(f, 'g', -1, 64))
		}
	}
	factor("latency", s.Latency)
	factor("consistency", s.Consistency)
	if s.Throttle {
		out = append(out, "throttle aws")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, f := range s.Faults {
		out = append(out, fmt.Sprintf("fault %s (struck %d of %d calls)", f, s.tallies[n].struck, s.tallies[n].calls))
	}
	return append(out, fmt.Sprintf("seed %d", s.Seed))
}

// scaled multiplies a duration, at most to what a duration can be.
func scaled(d time.Duration, factor float64) time.Duration {
	return time.Duration(min(float64(d)*factor, math.MaxInt64/2))
}

// drop closes the connection without an answer.
func (c *Cloud) drop(w http.ResponseWriter, action, requestID string) {
	c.log.Debug("the sandbox drops an answer", "action", action, "request", requestID)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // a ResponseWriter that has no connection: the status is all that is left to tell
		http.Error(w, errLost.Error(), http.StatusInternalServerError)
		return
	}
	_ = conn.Close() // the client sees it either way
}
