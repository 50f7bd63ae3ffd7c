package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Branch is the branch of the fleet's repository that the ledger is on.
const Branch = "imgops-ledger"

const (
	localRef = plumbing.ReferenceName("refs/heads/" + Branch)
	seenRef  = plumbing.ReferenceName("refs/imgops/ledger")
)

// GitOptions are the settings of a Git store.
type GitOptions struct {
	User   func() (name, email string) // who commits; nil, or for what it does not know: imgops
	Getenv func(string) string         // nil: os.Getenv
	Now    func() time.Time            // nil: time.Now
	// Wait is how long is waited before another try, when others push at the same time; nil: by the clock, longer each time.
	Wait func(ctx context.Context, try int) error
	Disk *Disk // nil: OpenGit looks for it
	// NoCommand keeps the store from running a git command where go-git is not let in.
	NoCommand bool
}

// Git keeps the ledger on a branch of a repository.
type Git struct {
	opts   GitOptions
	dir    string // of the repository; "" in memory
	top    string // where a remote's relative path begins: the working tree, or the bare repository; "" in memory
	remote string // its name; "" when there is none
	via    wire   // nil without a remote

	mu   sync.Mutex // go-git's repository may not be shared
	repo *git.Repository
}

var _ Store = (*Git)(nil)

// Disk is a repository on disk that the caller has found. It may be of a form that go-git by itself refuses.
type Disk struct {
	GitDir string // of a linked working tree, its own
	Top    string // the working tree, or the bare repository
	// Open opens it; once more when a git command has brought objects.
	Open func() (*git.Repository, error)
}

// OpenGit opens the ledger of the repository that dir is in: of a working tree, a linked one, or a bare repository.
func OpenGit(dir string, o GitOptions) (*Git, error) {
	if o.Disk == nil {
		found, err := findDisk(dir)
		if err != nil {
			return nil, fmt.Errorf("opening the repository of %s for the ledger: %w", dir, err)
		}
		o.Disk = &found
	}
	repo, err := o.Disk.Open()
	if err != nil {
		return nil, fmt.Errorf("opening the repository of %s for the ledger: %w", dir, err)
	}
	return newGit(repo, o.Disk.GitDir, o.Disk.Top, o)
}

// findDisk lets go-git find the repository. Packs stay open: to check thousands of commits one by one, it would open the pack
// for each object.
func findDisk(dir string) (Disk, error) {
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		repo, err = git.PlainOpen(dir) // a bare one
	}
	if err != nil {
		return Disk{}, err
	}
	disk, ok := repo.Storer.(*filesystem.Storage)
	if !ok {
		return Disk{}, errors.New("its objects are not on disk")
	}
	found := Disk{GitDir: disk.Filesystem().Root(), Top: disk.Filesystem().Root()}
	if tree, err := repo.Worktree(); err == nil { // else it is a bare one
		found.Top = tree.Filesystem.Root()
	}
	found.Open = func() (*git.Repository, error) {
		return git.Open(filesystem.NewStorageWithOptions(disk.Filesystem(), cache.NewObjectLRUDefault(), filesystem.Options{KeepDescriptors: true}), nil)
	}
	return found, nil
}

// NewGit makes the store of a repository that need not be on disk.
func NewGit(repo *git.Repository, o GitOptions) (*Git, error) {
	o.NoCommand = true
	return newGit(repo, "", "", o)
}

func newGit(repo *git.Repository, dir, top string, o GitOptions) (*Git, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.User == nil {
		o.User = func() (name, email string) { return "", "" }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = waitTurn
	}
	g := &Git{opts: o, dir: dir, top: top, repo: repo}
	conf, err := repo.Config()
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of the repository for the ledger: %w", err)
	}
	urls := map[string]string{}
	for name, r := range conf.Remotes {
		if len(r.URLs) > 0 {
			urls[name] = r.URLs[len(r.URLs)-1]
		}
	}
	switch {
	case urls["origin"] != "":
		g.remote = "origin"
	case len(urls) == 1:
		for g.remote = range urls {
		}
	}
	if g.remote != "" {
		g.via = newWire(g, g.located(urls[g.remote]))
	}
	return g, nil
}

// located gives a remote's URL. A relative path begins at the top of the working tree, as Git has it, not where imgops was
// started. See git-fetch(1), "Git URLs", for what tells a path from a host.
func (g *Git) located(url string) string {
	before, _, colon := strings.Cut(url, ":")
	if g.top == "" || filepath.IsAbs(url) || strings.HasPrefix(url, "~") || colon && !strings.Contains(before, "/") {
		return url
	}
	return filepath.Join(g.top, url)
}

