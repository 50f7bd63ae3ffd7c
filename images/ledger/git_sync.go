package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// Sync asks the remote for its tip and gets what is new. The error is a *RewrittenError when that does not continue what was
// seen before.
func (g *Git) Sync(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.via == nil {
		return g.whole(ctx, func() error { return g.soundLocal(ctx) })
	}
	return g.whole(ctx, func() error { _, err := g.sync(ctx); return err })
}

// Ready is Sync, and asks whether pushing is allowed as far as the remote tells before a push.
func (g *Git) Ready(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.via == nil {
		return errors.Join(g.notCheckedOut(), g.whole(ctx, func() error { return g.soundLocal(ctx) }))
	}
	if err := g.whole(ctx, func() error { _, err := g.sync(ctx); return err }); err != nil {
		return err
	}
	return g.via.mayPush(ctx)
}

func (g *Git) sync(ctx context.Context) (plumbing.Hash, error) {
	seen := g.lastSeen() // before the remote is asked: another run of this clone may push meanwhile
	tip, err := g.via.tip(ctx)
	if err != nil {
		return tip, fmt.Errorf("asking %s for its %s: %w", g.remote, Branch, err)
	}
	for try := 0; !tip.IsZero() && !g.has(tip); try++ {
		err := g.via.fetch(ctx, tip, g.known())
		if errors.Is(err, errMoved) && try < tries {
			if tip, err = g.via.tip(ctx); err == nil {
				continue
			}
		}
		if err != nil {
			return tip, fmt.Errorf("fetching %s: %w", g, cannotFetch(err))
		}
		if !g.has(tip) {
			return tip, fmt.Errorf("%s names %s, which is no commit; see: git ls-remote %s %s", g, tip, g.remote, localRef)
		}
	}
	if err := g.continues(ctx, seen, tip); err != nil {
		return tip, err
	}
	if err := g.sound(ctx, tip); err != nil {
		return tip, err
	}
	if tip.IsZero() || tip == g.tip(seenRef) && tip == g.tip(g.trackRef()) {
		return tip, nil
	}
	return tip, g.remember(ctx, tip)
}

func (g *Git) has(commit plumbing.Hash) bool {
	_, err := g.repo.CommitObject(commit)
	return err == nil
}

// lastSeen is the remote's tip as it was seen last: by imgops, or before that by a git fetch.
func (g *Git) lastSeen() plumbing.Hash {
	if seen := g.tip(seenRef); !seen.IsZero() {
		return seen
	}
	return g.tip(g.trackRef())
}

// continues checks that the remote's tip has all that was seen of it.
func (g *Git) continues(ctx context.Context, seen, tip plumbing.Hash) error {
	if seen.IsZero() || seen == tip {
		return nil
	}
	accept := fmt.Sprintf("git update-ref %s %s", seenRef, tip)
	if tip.IsZero() {
		accept = fmt.Sprintf("git update-ref -d %s; git update-ref -d %s", seenRef, g.trackRef())
	}
	back := g.bring(seen.String(), tip)
	rewritten := func(format string, args ...any) error {
		return &RewrittenError{Where: g.String(), What: fmt.Sprintf(format, args...), Fix: fmt.Sprintf("to have the old state back: %s; if it was meant: %s", back, accept)}
	}
	if tip.IsZero() {
		return rewritten("it is gone, and its last known tip is %s", seen)
	}
	before, err := g.rootOf(seen)
	if err != nil {
		return err
	}
	now, err := g.rootOf(tip)
	if err != nil {
		return err
	}
	reached, err := g.reachesWhole(ctx, tip, seen)
	if err != nil {
		return err
	}
	path, err := g.lost(ctx, before, now)
	switch {
	case err != nil:
		return err
	case path != "":
		if reached { // a commit on top has removed it, and a merge would not bring it back
			back = fmt.Sprintf("git push --force %s %s:%s", g.remote, seen, localRef)
		}
		return rewritten("%s is not as it was (tip %s, last known tip %s)", path, tip, seen)
	case !reached:
		return rewritten("its last known tip %s is no part of its history any more (tip %s)", seen, tip)
	}
	return nil
}

// remember notes the remote's tip, unless another run of this clone has noted a later one.
func (g *Git) remember(ctx context.Context, tip plumbing.Hash) error {
	for _, name := range []plumbing.ReferenceName{seenRef, g.trackRef()} {
		old := g.tip(name)
		if g.reaches(ctx, old, tip) {
			continue
		}
		// Who notes a tip at this very moment is as right: what is not noted is asked for again.
		if err := g.setRef(name, old, tip); err != nil && !errors.Is(err, errMoved) {
			return fmt.Errorf("noting the tip of the ledger: %w", err)
		}
	}
	return nil
}

// Tip is the remote's tip as it was seen last: after a Sync, Ready or Append the one that was found good or made. "" when there
// is none, or no remote.
func (g *Git) Tip() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if tip := g.tip(seenRef); g.via != nil && !tip.IsZero() {
		return tip.String()
	}
	return ""
}

// Lacks is a *RewrittenError when a commit that was the tip once is no part of the branch as it was seen last. accept is how
// to have that forgotten.
func (g *Git) Lacks(ctx context.Context, commit, accept string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	tip := g.tip(seenRef)
	if g.via == nil {
		return nil
	}
	if reached, err := g.reachesWhole(ctx, tip, plumbing.NewHash(commit)); err != nil || reached {
		return err
	}
	now := "it is gone"
	if !tip.IsZero() {
		now = "its tip is " + tip.String()
	}
	return &RewrittenError{
		Where: g.String(), What: fmt.Sprintf("%s, and commit %s, which was its tip before, is no part of it: entries are missing", now, commit),
		Fix: fmt.Sprintf("to have them back, from a clone that has that commit, or the Git server's backup: %s; if it was meant: %s", g.bring(commit, tip), accept),
	}
}

// bring is the command that adds a commit to the branch again, to what others have added to that since.
func (g *Git) bring(commit string, tip plumbing.Hash) string {
	if tip.IsZero() {
		return fmt.Sprintf("git push %s %s:%s", g.remote, commit, localRef)
	}
	return fmt.Sprintf("git fetch %[1]s %[2]s && git switch --detach %[3]s && git merge --allow-unrelated-histories -m 'Restore records' FETCH_HEAD && git push %[1]s HEAD:%[2]s && git switch -",
		g.remote, localRef, commit)
}

// FetchCommand is the git command that gets the branch as every clone keeps it, also one that was made of another branch only.
func (g *Git) FetchCommand() string {
	return fmt.Sprintf("git fetch %s +%s:%s", g.remote, localRef, g.trackRef())
}
