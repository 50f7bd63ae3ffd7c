package machines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// accel is how the machines' processors work: by KVM, or emulated by QEMU (TCG).
type accel struct {
	KVM  bool   `json:"kvm"`
	Why  string `json:"why,omitempty"` // not KVM
	Host string `json:"host"`          // the boot of the host in which it was tried; empty: it was not
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

// chooser decides whether to use KVM. That /dev/kvm opens proves nothing: on computers that are virtual machines themselves, guests often crash
// or hang in it. So it is used when a guest has really booted with it, which is tried once in every boot of the host.
type chooser struct {
	device string        // /dev/kvm
	memory string        // the file in which the choice is kept; sandboxes may share it
	dir    string        // for the files of the trial
	bound  time.Duration // for the guest of the trial
	log    *slog.Logger
}

// kvmBound: a guest needs about one second.
const kvmBound = 20 * time.Second

// choose takes the choice that is remembered, else tries KVM with the kernel of the disk. Without a disk, what has not been tried is not used.
func (c chooser) choose(ctx context.Context, disk string) (accel, error) {
	f, err := os.OpenFile(c.device, os.O_RDWR, 0)
	if err != nil {
		return accel{Why: "no KVM: " + err.Error()}, nil //nolint:nilerr // it is the reason
	}
	f.Close()
	host, err := hostBoot()
	if err != nil {
		return accel{}, err
	}
	if known := c.remembered(); known.Host == host {
		return known, nil
	}
	if disk == "" {
		return accel{Why: "KVM has not been tried"}, nil
	}
	found := accel{KVM: true, Host: host}
	why, err := found.try(ctx, c.bound, c.dir, disk)
	if err != nil {
		return accel{}, fmt.Errorf("trying KVM with the kernel of %s: %w", disk, err)
	}
	if why != "" {
		found.KVM, found.Why = false, c.device+" opens, but a guest did not boot with it"+why
	}
	c.log.Info("tried KVM", "choice", found.String())
	return found, c.remember(found)
}

// remembered is empty when there is nothing to read: then KVM is tried again.
func (c chooser) remembered() accel {
	var a accel
	data, err := os.ReadFile(c.memory)
	if err != nil || json.Unmarshal(data, &a) != nil {
		return accel{}
	}
	return a
}

func (c chooser) remember(a accel) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(c.memory), 0o700), renameio.WriteFile(c.memory, data, 0o600)); err != nil {
		return fmt.Errorf("recording whether KVM works: %w", err)
	}
	return nil
}

// hostBoot names the present boot of this computer. Whether it can virtualize does not change within.
func hostBoot() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("asking for the id of the computer's boot: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// The guest of the trial computes its mark, because the kernel shows its command line on the console too.
const (
	trialArgs = `console=ttyS0 panic=-1 rdinit=/bin/sh -- -c "echo imgops-boots-$((6*7))"`
	trialMark = "imgops-boots-42"
)

// removeTrials removes the files of trials whose process was killed. One process at a time has the directory.
func removeTrials(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "trial-*"))
	for _, trial := range left {
		err = errors.Join(err, os.RemoveAll(trial))
	}
	return err
}

// try boots the disk's kernel with the accelerator and lets the shell of its initial RAM disk speak: if it does not within the bound, why says what was
// seen instead. The disk itself is not part of the machine. The files of the trial are in dir for its time.
func (a accel) try(ctx context.Context, bound time.Duration, dir, disk string) (why string, err error) {
	if dir, err = os.MkdirTemp(dir, "trial-"); err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	kernel, initrd := filepath.Join(dir, "kernel"), filepath.Join(dir, "initrd")
	if err := readKernel(ctx, disk, kernel, initrd); err != nil {
		return "", err
	}
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	args := append(a.command(), "-kernel", kernel, "-initrd", initrd, "-append", trialArgs, "-serial", "stdio", "-monitor", "none")
	cmd := exec.CommandContext(bounded, args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case strings.Contains(string(out), trialMark):
		return "", nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case bounded.Err() != nil:
		return fmt.Sprintf(" in %v", bound), nil
	default:
		return ": " + lastLine(out, err), nil
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
