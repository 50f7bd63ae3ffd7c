package machines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// accel is how the machines' processors work: by KVM, or emulated by QEMU (TCG).
type accel struct {
	KVM  bool   `json:"kvm"`
	Why  string `json:"why,omitempty"` // not KVM
	Host string `json:"host"`          // the kernel release with which it was tried; empty: it was not
}

func (a accel) String() string {
	if a.KVM {
		return "kvm"
	}
	return "tcg (" + a.Why + ")"
}

// command is the part of the machine that depends on it.
func (a accel) command() []string {
	args := []string{"qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc", "-m", "1024", "-smp", "2"}
	if a.KVM {
		return append(args, "-accel", "kvm", "-cpu", "host")
	}
	return append(args, "-accel", "tcg,thread=multi", "-cpu", tcgCPU)
}

// tcgCPU has what Debian needs and little of what the kernel would load modules for.
const tcgCPU = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand"

// chooseAccel decides whether to use KVM. That /dev/kvm opens proves nothing: on computers that are virtual machines themselves, guests often crash
// or hang in it. So it is used when a guest has really booted with it, and that is tried once for every kernel of the host.
func (d *QEMU) chooseAccel(ctx context.Context, trial string) (accel, error) {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return accel{Why: "no KVM: " + err.Error()}, nil
	}
	f.Close()
	path := filepath.Join(d.dir, "accel.json")
	known, err := readAccel(path)
	if err != nil {
		return accel{}, err
	}
	host, err := hostKernel()
	if err != nil {
		return accel{}, err
	}
	switch {
	case known.Host == host:
		return known, nil
	case trial == "":
		return accel{Why: "KVM has not been tried"}, nil
	}
	found := accel{KVM: true, Host: host}
	bounded, cancel := context.WithTimeout(ctx, kvmBound)
	defer cancel()
	if err := found.try(bounded, d.dir, trial); err != nil {
		if ctx.Err() != nil {
			return accel{}, ctx.Err()
		}
		found.KVM, found.Why = false, err.Error()
	}
	d.log.Info("tried KVM", "choice", found.String())
	data, err := json.Marshal(found)
	if err != nil {
		return accel{}, err
	}
	if err := writeFile(path, data); err != nil {
		return accel{}, fmt.Errorf("recording whether KVM works: %w", err)
	}
	return found, nil
}

func readAccel(path string) (accel, error) {
	var a accel
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return a, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	if err != nil {
		return a, fmt.Errorf("reading whether KVM works (remove %s to try it again): %w", path, err)
	}
	return a, nil
}

func hostKernel() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("asking for the kernel's release: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// The guest of the trial computes its mark, because the kernel shows its command line on the console too.
const (
	trialArgs = `console=ttyS0 panic=-1 rdinit=/bin/sh -- -c "echo imgops-boots-$((6*7))"`
	trialMark = "imgops-boots-42"
	kvmBound  = 20 * time.Second // a guest needs about one
)

// try boots the disk's kernel with the accelerator and lets the shell of its initial RAM disk speak. The disk itself is not part of the machine.
// The files of the trial are in dir for its time.
func (a accel) try(ctx context.Context, dir, disk string) error {
	dir, err := os.MkdirTemp(dir, "trial-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kernel, initrd := filepath.Join(dir, "kernel"), filepath.Join(dir, "initrd")
	if err := readKernel(ctx, disk, kernel, initrd); err != nil {
		return err
	}
	began := time.Now()
	args := append(a.command(), "-kernel", kernel, "-initrd", initrd, "-append", trialArgs, "-serial", "stdio", "-monitor", "none")
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case strings.Contains(string(out), trialMark):
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("/dev/kvm opens, but a guest did not boot with it in %v", time.Since(began).Round(time.Second))
	default:
		return fmt.Errorf("/dev/kvm opens, but a guest did not boot with it: %s", lastLine(out, err))
	}
}

// lastLine is the last that a program wrote, else its error.
func lastLine(out []byte, err error) string {
	all := strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' || r == '\r' })
	if len(all) == 0 {
		return fmt.Sprint("it said nothing: ", err)
	}
	return strings.TrimSpace(all[len(all)-1])
}