// CommonDir is the repository's own directory, also for a linked working tree: where a Spool belongs. "" in memory.
func (g *Git) CommonDir() string {
	if g.dir == "" {
		return ""
	}
	return commonDir(g.dir)
}

func commonDir(gitDir string) string {
	data, err := os.ReadFile(filepath.Join(gitDir, "commondir"))
	if err != nil {
		return gitDir
	}
	common := strings.TrimSpace(string(data))
	if !filepath.IsAbs(common) {
		common = filepath.Join(gitDir, common)
	}
	return common
}

// HasRemote says that the ledger is shared with others.
func (g *Git) HasRemote() bool { return g.via != nil }

func (g *Git) String() string {
	if g.remote == "" {
		return "branch " + Branch
	}
	return "branch " + Branch + " of " + g.remote
}

func (g *Git) trackRef() plumbing.ReferenceName {
	return plumbing.NewRemoteReferenceName(g.remote, Branch)
}

// tip is what a reference names; the zero hash when there is none, or its commit is not here.
func (g *Git) tip(name plumbing.ReferenceName) plumbing.Hash {
	ref, err := g.repo.Reference(name, true)
	if err != nil {
		return plumbing.ZeroHash
	}
	if _, err := g.repo.CommitObject(ref.Hash()); err != nil {
		return plumbing.ZeroHash
	}
	return ref.Hash()
}

// known lists the tips that are here, without doubles: the remote's as it was last seen, then what only this clone has.
func (g *Git) known() []plumbing.Hash {
	names := []plumbing.ReferenceName{seenRef, localRef}
	if g.remote != "" {
		names = []plumbing.ReferenceName{g.trackRef(), seenRef, localRef}
	}
	var list []plumbing.Hash
	for _, name := range names {
		if id := g.tip(name); !id.IsZero() && !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

// reopen makes objects visible that a git command has brought.
func (g *Git) reopen() {
	if g.opts.Disk == nil { // in memory
		return
	}
	if repo, err := g.opts.Disk.Open(); err == nil {
		if packs, ok := g.repo.Storer.(io.Closer); ok {
			_ = packs.Close() // those that were read
		}
		g.repo = repo
	}
}

func (g *Git) objects() storage.Storer { return g.repo.Storer }

// List gives the entries of all known tips.
func (g *Git) List(ctx context.Context, prefix string) (list []Item, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	err = g.whole(ctx, func() error {
		list, err = g.list(ctx, prefix)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing the ledger on %s: %w", g, err)
	}
	return list, nil
}

func (g *Git) list(ctx context.Context, prefix string) ([]Item, error) {
	byPath := map[string]Item{}
	for _, tip := range g.known() {
		root, err := g.rootOf(tip)
		if err != nil {
			return nil, err
		}
		err = g.walk(ctx, root, prefix, func(path string, e object.TreeEntry) error {
			if _, ok := byPath[path]; ok {
				return nil
			}
			size, err := g.sizeOf(e)
			byPath[path] = Item{path, size}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	list := slices.Collect(maps.Values(byPath))
	slices.SortFunc(list, func(a, b Item) int { return compare(a.Path, b.Path) })
	return list, nil
}

func (g *Git) sizeOf(e object.TreeEntry) (int64, error) {
	if e.Mode == filemode.Submodule {
		return 0, nil
	}
	size, err := g.repo.Storer.EncodedObjectSize(e.Hash)
	if err != nil {
		return 0, &damage{"entry " + e.Name, err}
	}
	return size, nil
}

// Read gives an entry from the first known tip that has it.
func (g *Git) Read(ctx context.Context, path string) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var data []byte
	err := g.whole(ctx, func() (err error) {
		data, err = g.read(path)
		return err
	})
	return data, err
}

func (g *Git) read(path string) ([]byte, error) {
	for _, tip := range g.known() {
		root, err := g.rootOf(tip)
		if err != nil {
			return nil, err
		}
		e, err := g.find(root, path)
		if errors.Is(err, ErrNoEntry) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return g.blob(e.Hash)
	}
	return nil, fmt.Errorf("%s: %w", path, ErrNoEntry)
}

func (g *Git) blob(id plumbing.Hash) ([]byte, error) {
	b, err := g.repo.BlobObject(id)
	if err != nil {
		return nil, &damage{"entry " + id.String(), err}
	}
	if b.Size > MaxSize {
		return nil, tooLarge(b.Size)
	}
	r, err := b.Reader()
	if err != nil {
		return nil, fmt.Errorf("reading an entry of the ledger: %w", err)
	}
	defer r.Close()
	return io.ReadAll(r)
}
