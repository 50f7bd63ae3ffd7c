package roles

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Head gives the commit that is checked out.
func (r *Repo) Head(ctx context.Context) (Revision, error) {
	if err := ctx.Err(); err != nil {
		return Revision{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	head, err := r.git.Head()
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return Revision{}, fmt.Errorf("reading HEAD of %s: %w", r.top, ErrUnbornBranch)
	}
	if err != nil {
		return Revision{}, fmt.Errorf("reading HEAD of %s: %w", r.top, err)
	}
	rev, err := r.revision(head.Hash())
	if head.Name().IsBranch() {
		rev.Branch = head.Name().Short()
	}
	return rev, err
}

// commit reads a commit from where trees and blobs are read, so that the index of a pack is loaded once.
func (r *Repo) commit(id plumbing.Hash) (*object.Commit, error) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	return object.GetCommit(r.store.git, id)
}

func (r *Repo) revision(id plumbing.Hash) (Revision, error) {
	c, err := r.commit(id)
	if err != nil {
		return Revision{}, r.historyError("reading commit "+id.String(), err)
	}
	return Revision{Commit: c.Hash.String(), Tree: c.TreeHash.String(), Time: c.Committer.When.UTC()}, nil
}

// Resolve gives the commit that a revision names: a branch, origin/branch, tag, commit id (or its beginning), HEAD~1.
// The error is ErrUnknownRevision when it names none.
func (r *Repo) Resolve(ctx context.Context, rev string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	var id plumbing.Hash
	err := r.withHistory(ctx, []string{rev}, func() (err error) {
		id, err = r.resolve(rev)
		return err
	})
	return id.String(), err
}

// Has says whether a revision names a commit that is here; nothing is fetched.
func (r *Repo) Has(rev string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.resolve(rev)
	return err == nil
}

func (r *Repo) resolve(rev string) (id plumbing.Hash, err error) {
	// go-git's revision parser panics on some malformed input; the user only mistyped.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w %q: %v", ErrUnknownRevision, rev, p)
		}
	}()
	if strings.Contains(rev, ":") { // go-git takes "main:file" for main
		return plumbing.ZeroHash, fmt.Errorf("%w %q: it names a file, not a commit; leave out the colon and what follows", ErrUnknownRevision, rev)
	}
	if rev == "HEAD" {
		head, err := r.git.Head()
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("reading HEAD of %s: %w", r.top, err)
		}
		if _, err := r.commit(head.Hash()); err != nil {
			return plumbing.ZeroHash, r.historyError("reading commit "+head.Hash().String()+", which is checked out", err)
		}
		return head.Hash(), nil
	}
	for _, prefix := range []string{"refs/heads/", "refs/tags/", "refs/remotes/"} {
		if ref, err := r.git.Reference(plumbing.ReferenceName(prefix+rev), true); err == nil {
			return r.peel(ref.Hash())
		}
	}
	if plumbing.IsHash(rev) {
		return r.peel(plumbing.NewHash(rev))
	}
	found, err := r.git.ResolveRevision(plumbing.Revision(rev))
	if err != nil {
		if shallow, _ := r.git.Storer.Shallow(); len(shallow) > 0 && strings.ContainsAny(rev, "~^") {
			return plumbing.ZeroHash, r.historyError(fmt.Sprintf("resolving %q", rev), plumbing.ErrObjectNotFound)
		}
		return plumbing.ZeroHash, fmt.Errorf("%w %q in %s (%w); give a branch, tag or commit that `git rev-parse` knows, after `git fetch` if it is new",
			ErrUnknownRevision, rev, r.top, err)
	}
	return *found, nil
}

// peel gives the commit that an id stands for: itself, or what an annotated tag points at.
func (r *Repo) peel(id plumbing.Hash) (plumbing.Hash, error) {
	for range 10 { // tags of tags exist
		_, err := r.commit(id)
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, plumbing.ErrObjectNotFound) && !errors.Is(err, object.ErrUnsupportedObject) {
			return plumbing.ZeroHash, objectError(plumbing.CommitObject, id, err)
		}
		tag, err := r.git.TagObject(id)
		if err != nil {
			break
		}
		id = tag.Target
	}
	return plumbing.ZeroHash, fmt.Errorf("%w: %s is no commit in %s; run `git fetch` if it is new", ErrUnknownRevision, id, r.top)
}

// IsAncestor says whether descendant contains ancestor (or is it). The error is ErrShallow when a shallow clone cannot tell.
func (r *Repo) IsAncestor(ctx context.Context, ancestor, descendant string) (yes bool, err error) {
	if r.isParent(ancestor, descendant) {
		return true, nil
	}
	err = r.withHistory(ctx, []string{ancestor, descendant}, func() error {
		a, d, err := r.pair(ancestor, descendant)
		if err != nil {
			return err
		}
		yes, err = r.reaches(ctx, d, a)
		if errors.Is(err, ErrShallow) { // the other way round may be here: then it is none, for there are no circles
			if back, backErr := r.reaches(ctx, a, d); backErr == nil && back {
				return nil
			}
		}
		return err
	})
	return yes, err
}

// isParent says whether a commit id is that of a parent. A commit names its parents also where a shallow clone lacks them.
func (r *Repo) isParent(id, rev string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	child, err := r.resolve(rev)
	if err != nil || !plumbing.IsHash(id) {
		return false
	}
	c, err := r.commit(child)
	return err == nil && slices.Contains(c.ParentHashes, plumbing.NewHash(id))
}

