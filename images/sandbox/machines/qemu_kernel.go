package machines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"unicode"
)

// copyKernel reads the newest kernel and its initial RAM disk out of the disk, which has no boot loader. debugfs needs neither a mount nor root.
func copyKernel(ctx context.Context, disk, kernel, initrd string) error {
	// After a crash, the names of a kernel that was just installed may be in the journal only.
	err := run(ctx, "", "e2fsck", "-p", "-E", "journal_only", disk)
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 1) {
		return fmt.Errorf("replaying the journal of the disk: %w", err)
	}
	return readKernel(ctx, disk, kernel, initrd)
}

// readKernel does the same without writing to the disk.
func readKernel(ctx context.Context, disk, kernel, initrd string) error {
	names, err := listBoot(ctx, disk)
	if err != nil {
		return err
	}
	version := newestKernel(names)
	if version == "" {
		return errors.New("the image has no kernel with an initial RAM disk in /boot, which qemu machines need: apt-get install linux-image-cloud-amd64 initramfs-tools in its recipe")
	}
	for from, to := range map[string]string{"vmlinuz-": kernel, "initrd.img-": initrd} {
		if _, err := debugfs(ctx, disk, fmt.Sprintf(`dump "/boot/%s%s" "%s"`, from, version, to)); err != nil {
			return err
		}
		if info, err := os.Stat(to); err != nil || info.Size() == 0 {
			return fmt.Errorf("reading /boot/%s%s out of the disk: it is empty or damaged", from, version)
		}
	}
	return nil
}

func listBoot(ctx context.Context, disk string) ([]string, error) {
	out, err := debugfs(ctx, disk, "ls -p /boot")
	if err != nil {
		return nil, fmt.Errorf("looking for a kernel: %w", err)
	}
	var names []string
	for line := range strings.Lines(out) { // /inode/mode/uid/gid/name/size/
		if f := strings.Split(line, "/"); len(f) > 6 {
			names = append(names, f[5])
		}
	}
	return names, nil
}

// debugfs runs one command on the disk, read-only. It tells of errors by words, not by its exit status.
func debugfs(ctx context.Context, disk, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "debugfs", "-R", command, disk)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	_, said, _ := strings.Cut(complaint.String(), "\n") // the first line is its version
	if said = strings.TrimSpace(said); err != nil || said != "" {
		return "", errors.Join(fmt.Errorf("reading the disk %s with debugfs: %s: %s", disk, command, said), err)
	}
	return out.String(), nil
}

// newestKernel is the highest version of which both files are there, as a boot loader would choose; "" when there is none.
func newestKernel(names []string) string {
	have := map[string]bool{}
	for _, n := range names {
		have[n] = true
	}
	best := ""
	for _, n := range names {
		version, ok := strings.CutPrefix(n, "vmlinuz-")
		if ok && have["initrd.img-"+version] && (best == "" || compareVersions(version, best) > 0) {
			best = version
		}
	}
	return best
}

// compareVersions orders 6.1.0-9 before 6.1.0-10: runs of digits by number, the rest by character.
func compareVersions(a, b string) int {
	for a != "" && b != "" {
		i, j := numberAt(a), numberAt(b)
		if i == 0 || j == 0 {
			if a[0] != b[0] {
				return int(a[0]) - int(b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		x, y := strings.TrimLeft(a[:i], "0"), strings.TrimLeft(b[:j], "0")
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		a, b = a[i:], b[j:]
	}
	return len(a) - len(b)
}

// numberAt is the length of the run of digits that s begins with.
func numberAt(s string) int {
	if i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsDigit(r) }); i >= 0 {
		return i
	}
	return len(s)
}
