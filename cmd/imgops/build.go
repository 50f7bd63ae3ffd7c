package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/builder"
	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/roles"
)

func buildCommand(a *app) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "build [ROLE...]",
		Short: "Build the candidates that are missing",
		Long: "build makes an image of each role whose digest has none, and of those parents that have none.\n" +
			"With uncommitted changes it builds what is on disk; such an image can be verified but never promoted.",
		RunE: func(c *cobra.Command, args []string) error { return a.runBuild(c.Context(), args, force) },
	}
	c.Flags().BoolVar(&force, "force", false, "build the named roles even if an image of their digest exists, or was rejected")
	return c
}

func (a *app) runBuild(ctx context.Context, names []string, force bool) error {
	s, err := a.open(ctx, "")
	if err != nil {
		return err
	}
	selected, err := s.fleet.Select(names)
	if err != nil {
		return err
	}
	if force {
		s.again = map[string]bool{}
		for _, r := range selected {
			s.again[r.Name] = true
		}
	}
	list := roles.WithAncestors(selected)
	found, err := s.survey(ctx, list)
	if err != nil {
		return err
	}
	if err := s.complete(ctx, list, found.decisions); err != nil {
		return err
	}
	p, err := s.pipeline(ctx, stageBuild)
	if err != nil {
		return err
	}
	outcomes, err := p.release(ctx, list, found.decisions)
	return errors.Join(a.print(outcomes, outcomeTable(outcomes)), err, s.flush(ctx))
}

// stage is how far a run brings a role.
type stage int

const (
	stageBuild stage = iota
	stageVerify
)

// pipeline wires the core loop to the builder and the verifier.
func (s *session) pipeline(ctx context.Context, to stage) (*pipeline, error) {
	w := &worker{session: s, builder: builder.New(s.clouds)}
	p := &pipeline{builder: w, base: w.external, parallel: s.set.Parallel, log: s.log}
	if s.workers != nil {
		p.builder, p.verifier = s.workers(s)
		return p, nil
	}
	if to == stageVerify {
		v, err := s.newVerifier(ctx)
		if err != nil {
			return nil, err
		}
		p.verifier = v
	}
	return p, nil
}

// worker builds roles for the core loop.
type worker struct {
	*session
	builder *builder.Builder
}

// external looks the pinned base of a role up.
func (w *worker) external(ctx context.Context, r *roles.Role) (images.Image, error) {
	id, err := w.externalID(r)
	if err != nil {
		return images.Image{}, err
	}
	found, err := w.cat.Get(ctx, id)
	if err != nil {
		return images.Image{}, err
	}
	img, ok := found[id]
	if !ok {
		return img, fmt.Errorf("the base image %s of role %s is not there, or not shared with account %s; run: imgops update %s", id, r.Name, w.home.Account, r.Name)
	}
	return img, nil
}

// build bakes one role. Runs that want the same digest at once share one bake; what is on a developer's disk is his own.
func (w *worker) build(ctx context.Context, r *roles.Role, base images.Image) (images.Image, error) {
	if err := w.requireMachines(ctx); err != nil {
		return images.Image{}, err
	}
	if r.Dirty {
		return w.bake(ctx, r, base)
	}
	turn := builder.Turn{
		Location: w.home, Fleet: w.fleet.Config.Fleet, Role: r.Name, Digest: r.Digest, Run: w.run(), Commit: w.fleet.Revision.Commit, Again: w.again[r.Name], Progress: w.log.of(r.Name),
	}
	return builder.Once(ctx, w.clouds, turn, func(ctx context.Context) (images.Image, error) { return w.built(ctx, r) },
		func(ctx context.Context) (images.Image, error) { return w.bake(ctx, r, base) })
}

// built looks for the image that another run has made meanwhile.
func (w *worker) built(ctx context.Context, r *roles.Role) (images.Image, error) {
	list, err := w.cat.ByDigest(ctx, w.fleet.Config.Fleet, r.Name, r.Digest)
	if err != nil {
		return images.Image{}, err
	}
	d := images.Next(w.wanted(r), list, nil)
	if d.Rejected != "" {
		return images.Image{}, refuseRejected(r.Name, d)
	}
	if d.Action == images.ActionBuild {
		return images.Image{}, nil
	}
	return w.cat.Wait(ctx, d.Image, nil)
}

// bake builds one role, with its output kept in the run's directory.
func (w *worker) bake(ctx context.Context, r *roles.Role, base images.Image) (images.Image, error) {
	dir, err := w.workDir(r.Name)
	if err != nil {
		return images.Image{}, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "build.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return images.Image{}, fmt.Errorf("opening the log of role %s: %w", r.Name, err)
	}
	defer log.Close()
	var out io.Writer = log
	if w.set.Debug {
		out = io.MultiWriter(log, &prefixWriter{w: w.Stderr, prefix: r.Name + " | "})
	}
	commit := w.fleet.Revision.Commit
	if r.Dirty {
		commit += images.DirtySuffix
	}
	var inventory *ledger.Inventory
	tools := w.tools(ctx, r)
	img, err := w.builder.Build(ctx, builder.Request{
		Inventory: w.inventory(r, &inventory),
		Fleet:     w.fleet, Role: r, Base: base, Location: w.home, Run: w.run(), Commit: commit, Branch: w.fleet.Revision.Branch,
		WorkDir: dir, Progress: w.log.of(r.Name), Log: out,
	})
	if img.ID != "" {
		w.recordImage(ctx, r, base, img, inventory, tools())
	}
	var left *machine.LeftoverError
	if img.ID != "" && errors.As(err, &left) {
		w.note("%s: image %s is good, but something temporary is left; remove it later: imgops gc\n%v", r.Name, img.ID, left)
		return img, nil
	}
	return img, err
}

// tools begins to ask for the versions of the tools, while the image is made.
func (w *worker) tools(ctx context.Context, r *roles.Role) func() map[string]string {
	if w.ledger.off() {
		return func() map[string]string { return nil }
	}
	asked := make(chan map[string]string, 1)
	go func() { asked <- w.toolVersions(ctx, r) }()
	return func() map[string]string { return <-asked }
}

// inventory has the builder list what the image holds, for the ledger. An image of which that is not known is as good.
func (w *worker) inventory(r *roles.Role, into **ledger.Inventory) func(images.Image, ledger.Inventory, error) {
	if w.ledger.off() {
		return nil
	}
	return func(img images.Image, inv ledger.Inventory, err error) {
		if err != nil {
			w.note("%s: what image %s holds is not recorded: %v", r.Name, img.ID, err)
			return
		}
		*into = &inv
	}
}
