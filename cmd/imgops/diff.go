package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images/ledger"
)

func diffCommand(a *app) *cobra.Command {
	var detailed bool
	c := &cobra.Command{
		Use:   "diff ROLE [A] [B]",
		Short: "Show what differs between two images: packages, services, /etc",
		Long: "diff compares what the ledger says two images of a role hold: packages that were added, removed or upgraded, files changed\n" +
			"under /etc, services enabled or gone. A and B are image ids, digests or commits (6 digits of them or more), default or candidate.\n" +
			"Without them, it is the present default against the newest image after it, or the default before against the present one;\n" +
			"with A alone, A against the default. It needs no cloud, and without the remote it says what this clone knows.\n\n" +
			"Of /etc the ledger has names, modes, owners and sums, and no contents. That the content differs of what each machine writes\n" +
			"for itself (hostname, mailname, machine-id, SSH host keys, resolv.conf, adjtime, cloud-init's network files) is not shown.",
		Args: cobra.RangeArgs(1, 3),
		RunE: func(c *cobra.Command, args []string) error {
			return a.runDiff(c.Context(), args[0], args[1:], detailed)
		},
	}
	c.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit with 5 when the images differ")
	return c
}

// compared is one of the two images in the output of diff.
type compared struct {
	Image   string    `json:"image"`
	Digest  string    `json:"digest"`
	Commit  string    `json:"commit"`
	BuiltAt time.Time `json:"built_at"`
}

// diffOutput is the output of diff.
type diffOutput struct {
	Role string   `json:"role"`
	A    compared `json:"a"`
	B    compared `json:"b"`
	ledger.Difference
}

func (a *app) runDiff(ctx context.Context, role string, words []string, detailed bool) error {
	r, err := a.openReading(ctx)
	if err != nil {
		return err
	}
	if r.off {
		return &usageError{err: errors.New("imgops.yaml says `ledger: off`, and diff reads the ledger"), hint: "delete that line; images that are built from then on can be compared"}
	}
	r.look(ctx, role)
	r.sync(ctx)
	book, err := r.book(ctx, role)
	if err != nil {
		return err
	}
	r.warnLacking(ctx, r.seen.witness)
	if emptyBook(book) {
		return r.unknownRole(ctx, role)
	}
	if len(words) < 2 || slices.Contains(words, "default") {
		if err := r.present(ctx, role, book); err != nil {
			return err
		}
	}
	one, two, err := pair(book, words)
	if errors.Is(err, ledger.ErrNoEntry) && book.Now != "" && !book.Knows(book.Now) {
		return fmt.Errorf("the default of role %s is %s, and the ledger has no record of that image, so it cannot be compared; imgops ci on main records what AWS tells of it, and what an image holds is recorded when it is built",
			role, book.Now)
	}
	if err != nil {
		return fmt.Errorf("role %s: %w; imgops history %s and imgops show %s list what there is", role, err, role, role)
	}
	out := diffOutput{Role: role, A: compared{one.Image, one.Digest, one.Commit, one.BuiltAt}, B: compared{two.Image, two.Digest, two.Commit, two.BuiltAt}}
	before, err := inventoryOf(ctx, book, one)
	if err != nil {
		return err
	}
	after, err := inventoryOf(ctx, book, two)
	if err != nil {
		return err
	}
	out.Difference = ledger.Compare(before, after)
	a.note("%s: from %s (digest %s, commit %s) to %s (digest %s, commit %s)", role, one.Image, short(one.Digest), shortCommit(one.Commit),
		two.Image, short(two.Digest), shortCommit(two.Commit))
	if err := a.print(out, out.table()); err != nil {
		return err
	}
	if detailed && !out.Empty() {
		return errChanges
	}
	return nil
}

// unknownRole tells a role that was mistyped from one that has no record.
func (r *reading) unknownRole(ctx context.Context, role string) error {
	fleet, err := r.repo.Load(ctx, "HEAD")
	if err != nil {
		return err
	}
	if _, err := fleet.Select([]string{role}); err != nil {
		return err
	}
	if r.unsynced != nil {
		return fmt.Errorf("this clone knows no image of role %s, and the ledger's remote was not asked%s", role, r.fetchHint())
	}
	return fmt.Errorf("the ledger knows no image of role %s yet; imgops build %s and imgops ci record what they do", role, role)
}

func inventoryOf(ctx context.Context, book *ledger.Book, i ledger.Image) (ledger.Inventory, error) {
	inv, err := book.Inventory(ctx, i.Image)
	if errors.Is(err, ledger.ErrNoEntry) {
		return inv, fmt.Errorf("what image %s holds was not recorded when run %s built it; an image that is built anew is", i.Image, i.By.Run)
	}
	return inv, err
}

// pair finds the two images.
func pair(book *ledger.Book, words []string) (one, two ledger.Image, err error) {
	if len(words) == 0 {
		return usualPair(book)
	}
	if len(words) == 1 {
		words = append(words, "default")
	}
	if one, err = book.Named(words[0]); err == nil {
		two, err = book.Named(words[1])
	}
	return one, two, err
}

// usualPair is the default and the newest image that came after it, or the last two defaults.
func usualPair(book *ledger.Book) (one, two ledger.Image, err error) {
	now, err := book.Named("default")
	if err != nil {
		return one, two, err
	}
	if next, ok := book.Candidate(); ok && next.BuiltAt.After(now.BuiltAt) {
		return now, next, nil
	}
	for _, id := range book.Defaults()[1:] {
		if before, ok := book.Find(id); ok {
			return before, now, nil
		}
	}
	return one, two, errors.New("there is no other image to compare the default with")
}

func (d diffOutput) table() table {
	t := table{Header: []string{"WHAT", "NAME", "CHANGE", "BEFORE", "AFTER"}}
	for _, part := range []struct {
		name, what string
		list       []ledger.Change
	}{{"packages", "package", d.Packages}, {"services", "service", d.Services}, {"etc", "file", d.Etc}} {
		if slices.Contains(d.Unknown, part.name) {
			t.add(part.what, "(all)", "not compared: they were not recorded of both images", "", "")
		}
		for _, c := range part.list {
			change := c.Change
			if c.What != "" {
				change += " (" + c.What + ")"
			}
			t.add(part.what, c.Name, change, c.Old, c.New)
		}
	}
	if len(t.Rows) == 0 {
		return table{Rows: [][]string{{"no difference in packages, services and /etc"}}}
	}
	return t
}
