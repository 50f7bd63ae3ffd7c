package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

// papers makes images without machines: it registers them in the sandbox, and tags them.
type papers struct {
	*apiWorld
	s *session
}

func (p papers) build(_ context.Context, r *roles.Role, base images.Image) (images.Image, error) {
	return p.box.RegisterAll(p.t, apiHome, images.Image{
		Name: fmt.Sprintf("built-%s-%d", r.Name, time.Now().UnixNano()), Fleet: p.s.fleet.Config.Fleet, Role: r.Name, Digest: r.Digest,
		Commit: p.s.fleet.Revision.Commit, Base: base.ID, Run: "run-2", BuiltAt: time.Now(),
	})[0], nil
}

func (p papers) verify(ctx context.Context, r *roles.Role, img images.Image) (images.Image, error) {
	img.Verified = r.TestsDigest
	for { // a verification takes longer than an image is unseen; this one does not
		err := p.s.cat.Tag(ctx, img, map[string]string{images.TagVerified: img.Verified})
		if !slices.Contains([]string{"InvalidAMIID.NotFound", "InvalidSnapshot.NotFound"}, images.Code(err)) || ctx.Err() != nil {
			return img, err
		}
	}
}

// onPaper runs imgops with papers in the place of builder and verifier.
func (w *apiWorld) onPaper(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	var out, errs bytes.Buffer
	a := &app{
		world:   world{Args: append([]string{"-C", w.fleet}, args...), Getenv: w.getenv, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs},
		workers: func(s *session) (imageBuilder, imageVerifier) { p := papers{w, s}; return p, p },
	}
	code = a.execute(w.t.Context())
	return code, out.String(), errs.String()
}

// state is what a generated case has in its accounts.
type state struct {
	*apiWorld
	rand  *rand.Rand
	fleet string
	roles []roleState // parents first
	tale  []string    // for the failure's message
}

type roleState struct{ Role, Parent, Digest, TestsDigest string }

// candidateKinds are the images of the wanted digest that a role can have.
var candidateKinds = []string{"verified", "verified", "verified", "unverified", "other tests", "rejected", "dirty"}

func (s *state) pick(n int) bool { return s.rand.IntN(n) == 0 }

// image registers an image of a role, built on the first one of its parent.
func (s *state) image(r roleState, kind, base string) images.Image {
	img := images.Image{
		Name: fmt.Sprintf("%s-%s-%d", s.fleet, r.Role, s.rand.Uint64()), Fleet: s.fleet, Role: r.Role, Digest: r.Digest, Commit: "c0ffee",
		Base: base, Run: "run-1", BuiltAt: time.Now(), Verified: r.TestsDigest, Tags: map[string]string{},
	}
	switch kind {
	case "unverified":
		img.Verified = ""
	case "other tests":
		img.Verified = "sha256:" + strings.Repeat("7", 64)
	case "rejected":
		img.Tags[images.TagRejected] = "CVE"
	case "dirty":
		img.Commit += images.DirtySuffix
	case "old":
		img.Digest = "sha256:" + strings.Repeat("0", 64)
	}
	return s.box.RegisterAll(s.t, apiHome, img)[0]
}

// populate gives the roles images, pointers and holds at random.
func (s *state) populate() {
	first := map[string]string{}
	for _, r := range s.roles {
		s.tale = append(s.tale, r.Role+":")
		choices := []images.Image{s.image(r, "old", "")}
		for range s.rand.IntN(3) {
			kind := candidateKinds[s.rand.IntN(len(candidateKinds))]
			base := first[r.Parent]
			if s.pick(4) {
				base = "ami-00000000000000000"
			}
			img := s.image(r, kind, base)
			s.tale = append(s.tale, fmt.Sprintf("  %s %s on %s", img.ID, kind, base))
			choices = append(choices, img)
			if first[r.Role] == "" {
				first[r.Role] = img.ID
			}
		}
		for _, account := range []string{"222222222222", "333333333333"} {
			if s.pick(4) {
				continue
			}
			img := choices[s.rand.IntN(len(choices))]
			s.point(account, r.Role, img)
			s.tale = append(s.tale, "  "+account+" has "+img.ID)
		}
		if s.pick(5) {
			holds, err := images.OpenHolds(s.t.Context(), s.box, apiHome, s.fleet)
			require.NoError(s.t, err)
			require.NoError(s.t, holds.Create(s.t.Context(), images.Hold{Role: r.Role, Reason: "night", Who: "ann", When: time.Now()}))
			s.tale = append(s.tale, "  held")
		}
	}
}

func (s *state) point(account, role string, img images.Image) {
	s.box.Share(s.t, img, account)
	pointers, err := images.OpenPointers(s.t.Context(), s.box, images.Location{Account: account, Region: "us-east-1"}, s.fleet)
	require.NoError(s.t, err)
	_, err = pointers.Set(s.t.Context(), role, img.ID, "test")
	require.NoError(s.t, err)
}

// named gives what the pointers name, by role and account.
func (s *state) named() map[string]string {
	m := map[string]string{}
	for _, d := range s.defaults() {
		m[d.Role+" "+d.Account] = d.Image
	}
	return m
}

