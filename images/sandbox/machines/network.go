package machines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"golang.org/x/sys/unix"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// network is the sandbox's own: a router namespace and one link from the host to it. It is recorded in Dir before anything is made.
type network struct {
	Name      string       `json:"name"`      // of the sandbox
	Prefix    netip.Prefix `json:"prefix"`    // of the machines
	Namespace string       `json:"namespace"` // of the router; the machines' ones begin with it
	Link      string       `json:"link"`      // the host's end, at most 15 characters
	Slirp     process      `json:"slirp"`     // the way out

	dir string
}

const netnsDir = "/run/netns"

func netnsPath(name string) string { return filepath.Join(netnsDir, name) }

// openNetwork reads the record, or chooses a free prefix and writes it.
func openNetwork(ctx context.Context, dir, id, name string) (*network, error) {
	n := &network{Name: name, Namespace: "imgops-" + id, Link: "imgops-" + id, dir: dir}
	data, err := os.ReadFile(n.path())
	switch {
	case err == nil:
		if err := json.Unmarshal(data, n); err != nil {
			return nil, fmt.Errorf("reading %s (remove it when the sandbox is down): %w", n.path(), err)
		}
		return n, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	used, err := hostRoutes()
	if err != nil {
		return nil, err
	}
	var seed byte
	_, _ = fmt.Sscanf(id[:2], "%02x", &seed)
	if n.Prefix, err = pickPrefix(used, seed); err != nil {
		return nil, err
	}
	return n, n.save()
}

func (n *network) path() string { return filepath.Join(n.dir, "network.json") }

func (n *network) save() error {
	data, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(n.path(), data)
}

// writeFile replaces the file as a whole. It does not sync: the records guard against a killed process, and what they tell of does not survive the
// computer's crash either.
func writeFile(path string, data []byte) error {
	temp := path + ".tmp"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// up makes the network. One that is there and whole is kept; one that is not is made anew, unless machines hang on it, which need it as it is.
func (n *network) up(ctx context.Context, inUse bool) error {
	if _, err := os.Stat(netnsPath(n.Namespace)); err == nil {
		if n.Slirp.alive() && linkExists(n.Link) {
			return nil
		}
		if inUse {
			return n.repair(ctx)
		}
	}
	if err := n.down(ctx); err != nil {
		return err
	}
	if err := n.make(ctx); err != nil {
		return errors.Join(fmt.Errorf("making the sandbox's network %s: %w", n.Prefix, err), n.down(context.WithoutCancel(ctx)))
	}
	return nil
}

func (n *network) make(ctx context.Context) error {
	// Between looking at the routes and adding one, no other sandbox may do the same.
	unlock, err := waitLock(ctx, "/run/imgops-network.lock")
	if err != nil {
		return err
	}
	defer unlock()
	if err := n.settlePrefix(); err != nil {
		return err
	}
	if err := run(ctx, "", "ip", "netns", "add", n.Namespace); err != nil {
		return err
	}
	if err := inNetns(netnsPath(n.Namespace), routerSysctls); err != nil {
		return err
	}
	if err := run(ctx, n.routerBatch(), "ip", "-n", n.Namespace, "-batch", "-"); err != nil {
		return err
	}
	if err := n.connectHost(ctx); err != nil {
		return err
	}
	if err := run(ctx, n.ruleset(), "nsenter", "--net="+netnsPath(n.Namespace), "nft", "-f", "-"); err != nil {
		return err
	}
	return n.startSlirp(ctx)
}

// settlePrefix looks again whether the prefix is free.
func (n *network) settlePrefix() error {
	used, err := hostRoutes()
	if err != nil {
		return err
	}
	if overlapsAny(n.Prefix, used) {
		return fmt.Errorf("this computer has another route to %s: remove it, or reset the sandbox to get another network", n.Prefix)
	}
	return nil
}

// repair brings back what a machine's network can lose while it runs: the way out and the link to the host.
func (n *network) repair(ctx context.Context) error {
	if !linkExists(n.Link) {
		if err := n.connectHost(ctx); err != nil {
			return fmt.Errorf("connecting the host to the sandbox's network: %w", err)
		}
	}
	if n.Slirp.alive() {
		return nil
	}
	return n.startSlirp(ctx)
}

func routerSysctls() error {
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}

// mtu is that of EC2's network (jumbo frames), which also makes slirp4netns several times faster than 1500 does.
const mtu = 9001

// routerBatch makes the machines' side of the router.
func (n *network) routerBatch() string {
	return fmt.Sprintf(`link set lo up
link add br0 mtu %d type bridge stp_state 0 forward_delay 0
addr add %s/%d dev br0
addr add %s/32 dev br0
addr add %s/32 dev br0
link set br0 up
`, mtu, gateway(n.Prefix), n.Prefix.Bits(), metadataAddr, resolverAddr)
}

// connectHost makes the link by which the host reaches the machines, and the route.
func (n *network) connectHost(ctx context.Context) error {
	host, router := linkPair(n.Prefix)
	hostBatch := fmt.Sprintf(`link add %[1]s mtu %[2]d type veth peer name host0 mtu %[2]d netns %[3]s
addr add %[4]s/32 peer %[5]s dev %[1]s
link set %[1]s up
`, n.Link, mtu, n.Namespace, host, router)
	if err := run(ctx, hostBatch, "ip", "-batch", "-"); err != nil {
		return err
	}
	routerBatch := fmt.Sprintf("addr add %s/32 peer %s dev host0\nlink set host0 up\n", router, host)
	if err := run(ctx, routerBatch, "ip", "-n", n.Namespace, "-batch", "-"); err != nil {
		return err
	}
	return run(ctx, "", "ip", "route", "add", n.Prefix.String(), "via", router.String(), "dev", n.Link)
}

// ruleset of the router: machines reach the outside, the metadata service and the resolver; the host reaches the machines, and appears to them as
// the gateway; other sandboxes are out of reach.
func (n *network) ruleset() string {
	return fmt.Sprintf(`table ip imgops {
	chain prerouting {
		type nat hook prerouting priority dstnat
		ip daddr %[1]s udp dport 53 dnat to %[2]s
		ip daddr %[1]s tcp dport 53 dnat to %[2]s
	}
	chain postrouting {
		type nat hook postrouting priority srcnat
		oifname "tap0" masquerade
		iifname "host0" oifname "br0" snat to %[3]s
	}
	chain forward {
		type filter hook forward priority filter; policy drop
		ct state established,related accept
		iifname "host0" oifname "br0" accept
		iifname "br0" oifname "br0" accept
		iifname "br0" oifname "tap0" ip daddr { %[4]s } drop
		iifname "br0" oifname "tap0" accept
	}
	chain input {
		type filter hook input priority filter; policy drop
		ct state established,related accept
		iifname { "lo", "host0" } accept
		ip protocol icmp accept
		iifname "br0" ip daddr %[5]s tcp dport 80 accept
	}
}
`, resolverAddr, slirpDNS, gateway(n.Prefix), joinPrefixes(append(pools, slirpOthers...)), metadataAddr)
}

func joinPrefixes(all []netip.Prefix) string {
	words := make([]string, len(all))
	for i, p := range all {
		words[i] = p.String()
	}
	return strings.Join(words, ", ")
}

// down removes the network and all that machines may have left of theirs; what is not there is no error.
func (n *network) down(ctx context.Context) error {
	errs := []error{n.Slirp.kill(ctx)}
	for _, p := range findProcesses(netnsPath(n.Namespace)) { // one that was not recorded any more
		errs = append(errs, p.kill(ctx))
	}
	if linkExists(n.Link) {
		errs = append(errs, run(ctx, "", "ip", "link", "delete", n.Link))
	}
	left, err := filepath.Glob(netnsPath(n.Namespace) + "*")
	errs = append(errs, err)
	for _, path := range left {
		errs = append(errs, run(ctx, "", "ip", "netns", "delete", filepath.Base(path)))
	}
	if n.Slirp != (process{}) {
		n.Slirp = process{}
		errs = append(errs, n.save())
	}
	return errors.Join(errs...)
}

func linkExists(name string) bool {
	_, err := os.Stat("/sys/class/net/" + name)
	return err == nil
}

// waitLock takes the exclusive lock on path. It is held for a fraction of a second, so a blocking wait in a goroutine is enough.
func waitLock(ctx context.Context, path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	got := make(chan error, 1)
	go func() { got <- unix.Flock(int(f.Fd()), unix.LOCK_EX) }()
	select {
	case err := <-got:
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		return func() { f.Close() }, nil
	case <-ctx.Done():
		go func() { <-got; f.Close() }() //nolint:errcheck // nobody waits for the lock any more
		return nil, ctx.Err()
	}
}
