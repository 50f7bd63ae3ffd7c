package machines

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imgops/imgops/images/sandbox/imds"
)

// loopbackPool is where sandboxes with qemu machines take their /24 from. All of 127.0.0.0/8 is this computer's own on Linux.
var loopbackPool = netip.MustParsePrefix("127.213.0.0/16")

// metadataPort is where the metadata service listens, on the gateway address of the sandbox's prefix. That it is always the same makes the
// machines of a killed server find the next one, and two sandboxes collide that have chosen the same prefix.
const metadataPort = 16925

// openNetwork takes the sandbox's prefix from the file and listens in it, or chooses one that nobody has and writes it. Whoever listens on its
// metadata address has it.
func (d *QEMU) openNetwork(ctx context.Context, path string) error {
	var n struct {
		Prefix netip.Prefix `json:"prefix"`
	}
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &n); err != nil {
			return fmt.Errorf("reading %s (remove it when the sandbox is down): %w", path, err)
		}
		d.prefix = n.Prefix
		return d.up(ctx)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	used, err := listeners()
	if err != nil {
		return err
	}
	seed, err := strconv.ParseUint(d.id[:2], 16, 8)
	if err != nil {
		return err
	}
	for { // pickLoopback ends it
		if d.prefix, err = pickLoopback(used, byte(seed)); err != nil {
			return err
		}
		if err = d.up(ctx); !errors.Is(err, unix.EADDRINUSE) {
			break
		}
		used = append(used, gateway(d.prefix)) // another sandbox was just as quick
	}
	if err != nil {
		return err
	}
	n.Prefix = d.prefix
	if data, err = json.Marshal(n); err != nil {
		return err
	}
	return writeFile(path, data)
}

// pickLoopback chooses a /24 with none of the addresses in it, beginning at a place that depends on the seed.
func pickLoopback(used []netip.Addr, seed byte) (netip.Prefix, error) {
	for i := range 256 {
		a := loopbackPool.Addr().As4()
		a[2] = seed + byte(i)
		p := netip.PrefixFrom(netip.AddrFrom4(a), 24)
		if !slices.ContainsFunc(used, p.Contains) {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("no free /24 in %s: take down a sandbox", loopbackPool)
}

// listeners are the IPv4 addresses on which somebody listens on this computer.
func listeners() ([]netip.Addr, error) {
	f, err := os.Open("/proc/thread-self/net/tcp")
	if err != nil {
		return nil, fmt.Errorf("listing who listens: %w", err)
	}
	defer f.Close()
	var all []netip.Addr
	s := bufio.NewScanner(f)
	for s.Scan() {
		if a, ok := parseListener(s.Text()); ok {
			all = append(all, a)
		}
	}
	return all, s.Err()
}

// parseListener reads a line of /proc/net/tcp: number, address:port in little-endian hex, peer, state (0A is LISTEN).
func parseListener(line string) (netip.Addr, bool) {
	f := strings.Fields(line)
	if len(f) < 4 || f[3] != "0A" {
		return netip.Addr{}, false
	}
	word, _, _ := strings.Cut(f[1], ":")
	raw, err := hex.DecodeString(word)
	if err != nil || len(raw) != 4 {
		return netip.Addr{}, false
	}
	slices.Reverse(raw)
	return netip.AddrFrom4([4]byte(raw)), true
}

func (d *QEMU) metadataAddr() netip.AddrPort {
	return netip.AddrPortFrom(gateway(d.prefix), metadataPort)
}

// serveMetadata answers the pipes, which connect from their machine's address.
func (d *QEMU) serveMetadata() (*http.Server, error) {
	l, err := net.Listen("tcp4", d.metadataAddr().String())
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler: d.meta, ConnContext: imds.ConnContext, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	go func() { _ = server.Serve(l) }() // ends by Close
	return server, nil
}

// Pipe connects a machine with the metadata service of its sandbox, from the machine's address, by which the service knows who asks. QEMU runs
// it (QEMUOptions.Pipe) with the machine's connection as in and out. It returns when the service has closed the connection, or there is none.
func Pipe(ctx context.Context, from, to string, in io.Reader, out io.Writer) error {
	source, err1 := netip.ParseAddr(from)
	target, err2 := netip.ParseAddrPort(to)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("the pipe of a machine's metadata wants its address and that of the service: %w", err)
	}
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0)), Timeout: 10 * time.Second}
	c, err := dialer.DialContext(ctx, "tcp4", target.String())
	if err != nil {
		return fmt.Errorf("connecting to the metadata service: %w", err)
	}
	defer c.Close() //nolint:errcheck // all has been said
	go func() {
		_, _ = io.Copy(c, in)
		_ = c.(*net.TCPConn).CloseWrite() // the machine has nothing more to ask
	}()
	if _, err := io.Copy(out, c); err != nil {
		return fmt.Errorf("passing on the metadata service's answer: %w", err)
	}
	return nil
}