// TestPlanSaysWhatCIDoes: over generated states of the accounts, ci does for every role what plan has said just before,
// and the roles that a fan-out has jobs for are those.
func TestPlanSaysWhatCIDoes(t *testing.T) {
	w := newAPIWorld(t)
	base := w.box.RegisterAll(t, apiHome, images.Image{Name: "debian"})[0]
	w.write("roles/web/image.yaml", "base: {image: "+base.ID+"}\nverify: [{suite: default}]\n")
	for _, r := range []string{"child: {role: web}", "db: {role: web}", "shop: {role: child}"} {
		name, base, _ := strings.Cut(r, ": ")
		w.write("roles/"+name+"/image.yaml", "base: "+base+"\nverify: [{suite: default}]\n")
		w.write("roles/"+name+"/tests/default/true.sh", "#!/bin/sh\ntrue\n")
		w.write("roles/"+name+"/tasks/main.yml", "- ansible.builtin.ping:\n")
	}
	w.commit("one")
	list := []roleState{{Role: "web"}, {Role: "child", Parent: "web"}, {Role: "db", Parent: "web"}, {Role: "shop", Parent: "child"}}
	for i := range list {
		out, _ := w.do(exitDone, "show", list[i].Role, "-o", "json")
		r := decode[struct {
			Digest      string `json:"digest"`
			TestsDigest string `json:"tests_digest"`
		}](t, out)
		list[i].Digest, list[i].TestsDigest = r.Digest, r.TestsDigest
	}
	config := w.read("imgops.yaml")
	kinds := map[string]int{}
	for seed := range uint64(40) {
		s := &state{apiWorld: w, rand: rand.New(rand.NewPCG(seed, 4)), fleet: fmt.Sprintf("fleet-%d", seed), roles: list}
		w.write("imgops.yaml", strings.Replace(config, "fleet: acme", "fleet: "+s.fleet, 1))
		w.git("commit", "-qam", s.fleet)
		s.populate()
		var names []string
		if s.pick(3) {
			names = []string{list[s.rand.IntN(len(list))].Role}
		}
		s.compare(names, kinds)
		if t.Failed() {
			t.Logf("seed %d:\n%s", seed, strings.Join(s.tale, "\n"))
			return
		}
	}
	for _, kind := range []string{"build: promoted", "build: verified", "verify: promoted", "verify: verified", "promote: promoted", "none: unchanged", "none: skipped", "none: refused"} {
		require.Positive(t, kinds[kind], "no case of %s in %v", kind, kinds)
	}
}

// compare plans, does, and compares.
func (s *state) compare(names []string, kinds map[string]int) {
	t := s.t
	out, notes := s.do(exitDone, append([]string{"plan", "-o", "json"}, names...)...)
	planned, busy := map[string]images.Decision{}, []string{}
	for _, d := range decode[[]images.Decision](t, out) {
		planned[d.Role] = d
		if d.Action != images.ActionNone {
			busy = append(busy, d.Role)
		}
	}
	for _, r := range s.roles { // what the named roles are built on is told beside the plan
		if _, rest, told := strings.Cut(notes, r.Role+", which these roles are built on, comes first: "); told {
			action, reason, _ := strings.Cut(rest, ", ")
			planned[r.Role] = images.Decision{Action: action, Reason: reason}
			busy = append(busy, r.Role)
		}
	}
	out, _ = s.do(exitDone, append([]string{"ci", "--event", "push", "--matrix", "json"}, names...)...)
	var jobs []string
	for _, l := range decode[struct{ Levels []fanLevel }](t, out).Levels {
		for _, j := range l.Jobs {
			jobs = append(jobs, j.Role)
		}
	}
	slices.Sort(busy)
	slices.Sort(jobs)
	if !slices.Equal(busy, jobs) {
		t.Errorf("plan %v has work for %v, the matrix has jobs for %v", names, busy, jobs)
	}
	before := s.named()
	_, out, errs := s.onPaper(append([]string{"ci", "--event", "push", "-o", "json"}, names...)...)
	after := s.named()
	for _, o := range decode[[]done](t, out) {
		d, listed := planned[o.Role]
		action := d.Action
		if !listed {
			action = images.ActionNone
		}
		kinds[action+": "+o.Result]++
		moved := after[o.Role+" 222222222222"] != before[o.Role+" 222222222222"] || after[o.Role+" 333333333333"] != before[o.Role+" 333333333333"]
		want := map[string][]string{
			images.ActionBuild: {"verified", "promoted"}, images.ActionVerify: {"verified", "promoted"}, images.ActionPromote: {"promoted"},
			images.ActionNone: {"unchanged", "skipped", "refused"},
		}[action]
		if !slices.Contains(want, o.Result) || o.Built != (action == images.ActionBuild) || moved != (o.Result == "promoted") {
			t.Errorf("plan %v says %s of %s (%s); ci: %s, built %t, pointers moved %t\n%s", names, action, o.Role, d.Reason, o.Result, o.Built, moved, errs)
		}
	}
}
