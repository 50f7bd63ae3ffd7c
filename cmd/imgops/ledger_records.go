package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/imgops/imgops/cmd/imgops/cienv"
	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
	"github.com/imgops/imgops/verifier"
)

// by is who runs imgops, and where. What cannot be found out is left out.
func (s *session) by(ctx context.Context) ledger.Author {
	r := s.ledger
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.author != nil {
		return *r.author
	}
	a := ledger.Author{Run: s.run()}
	if out, err := sts.NewFromConfig(s.clouds.base).GetCallerIdentity(ctx, nil); err == nil {
		a.Who = aws.ToString(out.Arn)
	}
	a.Host, _ = os.Hostname()
	if ev, ok := cienv.Detect(s.Getenv); ok {
		a.Actor, a.CI, a.URL = ev.Actor, string(ev.System), ev.RunURL
	} else {
		a.Actor = s.repo.User(s.Getenv)
	}
	r.author = &a
	return a
}

var coreVersion = lazy(`core ([0-9][0-9A-Za-z.]*)`)

// toolVersions are those of what makes images on this computer. Ansible takes a second to say its own, so it is asked once.
func (s *session) toolVersions(ctx context.Context, role *roles.Role) map[string]string {
	r := s.ledger
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tools == nil {
		r.tools = map[string]string{}
		if out, err := exec.CommandContext(ctx, "ansible-playbook", "--version").Output(); err == nil {
			first, _, _ := strings.Cut(string(out), "\n")
			if m := coreVersion().FindStringSubmatch(first); m != nil {
				r.tools["ansible-core"] = m[1]
			}
		}
	}
	tools := map[string]string{"imgops": version()}
	for _, p := range role.Provision {
		if core := r.tools["ansible-core"]; p.Ansible != nil && core != "" {
			tools["ansible-core"] = core
		}
	}
	return tools
}

func (s *session) about(r *roles.Role, img images.Image) ledger.About {
	return ledger.About{Fleet: s.fleet.Config.Fleet, Role: r.Name, Digest: r.Digest, Image: img.ID, Account: s.home.Account, Region: s.home.Region}
}

// recordImage keeps where an image comes from and, where that is known, what it holds.
func (s *session) recordImage(ctx context.Context, r *roles.Role, base, img images.Image, inv *ledger.Inventory, tools map[string]string) {
	rec := ledger.Image{
		About: s.about(r, img), Name: img.Name, Commit: img.Commit, Branch: img.Branch, Base: base.ID, BuiltAt: img.BuiltAt, By: s.by(ctx), Tools: tools,
	}
	describe(&rec, r)
	s.ledger.keep(rec)
	if inv != nil {
		inv.About = rec.About
		s.ledger.keep(*inv)
	}
}

// describe adds what an image of the role's present digest is made of.
func describe(rec *ledger.Image, r *roles.Role) {
	if r.Parent != nil {
		rec.BaseRole, rec.BaseDigest = r.Parent.Name, r.Parent.Digest
	}
	for _, c := range r.Components {
		rec.Components = append(rec.Components, ledger.Component{Name: c.Name, Value: c.Value})
	}
}

// recordVerification keeps a report, unless nothing was judged.
func (s *session) recordVerification(ctx context.Context, r *roles.Role, img images.Image, report verifier.Report) {
	if s.ledger.off() || report.Counts.Tests == 0 {
		return
	}
	data, err := json.Marshal(report)
	if err != nil {
		s.note("%s: the report cannot be recorded: %v", r.Name, err)
		return
	}
	s.ledger.keep(ledger.Verification{
		About: s.about(r, img), TestsDigest: report.TestsDigest, Passed: report.Passed, At: time.Now(), By: s.by(ctx), Report: data,
	})
}

// event is an event of a role, now.
func (s *session) event(ctx context.Context, role, action, reason string) ledger.Event {
	return ledger.Event{
		Fleet: s.fleet.Config.Fleet, Role: role, Action: action, At: time.Now(), By: s.by(ctx), Reason: reason, Commit: s.fleet.Revision.Commit,
	}
}

// recordMoves keeps the pointers that a promotion or rollback has moved.
func (s *session) recordMoves(ctx context.Context, action, reason string, plan promoter.Plan, result promoter.Result) (moved int) {
	if s.ledger.off() {
		return 0
	}
	for _, r := range plan.Roles {
		var pointers []ledger.Pointer
		for _, step := range result.Done {
			if step.Role == r.Role && step.Action == promoter.ActionPointer {
				pointers = append(pointers, ledger.Pointer{Account: step.Location.Account, Region: step.Location.Region, Before: step.From, After: step.Image})
			}
		}
		if len(pointers) == 0 {
			continue
		}
		moved += len(pointers)
		e := s.event(ctx, r.Role, action, reason)
		e.Commit, e.Digest, e.Image, e.Pointers = r.Commit, r.Digest, r.Image, pointers
		for _, left := range result.Left {
			e.Partial = e.Partial || left.Role == r.Role && left.Action == promoter.ActionPointer
		}
		s.ledger.keep(e)
	}
	return moved
}

// recordStill keeps an event that moves no pointer, with what they name.
func (s *session) recordStill(ctx context.Context, e ledger.Event, defaults []images.Default) {
	for _, d := range defaults {
		if d.Role == e.Role && d.Image != "" {
			e.Pointers = append(e.Pointers, ledger.Pointer{Account: d.Account, Region: d.Region, Before: d.Image, After: d.Image})
		}
	}
	s.ledger.keep(e)
}

// recordHold keeps a hold or its end. That the pointers cannot be read is no reason not to.
func (s *session) recordHold(ctx context.Context, action string, h images.Hold, reason string) {
	if s.ledger.off() {
		return
	}
	e := s.event(ctx, h.Role, action, reason)
	e.Image = h.Image
	defaults, err := images.Defaults(ctx, s.clouds, s.query())
	if err != nil {
		s.note("the pointers of %s cannot all be recorded: %v", h.Role, err)
	}
	s.recordStill(ctx, e, defaults)
}

// recordRejection keeps one event for each digest that was rejected.
func (s *session) recordRejection(ctx context.Context, rejected []promoter.Rejected, defaults []images.Default) {
	if s.ledger.off() {
		return
	}
	byDigest := map[string][]promoter.Rejected{}
	for _, r := range rejected {
		if !r.Before {
			byDigest[r.Role+" "+r.Digest] = append(byDigest[r.Role+" "+r.Digest], r)
		}
	}
	for _, list := range byDigest {
		ids := map[string]bool{}
		e := s.event(ctx, list[0].Role, ledger.ActionReject, list[0].Reason)
		e.Digest = list[0].Digest
		for _, r := range list {
			ids[r.Image] = true
			if r.Location == s.home {
				e.Image = r.Image
			}
		}
		var theirs []images.Default
		for _, d := range defaults {
			if ids[d.Image] {
				theirs = append(theirs, d)
			}
		}
		s.recordStill(ctx, e, theirs)
	}
}

// recordRetirement keeps the pointers that were removed.
func (s *session) recordRetirement(ctx context.Context, role, commit, reason string, gone []promoter.Retired) {
	if s.ledger.off() || len(gone) == 0 {
		return
	}
	e := s.event(ctx, role, ledger.ActionRetire, reason)
	e.Commit = commit
	for _, g := range gone {
		e.Pointers = append(e.Pointers, ledger.Pointer{Account: g.Account, Region: g.Region, Before: g.Image})
	}
	s.ledger.keep(e)
}
