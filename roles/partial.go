package roles

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// complete loads something of a commit, and once more with the objects that a partial clone has left out.
func (r *Repo) complete(ctx context.Context, commit string, load func() error) error {
	err := load()
	if err == nil || !errors.Is(err, plumbing.ErrObjectNotFound) {
		return err
	}
	again, fetchErr := r.completed(ctx, commit)
	if fetchErr != nil {
		return fmt.Errorf("%w\nfetching it did not work: %w", err, fetchErr)
	}
	if !again {
		return err
	}
	return load()
}

// completed gets what is missing of a commit where it may. It says whether it did.
func (r *Repo) completed(ctx context.Context, commit string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fetch == nil || commit == "" || !r.partial() {
		return false, nil
	}
	if err := r.fetchObjects(ctx, commit); err != nil {
		return false, err
	}
	r.reindex()
	return true, nil
}

// prefetch gets what a partial clone has left out of a commit, before files of it are written.
func (r *Repo) prefetch(ctx context.Context, commit string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fetch == nil || r.fetch.tried[commit] || commit == "" || !r.partial() {
		return nil
	}
	r.fetch.tried[commit] = true
	if err := r.fetchObjects(ctx, commit); err != nil {
		return fmt.Errorf("getting what this partial clone lacks of commit %s: %w", commit, err)
	}
	r.reindex()
	return nil
}

// partial says whether the clone leaves objects out that its remote promises to have (see partial-clone in Git's docs).
func (r *Repo) partial() bool {
	c, err := r.git.Config()
	return err == nil && c.Raw.Section("remote").Subsection(r.fetch.remote).Option("promisor") == "true"
}

// fetchObjects gets what is missing of the fleet's files at a commit, in one request for each level of what was left out.
func (r *Repo) fetchObjects(ctx context.Context, commit string) error {
	for range 20 { // a clone without trees gets one level of directories each time
		out, err := r.gitBinary(ctx, nil, "rev-list", "--objects", "--no-object-names", "--missing=print", "--max-count=1", commit)
		if err != nil {
			return fmt.Errorf("git rev-list: %w", err)
		}
		var missing []byte
		for line := range bytes.Lines(out) {
			if id, ok := bytes.CutPrefix(line, []byte("?")); ok {
				missing = append(missing, id...)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		r.fetch.say(fmt.Sprintf("this clone is partial: fetching %d objects from %s", bytes.Count(missing, []byte("\n")), r.fetch.remote))
		_, err = r.gitBinary(ctx, missing, "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "fetch.negotiationAlgorithm=noop",
			"fetch", "--quiet", r.fetch.remote, "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no", "--filter=blob:none", "--stdin")
		if err != nil {
			return fmt.Errorf("git fetch %s: %w", r.fetch.remote, err)
		}
	}
	return fmt.Errorf("objects of commit %s are still missing; run `git fetch --refetch`", commit)
}
