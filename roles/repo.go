package roles

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-billy/v5"
	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
)

// configFile, lockFile and definitionFile are the names of the files that make a fleet.
const (
	configFile     = "imgops.yaml"
	lockFile       = "imgops.lock"
	definitionFile = "image.yaml"
)

// Repo is an opened Git repository that holds a fleet. It is safe for concurrent use.
type Repo struct {
	top    string // the working tree, or the bare repository
	root   string // the fleet's root
	prefix string // root relative to top, slash separated, "" when they are the same
	gitDir string // the repository's directory: of a linked working tree, its own one under .git/worktrees
	bare   bool
	mu     sync.Mutex // guards git: go-git's repository may not be shared
	git    *git.Repository
	disk   billy.Filesystem // gitDir, and what a linked working tree shares with the others
	store  *store
	cache  *parseCache
	fetch  *fetcher // nil where nothing may be fetched

	unchosen []string // remotes, where nothing says which to fetch from

	unwatched map[string]bool // see noteUnwatched
}

// Revision is the commit that a fleet was read from.
type Revision struct {
	Commit string    // 40 hex digits
	Branch string    // short name of the branch that HEAD is on; empty when detached or when another revision was asked for
	Tree   string    // id of the commit's tree
	Time   time.Time // of the commit, in UTC
}

// OpenRepo finds the repository that dir is in. The fleet's root is the nearest directory from dir up to the top of
// the repository that holds imgops.yaml; the top where none does. Errors: ErrNotRepository, ErrUnbornBranch.
func OpenRepo(ctx context.Context, dir string) (*Repo, error) {
	r, err := OpenWorktree(ctx, dir)
	if err != nil {
		return nil, err
	}
	if _, err := r.git.Head(); errors.Is(err, plumbing.ErrReferenceNotFound) {
		return nil, fmt.Errorf("%s: %w; run `git add . && git commit` first: images are named by what is committed", r.top, ErrUnbornBranch)
	} else if err != nil {
		return nil, fmt.Errorf("reading HEAD of %s: %w", r.top, err)
	}
	return r, nil
}

// OpenWorktree is OpenRepo for a repository that may have no commit yet, of which only the working tree can be read.
func OpenWorktree(ctx context.Context, dir string) (*Repo, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the fleet in %s: %w", dir, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("opening the fleet: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("opening the fleet: %s is not a directory", dir)
	}
	r, err := open(dir)
	var gitDir, top string
	if err == nil {
		gitDir, top = r.gitDir, r.top
	}
	if elsewhere := namedElsewhere(dir, gitDir, top); elsewhere != nil {
		return nil, elsewhere
	}
	return r, err
}

// place finds the top of the working tree and the fleet's root in it.
func (r *Repo) place(dir, gitDir string) error {
	wt, err := r.git.Worktree()
	if errors.Is(err, git.ErrIsBareRepository) {
		r.top, r.root, r.bare = gitDir, gitDir, true
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the working tree of %s: %w", dir, err)
	}
	r.top = wt.Filesystem.Root()
	r.root = r.top
	for d := dir; within(r.top, d); d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, configFile)); err == nil {
			r.root = d
			break
		}
		if d == r.top {
			break
		}
	}
	if rel, err := filepath.Rel(r.top, r.root); err == nil && rel != "." {
		r.prefix = filepath.ToSlash(rel)
	}
	return nil
}

func within(top, dir string) bool {
	rel, err := filepath.Rel(top, dir)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// Root is the absolute path of the fleet's root: the directory of imgops.yaml. In a bare repository it is the
// repository's own directory.
func (r *Repo) Root() string { return r.root }

// Places are the repository's directory, of a linked working tree its own, and the top of the working tree; of a bare
// repository both are the same.
func (r *Repo) Places() (gitDir, top string) { return r.gitDir, r.top }

// CommonDir is the repository's own directory (.git), also for a linked working tree.
func (r *Repo) CommonDir() string { return commonDir(r.gitDir) }

// Close closes the pack files that reading objects left open. A process that ends soon need not call it.
func (r *Repo) Close() error {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	return r.store.git.Close()
}
