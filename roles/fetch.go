package roles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// fetcher gets what a CI's clone lacks: a branch that it did not fetch, history that was cut off, objects that a partial
// clone left out. It runs the git binary, because the credentials and proxies that a CI sets up (http.extraHeader,
// credential helpers, GIT_SSH_COMMAND) are Git's, and go-git knows none of them. The working tree, local branches and the
// index stay as they are.
type fetcher struct {
	say    func(string)
	remote string
	step   int             // how far the history has been deepened
	tried  map[string]bool // branches, commits and trees that were asked for
}

// AllowFetch lets questions about history be answered, and fleets be loaded, where that takes fetching from the remote of
// the repository: origin, or the only one. Without it, nothing of this package uses the network. say is told, in a line,
// what is being fetched. It must be called before the repository is used.
func (r *Repo) AllowFetch(say func(string)) {
	remotes, err := r.git.Remotes()
	if err != nil || len(remotes) == 0 {
		return
	}
	name := remotes[0].Config().Name
	for _, remote := range remotes {
		if remote.Config().Name == "origin" {
			name = "origin"
		}
	}
	if name != "origin" && len(remotes) > 1 {
		return
	}
	r.fetch = &fetcher{say: say, remote: name, tried: map[string]bool{}}
}

// Remote is the name of the remote that AllowFetch lets imgops fetch from; "" when there is none.
func (r *Repo) Remote() string {
	if r.fetch == nil {
		return ""
	}
	return r.fetch.remote
}

// depths are by how many commits a shallow clone is deepened, one after the other; 0 is all of the history.
func depths() []int { return []int{64, 1024, 0} }

// withHistory asks a question about revisions, and again each time that more of the history could be fetched, until it
// is answered or nothing more can be had.
func (r *Repo) withHistory(ctx context.Context, revs []string, ask func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		err := ask()
		if err == nil || ctx.Err() != nil || !errors.Is(err, ErrShallow) && !errors.Is(err, ErrUnknownRevision) {
			return err
		}
		if r.fetch == nil {
			return r.nowhere(err)
		}
		more, fetchErr := r.fetchMore(ctx, revs, errors.Is(err, ErrShallow))
		if fetchErr != nil {
			return fmt.Errorf("%w\nfetching it did not work: %w", err, fetchErr)
		}
		if !more {
			return r.nowhere(err)
		}
		r.reindex()
	}
}

// nowhere marks the error about a revision that is unknown, and not only here.
func (r *Repo) nowhere(err error) error {
	if !errors.Is(err, ErrUnknownRevision) {
		return err
	}
	if edge, shallowErr := r.shallow(); shallowErr != nil || len(edge) > 0 {
		return err
	}
	if remotes, remotesErr := r.git.Remotes(); remotesErr != nil || len(remotes) > 0 && (r.fetch == nil || r.partial()) {
		return err
	}
	return nowhereError{err}
}

// fetchMore gets the next thing that may help: branches and commits that are not here, then deeper history. It says
// whether there was something to get.
func (r *Repo) fetchMore(ctx context.Context, revs []string, deeper bool) (bool, error) {
	edge, err := r.shallow()
	if err != nil {
		return false, err
	}
	for _, rev := range revs {
		if done, err := r.fetchRevision(ctx, rev, len(edge) > 0); done || err != nil {
			return done, err
		}
	}
	if len(edge) == 0 || r.fetch.step >= len(depths()) || !deeper && !slices.ContainsFunc(revs, isObject) {
		return false, nil
	}
	depth := depths()[r.fetch.step]
	r.fetch.step++
	flag, what := "--deepen="+strconv.Itoa(depth), fmt.Sprintf("%d more commits", depth)
	if depth == 0 {
		flag, what = "--unshallow", "all of the history"
	}
	r.fetch.say("this clone is shallow: fetching " + what + " from " + r.fetch.remote)
	return true, r.fetchHistory(ctx, flag, revs)
}

func isObject(rev string) bool { return plumbing.IsHash(rev) || strings.ContainsAny(rev, "~^") }

// fetchRevision gets a revision that is not here: origin/branch, or a commit by its id. It says whether it did.
func (r *Repo) fetchRevision(ctx context.Context, rev string, shallow bool) (bool, error) {
	if _, err := r.resolve(rev); err == nil || r.fetch.tried[rev] {
		return false, nil
	}
	branch, onRemote := strings.CutPrefix(rev, r.fetch.remote+"/")
	if !onRemote && !plumbing.IsHash(rev) {
		return false, nil
	}
	r.fetch.tried[rev] = true
	args := []string{}
	if shallow { // else a branch that is fetched brings all of its history
		args = append(args, "--depth="+strconv.Itoa(depths()[0]))
	}
	if onRemote {
		r.fetch.say("this clone has no " + rev + ": fetching it")
		return true, r.run(ctx, append(args, r.fetch.remote, "+refs/heads/"+branch+":refs/remotes/"+rev)...)
	}
	r.fetch.say("this clone has no commit " + rev + ": fetching it from " + r.fetch.remote)
	if err := r.run(ctx, append(args, r.fetch.remote, rev)...); err != nil { // a server may give out branches only
		return true, r.run(ctx, append(args, r.fetch.remote)...)
	}
	return true, nil
}

// fetchHistory deepens the history of the revisions and of HEAD. It asks for commits by their ids, so that no branch
// moves under this run; servers that give out branches only are asked for those.
func (r *Repo) fetchHistory(ctx context.Context, flag string, revs []string) error {
	args := []string{flag, r.fetch.remote}
	for _, rev := range append([]string{"HEAD"}, revs...) {
		if id, err := r.resolve(rev); err == nil && !slices.Contains(args, id.String()) {
			args = append(args, id.String())
		}
	}
	if r.run(ctx, args...) == nil {
		return nil
	}
	return r.run(ctx, flag, r.fetch.remote)
}

// run fetches with the git binary. Nothing asks at a terminal, and no housekeeping moves packs away that are being read.
func (r *Repo) run(ctx context.Context, args ...string) error {
	fetch := []string{"-c", "gc.auto=0", "-c", "maintenance.auto=false", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no"}
	if _, err := r.gitBinary(ctx, nil, append(fetch, args...)...); err != nil {
		return fmt.Errorf("git fetch %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func (r *Repo) gitBinary(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stdin = r.top, bytes.NewReader(stdin)
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.Join(strings.Fields(errs.String()), " "))
	}
	return out, nil
}

// reindex makes packs and trees that have come since known.
func (r *Repo) reindex() {
	if s, ok := r.git.Storer.(lenientStorage); ok {
		s.Reindex()
	}
	r.store.forget()
}

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
