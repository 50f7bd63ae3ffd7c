package machines

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// pools are where sandboxes take their /24 from.
var pools = []netip.Prefix{netip.MustParsePrefix("10.213.0.0/16"), netip.MustParsePrefix("10.187.0.0/16")}

// The addresses that EC2 gives to the services of the hypervisor.
const (
	metadataAddr = "169.254.169.254"
	resolverAddr = "169.254.169.253"
)

// MAC is the hardware address that a driver gives to the machine with this address.
func MAC(addr netip.Addr) string {
	a := addr.As4()
	return net.HardwareAddr{0x0a, 0xff, a[0], a[1], a[2], a[3]}.String()
}

// gateway is the first usable address of the prefix.
func gateway(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }

// linkPair are the two ends of the link between the host and the sandbox's router, taken from the range for benchmarks (RFC 2544) by the number
// of the prefix, so that no two sandboxes share them.
func linkPair(p netip.Prefix) (host, router netip.Addr) {
	a := p.Addr().As4()
	host = netip.AddrFrom4([4]byte{198, 19, a[2], a[1]})
	return host, host.Next()
}

// pickPrefix chooses a /24 that overlaps none of the used ones, starting at a place that depends on the seed, so that a sandbox that is
// down seldom loses its prefix to another one.
func pickPrefix(used []netip.Prefix, seed byte) (netip.Prefix, error) {
	for _, pool := range pools {
		for i := range 256 {
			a := pool.Addr().As4()
			a[2] = seed + byte(i)
			p := netip.PrefixFrom(netip.AddrFrom4(a), 24)
			if !overlapsAny(p, used) {
				return p, nil
			}
		}
	}
	return netip.Prefix{}, errors.New("no free /24 in 10.213.0.0/16 and 10.187.0.0/16: take down a sandbox or remove a route")
}

func overlapsAny(p netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		if p.Overlaps(u) {
			return true
		}
	}
	return false
}

// hostRoutes lists the IPv4 networks that this computer has routes to, less the broad ones (default, VPNs that claim all of 10.0.0.0/8), beside
// which a /24 of our own does no harm.
func hostRoutes() ([]netip.Prefix, error) {
	f, err := os.Open("/proc/thread-self/net/route")
	if err != nil {
		return nil, fmt.Errorf("listing the host's routes: %w", err)
	}
	defer f.Close()
	var routes []netip.Prefix
	s := bufio.NewScanner(f)
	for s.Scan() {
		if p, ok := parseRoute(s.Text()); ok && p.Bits() >= 12 {
			routes = append(routes, p)
		}
	}
	return routes, s.Err()
}

// parseRoute reads a line of /proc/net/route (proc_net(5)): interface, destination, gateway, ..., mask (field 8), addresses as little-endian hex.
func parseRoute(line string) (netip.Prefix, bool) {
	f := strings.Fields(line)
	if len(f) < 8 {
		return netip.Prefix{}, false
	}
	dest, err1 := strconv.ParseUint(f[1], 16, 32)
	mask, err2 := strconv.ParseUint(f[7], 16, 32)
	if err1 != nil || err2 != nil {
		return netip.Prefix{}, false
	}
	ones, _ := net.IPv4Mask(byte(mask), byte(mask>>8), byte(mask>>16), byte(mask>>24)).Size()
	addr := netip.AddrFrom4([4]byte{byte(dest), byte(dest >> 8), byte(dest >> 16), byte(dest >> 24)})
	return netip.PrefixFrom(addr, ones), true
}
