package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

func showCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show ROLE|IMAGE",
		Short: "Show a role with its images and defaults, or one image",
		Long: "show tells what AWS and the ledger know. Of an image the ledger has who built it, where, with which tools and from which\n" +
			"components, its verifications and what was done about it. Where AWS cannot be asked, show says so and tells the rest.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runShow(c.Context(), args[0]) },
	}
}

// shownImage is an image in the output of show.
type shownImage struct {
	Image      string     `json:"image"`
	Name       string     `json:"name"`
	Role       string     `json:"role"`
	Digest     string     `json:"digest"`
	State      string     `json:"state"`
	Commit     string     `json:"commit"`
	Branch     string     `json:"branch"`
	Base       string     `json:"base"`
	Run        string     `json:"run"`
	BuiltAt    time.Time  `json:"built_at"`
	Verified   string     `json:"verified,omitempty"` // tests digest
	VerifiedAt *time.Time `json:"verified_at,omitempty"`
	Rejected   string     `json:"rejected,omitempty"`
	Default    bool       `json:"default"`
	Deprecated *time.Time `json:"deprecated_at,omitempty"` // from when on
	Snapshots  []string   `json:"snapshots"`

	StateReason string         `json:"state_reason,omitempty"`
	Note        string         `json:"note,omitempty"`   // why something is not known
	Ledger      *recordedImage `json:"ledger,omitempty"` // what the ledger knows of it
}

func shown(i images.Image) shownImage {
	s := shownImage{
		Image: i.ID, Name: i.Name, Role: i.Role, Digest: i.Digest, State: i.State, Commit: i.Commit, Branch: i.Branch, Base: i.Base,
		Run: i.Run, BuiltAt: i.BuiltAt, Verified: i.Verified, Rejected: i.Rejected, Default: i.Default, Snapshots: i.Snapshots, StateReason: i.StateReason,
	}
	if !i.VerifiedAt.IsZero() {
		s.VerifiedAt = &i.VerifiedAt
	}
	s.Deprecated = timeOrNil(i.Deprecated)
	return s
}

func (a *app) runShow(ctx context.Context, what string) error {
	if strings.HasPrefix(what, "ami-") {
		return a.showImage(ctx, what)
	}
	return a.showRole(ctx, what)
}

// shownRole is a role in the output of show.
type shownRole struct {
	Role        string           `json:"role"`
	File        string           `json:"file"`
	Base        string           `json:"base"`
	Digest      string           `json:"digest"`
	TestsDigest string           `json:"tests_digest"`
	Suites      []string         `json:"suites"`
	Targets     []string         `json:"targets"`
	Plan        images.Decision  `json:"plan"`
	Images      []shownImage     `json:"images"`
	Defaults    []images.Default `json:"defaults"`
}

func (s *session) showRole(ctx context.Context, r *roles.Role) error {
	found, err := s.survey(ctx, []*roles.Role{r})
	if err != nil {
		return err
	}
	d := shownRole{
		Role: r.Name, File: r.File, Base: baseText(r.Base), Digest: r.Digest, TestsDigest: r.TestsDigest, Suites: []string{},
		Targets: r.Targets, Plan: found.decisions[r.Name], Images: []shownImage{}, Defaults: []images.Default{},
	}
	for _, v := range r.Verify {
		d.Suites = append(d.Suites, v.Name)
	}
	t := d.table()
	for _, img := range found.own {
		if img.Role == r.Name {
			d.Images = append(d.Images, shown(img))
			t.add("image", fmt.Sprintf("%s  %s  %s  %s  %s", img.ID, short(img.Digest), img.State+deprecatedText(timeOrNil(img.Deprecated)), verifiedText(img, r), shortCommit(img.Commit)))
		}
	}
	for _, x := range found.defaults {
		if x.Role == r.Name {
			d.Defaults = append(d.Defaults, x)
			t.add("default", fmt.Sprintf("%s/%s  %s  %s", x.Account, x.Region, x.Image, x.Status))
		}
	}
	return s.print(d, t)
}

func (d shownRole) table() table {
	t := table{}
	t.add("role", d.Role)
	t.add("file", d.File)
	t.add("base", d.Base)
	t.add("digest", d.Digest)
	t.add("tests", short(d.TestsDigest)+" ("+strings.Join(d.Suites, ", ")+")")
	t.add("targets", strings.Join(d.Targets, ", "))
	t.add("plan", d.Plan.Action+": "+d.Plan.Reason)
	return t
}

func verifiedText(img images.Image, r *roles.Role) string {
	switch {
	case img.Rejected != "":
		return "rejected: " + img.Rejected
	case img.Verified == "":
		return "unverified"
	case img.Verified != r.TestsDigest:
		return "verified by other tests"
	}
	return "verified"
}

func baseText(b roles.Base) string {
	switch {
	case b.Role != "":
		return "role " + b.Role
	case b.Image != "":
		return b.Image
	}
	return b.Owner + " " + b.Name + " " + b.Architecture
}
