package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
)

// imageBuilder makes a candidate of a role from its base image.
type imageBuilder interface {
	build(ctx context.Context, r *roles.Role, base images.Image) (images.Image, error)
}

// imageVerifier runs a role's suites on a candidate and, when they pass, marks it verified.
type imageVerifier interface {
	verify(ctx context.Context, r *roles.Role, img images.Image) (images.Image, error)
}

// pipeline brings roles to a verified candidate: the core loop of imgops.
type pipeline struct {
	builder  imageBuilder
	verifier imageVerifier // nil when candidates are only to be built
	base     func(context.Context, *roles.Role) (images.Image, error)
	parallel int
	log      *progress
}

// outcome is what a run did with one role.
type outcome struct {
	Role     string   `json:"role"`
	Digest   string   `json:"digest"`
	Result   string   `json:"result"` // built, verified, unchanged, promoted, failed, refused or skipped
	Image    string   `json:"image,omitempty"`
	Built    bool     `json:"built"` // by this run
	Seconds  int      `json:"seconds"`
	Left     []string `json:"left,omitempty"` // the locations (account/Region) where a promotion is not complete
	Error    string   `json:"error,omitempty"`
	err      error
	image    images.Image
	decision images.Decision
}

// release does for each role, parents first, what its decision says is missing: build, then verify. A role that fails
// stops only its descendants.
func (p *pipeline) release(ctx context.Context, list []*roles.Role, decisions map[string]images.Decision) ([]outcome, error) {
	done := newResults(list, decisions)
	stop := p.log.beat()
	defer stop()
	var errs []error
	for i, o := range roles.Walk(ctx, list, p.parallel, func(ctx context.Context, r *roles.Role) error {
		began := time.Now()
		img, result, err := p.bring(ctx, r, decisions[r.Name], done)
		p.log.done(r.Name)
		done.set(r.Name, img, result, time.Since(began))
		return err
	}) {
		done.fail(i, o)
		if o.Err != nil && !skipped(o.Err) {
			errs = append(errs, fmt.Errorf("role %s: %w", o.Role.Name, o.Err))
		}
	}
	return done.list, errors.Join(errs...)
}

// bring finds or builds the candidate of one role, and verifies it.
func (p *pipeline) bring(ctx context.Context, r *roles.Role, d images.Decision, done *results) (images.Image, string, error) {
	img, result := d.Candidate, "unchanged"
	if d.Rejected != "" && !d.Held {
		return img, "failed", refuseRejected(r.Name, d)
	}
	if d.Blocked != nil {
		return img, "failed", refuseBlocked(r.Name, d)
	}
	if d.Action == images.ActionBuild {
		base, err := p.baseOf(ctx, r, done)
		if err != nil {
			return img, "failed", err
		}
		if img, err = p.builder.build(ctx, r, base); err != nil {
			return img, "failed", err
		}
		result = "built"
		done.built(r.Name)
	}
	if p.verifier != nil && (d.Action == images.ActionBuild || d.Action == images.ActionVerify) {
		verified, err := p.verifier.verify(ctx, r, img)
		if err != nil {
			return img, "failed", err
		}
		img, result = verified, "verified"
	}
	return img, result, nil
}

// baseOf is the parent's image, which this run has made or found, or the external base.
func (p *pipeline) baseOf(ctx context.Context, r *roles.Role, done *results) (images.Image, error) {
	if r.Parent == nil {
		return p.base(ctx, r)
	}
	if img := done.image(r.Parent.Name); img.ID != "" {
		return img, nil
	}
	return images.Image{}, fmt.Errorf("its parent %s has no image of digest %s", r.Parent.Name, short(r.Parent.Digest))
}

// refuseRejected ends the work on a digest whose image a person has rejected: what is built of it again would be the same.
func refuseRejected(role string, d images.Decision) error {
	return &promoter.RefusedError{
		Rule: promoter.RuleRejected, Role: role, Message: fmt.Sprintf("image %s of its digest %s is rejected: %s", d.Image, short(d.Digest), d.Rejected),
		Fix: images.RejectedFix(role, d.Rejected),
	}
}

// refuseBlocked ends the work on a role that is built on a rejected one.
func refuseBlocked(role string, d images.Decision) error {
	return &promoter.RefusedError{
		Rule: promoter.RuleRejected, Role: role, Message: fmt.Sprintf("role %s, which it is built on, has image %s of its digest %s, and that is rejected: %s", d.Blocked.Role, d.Blocked.Image, short(d.Blocked.Digest), d.Blocked.Rejected),
		Fix: images.RejectedFix(d.Blocked.Role, d.Blocked.Rejected),
	}
}
