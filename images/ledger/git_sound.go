package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// sound checks a tip of the remote: it is a ledger, and no commit since the last tip that was found to be sound has changed
// or removed an entry. A clone that has seen none yet looks at the whole history.
func (g *Git) sound(ctx context.Context, tip plumbing.Hash) error {
	seen := g.tip(seenRef)
	if tip.IsZero() || tip == seen {
		return nil
	}
	if err := g.isLedger(tip); err != nil {
		return err
	}
	if g.tip(g.trackRef()).IsZero() { // as a git fetch does; who only reads is shown what there is, and told
		if err := g.setRef(g.trackRef(), plumbing.ZeroHash, tip); err != nil && !errors.Is(err, errMoved) {
			return fmt.Errorf("noting the tip of the ledger: %w", err)
		}
	}
	return g.unaltered(ctx, tip, seen)
}

// soundLocal checks the branch of a repository without a remote.
func (g *Git) soundLocal(ctx context.Context) error {
	tip := g.tip(localRef)
	if tip.IsZero() {
		return nil
	}
	if err := g.isLedger(tip); err != nil {
		return err
	}
	return g.unaltered(ctx, tip, plumbing.ZeroHash)
}

// isLedger is a *ForeignError for a branch with files of which none is an entry by its name: most likely it is somebody's own.
func (g *Git) isLedger(tip plumbing.Hash) error {
	root, err := g.rootOf(tip)
	if err != nil {
		return err
	}
	list, err := g.entries(root)
	if err != nil || len(list) == 0 {
		return err
	}
	errFound := errors.New("found")
	for _, e := range list {
		if e.Mode != filemode.Dir || e.Name != imageTree && e.Name != eventTree {
			continue
		}
		err := g.walkBelow(context.Background(), e.Hash, e.Name+"/", e.Name+"/", 1, func(path string, _ object.TreeEntry) error {
			if _, err := parsePath(path); err != nil {
				return nil //nolint:nilerr // the next may be one
			}
			return errFound
		})
		if errors.Is(err, errFound) {
			return nil
		}
	}
	fix := fmt.Sprintf("give it another name: git branch -m %s NAME", Branch)
	if g.remote != "" {
		fix = fmt.Sprintf("give it another name: git push %[1]s %[2]s:refs/heads/NAME :%[3]s", g.remote, tip, localRef)
	}
	return &ForeignError{Where: g.String(), File: list[0].Name, Fix: fix + "; or keep the ledger elsewhere, with `ledger: s3://...` in imgops.yaml"}
}

// alteration is an entry that a commit has changed or removed.
type alteration struct {
	path           string
	was            plumbing.Hash // the entry before
	commit, parent *object.Commit
}

// unaltered goes through the commits of a tip down to one that is known to be sound, and gives a *RewrittenError for entries
// that some commit has changed or removed, unless the tip has them as they were at first: that is how it is mended.
func (g *Git) unaltered(ctx context.Context, tip, seen plumbing.Hash) error {
	h := &history{git: g, tip: tip}
	first, err := h.commit(ctx, tip)
	if err != nil {
		return err
	}
	var found []alteration
	queue, queued, linear := []*object.Commit{first}, map[plumbing.Hash]bool{}, true
	for len(queue) > 0 {
		c := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		linear = linear && len(c.ParentHashes) < 2
		for _, id := range c.ParentHashes {
			parent, err := h.commit(ctx, id)
			if err != nil {
				return err
			}
			err = g.losses(ctx, parent.TreeHash, c.TreeHash, "", func(path string, e object.TreeEntry) error {
				found = append(found, alteration{path, e.Hash, c, parent})
				return nil
			})
			if err != nil {
				return err
			}
			if id != seen && !queued[id] {
				queued[id] = true
				queue = append(queue, parent)
			}
		}
	}
	if found, err = g.unmended(first.TreeHash, found, linear); err != nil {
		return err
	}
	return g.alteredError(tip, found)
}

// unmended leaves out the alterations, newest first, of entries that the tip has as they were before the oldest one. imgops
// makes no merges; where there are some, none is the oldest, and the tip must have what was there before each.
func (g *Git) unmended(tip plumbing.Hash, all []alteration, linear bool) ([]alteration, error) {
	var left []alteration
	judged := map[string]bool{}
	for _, a := range slices.Backward(all) {
		if judged[a.path] {
			continue
		}
		judged[a.path] = linear
		now, err := g.find(tip, a.path)
		if err != nil && !errors.Is(err, ErrNoEntry) {
			return nil, err
		}
		if err != nil || now.Hash != a.was {
			left = append(left, a)
		}
	}
	return left, nil
}

// history reads commits of the branch.
type history struct {
	git   *Git
	tip   plumbing.Hash
	whole bool // it was fetched as a whole
}

// commit fetches the whole history, once, when the clone was made with a part of it.
func (h *history) commit(ctx context.Context, id plumbing.Hash) (*object.Commit, error) {
	g := h.git
	c, err := g.repo.CommitObject(id)
	if errors.Is(err, plumbing.ErrObjectNotFound) && !h.whole && g.via != nil {
		h.whole = true
		if err := g.via.fetch(ctx, h.tip, nil); err != nil {
			return nil, fmt.Errorf("fetching the history of %s: %w", g, cannotFetch(err))
		}
		c, err = g.repo.CommitObject(id)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("reading commit %s in the history of %s, without which it cannot be said that nothing was changed: %w; "+
			"git fetch --depth=2147483647 %s %s gets it", id, g, err, g.remote, localRef)
	}
	return c, nil
}

// maxAltered is how many entries the error for an altered branch names.
const maxAltered = 10

func (g *Git) alteredError(tip plumbing.Hash, found []alteration) error {
	if len(found) == 0 {
		return nil
	}
	a := found[0]
	var paths []string
	for _, other := range found {
		if other.commit.Hash == a.commit.Hash && !slices.Contains(paths, other.path) && len(paths) < maxAltered {
			paths = append(paths, other.path)
		}
	}
	more := ""
	if n := len(found) - len(paths); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	get, put, from := "", "", ""
	if g.remote != "" {
		get, put, from = fmt.Sprintf("git fetch %s %s && ", g.remote, Branch), fmt.Sprintf(" && git push %s HEAD:%s", g.remote, localRef), "--detach "+tip.String()
	} else {
		from = Branch
	}
	anew := fmt.Sprintf("$(git commit-tree -m anew %s^{tree})", tip)
	meant := fmt.Sprintf("git update-ref %s %s", localRef, anew)
	if g.remote != "" {
		meant = fmt.Sprintf("git push --force %s %s:%s", g.remote, anew, localRef)
	}
	return &RewrittenError{
		Where: g.String(),
		What: fmt.Sprintf("commit %s (%s <%s>, %s) changed or removed %s%s", a.commit.Hash, a.commit.Author.Name, a.commit.Author.Email,
			a.commit.Author.When.UTC().Format(time.RFC3339), strings.Join(paths, ", "), more),
		Fix: fmt.Sprintf("to have them back as they were: %sgit switch %s && git checkout %s -- %s && git commit -m 'Restore records'%s; if it was meant, begin the history anew: %s",
			get, from, a.parent.Hash, strings.Join(paths, " "), put, meant),
	}
}
