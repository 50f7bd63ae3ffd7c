package roles

import (
	"bytes"
	"cmp"
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
	others []string        // remotes, of which only branches that are named are fetched, such as upstream/main in a fork's clone
	step   int             // how far the history has been deepened
	tried  map[string]bool // branches, commits and trees that were asked for
}

// AllowFetch lets questions about history be answered, and fleets be loaded, where that takes fetching from the remote of
// the repository: origin, or the only one; of several others, the one that the branch which is checked out comes from, or
// that checkout.defaultRemote names. Without it, nothing of this package uses the network. say is told, in a line,
// what is being fetched. It must be called before the repository is used.
func (r *Repo) AllowFetch(say func(string)) {
	remotes, err := r.git.Remotes()
	if err != nil || len(remotes) == 0 {
		return
	}
	var names []string
	for _, remote := range remotes {
		names = append(names, remote.Config().Name)
	}
	slices.Sort(names) // go-git gives them in any order
	at := slices.Index(names, r.remoteOf(names))
	if at < 0 {
		r.unchosen = names
		return
	}
	r.fetch = &fetcher{say: say, remote: names[at], others: slices.Delete(slices.Clone(names), at, at+1), tried: map[string]bool{}}
}

// remoteOf chooses among the remotes; "" where nothing says which.
func (r *Repo) remoteOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	if slices.Contains(names, "origin") {
		return "origin"
	}
	c, err := r.git.Config()
	if err != nil {
		return ""
	}
	if head, err := r.git.Head(); err == nil && head.Name().IsBranch() {
		if b := c.Branches[head.Name().Short()]; b != nil && slices.Contains(names, b.Remote) {
			return b.Remote
		}
	}
	if name := r.section("checkout", c)["defaultremote"]; slices.Contains(names, name) {
		return name
	}
	return ""
}

// whichRemote says, about something that is not here, why no remote was asked for it.
func (r *Repo) whichRemote(err error) error {
	if len(r.unchosen) == 0 {
		return err
	}
	return fmt.Errorf("%w\nnothing was fetched: this clone has the remotes %s, and none is called origin; say which one with `git config checkout.defaultRemote %s`",
		err, strings.Join(r.unchosen, ", "), r.unchosen[0])
}

// branch tells the remote and the branch of a revision such as origin/main; the remote is "" when it names none. A remote's
// name can have a slash in it.
func (f *fetcher) branch(rev string) (remote, branch string) {
	for _, name := range append([]string{f.remote}, f.others...) {
		if rest, ok := strings.CutPrefix(rev, name+"/"); ok && len(name) > len(remote) {
			remote, branch = name, rest
		}
	}
	return remote, branch
}

// BranchOf tells the branch of a name that begins with the name of a remote of this repository, such as upstream/main; any
// other name is a branch's as it is.
func (r *Repo) BranchOf(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	remotes, err := r.git.Remotes()
	if err != nil {
		return name
	}
	f := &fetcher{}
	for _, remote := range remotes {
		f.others = append(f.others, remote.Config().Name)
	}
	if remote, branch := f.branch(name); remote != "" {
		return branch
	}
	return name
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
			return r.whichRemote(r.nowhere(err))
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
	if len(edge) == 0 || r.fetch.step >= len(depths()) || !deeper && !slices.ContainsFunc(revs, r.isUnseen) {
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

// isUnseen says that a revision names a commit, and not a branch, that deeper history may bring.
func (r *Repo) isUnseen(rev string) bool {
	_, err := r.resolve(rev)
	return err != nil && (plumbing.IsHash(rev) || strings.ContainsAny(rev, "~^"))
}

// fetchRevision gets a revision that is not here: origin/branch, or a commit by its id. It says whether it did.
func (r *Repo) fetchRevision(ctx context.Context, rev string, shallow bool) (bool, error) {
	if _, err := r.resolve(rev); err == nil || r.fetch.tried[rev] {
		return false, nil
	}
	remote, branch := r.fetch.branch(rev)
	if remote == "" && !plumbing.IsHash(rev) {
		return false, nil
	}
	r.fetch.tried[rev] = true
	args := []string{}
	if shallow { // else a branch that is fetched brings all of its history
		args = append(args, "--depth="+strconv.Itoa(depths()[0]))
	}
	if remote != "" {
		r.fetch.say("this clone has no " + rev + ": fetching it")
		return true, r.run(ctx, append(args, remote, "+refs/heads/"+branch+":refs/remotes/"+rev)...)
	}
	r.fetch.say("this clone has no commit " + rev + ": fetching it from " + r.fetch.remote)
	if err := r.run(ctx, append(args, r.fetch.remote, rev)...); err != nil { // a server may give out branches only
		return true, r.run(ctx, append(args, r.fetch.remote)...)
	}
	return true, nil
}

// fetchHistory deepens the history of the revisions and of HEAD. It asks for commits by their ids, so that no branch
// moves under this run; servers that give out branches only are asked for those. What is of another remote is asked of that.
func (r *Repo) fetchHistory(ctx context.Context, flag string, revs []string) error {
	ids := map[string][]string{}
	for _, rev := range append([]string{"HEAD"}, revs...) {
		remote, _ := r.fetch.branch(rev)
		remote = cmp.Or(remote, r.fetch.remote)
		if id, err := r.resolve(rev); err == nil && !slices.Contains(ids[remote], id.String()) {
			ids[remote] = append(ids[remote], id.String())
		}
	}
	for _, remote := range append([]string{r.fetch.remote}, r.fetch.others...) {
		if edge, err := r.shallow(); err != nil || len(edge) == 0 {
			return err // the remote before had it all, and git refuses to deepen what is whole
		}
		if len(ids[remote]) == 0 || r.run(ctx, append([]string{flag, remote}, ids[remote]...)...) == nil {
			continue
		}
		if err := r.run(ctx, flag, remote); err != nil {
			return err
		}
	}
	return nil
}

// run fetches with the git binary. Nothing asks at a terminal, and no housekeeping moves packs away that are being read.
func (r *Repo) run(ctx context.Context, args ...string) error {
	fetch := []string{"-c", "gc.auto=0", "-c", "maintenance.auto=false", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no"}
	if _, err := r.gitBinary(ctx, nil, append(fetch, args...)...); err != nil {
		return fmt.Errorf("git fetch %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// gitBinary runs git at the top of the repository. What it printed before it went wrong is given with the error.
func (r *Repo) gitBinary(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stdin = r.top, bytes.NewReader(stdin)
	// Where Git's own variables are set, they name this repository, from another directory (see namedElsewhere).
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(gitPlaces, name)
	})
	cmd.Env = append(environ, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%w: %s", err, oneLine(errs.String()))
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
