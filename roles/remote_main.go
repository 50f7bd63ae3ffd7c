package roles

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// ErrNotAsked means that the remote could not be asked, or does not give out what was asked for.
var ErrNotAsked = errors.New("the remote cannot be asked")

// askTime is how long a remote has to answer.
const askTime = time.Minute

// StillOnMain says whether a commit is on the branch main as the remote has it now, and what its tip is there: a clone knows
// main as it was, and somebody may have replaced it since. Nothing is moved by it. Where there is no remote that AllowFetch
// lets imgops ask, or it has no such branch and never had one as far as this clone knows, the tip is "" and the local branch
// counts, as OnMain says. The error is ErrNotAsked when the remote does not answer.
func (r *Repo) StillOnMain(ctx context.Context, main, commit string) (tip string, on bool, err error) {
	if r.fetch == nil {
		return "", true, nil
	}
	tip, err = r.remoteTip(ctx, main)
	if err != nil {
		return "", false, err
	}
	if tip == "" {
		r.mu.Lock()
		defer r.mu.Unlock()
		_, refErr := r.git.Reference(plumbing.NewRemoteReferenceName(r.fetch.remote, main), true)
		return "", refErr != nil, nil
	}
	on, err = r.IsAncestor(ctx, commit, tip)
	if err != nil && (errors.Is(err, ErrUnknownRevision) || errors.Is(err, ErrShallow)) {
		err = fmt.Errorf("%w for commit %s, the tip of its %s: %w", ErrNotAsked, tip, main, err)
	}
	return tip, on, err
}

// AtRemote gives the name under which this clone can know a revision that it does not have: remote/branch where the remote
// has a branch of that name, as a clone of a single branch has no other. Else it is the revision as it was given. The remote
// is asked only for what this clone has under neither name; when it does not answer, the error is ErrUnknownRevision and
// ErrNotAsked.
func (r *Repo) AtRemote(ctx context.Context, rev string) (string, error) {
	if r.fetch == nil || plumbing.IsHash(rev) || strings.ContainsAny(rev, "~^:@*?[\\ ") || r.Has(rev) {
		return rev, nil
	}
	there := r.fetch.remote + "/" + rev
	if remote, _ := r.fetch.branch(rev); remote != "" {
		return rev, nil
	}
	if r.Has(there) {
		return there, nil
	}
	tip, err := r.remoteTip(ctx, rev)
	if err != nil {
		return "", fmt.Errorf("%w %q in %s, where only %s could have it: %w; when it can be reached, run `git fetch %s +refs/heads/%s:refs/remotes/%s`",
			ErrUnknownRevision, rev, r.top, r.fetch.remote, err, r.fetch.remote, rev, there)
	}
	if tip == "" {
		return rev, nil // what is wrong with it is told where it is used
	}
	return there, nil
}

// BranchTip is the commit that a branch of the remote names, or, where there is no remote that AllowFetch lets imgops ask, the
// one of this repository; "" when there is no such branch. The error is ErrNotAsked when the remote does not answer.
func (r *Repo) BranchTip(ctx context.Context, branch string) (string, error) {
	if r.fetch != nil {
		return r.remoteTip(ctx, branch)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range []plumbing.ReferenceName{plumbing.NewRemoteReferenceName("origin", branch), plumbing.NewBranchReferenceName(branch)} {
		if ref, err := r.git.Reference(name, true); err == nil {
			return ref.Hash().String(), nil
		}
	}
	return "", nil
}

// DefaultBranch is the branch that the remote's HEAD names: what a clone checks out. It is "" when the remote says none, and
// where there is no remote that AllowFetch lets imgops ask. The error is ErrNotAsked when the remote does not answer.
func (r *Repo) DefaultBranch(ctx context.Context) (string, error) {
	if r.fetch == nil {
		return "", nil
	}
	out, err := r.askRemote(ctx, "--symref", r.fetch.remote, "HEAD")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if target, ok := strings.CutPrefix(line, "ref: refs/heads/"); ok {
			branch, _, _ := strings.Cut(target, "\t")
			return strings.TrimSpace(branch), nil
		}
	}
	return "", nil
}

// askRemote runs git ls-remote, for as long as a remote has to answer.
func (r *Repo) askRemote(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askTime, fmt.Errorf("no answer within %s", askTime))
	defer cancel()
	out, err := r.gitBinary(ctx, nil, append([]string{"ls-remote"}, args...)...)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		told := strings.ReplaceAll(strings.Join(args, " "), "refs/heads/", "")
		return "", fmt.Errorf("%w: git ls-remote %s: %w", ErrNotAsked, told, err)
	}
	return string(out), nil
}

// remoteTip is the commit that a branch of the remote names; "" when there is no such branch.
func (r *Repo) remoteTip(ctx context.Context, branch string) (string, error) {
	out, err := r.askRemote(ctx, r.fetch.remote, "refs/heads/"+branch)
	if err != nil {
		return "", err
	}
	tip, _, _ := strings.Cut(out, "\t")
	return strings.TrimSpace(tip), nil
}
