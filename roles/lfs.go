package roles

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// lfsPointer is what Git has in place of a file that Git LFS keeps
// (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md). It is what a digest is made of; an image is made of the content.
type lfsPointer struct {
	oid  string // SHA-256 of the content, in hex digits
	size int64
}

// lfsMax is the size below which Git LFS takes a file for a pointer.
const lfsMax = 1024

const lfsVersion = "version https://git-lfs.github.com/spec/v1\n"

func parseLFS(data []byte) (p lfsPointer, ok bool) {
	rest, ok := bytes.CutPrefix(data, []byte(lfsVersion))
	if !ok || len(data) >= lfsMax {
		return p, false
	}
	p.size = -1
	for line := range bytes.Lines(rest) {
		key, value, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		switch key {
		case "oid":
			p.oid, _ = strings.CutPrefix(value, "sha256:")
		case "size":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return p, false
			}
			p.size = n
		}
	}
	raw, err := hex.DecodeString(p.oid)
	return p, err == nil && len(raw) == sha256.Size && p.size >= 0
}

// lfsDir is where Git LFS keeps the content that it has downloaded: lfs in the repository's directory, or lfs.storage.
func (r *Repo) lfsDir() string {
	common := commonDir(r.gitDir)
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.git.Config()
	if err != nil {
		return filepath.Join(common, "lfs")
	}
	dir := c.Raw.Section("lfs").Option("storage")
	switch {
	case dir == "":
		dir = filepath.Join(common, "lfs")
	case !filepath.IsAbs(dir):
		dir = filepath.Join(common, dir)
	}
	return dir
}

// matches says whether a file on disk holds the content that a pointer stands for.
func (p lfsPointer) matches(name string) bool {
	info, err := os.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != p.size {
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return errors.Join(err, f.Close()) == nil && hex.EncodeToString(h.Sum(nil)) == p.oid
}

// lfsContent finds a file with the content of a pointer that stands at p: what Git LFS has downloaded, or the checkout's
// file. The error is ErrIncomplete when there is none.
func (f *files) lfsContent(checkout, p string, ptr lfsPointer) (string, error) {
	var places []string
	if f.lfs != "" {
		places = append(places, filepath.Join(f.lfs, "objects", ptr.oid[:2], ptr.oid[2:4], ptr.oid))
	}
	if checkout != "" {
		places = append(places, filepath.Join(checkout, filepath.FromSlash(p)))
	}
	for _, name := range places {
		if ptr.matches(name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("%w: %s is a Git LFS pointer, and its content (%d bytes) is not here; run `git lfs pull`", ErrIncomplete, Printable(p), ptr.size)
}

// lfs writes the content that a pointer stands for.
func (w *writer) lfs(p string, ptr lfsPointer, mode fs.FileMode) (err error) {
	name, err := w.files.lfsContent(w.checkout, p, ptr)
	if err != nil {
		return err
	}
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := w.root.OpenFile(filepath.FromSlash(p), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), in)
	if err == nil && hex.EncodeToString(h.Sum(nil)) != ptr.oid {
		err = fmt.Errorf("reading %s: %w; run the command again", Printable(name), ErrChanged)
	}
	return errors.Join(err, out.Close())
}

// smudged says whether a file on disk is what Git LFS makes of the pointer that Git has for it. Git itself finds that out
// with the clean filter.
func (c *checkout) smudged(known plumbing.Hash, rel string, stat diskStat) bool {
	if known.IsZero() || stat.kind != 0 {
		return false
	}
	data, ok := c.repo.store.smallBlob(known)
	if !ok {
		return false
	}
	ptr, ok := parseLFS(data)
	return ok && ptr.matches(filepath.Join(c.repo.root, filepath.FromSlash(rel)))
}

// smallBlob reads a blob that is small enough to be a pointer.
func (s *store) smallBlob(id plumbing.Hash) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, err := s.git.EncodedObjectSize(id); err != nil || n >= lfsMax {
		return nil, false
	}
	data, err := s.readLocked(plumbing.BlobObject, id)
	return data, err == nil
}

// Complete says whether everything is here that the recipe and the tests of the roles consist of: the content of Git LFS's
// pointers, checked-out submodules, and filters that work, for the files that .gitattributes has pass through some. The error, ErrIncomplete, names all that is missing and how to get it; it is
// there to be told before the first machine is started.
func (f *Fleet) Complete(ctx context.Context, list []*Role) error {
	var errs []error
	if err := f.repo.prefetch(ctx, f.Revision.Commit); err != nil {
		return err
	}
	told, later := map[string]bool{}, []toConvert{}
	for _, r := range list {
		recipe, err := r.recipeTree()
		if err != nil {
			return fmt.Errorf("reading the files of role %s: %w", r.Name, err)
		}
		w := &writer{files: f.view.files, checkout: f.checkout, as: r.conversions(), later: &later}
		errs = append(errs, w.missing(ctx, recipe, "", told))
		if r.tests != nil {
			errs = append(errs, w.missing(ctx, r.tests, "roles/"+r.Name+"/tests", told))
		}
	}
	errs = append(errs, convert(ctx, later, func(toConvert, string) error { return nil }))
	return errors.Join(errs...)
}

// missing looks for content that is not here, without writing anything. told holds the paths that were looked at.
func (w *writer) missing(ctx context.Context, t *tree, prefix string, told map[string]bool) error {
	var errs []error
	err := t.walk(prefix, func(p string, e entry) error {
		if e.sub != nil || told[p] {
			return ctx.Err()
		}
		told[p] = true
		if e.mode.IsFile() {
			data, ok := w.files.store.smallBlob(e.id)
			if ok {
				if ptr, ok := parseLFS(data); ok {
					_, err := w.files.lfsContent(w.checkout, p, ptr)
					errs = append(errs, err)
				}
			}
			w.converts(p, e, data)
			return nil
		}
		sub, inner, err := w.submodule(p, e.id)
		if err == nil {
			err = inner.missing(ctx, sub, p, told)
		}
		errs = append(errs, err)
		return nil
	})
	return errors.Join(append(errs, err)...)
}
