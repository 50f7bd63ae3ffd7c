package promoter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imgops/imgops/images"
)

// Result is what an Apply did and what it left. Both are complete, whatever the error.
type Result struct {
	Done []Step `json:"done"` // sorted as in the plan
	Left []Left `json:"left"`
	// Held are the roles that were left alone because a person holds them; that is no error.
	Held []images.Hold `json:"held,omitempty"`
}

func (r *Result) add(o Result) {
	r.Done, r.Left, r.Held = append(r.Done, o.Done...), append(r.Left, o.Left...), append(r.Held, o.Held...)
}

// leave lists the steps of roles that could not be planned again.
func (r *Result) leave(roles []RolePlan, err error) {
	for _, role := range roles {
		for _, s := range role.Steps {
			r.Left = append(r.Left, Left{Step: s, Reason: err.Error(), err: err})
		}
	}
}

// Left is a step that was not done, and why. Step.Image is the image as far as one was made.
type Left struct {
	Step
	Reason string `json:"reason"`
	err    error
}

// Refused says that a rule forbids the step: running it again is of no use. What is wrong and what helps is in Reason.
func (l Left) Refused() bool { return refused(l.err) }

// IncompleteError says that a promotion was not finished. It wraps the causes.
type IncompleteError struct {
	Left []Left // never empty
}

func (e *IncompleteError) Error() string {
	var b strings.Builder
	b.WriteString("promotion is not complete; what was done is kept")
	if slices.ContainsFunc(e.Left, func(l Left) bool { return !refused(l.err) }) {
		b.WriteString(", and running it again finishes the rest")
	}
	if !slices.ContainsFunc(e.Left, func(l Left) bool { return !errors.Is(l.err, context.Canceled) }) {
		return "interrupted: " + b.String()
	}
	b.WriteString(":")
	said := map[string]bool{}
	for _, l := range e.Left {
		line := fmt.Sprintf("\n  %s in %s: %s", l.Role, l.Location, l.Reason)
		if !said[line] {
			b.WriteString(line)
		}
		said[line] = true
	}
	return b.String()
}

// refused says that running it again is of no use.
func refused(err error) bool {
	var r *RefusedError
	return errors.As(err, &r)
}

// Unwrap gives the causes.
func (e *IncompleteError) Unwrap() []error {
	var errs []error
	for _, l := range e.Left {
		errs = append(errs, l.err)
	}
	return errs
}

// result lists what was done and what was not.
func (a *applier) result(ctx context.Context) Result {
	r := Result{Held: a.held}
	for _, s := range a.steps {
		if s.Image == "" {
			s.Image = a.image(s).ID
		}
		if a.done[s] {
			r.Done = append(r.Done, *s)
			continue
		}
		err := a.blocked(s)
		if cause := context.Cause(ctx); err == nil && cause != nil {
			err = fmt.Errorf("interrupted: %w", cause)
		}
		if err == nil {
			err = errors.New("not reached")
		}
		reason := err.Error()
		if errors.Is(err, context.Canceled) { // which call was under way helps nobody
			reason = "interrupted"
		}
		r.Left = append(r.Left, Left{Step: *s, Reason: reason, err: err})
	}
	return r
}
