package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// damage is something of the branch that should be here and cannot be read.
type damage struct {
	what string
	err  error
}

func (d *damage) Error() string { return fmt.Sprintf("reading %s of the ledger: %v", d.what, d.err) }
func (d *damage) Unwrap() error { return d.err }

// broken is what Git's servers and clients say when the remote itself lacks objects.
var broken = []string{"bad object", "unable to read", "object not found", "missing blob", "missing tree", "missing commit", "necessary objects", "corrupt", "loose object"}

// cannotFetch is an error of a fetch whose tip the remote has named; it is damage when the remote says so.
func cannotFetch(err error) error {
	if slices.ContainsFunc(broken, func(word string) bool { return strings.Contains(err.Error(), word) }) {
		return &damage{"what the remote has", err}
	}
	return err
}

// whole does what reads the branch. Where it meets damage, all of the branch is fetched, once, and it is done again: a
// partial clone lacks objects that the remote has. The error is a *DamagedError when that does not help.
func (g *Git) whole(ctx context.Context, do func() error) error {
	err := do()
	if !isDamage(err) || ctx.Err() != nil {
		return err
	}
	if g.via != nil {
		tip, asked := g.via.tip(ctx)
		if asked != nil {
			return err // whether the remote has it cannot be told
		}
		if !tip.IsZero() && g.via.fetch(ctx, tip, nil) == nil {
			g.reopen()
			err = do()
		}
	}
	if ctx.Err() != nil {
		return err
	}
	return g.told(err)
}

func isDamage(err error) bool {
	var d *damage
	return errors.As(err, &d)
}

// told makes a *DamagedError of damage.
func (g *Git) told(err error) error {
	var known *DamagedError
	if !isDamage(err) || errors.As(err, &known) {
		return err
	}
	fix := "git fsck --full names what is damaged"
	if g.remote == "" {
		fix += fmt.Sprintf("; bring %s back from a clone or a backup that has it whole", localRef)
	} else {
		fix += fmt.Sprintf(", here and in the repository of %[1]s; from a clone that has the branch whole, git push --force %[1]s %[2]s:%[3]s brings it back; to begin it anew: git push %[1]s :%[3]s",
			g.remote, lastWhole(g.tip(seenRef)), localRef)
	}
	return &DamagedError{Where: g.String(), Err: err, Fix: fix}
}

// lastWhole names the last tip that was found good here, or where another clone has its own.
func lastWhole(seen plumbing.Hash) string {
	if seen.IsZero() {
		return seenRef.String()
	}
	return seen.String()
}
