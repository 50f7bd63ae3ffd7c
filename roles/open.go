package roles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-billy/v5/util"
	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// open opens the repository that dir is in. It finds it itself, because go-git refuses every format extension, also those
// that only say how objects came here or where settings are.
func open(dir string) (*Repo, error) {
	gitDir, top, err := locate(dir)
	if err != nil {
		return nil, openError(dir, err)
	}
	var worktree billy.Filesystem
	if top != "" {
		worktree = osfs.New(top)
	}
	dot := osfs.New(gitDir)
	common := commonDir(gitDir)
	if common != gitDir {
		dot = dotgit.NewRepositoryFilesystem(dot, osfs.New(common))
	}
	opened, err := git.Open(lenientStorage{filesystem.NewStorageWithOptions(dot, cache.NewObjectLRUDefault(), filesystem.Options{AlternatesFS: anywhere()})}, worktree)
	if err != nil {
		return nil, openError(dir, err)
	}
	r := &Repo{git: opened, disk: dot, store: newStore(newObjects(osfs.New(common))), cache: newParseCache(common), gitDir: gitDir}
	return r, r.place(dir, gitDir)
}

// Again opens the repository once more, for who reads and writes objects with go-git. Packs stay open between two reads.
func (r *Repo) Again() (*git.Repository, error) {
	o := filesystem.Options{AlternatesFS: anywhere(), KeepDescriptors: true}
	again, err := git.Open(lenientStorage{filesystem.NewStorageWithOptions(r.disk, cache.NewObjectLRUDefault(), o)}, nil)
	if err != nil {
		return nil, openError(r.top, err)
	}
	return again, nil
}

// gitPlaces are the variables by which Git takes another repository than the one that a directory is in.
var gitPlaces = []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR"}

// namedElsewhere refuses where Git's variables name another repository or working tree than the one found: imgops goes by
// the directory, and what it asks git to fetch would go to the other one. Git sets them to the same one for its hooks.
func namedElsewhere(dir, gitDir, top string) error {
	found := map[string]string{"GIT_DIR": gitDir, "GIT_WORK_TREE": top}
	if gitDir != "" {
		found["GIT_COMMON_DIR"] = commonDir(gitDir)
	}
	for _, name := range gitPlaces {
		value := os.Getenv(name)
		if value == "" {
			continue
		}
		// In a hook they are relative to the directory that imgops runs in, and for git -C to the one that is named.
		if !samePlace(value, found[name]) && !samePlace(filepath.Join(dir, value), found[name]) {
			return fmt.Errorf("opening the repository of %s: %w: %s is set to %s, and imgops goes by the directory; run `unset %s`, and name a checkout (or a bare clone) of the fleet with -C",
				dir, ErrUnsupported, name, value, strings.Join(gitPlaces, " "))
		}
	}
	return nil
}

func samePlace(a, b string) bool {
	left, err := os.Stat(a)
	if err != nil {
		return false
	}
	right, err := os.Stat(b)
	return err == nil && os.SameFile(left, right)
}

// openError says what to do about a repository that cannot be opened.
func openError(dir string, err error) error {
	switch {
	case errors.Is(err, git.ErrRepositoryNotExists):
		return fmt.Errorf("%s: %w; run `git init` there, or name the fleet's directory with -C", dir, ErrNotRepository)
	case !errors.Is(err, git.ErrUnknownExtension) && !errors.Is(err, git.ErrUnsupportedExtensionRepositoryFormatVersion):
		return fmt.Errorf("opening the repository of %s: %w", dir, err)
	case strings.Contains(err.Error(), "objectformat"):
		return fmt.Errorf("opening the repository of %s: %w: its objects are named by SHA-256 (extensions.objectFormat); keep the fleet in a repository made by `git init --object-format=sha1`", dir, ErrUnsupported)
	case strings.Contains(err.Error(), "refstorage"):
		return fmt.Errorf("opening the repository of %s: %w: its references are not files (extensions.refStorage); run `git refs migrate --ref-format=files`", dir, ErrUnsupported)
	}
	return fmt.Errorf("opening the repository of %s: %w: %w; use a plain clone", dir, ErrUnsupported, err)
}

// locate finds the repository that dir is in, as Git does: its directory, and the top of its working tree, "" where it
// has none.
func locate(dir string) (gitDir, top string, err error) {
	for ; ; dir = filepath.Dir(dir) {
		name := filepath.Join(dir, ".git")
		info, err := os.Stat(name)
		switch {
		case err == nil && info.IsDir():
			return name, dir, nil
		case err == nil:
			gitDir, err = followGitFile(name)
			return gitDir, dir, err
		case !errors.Is(err, fs.ErrNotExist):
			return "", "", err
		case isBare(dir):
			return dir, "", nil
		case filepath.Dir(dir) == dir:
			return "", "", git.ErrRepositoryNotExists
		}
	}
}

// followGitFile reads the .git of a linked working tree or a submodule, which names the directory elsewhere.
func followGitFile(name string) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	target, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "gitdir: ")
	if !ok {
		return "", fmt.Errorf("%s names no directory; make the working tree anew", name)
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(name), target)
	}
	if _, err := os.Stat(target); err != nil {
		return "", fmt.Errorf("%s names a directory that is not there (%w); run `git worktree repair`, or make the working tree anew", name, err)
	}
	return target, nil
}

func isBare(dir string) bool {
	for _, name := range []string{"HEAD", "objects", "refs"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// commonDir is the repository's own directory for that of a linked working tree.
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

// configOfGit reads settings that are in a form which Git knows and go-git does not; the error is why go-git has given up.
func (s lenientStorage) configOfGit(why error) (*config.Config, error) {
	data, err := util.ReadFile(s.Filesystem(), "config")
	c := config.NewConfig()
	if err != nil || c.Unmarshal(headersAlone(data)) != nil {
		return nil, why
	}
	return c, nil
}

// harmless are extensions of the repository's format (gitrepository-layout(5), git-config(1)) that change nothing for who
// reads objects and references: objects that are missing on purpose are told as such, the settings of one working tree
// do not concern imgops, and nothing is ever deleted.
var harmless = []string{"partialclone", "worktreeconfig", "preciousobjects", "relativeworktrees"}

// lenientStorage is the storage of a repository, less the extensions that are harmless. Nothing writes this configuration.
type lenientStorage struct{ *filesystem.Storage }

func (s lenientStorage) Config() (*config.Config, error) {
	c, err := s.Storage.Config()
	if err != nil {
		c, err = s.configOfGit(err)
	}
	if err != nil || !c.Raw.HasSection("extensions") {
		return c, err
	}
	section := c.Raw.Section("extensions")
	for _, o := range section.Options {
		if slices.Contains(harmless, strings.ToLower(o.Key)) {
			section.RemoveOption(o.Key)
		}
	}
	return c, nil
}
