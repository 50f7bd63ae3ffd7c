package machines

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// The addresses inside slirp4netns are from the range for benchmarks (RFC 2544): its default, 10.0.2.0/24, is in real use in many places, which the
// machines could then not reach.
const (
	slirpNet = "198.18.255.0/24"
	slirpDNS = "198.18.255.3"
)

// slirpOthers are networks that exist on the host for sandboxes only: the ends of their links.
var slirpOthers = []netip.Prefix{netip.MustParsePrefix("198.19.0.0/16")}

// startSlirp starts the user-mode network stack as tap0 of the router, waits until it is set up, and records it. It runs on when this
// process ends; down kills it.
func (n *network) startSlirp(ctx context.Context) error {
	ready, readyW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	defer readyW.Close()
	log, err := os.Create(filepath.Join(n.dir, "slirp4netns.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	// Its sandbox unmounts /run/netns, which would reach the host: hence a mount namespace of our own making around it.
	cmd := exec.Command("unshare", "--mount", "--propagation=private", "slirp4netns", "--configure", "--mtu=65520", "--cidr="+slirpNet, "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp",
		"--ready-fd=3", "--netns-type=path", netnsPath(n.Namespace), "tap0")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{readyW}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting slirp4netns: %w", err)
	}
	go func() { _ = cmd.Wait() }() // the reaper; whether it lives is asked by its recorded start
	n.Slirp = newProcess(cmd.Process.Pid)
	if err := n.save(); err != nil {
		return err
	}
	_ = readyW.Close()
	stop := context.AfterFunc(ctx, func() { _ = ready.Close() })
	defer stop()
	if got, _ := ready.Read(make([]byte, 1)); got == 0 {
		out, _ := os.ReadFile(log.Name())
		return fmt.Errorf("slirp4netns did not start: %s", out)
	}
	return nil
}
