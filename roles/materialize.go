package roles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// Materialize writes the files that decide the role's recipe digest into dir, under their paths in the fleet, with
// their modes and symlinks; nothing else. They are what `git checkout` gives: submodules, and files that Git LFS keeps, with
// their content, and files to which attributes apply (filter, eol, ident, working-tree-encoding) converted. A step that needs
// another file fails then, instead of making an image that its digest does not describe. dir is made; it must be empty.
func (f *Fleet) Materialize(ctx context.Context, role *Role, dir string) error {
	t, err := role.recipeTree()
	if err == nil {
		err = errors.Join(f.repo.prefetch(ctx, f.Revision.Commit), f.write(ctx, role, t, "", dir))
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
	if err := f.write(ctx, role, t, path.Join("roles", role.Name, "tests"), dir); err != nil {
		return fmt.Errorf("writing the tests of role %s to %s: %w", role.Name, dir, err)
	}
	return nil
}

// write puts a tree of a role that stands at prefix in the fleet into dir.
func (f *Fleet) write(ctx context.Context, role *Role, t *tree, prefix, dir string) error {
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
	w := &writer{root: root, files: f.view.files, checkout: f.checkout, as: role.conversions(), later: &[]toConvert{}}
	err = w.dir(ctx, t, prefix)
	if err == nil {
		err = convert(ctx, *w.later, func(c toConvert, name string) error { return w.copy(c.at, name, c.mode) })
	}
	return errors.Join(err, root.Close())
}

// writer writes below one directory; os.Root keeps symlinks of a hostile tree from leading out of it.
type writer struct {
	root     *os.Root
	files    *files
	checkout string // the fleet's root on disk, for submodules; "" in a bare repository
	at       string // where the files' repository is in the fleet: that of a submodule; else ""
	as       map[string]conversion
	later    *[]toConvert // those files that Git has to check out
}

// conversions are those of all files of a role, by their paths in the fleet.
func (r *Role) conversions() map[string]conversion {
	as := map[string]conversion{}
	for _, f := range r.converted {
		as[f.path] = f.as
	}
	for _, f := range r.testsConverted {
		as["roles/"+r.Name+"/tests/"+f.path] = f.as
	}
	return as
}

// submodule gives a submodule's files, and what writes them.
func (w *writer) submodule(p string, id plumbing.Hash) (*tree, *writer, error) {
	t, content, err := w.files.submoduleTree(w.checkout, p, id)
	if err != nil {
		return nil, nil, err
	}
	inner := &writer{root: w.root, files: content, checkout: w.checkout, at: p, as: map[string]conversion{}, later: w.later}
	var list []convertedFile
	if err := newTreeAttributes(content, t, "", nil).below("", t, false, &list); err != nil {
		return nil, nil, fmt.Errorf("reading the attributes of submodule %s: %w", Printable(p), err)
	}
	for _, f := range list {
		inner.as[join(p, f.path)] = f.as
	}
	return t, inner, nil
}

// converts says whether Git has to check a file out, and notes that. A file that is changed on disk is there as it is wanted.
func (w *writer) converts(p string, e entry, data []byte) bool {
	as, ok := w.as[p]
	inRepo := strings.TrimPrefix(strings.TrimPrefix(p, w.at), "/")
	if !ok || w.files.disk.has(inRepo, e.id) {
		return false
	}
	if _, pointer := parseLFS(data); pointer {
		return false
	}
	*w.later = append(*w.later, toConvert{w.files.repo, join(w.files.repo.prefix, inRepo), p, e.id, permissions(e), as})
	return true
}

func permissions(e entry) fs.FileMode {
	if e.mode == filemode.Executable {
		return 0o755
	}
	return 0o644
}

// copy writes a file that is on disk.
func (w *writer) copy(p, from string, mode fs.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	name := filepath.FromSlash(p)
	out, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), w.root.Chmod(name, mode))
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
		t, inner, err := w.submodule(p, e.id)
		if err != nil {
			return err
		}
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
	if w.converts(p, e, data) {
		return nil
	}
	mode := permissions(e)
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
