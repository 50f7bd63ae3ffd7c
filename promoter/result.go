package promoter

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Result is what an Apply did and what it left. Both are complete, whatever the error.
type Result struct {
	Done []Step `json:"done"` // sorted as in the plan
	Left []Left `json:"left"`
}

// Left is a step that was not done, and why. Step.Image is the image as far as one was made.
type Left struct {
	Step
	Reason string `json:"reason"`
	err    error
}

// IncompleteError says that a promotion was not finished. It wraps the causes.
type IncompleteError struct {
	Left []Left // never empty
}

func (e *IncompleteError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "promotion is not complete; what was done is kept, and running it again finishes the rest:")
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

// Unwrap gives the causes.
func (e *IncompleteError) Unwrap() []error {
	var errs []error
	for _, l := range e.Left {
		errs = append(errs, l.err)
	}
	return errs
}

// result lists what was done and what was not.
func (a *applier) result(ctx context.Context) (Result, error) {
	r := Result{Done: []Step{}, Left: []Left{}}
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
		r.Left = append(r.Left, Left{Step: *s, Reason: err.Error(), err: err})
	}
	if len(r.Left) > 0 {
		return r, &IncompleteError{r.Left}
	}
	return r, nil
}