func (r *Repo) pair(a, b string) (x, y plumbing.Hash, err error) {
	if x, err = r.resolve(a); err != nil {
		return x, y, err
	}
	y, err = r.resolve(b)
	return x, y, err
}

// reaches walks the history of from until it meets to: newest commits first, for main's recent ones are asked about.
func (r *Repo) reaches(ctx context.Context, from, to plumbing.Hash) (bool, error) {
	edge, err := r.shallow()
	if err != nil {
		return false, err
	}
	queue, seen, cut := &newestFirst{}, map[plumbing.Hash]bool{from: true}, false
	next := []plumbing.Hash{from}
	for {
		for _, id := range next {
			if id == to {
				return true, nil
			}
			c, err := r.commit(id)
			if err != nil {
				return false, r.historyError("reading commit "+id.String(), err)
			}
			heap.Push(queue, c)
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if queue.Len() == 0 {
			break
		}
		c := heap.Pop(queue).(*object.Commit) //nolint:forcetypeassert // newestFirst holds nothing else
		next = next[:0]
		if edge[c.Hash] {
			cut = true
			continue
		}
		for _, parent := range c.ParentHashes {
			if !seen[parent] {
				seen[parent] = true
				next = append(next, parent)
			}
		}
	}
	if cut {
		return false, r.historyError(fmt.Sprintf("looking for %s in the history of %s", to, from), plumbing.ErrObjectNotFound)
	}
	return false, nil
}

// newestFirst is a heap of commits by commit time.
type newestFirst []*object.Commit

func (h newestFirst) Len() int           { return len(h) }
func (h newestFirst) Less(i, j int) bool { return h[i].Committer.When.After(h[j].Committer.When) }
func (h newestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *newestFirst) Push(x any)        { *h = append(*h, x.(*object.Commit)) } //nolint:forcetypeassert // as above
func (h *newestFirst) Pop() any {
	old := *h
	c := old[len(old)-1]
	*h = old[:len(old)-1]
	return c
}

func (r *Repo) shallow() (map[plumbing.Hash]bool, error) {
	ids, err := r.git.Storer.Shallow()
	if err != nil {
		return nil, fmt.Errorf("reading the shallow commits of %s: %w", r.top, err)
	}
	edge := make(map[plumbing.Hash]bool, len(ids))
	for _, id := range ids {
		edge[id] = true
	}
	return edge, nil
}

// WarmHistory begins to read what MergeBase and Load will need, and does not wait for it: for a caller who has other work
// to do first.
func (r *Repo) WarmHistory() { go r.store.warm() }

// MergeBase gives the newest commit that both revisions contain; an error when they share none.
func (r *Repo) MergeBase(ctx context.Context, a, b string) (base string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	err = r.withHistory(ctx, []string{a, b}, func() (err error) {
		base, err = r.mergeBase(ctx, a, b)
		return err
	})
	return base, err
}

func (r *Repo) mergeBase(ctx context.Context, a, b string) (string, error) {
	x, y, err := r.pair(a, b)
	if err != nil {
		return "", err
	}
	bases, err := r.commonAncestors(ctx, x, y)
	if err != nil {
		return "", r.historyError(fmt.Sprintf("finding the merge base of %s and %s", a, b), err)
	}
	if len(bases) == 0 {
		return "", fmt.Errorf("%w: %s and %s; rebase one on the other, or name another --base", ErrUnrelated, a, b)
	}
	return bases[0].Hash.String(), nil
}

// OnMain says whether commit is part of the branch main: of origin/main where that exists, else of the local branch.
func (r *Repo) OnMain(ctx context.Context, main, commit string) (yes bool, err error) {
	r.mu.Lock()
	remote := "origin"
	if r.fetch != nil {
		remote = r.fetch.remote
	}
	r.mu.Unlock()
	revs := []string{commit, remote + "/" + main}
	err = r.withHistory(ctx, revs, func() error {
		id, err := r.resolve(commit)
		if err != nil {
			return err
		}
		for _, name := range []string{"refs/remotes/" + remote + "/" + main, "refs/heads/" + main} {
			if ref, err := r.git.Reference(plumbing.ReferenceName(name), true); err == nil {
				yes, err = r.reaches(ctx, ref.Hash(), id)
				return err
			}
		}
		return fmt.Errorf("%w: neither %s/%s nor %s exists; run `git fetch %[2]s %[3]s`, or correct `main:` in imgops.yaml",
			ErrUnknownRevision, remote, main, main)
	})
	return yes, err
}

// historyError explains an object that a shallow clone does not have.
func (r *Repo) historyError(doing string, err error) error {
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		if edge, e := r.shallow(); e == nil && len(edge) > 0 {
			return fmt.Errorf("%s: %w; run `git fetch --unshallow` (in GitHub Actions: fetch-depth: 0; in GitLab CI: GIT_DEPTH: 0)", doing, ErrShallow)
		}
	}
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return fmt.Errorf("%s: %w; a damaged clone lacks it: run `git fsck`, and `git fetch --refetch` or clone anew", doing, err)
	}
	return fmt.Errorf("%s: %w (%w); `git fsck` lists what else is, and `git fetch --refetch` or a new clone replaces it", doing, ErrDamaged, err)
}
