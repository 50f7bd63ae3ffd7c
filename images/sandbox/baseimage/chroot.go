package baseimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// tools maps each program that is needed to its Debian package; userTools are those that a user needs who is not root.
var (
	tools     = [][2]string{{"mmdebstrap", "mmdebstrap"}, {"mkfs.ext4", "e2fsprogs"}, {"unshare", "util-linux"}}
	userTools = [][2]string{{"newuidmap", "uidmap"}, {"tar", "tar"}}
)

// Probe says in one line what is missing to make an image, nil when nothing is.
func Probe() error {
	needed := tools
	if os.Geteuid() != 0 {
		needed = append(slices.Clone(tools), userTools...)
	}
	var missing, install []string
	for _, t := range needed {
		if _, err := exec.LookPath(t[0]); err != nil {
			missing = append(missing, t[0])
			if !slices.Contains(install, t[1]) { // several programs can be in one package
				install = append(install, t[1])
			}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing %s: apt-get install %s", strings.Join(missing, ", "), strings.Join(install, " "))
	}
	if os.Geteuid() != 0 {
		if out, err := command(context.Background(), "true").CombinedOutput(); err != nil {
			return fmt.Errorf("the base image can only be made as root (use sudo), or with user namespaces and a range in /etc/subuid and /etc/subgid for this user (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER): %s", tail(out))
		}
	}
	return nil
}

// command runs a program as root: as it is when we are, else in a user namespace where our own files are root's and those of
// other users are in our range of subordinate ids (subuid(5)).
func command(ctx context.Context, args ...string) *exec.Cmd {
	if os.Geteuid() != 0 {
		args = append([]string{"unshare", "--user", "--map-root-user", "--map-auto", "--"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.SysProcAttr = dieWithParent()
	return cmd
}

// debootstrap makes the root file system. As root, mmdebstrap runs in PID and mount namespaces of its own, so that killing this process at any moment leaves
// no process and no mount (mmdebstrap mounts /proc, /sys and /dev into the root); otherwise it makes such namespaces itself.
func (o Options) debootstrap(ctx context.Context, root, work string) error {
	if os.Geteuid() == 0 {
		args := append([]string{"unshare", "--mount", "--propagation=slave", "--pid", "--fork", "--kill-child", "--mount-proc", "--"},
			o.mmdebstrap("root", "directory", root)...)
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "TMPDIR="+work, "LC_ALL=C.UTF-8")
		return o.bootstrap(ctx, cmd)
	}
	archive := filepath.Join(work, "root.tar")
	args := o.mmdebstrap("unshare", "tar", archive)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if err := o.bootstrap(ctx, cmd); err != nil {
		return err
	}
	// A user cannot make device nodes; the machine's kernel fills /dev.
	if out, err := command(ctx, "tar", "-x", "-p", "--numeric-owner", "--exclude=./dev/*", "-C", root, "-f", archive).CombinedOutput(); err != nil {
		return fmt.Errorf("unpacking the root file system: %w\n%s", err, tail(out))
	}
	return os.Remove(archive)
}

// remove removes a directory in which other users' files may be.
func remove(ctx context.Context, dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || os.Geteuid() == 0 {
		return err
	}
	if out, err := command(ctx, "rm", "-rf", "--", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, tail(out))
	}
	return nil
}

func (o Options) mmdebstrap(mode, format, target string) []string {
	args := []string{
		"mmdebstrap", "--mode=" + mode, "--variant=minbase", "--format=" + format, "--architectures=" + o.Arch, "--dpkgopt=force-unsafe-io",
		"--include=" + strings.Join(append(slices.Clone(packages), o.kernel()), ","),
	}
	for _, path := range slices.Sorted(maps.Keys(early)) {
		args = append(args, fmt.Sprintf(`--essential-hook=mkdir -p "$1/%s" && printf '%%s\n' %s >"$1/%s"`, filepath.Dir(path), early[path], path))
	}
	return append(append(args, o.Suite, target), o.sources()...)
}

func (o Options) bootstrap(ctx context.Context, cmd *exec.Cmd) error {
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
	cmd := command(ctx, "mkfs.ext4", "-q", "-F", "-L", "root", "-J", "size=64",
		"-E", "lazy_itable_init=0,lazy_journal_init=1,root_owner=0:0", "-d", root, raw)
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
