package baseimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tools maps each program that is needed to its Debian package.
var tools = [][2]string{{"mmdebstrap", "mmdebstrap"}, {"mkfs.ext4", "e2fsprogs"}, {"unshare", "util-linux"}}

// Probe says in one line what is missing to make an image, nil when nothing is.
func Probe() error {
	if os.Geteuid() != 0 {
		return errors.New("the base image can only be made as root: run it with sudo")
	}
	var missing, install []string
	for _, t := range tools {
		if _, err := exec.LookPath(t[0]); err != nil {
			missing, install = append(missing, t[0]), append(install, t[1])
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing %s: apt-get install %s", strings.Join(missing, ", "), strings.Join(install, " "))
	}
	return nil
}

// debootstrap runs mmdebstrap in PID and mount namespaces of its own, so that killing this process at any moment leaves no process and
// no mount (mmdebstrap mounts /proc, /sys and /dev into the root).
func (o Options) debootstrap(ctx context.Context, root, tmp string) error {
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation=slave", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
		"mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--architectures="+o.Arch,
		"--dpkgopt=force-unsafe-io", "--include="+strings.Join(packages, ","), o.Suite, root)
	cmd.Args = append(cmd.Args, o.sources()...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = dieWithParent()
	var log bytes.Buffer
	cmd.Stderr = io.MultiWriter(&log, lines(o.Progress))
	cmd.Stdout = cmd.Stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("mmdebstrap with the mirror %s (is it reachable? another one can be given): %w\n%s", o.Mirror, err, tail(log.Bytes()))
	}
	return nil
}

// customize lays the overlay over the root and switches units on and off.
func customize(root string) error {
	err := fs.WalkDir(overlay, "overlay", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(root, strings.TrimPrefix(path, "overlay"))
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		data, err := overlay.ReadFile(path)
		if err != nil {
			return err
		}
		_ = os.Remove(target) // it may be a link
		return os.WriteFile(target, data, 0o644)
	})
	if err != nil {
		return err
	}
	units := map[string]string{}
	for link, unit := range enabled {
		units[link] = unit
	}
	for _, unit := range masked {
		units[unit] = "/dev/null"
	}
	for link, target := range units {
		path := filepath.Join(root, "etc/systemd/system", link)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		_ = os.Remove(path)
		if err := os.Symlink(target, path); err != nil {
			return err
		}
	}
	for _, pattern := range removed {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// mkfs writes the root into a sparse file. The inode tables are zeroed at once, which costs nothing in a sparse file; left for later, the kernel of the
// first machine would write the zeroes out.
func (o Options) mkfs(ctx context.Context, root, raw string) error {
	o.Progress("writing the disk")
	f, err := os.OpenFile(raw, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(diskSize), f.Close()); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-L", "root", "-J", "size=64",
		"-E", "lazy_itable_init=0,lazy_journal_init=1,root_owner=0:0", "-d", root, raw)
	cmd.SysProcAttr = dieWithParent()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4 %s: %w\n%s", raw, err, tail(out))
	}
	return nil
}

// tail keeps the last lines of a program's output.
func tail(out []byte) string {
	all := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(all[max(0, len(all)-8):], "\n")
}

// lines calls f with each line written.
func lines(f func(string)) io.Writer { return &lineWriter{f: f} }

type lineWriter struct {
	f    func(string)
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		i := bytes.IndexAny(w.rest, "\n\r")
		if i < 0 {
			return len(p), nil
		}
		if line := strings.TrimSpace(strings.TrimPrefix(string(w.rest[:i]), "I: ")); line != "" {
			w.f(line)
		}
		w.rest = w.rest[i+1:]
	}
}
