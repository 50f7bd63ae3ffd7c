package machines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// tools maps each program that nspawn machines need to its Debian package.
var tools = [][2]string{
	{"systemd-nspawn", "systemd-container"}, {"slirp4netns", "slirp4netns"}, {"nft", "nftables"}, {"ip", "iproute2"},
	{"unshare", "util-linux"}, {"nsenter", "util-linux"}, {"mount", "mount"},
}

// Probe says in one line why this computer cannot run nspawn machines and how to change that; nil when it can.
func Probe() error {
	if runtime.GOOS != "linux" {
		return errors.New("nspawn machines need Linux")
	}
	if os.Geteuid() != 0 {
		return errors.New("nspawn machines need root: run it with sudo")
	}
	var missing, install []string
	for _, t := range tools {
		if _, err := exec.LookPath(t[0]); err != nil {
			missing = append(missing, t[0])
			if !slices.Contains(install, t[1]) { // several programs can be in one package
				install = append(install, t[1])
			}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("nspawn machines need %s: apt-get install %s", strings.Join(missing, ", "), strings.Join(install, " "))
	}
	for _, dev := range []string{"/dev/loop-control", "/dev/net/tun"} {
		if _, err := os.Stat(dev); err != nil {
			return fmt.Errorf("nspawn machines need %s: load its kernel module (modprobe loop tun)", dev)
		}
	}
	return nil
}

// run executes a program with the given standard input; the error holds what it wrote. The program dies with this process, so that nothing is
// made behind the back of the next one.
func run(ctx context.Context, stdin, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(out.String()))
	}
	return nil
}
