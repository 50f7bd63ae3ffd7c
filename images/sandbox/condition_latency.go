package sandbox

import (
	"time"
)

// span is from what to what something takes.
type span struct{ least, most time.Duration }

const ms = time.Millisecond

// callSpans is how long calls take that are slower than the others of their kind. AWS publishes no figures; these are of
// the order that clients near a Region see.
var callSpans = map[string]span{
	"RunInstances": {700 * ms, 2500 * ms},
	"CreateImage":  {300 * ms, 1000 * ms},
	"CopyImage":    {300 * ms, 1000 * ms},
	"CopySnapshot": {300 * ms, 1000 * ms},
}

// workSpans is how long what a call starts takes until it is done. Launches and stops are of the order of the waiters'
// delays; images and copies take minutes (ec2-facts 2.9, 2.14), more for a large disk than for the small ones here.
var workSpans = map[string]span{
	"launch":    {8 * time.Second, 25 * time.Second},
	"start":     {8 * time.Second, 20 * time.Second},
	"stop":      {15 * time.Second, 45 * time.Second},
	"terminate": {15 * time.Second, 40 * time.Second},
	"snapshot":  {45 * time.Second, 3 * time.Minute},
	"image":     {90 * time.Second, 5 * time.Minute},
	"copy":      {3 * time.Minute, 10 * time.Minute},
}

func (s *simulation) pick(stream string, p span) time.Duration {
	return scaled(p.least+scaled(p.most-p.least, s.draw(stream)), s.Latency)
}

// latency is how much longer than on this machine the call takes.
func (s *simulation) latency(q *call) time.Duration {
	if s.Latency == 0 {
		return 0
	}
	p, slow := callSpans[q.action]
	switch {
	case slow:
	case q.service != "ec2":
		p = span{20 * ms, 80 * ms}
	case isRead(q.action):
		p = span{40 * ms, 200 * ms}
	default:
		p = span{100 * ms, 600 * ms}
	}
	return s.pick("call "+q.action, p)
}

// pace holds a job up until what it does has taken as long as on AWS. It is false when the sandbox goes down first: the
// job is then left for the next process. The machine is not slowed down, only the moment at which its state is told.
func (c *Cloud) pace(work string, began time.Time) bool {
	s := c.simulation
	if s == nil || s.Latency == 0 {
		return c.ctx.Err() == nil
	}
	left := s.pick("work "+work, workSpans[work]) - c.clock().Sub(began)
	return left <= 0 && c.ctx.Err() == nil || left > 0 && s.sleep(c.ctx, left) == nil
}

// slow: what takes time on AWS takes time here.
func (c *Cloud) slow() bool { return c.simulation != nil && c.simulation.Latency > 0 }
