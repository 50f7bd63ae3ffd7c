package machine

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// UploadDir copies the content of a local directory into a directory on the machine, which it makes, as the SSH user.
// Regular files, directories and symbolic links are copied with their modes; owners are not. The machine needs tar.
func (m *Machine) UploadDir(ctx context.Context, dir, remote string) error {
	pr, pw := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := writeTar(pw, dir)
		pw.CloseWithError(err)
		packed <- err
	}()
	var errs tail
	errs.limit = 4 << 10
	to := Quote(remote)
	err := m.Run(ctx, fmt.Sprintf("mkdir -p %s && tar -x -o -p -f - -C %s", to, to), pr, nil, &errs)
	_ = pr.CloseWithError(io.ErrClosedPipe) // ends the packing when the machine stopped reading
	if packErr := <-packed; packErr != nil && !errors.Is(packErr, io.ErrClosedPipe) {
		return fmt.Errorf("packing %s: %w", dir, packErr)
	}
	if err != nil {
		return fmt.Errorf("uploading %s to %s of %s: %w%s", dir, remote, m, err, errs.note())
	}
	return nil
}

func writeTar(w io.Writer, dir string) error {
	tw := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == "." {
			return err
		}
		return addToTar(tw, path, filepath.ToSlash(name), d)
	})
	if err != nil {
		return err
	}
	return tw.Close()
}

func addToTar(tw *tar.Writer, path, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	var link string
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname = name, 0, 0, "", ""
	if d.IsDir() {
		h.Name += "/"
	}
	if err := tw.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(tw, f)
	return err
}
