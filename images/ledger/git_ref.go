package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
)

// setRef moves a reference from old to tip, as Git does it: under its lock file, at once or not at all. go-git's own way
// truncates the file first, and who reads it at that moment sees no branch. The error is errMoved when the reference is not
// at old, or somebody else holds the lock.
func (g *Git) setRef(name plumbing.ReferenceName, old, tip plumbing.Hash) error {
	if g.dir == "" {
		return g.repo.Storer.CheckAndSetReference(plumbing.NewHashReference(name, tip), nil)
	}
	file := filepath.Join(commonDir(g.dir), filepath.FromSlash(name.String()))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("making the directory of %s: %w", name, err)
	}
	lock := file + ".lock"
	f, err := os.OpenFile(lock, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s is there; if no git and no imgops runs here, remove it", errMoved, lock)
	}
	if err != nil {
		return fmt.Errorf("locking %s: %w", name, err)
	}
	_, err = f.WriteString(tip.String() + "\n")
	err = errors.Join(err, f.Close())
	if err == nil && g.tip(name) != old {
		err = errMoved
	}
	if err == nil {
		err = os.Rename(lock, file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("moving %s to %s: %w", name, tip, err), os.Remove(lock))
	}
	return nil
}
