package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

// level is a role's distance from its external base: roles of one level need nothing of each other.
func level(r *roles.Role) int {
	n := 0
	for p := r.Parent; p != nil; p = p.Parent {
		n++
	}
	return n
}

func ofLevel(list []*roles.Role, n int) []*roles.Role {
	var out []*roles.Role
	for _, r := range list {
		if level(r) == n {
			out = append(out, r)
		}
	}
	return out
}

// refuseNoLevel refuses a selection that matches no role: a level that the graph does not have, or that none of the named
// roles is of. It would look like a success in which everything is done.
func (j *ciJob) refuseNoLevel() error {
	if j.level < 0 || len(j.fleet.Roles) == 0 || len(ofLevel(j.listed, j.level)) > 0 {
		return nil
	}
	if highest := highestLevel(j.fleet.Roles); j.level > highest {
		return &usageError{
			err:  fmt.Errorf("no role of this fleet is of level %d; the highest is %d", j.level, highest),
			hint: "imgops ci --matrix json prints the roles that need work with their levels",
		}
	}
	var of []string
	for _, r := range j.listed {
		of = append(of, fmt.Sprintf("%s is of level %d", r.Name, level(r)))
	}
	return &usageError{
		err:  fmt.Errorf("none of the named roles is of level %d: %s", j.level, strings.Join(of, ", ")),
		hint: "give the level of the roles that are meant, or leave --level out",
	}
}

func highestLevel(list []*roles.Role) int {
	n := 0
	for _, r := range list {
		n = max(n, level(r))
	}
	return n
}

// releaseLevel is release for roles of one level: the images of their parents are found by digest and never built here,
// for another job does that.
func (j *ciJob) releaseLevel(ctx context.Context, p *pipeline, list []*roles.Role, decisions map[string]images.Decision) ([]outcome, error) {
	var ready []*roles.Role
	var outcomes []outcome
	var errs []error
	for _, r := range list {
		err := parentReady(r, decisions)
		if err == nil {
			ready = append(ready, r)
			continue
		}
		o := outcome{Role: r.Name, Digest: r.Digest, decision: decisions[r.Name]}
		o.fail(err)
		outcomes = append(outcomes, o)
		errs = append(errs, fmt.Errorf("role %s: %w", r.Name, err))
	}
	here := map[string]bool{}
	for _, r := range ready {
		here[r.Name] = true
	}
	all := roles.WithAncestors(ready)
	for _, r := range all {
		if d := decisions[r.Name]; !here[r.Name] {
			d.Action = images.ActionNone
			decisions[r.Name] = d
		}
	}
	done, err := p.release(ctx, all, decisions)
	for _, o := range done {
		if here[o.Role] {
			outcomes = append(outcomes, o)
		}
	}
	return outcomes, errors.Join(append(errs, err)...)
}

// parentReady says whether a role that has to be built can be: its parent has a verified image.
func parentReady(r *roles.Role, decisions map[string]images.Decision) error {
	if d := decisions[r.Name]; d.Blocked != nil && d.Rejected == "" {
		return refuseBlocked(r.Name, d)
	}
	if r.Parent == nil || decisions[r.Name].Action != images.ActionBuild {
		return nil
	}
	first := fmt.Sprintf("level %d has to run first: imgops ci --role %s --level %d", level(r.Parent), r.Parent.Name, level(r.Parent))
	switch decisions[r.Parent.Name].Action {
	case images.ActionBuild:
		return fmt.Errorf("its parent %s has no image of digest %s yet; %s", r.Parent.Name, short(r.Parent.Digest), first)
	case images.ActionVerify:
		return fmt.Errorf("image %s of its parent %s is not verified yet; %s", decisions[r.Parent.Name].Image, r.Parent.Name, first)
	}
	return nil
}
