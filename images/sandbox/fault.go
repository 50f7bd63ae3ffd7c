package sandbox

import (
	"net/http"
	"time"

	"github.com/imgops/imgops/images/sandbox/query"
)

type faultKind string

const (
	strikeError      faultKind = "error"      // the call is refused with a code
	strikeHang       faultKind = "hang"       // the call is held up before it is carried out
	strikeLost       faultKind = "lost"       // the call is carried out and its answer is lost
	strikeFailed     faultKind = "failed"     // the image or snapshot that it makes fails later
	strikeTerminated faultKind = "terminated" // the instances that it launches end before they run
)

// Fault is a rule about calls that go wrong; ParseFault makes it. The zero Fault strikes nothing.
type Fault struct {
	text                    string
	service, region, action string // region may be empty: any; action may be *
	first, last             int    // of the calls that it is about, from 1
	percent                 float64
	kind                    faultKind
	code                    string
	hang                    time.Duration
}

// String is the rule as it was given.
func (f Fault) String() string { return f.text }

// tally counts the calls that a rule is about, and those that it struck.
type tally struct{ calls, struck int }

func (f Fault) concerns(q *call) bool {
	return f.service == q.service && (f.region == "" || f.region == q.Region) && (f.action == "*" || f.action == q.action)
}

// strike counts the call for every rule that is about it and returns the first one that strikes.
func (s *simulation) strike(q *call) Fault {
	var out Fault
	for n, f := range s.Faults {
		if !f.concerns(q) {
			continue
		}
		luck := 1.0
		if f.percent > 0 {
			luck = 100 * s.draw("fault "+f.text)
		}
		s.mu.Lock()
		s.tallies[n].calls++
		nth := s.tallies[n].calls
		if out.kind == "" && nth >= f.first && nth <= f.last && (f.percent == 0 || luck < f.percent) {
			s.tallies[n].struck++
			out = f
		}
		s.mu.Unlock()
	}
	return out
}

// forgive takes the call back out of the tallies of the rules about what calls bring about: it was refused, for whatever
// reason, and brought about nothing.
func (s *simulation) forgive(q *call, struck Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, f := range s.Faults {
		if !f.concerns(q) || f.kind == strikeError || f.kind == strikeHang {
			continue
		}
		s.tallies[n].calls--
		if f == struck {
			s.tallies[n].struck--
			struck = Fault{} // of two rules that are the same, the first one struck
		}
	}
}

// faultStatus has the codes that do not come with status 400.
var faultStatus = map[string]int{
	"AuthFailure":                  http.StatusUnauthorized,
	"UnauthorizedOperation":        http.StatusForbidden,
	"AccessDenied":                 http.StatusForbidden,
	"InsufficientInstanceCapacity": http.StatusInternalServerError, // ec2-facts 1.11
	"InsufficientHostCapacity":     http.StatusInternalServerError,
	"InternalError":                http.StatusInternalServerError,
	"InternalFailure":              http.StatusInternalServerError,
	"InternalServerError":          http.StatusInternalServerError,
	"KMSInternalException":         http.StatusInternalServerError,
	"RequestLimitExceeded":         http.StatusServiceUnavailable,
	"ServiceUnavailable":           http.StatusServiceUnavailable,
	"Unavailable":                  http.StatusServiceUnavailable,
}

// faultMessages are EC2's words for codes that people will want to rehearse; the others have the rule for a message.
var faultMessages = map[string]string{
	"InsufficientInstanceCapacity": "We currently do not have sufficient capacity for the instance type you requested. " +
		"Our system will be working on provisioning additional capacity.",
	"RequestLimitExceeded": "Request limit exceeded.",
	"ThrottlingException":  "Rate exceeded",
	"InternalError":        "An internal error has occurred",
}

func (f Fault) apiError() error {
	message := faultMessages[f.code]
	if message == "" {
		message = "This call is refused by the fault rule " + f.text
	}
	e := query.Errorf(f.code, "%s", message)
	if status, ok := faultStatus[f.code]; ok {
		e = e.WithStatus(status)
	}
	return e
}

// fate is how what the call makes will end, or nil when the rule does not say.
func (f Fault) fate() *reason {
	if f.kind != strikeFailed && f.kind != strikeTerminated {
		return nil
	}
	return &reason{f.code, f.code + ": by the fault rule " + f.text}
}
