package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
	"github.com/imgops/imgops/verifier"
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
	verdicts := map[string]string{} // by role
	verdict := func(parent *roles.Role, image string) string {
		if _, asked := verdicts[parent.Name]; !asked {
			verdicts[parent.Name] = j.verdict(ctx, parent, image)
		}
		return verdicts[parent.Name]
	}
	for _, r := range list {
		err := parentReady(r, decisions, verdict)
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

// parentReady says whether a role that has to be built can be: its parent has a verified image. verdict tells of one that has
// not what is known of its verification.
func parentReady(r *roles.Role, decisions map[string]images.Decision, verdict func(parent *roles.Role, image string) string) error {
	if d := decisions[r.Name]; d.Blocked != nil && d.Rejected == "" {
		return refuseBlocked(r.Name, d)
	}
	if r.Parent == nil || decisions[r.Name].Action != images.ActionBuild {
		return nil
	}
	first := fmt.Sprintf("imgops ci --role %s --level %d", r.Parent.Name, level(r.Parent))
	switch image := decisions[r.Parent.Name].Image; decisions[r.Parent.Name].Action {
	case images.ActionBuild:
		return fmt.Errorf("its parent %s has no image of digest %s yet; level %d has to run first: %s; where it has run, that job says why there is none",
			r.Parent.Name, short(r.Parent.Digest), level(r.Parent), first)
	case images.ActionVerify:
		if failed := verdict(r.Parent, image); failed != "" {
			return fmt.Errorf("image %s of its parent %s failed its verification: %s; correct role %s or its tests, or, if something else was to blame, run that again first: %s",
				image, r.Parent.Name, failed, r.Parent.Name, first)
		}
		return fmt.Errorf("image %s of its parent %s is not verified; level %d has to run first: %s; where it has run, its verification failed, and that job says why",
			image, r.Parent.Name, level(r.Parent), first)
	}
	return nil
}

// verdict tells, from the ledger, which tests an image has failed, and where the report is; "" where it is not known to have
// failed these tests. The image's tags say only what has passed.
func (j *ciJob) verdict(ctx context.Context, r *roles.Role, image string) string {
	if j.ledger.off() {
		return ""
	}
	kept, err := j.openReading(ctx)
	if err != nil || kept.ledger.Store == nil {
		return ""
	}
	kept.sync(ctx)
	known, err := kept.book(ctx, r.Name)
	if err != nil {
		return ""
	}
	v, ok := known.Verified(image)
	if !ok || v.Passed || v.TestsDigest != r.TestsDigest {
		return ""
	}
	text := "at " + when(&v.At)
	if names := failedNames(v.Report); names != "" {
		text += " (" + names + ")"
	}
	return text + ", by " + strings.TrimSpace("run "+v.By.Run+" "+v.By.URL) + "; the report: imgops show " + image + " -o json"
}

// failedNames names the first tests that failed in a recorded report.
func failedNames(report []byte) string {
	const most = 3
	var r verifier.Report
	if json.Unmarshal(report, &r) != nil {
		return "" // of another version: it is there to be read
	}
	var list []string
	failed := r.Failures()
	for _, t := range failed[:min(len(failed), most)] {
		list = append(list, t.Suite+"/"+t.Kind+" "+t.Name)
	}
	if more := len(failed) - most; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, ", ")
}
