package roles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// Materialize writes the files that decide the role's recipe digest into dir, under their paths in the fleet, with
// their modes and symlinks; nothing else. Submodules, and files that Git LFS keeps, are written with their content. A step that needs another file fails then, instead of making an image that
// its digest does not describe. dir is made; it must be empty.
func (f *Fleet) Materialize(ctx context.Context, role *Role, dir string) error {
	t, err := role.recipeTree()
	if err == nil {
		err = errors.Join(f.repo.prefetch(ctx, f.Revision.Commit), f.write(ctx, t, "", dir))
	}
	if err != nil {
		return fmt.Errorf("writing the files of role %s to %s: %w", role.Name, dir, err)
	}
	return nil
}

// MaterializeTests writes the role's suites, as roles/<role>/tests, into dir; see Materialize.
func (f *Fleet) MaterializeTests(ctx context.Context, role *Role, dir string) error {
	t := role.tests
	if t == nil {
		t = newTree(nil)
	}
	if err := f.write(ctx, t, path.Join("roles", role.Name, "tests"), dir); err != nil {
		return fmt.Errorf("writing the tests of role %s to %s: %w", role.Name, dir, err)
	}
	return nil
}

// write puts a tree that stands at prefix in the fleet into dir.
func (f *Fleet) write(ctx context.Context, t *tree, prefix, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if there, err := os.ReadDir(dir); err != nil {
		return err
	} else if len(there) > 0 {
		return fmt.Errorf("it is not empty: %s is there; name an empty directory", there[0].Name())
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	w := &writer{root: root, files: f.view.files, checkout: f.checkout}
	return errors.Join(w.dir(ctx, t, prefix), root.Close())
}

// writer writes below one directory; os.Root keeps symlinks of a hostile tree from leading out of it.
type writer struct {
	root     *os.Root
	files    *files
	checkout string // the fleet's root on disk, for submodules; "" in a bare repository
}

func (w *writer) dir(ctx context.Context, t *tree, at string) error {
	if at != "" {
		if err := w.root.MkdirAll(filepath.FromSlash(at), 0o755); err != nil {
			return err
		}
	}
	entries, err := t.list()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.entry(ctx, join(at, e.name), e); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) entry(ctx context.Context, p string, e entry) error {
	switch {
	case e.sub != nil:
		return w.dir(ctx, e.sub, p)
	case e.mode == filemode.Submodule:
		t, content, err := w.files.submoduleTree(w.checkout, p, e.id)
		if err != nil {
			return err
		}
		inner := &writer{root: w.root, files: content, checkout: w.checkout}
		return inner.dir(ctx, t, p)
	}
	data, err := w.files.read(p, e.id)
	if err != nil {
		return err
	}
	name := filepath.FromSlash(p)
	if e.mode == filemode.Symlink {
		return w.root.Symlink(string(data), name)
	}
	mode := fs.FileMode(0o644)
	if e.mode == filemode.Executable {
		mode = 0o755
	}
	if ptr, ok := parseLFS(data); ok {
		err = w.lfs(p, ptr, mode)
	} else {
		err = w.root.WriteFile(name, data, mode)
	}
	if err != nil {
		return err
	}
	return w.root.Chmod(name, mode) // whatever the umask
}
