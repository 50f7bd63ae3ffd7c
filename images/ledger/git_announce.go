package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Announce pushes a commit that adds no entry: whether the remote takes one shows before anything is done that is to be
// recorded, for what refuses a push, a hook or a rule of the server, is not told by it before. Without a remote nothing is done.
func (g *Git) Announce(ctx context.Context, message string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.via == nil {
		return g.notCheckedOut()
	}
	for try := 0; ; try++ {
		err := g.announceOnce(ctx, message)
		if !errors.Is(err, errMoved) {
			return err
		}
		if try == tries {
			return fmt.Errorf("adding a commit to %s: others pushed first %d times", g, tries)
		}
		if err := g.opts.Wait(ctx, try); err != nil {
			return fmt.Errorf("adding a commit to %s: %w", g, err)
		}
	}
}

func (g *Git) announceOnce(ctx context.Context, message string) error {
	tip, err := g.sync(ctx)
	if err != nil {
		return err
	}
	who := g.signature()
	c := &object.Commit{Author: who, Committer: who, Message: message}
	var made []plumbing.Hash
	if tip.IsZero() {
		if c.TreeHash, err = g.write(&object.Tree{}); err != nil {
			return err
		}
		made = append(made, c.TreeHash)
	} else {
		c.ParentHashes = []plumbing.Hash{tip}
		if c.TreeHash, err = g.rootOf(tip); err != nil {
			return err
		}
	}
	id, err := g.write(c)
	if err != nil {
		return err
	}
	if err := g.via.push(ctx, tip, id, append(made, id)); err != nil {
		return err
	}
	return g.remember(ctx, id)
}
