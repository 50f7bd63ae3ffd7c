package machines

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cgroups says how machines get a control group of their own, which a booted systemd needs: without one, two machines would take each other's
// processes for theirs.
type cgroups struct {
	systemd bool     // PID 1 is systemd: it makes a scope for each machine
	roots   []string // else: directories in which we make them, one in each hierarchy that the machine's systemd uses
}

func findCgroups(name string) (cgroups, error) {
	if _, err := os.Stat("/run/systemd/system"); err == nil { // sd_booted(3)
		return cgroups{systemd: true}, nil
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return cgroups{}, err
	}
	defer f.Close()
	own, err := ownCgroups()
	if err != nil {
		return cgroups{}, err
	}
	var c cgroups
	for s := bufio.NewScanner(f); s.Scan(); {
		if controller, mount, ok := parseCgroupMount(s.Text()); ok {
			if path, ok := own[controller]; ok {
				c.roots = append(c.roots, filepath.Join(mount, path, name))
			}
		}
	}
	if len(c.roots) == 0 {
		return c, errors.New("no cgroup hierarchy is mounted: mount -t cgroup2 none /sys/fs/cgroup")
	}
	return c, nil
}

// parseCgroupMount reads a line of mountinfo: the unified hierarchy has the controller "", systemd's own of version 1 "name=systemd".
func parseCgroupMount(line string) (controller, mount string, ok bool) {
	before, after, found := strings.Cut(line, " - ")
	f, g := strings.Fields(before), strings.Fields(after)
	if !found || len(f) < 5 || len(g) < 3 {
		return "", "", false
	}
	switch {
	case g[0] == "cgroup2":
		return "", f[4], true
	case g[0] == "cgroup" && slices.Contains(strings.Split(g[2], ","), "name=systemd"):
		return "name=systemd", f[4], true
	}
	return "", "", false
}

// ownCgroups maps the controller to the path of the group that this process is in.
func ownCgroups() (map[string]string, error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	own := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 {
			own[f[1]] = f[2]
		}
	}
	return own, nil
}

// make makes the machine's groups and returns their directories; none on a systemd host.
func (c cgroups) make(id string) ([]string, error) {
	var dirs []string
	for _, root := range c.roots {
		dir := filepath.Join(root, id)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("making the machine's cgroup: %w", err)
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

func (c cgroups) remove(id string) error {
	var errs []error
	for _, root := range c.roots {
		errs = append(errs, removeTree(filepath.Join(root, id)))
		_ = os.Remove(root) // unless other machines are in it
	}
	return errors.Join(errs...)
}

func (c cgroups) removeAll() error {
	var errs []error
	for _, root := range c.roots {
		errs = append(errs, removeTree(root))
	}
	return errors.Join(errs...)
}

// removeTree removes a group and those below it, deepest first: rmdir(2) is the only way.
func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	errs := []error{err}
	for _, d := range slices.Backward(dirs) {
		if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
