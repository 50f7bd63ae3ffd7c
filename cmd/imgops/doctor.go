package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/imgops/imgops/builder"
	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/roles"
	"github.com/imgops/imgops/verifier"
	"github.com/imgops/imgops/verifier/gossagent"
)

func doctorCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Find out whether everything that a run needs is there, and say how to get what is not",
		Long: "doctor looks, without changing anything, for what a build, its verification and a promotion would need: a fleet without\n" +
			"mistakes, the programs on this computer, credentials that lead to every account and may read there, the network of build\n" +
			"machines, pinned base images, the main branch, and the ledger: whether it is whole, has what the build account has seen of\n" +
			"it, and may be written to. It names all that is missing in one run, and exits 1 then.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runDoctor(c.Context()) },
	}
}

// finding is one thing that doctor looked at.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, or missing
	Detail string `json:"detail"` // what is there, or what is missing and how to get it
}

// findings are in the order of the checks.
type findings struct {
	hint func(error) string
	list []finding
}

func (f *findings) add(check, good string, err error) bool {
	if err != nil {
		detail := err.Error()
		if hint := f.hint(err); hint != "" {
			detail += "; " + hint
		}
		f.list = append(f.list, finding{check, "missing", detail})
		return false
	}
	f.list = append(f.list, finding{check, "ok", good})
	return true
}

// errUnwell makes the exit code 1; the findings have said why.
var errUnwell = &exitStatus{exitError}

func (a *app) runDoctor(ctx context.Context) error {
	found := &findings{hint: a.hint}
	if err := a.examine(ctx, found); err != nil {
		return err
	}
	t := table{Header: []string{"CHECK", "STATUS", "DETAIL"}}
	well := true
	for _, f := range found.list {
		t.add(f.Check, f.Status, strings.TrimSpace(f.Detail))
		well = well && f.Status == "ok"
	}
	if err := a.print(found.list, t); err != nil || well {
		return err
	}
	return errUnwell
}

// examine makes all checks; those that need what another did not find are left out.
func (a *app) examine(ctx context.Context, found *findings) error {
	repo, err := a.openRepo(ctx)
	if !found.add("repository", "a Git repository with a commit", err) {
		return ctx.Err()
	}
	fleet, err := loadFleet(ctx, repo, "")
	if err == nil {
		err = fleet.CheckSuites(ctx, fleet.Roles, gossagent.Sections(), gossagent.AuthorsOwn)
	}
	var problems *roles.ProblemsError
	if errors.As(err, &problems) {
		err = fmt.Errorf("%d mistakes, the first: %s; run: imgops validate", len(problems.Problems), firstLineOf(problems.Problems[0].Error()))
	}
	if !found.add("definitions", fmt.Sprintf("%d roles", rolesIn(fleet)), err) {
		return ctx.Err()
	}
	a.examineHere(ctx, found, fleet)
	clouds, err := a.newClouds(ctx, fleet.Config)
	if err != nil {
		found.add("AWS", "", err)
		return ctx.Err()
	}
	s := &session{app: a, repo: repo, fleet: fleet, clouds: clouds, ledger: newRecorder(repo, fleet.Config.Ledger)}
	s.home = images.Location{Account: fleet.Config.Build.Account, Region: fleet.Config.Build.Region}
	s.examineAccounts(ctx, found)
	s.examineGit(ctx, found)
	return ctx.Err()
}

func rolesIn(f *roles.Fleet) int {
	if f == nil {
		return 0
	}
	return len(f.Roles)
}

func firstLineOf(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// examineHere looks at this computer.
func (a *app) examineHere(ctx context.Context, found *findings, fleet *roles.Fleet) {
	found.add("programs to build", "all here", builder.CheckTools(fleet.Roles, false))
	files, err := fleet.TestFiles(fleet.Roles)
	if err == nil {
		err = verifier.CheckTools(ctx, files)
	}
	found.add("programs to verify", "all here", err)
}

// examineAccounts looks whether the credentials lead to every location and may read there.
func (s *session) examineAccounts(ctx context.Context, found *findings) {
	c := s.fleet.Config
	places := locations(c, nil)
	if !slices.Contains(places, s.home) {
		places = append([]images.Location{s.home}, places...)
	}
	errs := make([]error, len(places))
	var g errgroup.Group
	for i, loc := range places {
		g.Go(func() error {
			errs[i] = s.readable(ctx, loc)
			return nil
		})
	}
	_ = g.Wait() // errs has them
	if err := errs[0]; errors.Is(err, errNoCredentials) {
		found.add("AWS", "", errNoCredentials) // of all accounts, and why is many words of the SDK's
		return
	}
	home := false
	for i, loc := range places {
		ok := found.add("account "+loc.Account+" "+loc.Region, "images and pointers can be read", errs[i])
		home = home || ok && loc == s.home
	}
	if !home {
		return
	}
	api, err := s.clouds.EC2(ctx, s.home)
	if err == nil {
		err = machine.CheckNetwork(ctx, api, machine.Spec{Location: s.home, SSHCIDR: c.Build.SSHCIDR, SubnetID: c.Build.SubnetID})
	}
	found.add("network of build machines", "a VPC, and who may reach port 22", err)
	pins, err := s.app.pins(ctx, s.fleet, s.clouds)
	if err == nil {
		err = s.fleet.Resolve(pins)
	}
	found.add("base images", fmt.Sprintf("%d pinned", len(pins)), err)
}

// readable asks for what plan asks for in a location.
func (s *session) readable(ctx context.Context, loc images.Location) error {
	catalogue, err := images.Open(ctx, s.clouds, loc)
	if err != nil {
		return err
	}
	if _, err := catalogue.OfFleet(ctx, s.fleet.Config.Fleet); err != nil {
		return err
	}
	pointers, err := images.OpenPointers(ctx, s.clouds, loc, s.fleet.Config.Fleet)
	if err != nil {
		return err
	}
	_, err = pointers.All(ctx)
	return err
}

// examineGit looks at what a promotion compares with, and at its record.
func (s *session) examineGit(ctx context.Context, found *findings) {
	main := s.mainRef()
	_, err := s.repo.Resolve(ctx, main)
	found.add("main branch", main, err)
	if !s.ledger.off() {
		s.examineLedger(ctx, found)
	}
}
