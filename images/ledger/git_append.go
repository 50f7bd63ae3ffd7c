package ledger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// tries is how often entries are appended to a newer tip before it is given up: hundreds of jobs may end at once.
const tries = 30

// waitTurn waits a little longer each time, and at random, so that those who met do not meet again.
func waitTurn(ctx context.Context, try int) error {
	most := min(100*time.Millisecond<<min(try, 6), 4*time.Second)
	t := time.NewTimer(most/4 + time.Duration(rand.Int64N(int64(most)))) //nolint:gosec // no secret
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Append commits the entries and pushes them; without a remote they are on the local branch.
func (g *Git) Append(ctx context.Context, message string, entries []Entry) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	files := map[string]plumbing.Hash{}
	var blobs []plumbing.Hash
	for _, e := range entries {
		if _, err := parsePath(e.Path); err != nil {
			return fmt.Errorf("adding %s to the ledger: %w", e.Path, err)
		}
		id, err := g.writeBlob(e.Data)
		if err != nil {
			return err
		}
		files[e.Path], blobs = id, append(blobs, id)
	}
	for try := 0; ; try++ {
		err := g.appendOnce(ctx, message, files, blobs)
		if !errors.Is(err, errMoved) {
			return err
		}
		if try == tries {
			return fmt.Errorf("adding %d entries to %s: others pushed first %d times", len(entries), g, tries)
		}
		if err := g.opts.Wait(ctx, try); err != nil {
			return fmt.Errorf("adding %d entries to %s: %w", len(entries), g, err)
		}
	}
}

func (g *Git) appendOnce(ctx context.Context, message string, files map[string]plumbing.Hash, blobs []plumbing.Hash) error {
	if g.via == nil {
		return g.appendLocal(message, files)
	}
	tip, err := g.sync(ctx)
	if err != nil {
		return err
	}
	mine := g.tip(localRef)
	all, blobs, err := g.withLocal(ctx, mine, tip, files, blobs)
	if err != nil {
		return err
	}
	commit, made, err := g.commit(tip, message, all)
	if err != nil || commit == tip {
		return err
	}
	if err := g.via.push(ctx, tip, commit, unique(append(made, blobs...))); err != nil {
		return err
	}
	if err := g.remember(ctx, commit); err != nil {
		return err
	}
	if local := g.tip(localRef); !local.IsZero() && g.notCheckedOut() == nil && local == mine { // all that it has is in the commit
		if err := g.setRef(localRef, local, commit); err != nil && !errors.Is(err, errMoved) {
			return err
		}
	}
	return nil
}

// unique removes doubles: entries can have the same content.
func unique(ids []plumbing.Hash) []plumbing.Hash {
	slices.SortFunc(ids, func(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// withLocal adds what only the local branch has, from a time without a remote.
func (g *Git) withLocal(ctx context.Context, local, tip plumbing.Hash, files map[string]plumbing.Hash, blobs []plumbing.Hash) (map[string]plumbing.Hash, []plumbing.Hash, error) {
	if local.IsZero() || local == tip {
		return files, blobs, nil
	}
	mine, err := g.rootOf(local)
	if err != nil {
		return nil, nil, err
	}
	theirs, err := g.rootOf(tip)
	if err != nil {
		return nil, nil, err
	}
	all := map[string]plumbing.Hash{}
	err = g.walk(ctx, mine, "", func(path string, e object.TreeEntry) error {
		if _, bad := parsePath(path); bad != nil || e.Mode != filemode.Regular {
			return nil //nolint:nilerr // not ours to push
		}
		if _, err := g.find(theirs, path); errors.Is(err, ErrNoEntry) {
			all[path], blobs = e.Hash, append(blobs, e.Hash)
		} else if err != nil {
			return err
		}
		return nil
	})
	for path, blob := range files {
		all[path] = blob
	}
	return all, blobs, err
}

func (g *Git) appendLocal(message string, files map[string]plumbing.Hash) error {
	if err := g.notCheckedOut(); err != nil {
		return err
	}
	tip := g.tip(localRef)
	if err := g.isLedger(tip); err != nil {
		return err
	}
	commit, _, err := g.commit(tip, message, files)
	if err != nil || commit == tip {
		return err
	}
	return g.setRef(localRef, tip, commit)
}

// commit writes the commit that adds the files to a tip, and lists the trees and commits that it made. It is the tip when
// there is nothing to add.
func (g *Git) commit(tip plumbing.Hash, message string, files map[string]plumbing.Hash) (plumbing.Hash, []plumbing.Hash, error) {
	root, err := g.rootOf(tip)
	if err != nil {
		return tip, nil, err
	}
	c := &change{}
	tree, err := g.graft(root, "", files, c)
	if err != nil || tree == root {
		return tip, nil, err
	}
	who := g.signature()
	commit := &object.Commit{Author: who, Committer: who, Message: message, TreeHash: tree}
	if !tip.IsZero() {
		commit.ParentHashes = []plumbing.Hash{tip}
	}
	id, err := g.write(commit)
	return id, append(c.made, id), err
}

// signature is who commits: the user, else imgops itself.
func (g *Git) signature() object.Signature {
	name, email := g.opts.User()
	return object.Signature{Name: cmp.Or(name, "imgops"), Email: cmp.Or(email, "imgops@localhost"), When: g.opts.Now()}
}

// notCheckedOut is an error when some working tree is on the branch: moving it would make that one's files look deleted.
func (g *Git) notCheckedOut() error {
	if g.dir == "" {
		return nil
	}
	common := commonDir(g.dir)
	if conf, err := g.repo.Config(); err == nil && conf.Core.IsBare && g.dir == common {
		return nil
	}
	heads, _ := filepath.Glob(filepath.Join(common, "worktrees", "*", "HEAD")) // its pattern is well formed
	at := slices.IndexFunc(append([]string{filepath.Join(common, "HEAD")}, heads...), func(file string) bool {
		head, err := os.ReadFile(file)
		return err == nil && strings.TrimSpace(string(head)) == "ref: "+string(localRef)
	})
	if at < 0 {
		return nil
	}
	return &RefusedError{Where: "branch " + Branch, Err: errors.New("it is checked out"), Fix: "go to another branch: git switch -"}
}
