package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/builder"
	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/roles"
	"github.com/imgops/imgops/verifier"
)

type verifyOptions struct {
	keep  bool
	again bool
	image string
}

func verifyCommand(a *app) *cobra.Command {
	o := &verifyOptions{}
	c := &cobra.Command{
		Use:   "verify [ROLE...]",
		Short: "Test the candidates on fresh machines",
		Long:  "verify launches a fresh machine of the candidate for each suite of a role, runs the suite, and marks the image verified\nwhen all pass. Reports are kept as JUnit XML and JSON below .imgops/runs/.",
		RunE:  func(c *cobra.Command, args []string) error { return a.runVerify(c.Context(), o, args) },
	}
	c.Flags().BoolVar(&o.keep, "keep", false, "verify (again) and leave the machines running; look around with 'imgops login'")
	c.Flags().BoolVar(&o.again, "again", false, "verify also what these tests have verified already")
	c.Flags().StringVar(&o.image, "image", "", "verify this `image` instead of the role's candidate (marks nothing)")
	return c
}

func (a *app) runVerify(ctx context.Context, o *verifyOptions, names []string) error {
	s, err := a.open(ctx, "")
	if err != nil {
		return err
	}
	list, err := s.fleet.Select(names)
	if err != nil {
		return err
	}
	v, err := s.newVerifier(ctx)
	if err != nil {
		return err
	}
	v.keep, v.again = o.keep, o.again
	if o.image != "" {
		return s.verifyImage(ctx, v, list, o.image)
	}
	found, err := s.survey(ctx, list)
	if err != nil {
		return err
	}
	for _, r := range list {
		d := found.decisions[r.Name]
		if d.Action == images.ActionBuild {
			return fmt.Errorf("role %s has nothing to verify: %s; build it: imgops build %s", r.Name, d.Reason, r.Name)
		}
		if d.Rejected != "" {
			return refuseRejected(r.Name, d)
		}
		if o.again || o.keep {
			d.Action = images.ActionVerify
			found.decisions[r.Name] = d
		}
	}
	if err := s.complete(ctx, list, found.decisions); err != nil {
		return err
	}
	p := &pipeline{verifier: v, parallel: a.set.Parallel, log: a.log}
	outcomes, err := p.release(ctx, list, found.decisions)
	return errors.Join(a.print(outcomes, outcomeTable(outcomes)), err, s.flush(ctx))
}

// verifyImage runs one role's suites on any image of the build account.
func (s *session) verifyImage(ctx context.Context, v *tester, list []*roles.Role, id string) error {
	if len(list) != 1 {
		return &usageError{err: errors.New("--image needs exactly one role, whose suites are to be run")}
	}
	found, err := s.cat.Get(ctx, id)
	if err != nil {
		return err
	}
	img, ok := found[id]
	if !ok {
		return fmt.Errorf("image %s is not there in %s", id, s.home)
	}
	stop := s.log.beat()
	defer stop()
	report, err := v.test(ctx, list[0], img)
	return errors.Join(s.print(report, reportTable(report)), err)
}

// tester verifies candidates for the core loop.
type tester struct {
	*session
	verifier *verifier.Verifier
	keep     bool
	again    bool // verify also what is verified
}

func (s *session) newVerifier(ctx context.Context) (*tester, error) {
	api, err := s.clouds.EC2(ctx, s.home)
	if err != nil {
		return nil, err
	}
	return &tester{session: s, verifier: verifier.New(verifier.On(machine.NewLauncher(api)), verifier.Options{})}, nil
}

// verify tests a candidate and marks it. Runs that want the same at once share one verification; one that failed is
// tried by the next. What is asked for again, or is to be looked at, is nobody else's.
func (t *tester) verify(ctx context.Context, r *roles.Role, img images.Image) (images.Image, error) {
	if t.keep || t.again || r.Dirty {
		return t.judge(ctx, r, img)
	}
	turn := builder.Turn{
		Location: t.home, Fleet: t.fleet.Config.Fleet, Role: r.Name, Digest: r.Digest, Run: t.run(), Commit: t.fleet.Revision.Commit,
		Verify: img.ID + "-" + short(r.TestsDigest), Progress: t.log.of(r.Name),
	}
	return builder.Once(ctx, t.clouds, turn, func(ctx context.Context) (images.Image, error) { return t.verified(ctx, r, img) },
		func(ctx context.Context) (images.Image, error) { return t.judge(ctx, r, img) })
}

// verified looks whether another run has verified the image meanwhile.
func (t *tester) verified(ctx context.Context, r *roles.Role, img images.Image) (images.Image, error) {
	found, err := t.cat.Get(ctx, img.ID)
	now := found[img.ID]
	if err != nil || r.TestsDigest == "" || now.Verified != r.TestsDigest {
		return images.Image{}, err
	}
	t.note("%s: image %s was verified by another run meanwhile", r.Name, img.ID)
	return now, nil
}

// judge tests a candidate and marks it.
func (t *tester) judge(ctx context.Context, r *roles.Role, img images.Image) (images.Image, error) {
	report, err := t.test(ctx, r, img)
	t.recordVerification(ctx, r, img, report)
	if err != nil {
		return img, errors.Join(err, t.unmark(ctx, r, img, err))
	}
	now := time.Now().UTC().Truncate(time.Second)
	tags := map[string]string{images.TagVerified: r.TestsDigest, images.TagVerifiedAt: now.Format(time.RFC3339)}
	if err := t.cat.Tag(ctx, img, tags); err != nil {
		return img, err
	}
	img.Verified, img.VerifiedAt = r.TestsDigest, now
	for k, v := range tags {
		img.Tags[k] = v
	}
	return img, nil
}

// unmark takes the mark from an image that these very tests have passed before and do not pass now. A mark of other
// tests stays: what they judged has not changed.
func (t *tester) unmark(ctx context.Context, r *roles.Role, img images.Image, err error) error {
	var failed *verifier.FailedError
	if !errors.As(err, &failed) || img.Verified != r.TestsDigest {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	t.note("%s: image %s passed these tests before and is no longer verified", r.Name, img.ID)
	return t.cat.Tag(ctx, img, map[string]string{images.TagVerified: "", images.TagVerifiedAt: ""})
}

func (t *tester) test(ctx context.Context, r *roles.Role, img images.Image) (verifier.Report, error) {
	if err := t.requireMachines(ctx); err != nil {
		return verifier.Report{}, err
	}
	dir, err := t.workDir(r.Name)
	if err != nil {
		return verifier.Report{}, err
	}
	tests, err := os.MkdirTemp("", "imgops-tests-")
	if err != nil {
		return verifier.Report{}, fmt.Errorf("making a directory for the tests of role %s: %w", r.Name, err)
	}
	defer os.RemoveAll(tests)
	if err := t.fleet.MaterializeTests(ctx, r, tests); err != nil {
		return verifier.Report{}, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "verify.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return verifier.Report{}, fmt.Errorf("opening the log of role %s: %w", r.Name, err)
	}
	defer log.Close()
	return t.verifier.Verify(ctx, verifier.Request{
		Image: img, Role: r, Tests: tests, Location: t.home, Run: t.run(), Fleet: t.fleet.Config.Fleet, Build: t.fleet.Config.Build,
		WorkDir: dir, Keep: t.keep, Progress: t.log.of(r.Name), Log: log,
	})
}

func reportTable(r verifier.Report) table {
	t := table{Header: []string{"SUITE", "KIND", "TEST", "STATUS"}}
	for _, s := range r.Suites {
		for _, x := range s.Results {
			t.add(x.Suite, x.Kind, x.Name, string(x.Status))
		}
	}
	return t
}
