package roles

import (
	"context"
	"errors"
	"fmt"
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

// MergeBases gives the commits that both revisions contain and that are in no other one of that kind, newest first:
// nearly always one, several where each branch was merged into the other (criss-cross). An error when they share none.
func (r *Repo) MergeBases(ctx context.Context, a, b string) (bases []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = r.withHistory(ctx, []string{a, b}, func() (err error) {
		bases, err = r.mergeBases(ctx, a, b)
		return err
	})
	return bases, err
}

func (r *Repo) mergeBases(ctx context.Context, a, b string) ([]string, error) {
	x, y, err := r.pair(a, b)
	if err != nil {
		return nil, err
	}
	found, err := r.commonAncestors(ctx, x, y)
	if err == nil && len(found) > 1 {
		found, err = r.independent(ctx, found)
	}
	if err != nil {
		return nil, r.historyError(fmt.Sprintf("finding the merge base of %s and %s", a, b), err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: %s and %s; rebase one on the other, or name another --base", ErrUnrelated, a, b)
	}
	bases := make([]string, len(found))
	for i, c := range found {
		bases[i] = c.Hash.String()
	}
	return bases, nil
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
		return fmt.Errorf("%s: %w (%w): it is damaged; run `git fetch --refetch`, or clone anew (`git fsck` lists what else is missing)", doing, ErrIncomplete, err)
	}
	return fmt.Errorf("%s: %w (%w); `git fsck` lists what else is, and `git fetch --refetch` or a new clone replaces it", doing, ErrDamaged, err)
}
