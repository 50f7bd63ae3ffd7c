package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/promoter"
)

// errOthersRefused says why a role that may be promoted was not: a plan is applied as a whole, or not at all.
var errOthersRefused = errors.New("it is not promoted, for the promotion of another role is refused, and nothing is then")

// promotion is what became of one: its plan as far as it was made, its result and its error.
type promotion struct {
	plan   promoter.Plan
	result promoter.Result
	err    error
}

// mark brings the outcomes of the roles that were to be promoted up to date. One is promoted when nothing of it is left:
// pointers that moved in some places only are a failure, which the next run mends.
func (p promotion) mark(outcomes []outcome, chosen []candidate) {
	var incomplete *promoter.IncompleteError
	begun := errors.As(p.err, &incomplete) // then what is left says all
	for i := range outcomes {
		o := &outcomes[i]
		if o.err != nil || !slices.ContainsFunc(chosen, func(c candidate) bool { return c.role.Name == o.Role }) {
			continue
		}
		moved := countOf(p.result.Done, o.Role)
		switch left := p.left(o.Role); {
		case len(left) > 0:
			o.incomplete(left, moved)
		case moved > 0:
			o.Result = "promoted"
		case p.err != nil && !begun:
			p.markUndone(o)
		}
	}
}

// markUndone notes on a role for which nothing was begun why that is so, unless there was nothing to do for it.
func (p promotion) markUndone(o *outcome) {
	all := refusals(p.err)
	var own []error
	for _, r := range all {
		if r.Role == o.Role {
			own = append(own, r)
		}
	}
	ofOthers := len(all) > 0 && !slices.ContainsFunc(all, func(r *promoter.RefusedError) bool { return r.Role == "" })
	switch {
	case len(own) > 0:
		o.fail(errors.Join(own...))
	case !p.needs(o):
	case !ofOthers:
		o.fail(p.err)
	case o.Result == "unchanged":
		o.err, o.Error, o.Result = errOthersRefused, errOthersRefused.Error(), "skipped"
	default: // it was built or verified, and that remains
		o.err, o.Error = errOthersRefused, errOthersRefused.Error()
	}
}

// needs says that there was something to promote of a role.
func (p promotion) needs(o *outcome) bool {
	for _, r := range p.plan.Roles {
		if r.Role == o.Role {
			return slices.ContainsFunc(r.Steps, func(s promoter.Step) bool { return s.Action != promoter.ActionConfirm })
		}
	}
	return o.Result != "unchanged" || o.decision.Action == images.ActionPromote
}

// left lists what is left of a role: the pointers that have not moved, for that is what counts and what the other steps
// wait for or follow; where all have, the other steps.
func (p promotion) left(role string) []promoter.Left {
	var pointers, rest []promoter.Left
	for _, l := range p.result.Left {
		switch {
		case l.Role != role:
		case l.Action == promoter.ActionPointer:
			pointers = append(pointers, l)
		default:
			rest = append(rest, l)
		}
	}
	if len(pointers) > 0 {
		return pointers
	}
	return rest
}

// incomplete notes where a role's promotion is not done, and why.
func (o *outcome) incomplete(left []promoter.Left, moved int) {
	var places, reasons []string
	refused := true
	for _, l := range left {
		if at := l.Location.String(); !slices.Contains(places, at) {
			places = append(places, at)
		}
		if why := l.Location.String() + ": " + l.Reason; !slices.Contains(reasons, why) {
			reasons = append(reasons, why)
		}
		refused = refused && l.Refused()
	}
	slices.Sort(places)
	text := fmt.Sprintf("the promotion is not complete in %s", strings.Join(places, ", "))
	if moved > 0 {
		text += fmt.Sprintf(" (%s moved)", count(moved, "pointer"))
	}
	o.Left, o.Result = places, "failed"
	if refused {
		o.Result = "refused"
	}
	o.err = fmt.Errorf("%s: %s", text, strings.Join(reasons, "; "))
	o.Error = o.err.Error()
}

// countOf counts the pointers of a role that moved.
func countOf(done []promoter.Step, role string) int {
	n := 0
	for _, s := range done {
		if s.Role == role && s.Action == promoter.ActionPointer {
			n++
		}
	}
	return n
}

// refusals finds every refused promotion in an error, also among joined ones.
func refusals(err error) []*promoter.RefusedError {
	switch e := err.(type) { //nolint:errorlint // walks the tree itself
	case nil:
		return nil
	case *promoter.RefusedError:
		return []*promoter.RefusedError{e}
	case interface{ Unwrap() []error }:
		var list []*promoter.RefusedError
		for _, sub := range e.Unwrap() {
			list = append(list, refusals(sub)...)
		}
		return list
	}
	return refusals(errors.Unwrap(err))
}
