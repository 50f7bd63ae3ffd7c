package machines

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPickPrefix(t *testing.T) {
	p := netip.MustParsePrefix
	for _, tc := range []struct {
		name string
		used []netip.Prefix
		seed byte
		want string
	}{
		{"by the seed", nil, 7, "10.213.7.0/24"},
		{"the next one when it is taken", []netip.Prefix{p("10.213.7.0/24")}, 7, "10.213.8.0/24"},
		{"a part of it is taken", []netip.Prefix{p("10.213.7.128/25")}, 7, "10.213.8.0/24"},
		{"around the end", []netip.Prefix{p("10.213.255.0/24")}, 255, "10.213.0.0/24"},
		{"the other pool", []netip.Prefix{p("10.213.0.0/16")}, 7, "10.187.7.0/24"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := pickPrefix(tc.used, tc.seed)
			require.NoError(t, err)
			require.Equal(t, tc.want, got.String())
		})
	}
	_, err := pickPrefix(pools, 0)
	require.ErrorContains(t, err, "no free")
}

func TestParseRoute(t *testing.T) {
	for line, want := range map[string]string{
		"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0": "0.0.0.0/0",
		"eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0": "192.0.2.0/24",
		"wg0\t0000D50A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0":  "10.213.0.0/16",
	} {
		got, ok := parseRoute(line)
		require.True(t, ok, line)
		require.Equal(t, want, got.String())
	}
	for _, line := range []string{"", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT", "a b c"} {
		_, ok := parseRoute(line)
		require.False(t, ok, line)
	}
}

func FuzzParseRoute(f *testing.F) {
	f.Add("eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0")
	f.Fuzz(func(_ *testing.T, line string) { parseRoute(line) })
}

// The links and hardware addresses of two sandboxes never meet.
func TestAddressesAreDistinct(t *testing.T) {
	seen := map[netip.Addr]bool{}
	for _, pool := range pools {
		for i := range 256 {
			a := pool.Addr().As4()
			a[2] = byte(i)
			host, router := linkPair(netip.PrefixFrom(netip.AddrFrom4(a), 24))
			require.False(t, seen[host] || seen[router])
			seen[host], seen[router] = true, true
		}
	}
	require.Equal(t, "0a:ff:0a:d5:00:05", MAC(netip.MustParseAddr("10.213.0.5")))
	require.Equal(t, "10.213.9.1", gateway(netip.MustParsePrefix("10.213.9.0/24")).String())
}

func TestParseCgroupMount(t *testing.T) {
	for _, tc := range []struct {
		line, controller, mount string
		ok                      bool
	}{
		{"30 24 0:26 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw", "", "/sys/fs/cgroup/unified", true},
		{"31 24 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd", "name=systemd", "/sys/fs/cgroup/systemd", true},
		{"31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu", "", "", false},
		{"31 24 0:27 / /proc rw - proc proc rw", "", "", false},
		{"rubbish", "", "", false},
	} {
		controller, mount, ok := parseCgroupMount(tc.line)
		require.Equal(t, tc.ok, ok, tc.line)
		require.Equal(t, tc.controller, controller)
		require.Equal(t, tc.mount, mount)
	}
}

func TestCommand(t *testing.T) {
	d := &Nspawn{keeper: &keeper{dir: "/d"}, net: &network{Namespace: "imgops-1"}}
	m := Machine{ID: "i-1", Disk: "/disk", Address: netip.MustParseAddr("10.213.0.5"), Name: "ip-10-213-0-5"}
	args := d.command(m, []string{"/cg/i-1"})
	require.Equal(t, "unshare", args[0])
	i := slices.Index(args, "imgops-machine")
	require.Equal(t, []string{"/disk", "/d/machines/i-1.root", "/d/machines/i-1.uuid", "/d/machines/i-1.volumes", "/d/machines/i-1.binds", "/d/machines/i-1.nodes", "/cg/i-1", "--", "systemd-nspawn"}, args[i+1:i+10])
	require.Contains(t, args, "--network-namespace-path=/run/netns/imgops-1-i-1")

	d.host.systemd = true
	args = d.command(m, nil)
	require.Equal(t, []string{"systemd-run", "--quiet", "--scope", "--property=Delegate=yes"}, args[:4])
	require.Equal(t, "ec201234-5678-9abc-def0-000000000000\n", hypervisorUUID(Machine{ID: "i-0123456789abcdef"}))
}

func TestProcess(t *testing.T) {
	self := newProcess(os.Getpid())
	require.True(t, self.alive())
	require.False(t, process{}.alive())
	require.False(t, process{Pid: self.Pid, Start: self.Start + 1}.alive(), "another process with the same pid")
	s, err := readStatus(os.Getpid())
	require.NoError(t, err)
	require.Equal(t, os.Getppid(), s.parent)
	require.Empty(t, findProcesses("/no/such/argument"))
}

func TestRuleset(t *testing.T) {
	n := &network{Prefix: netip.MustParsePrefix("10.213.9.0/24")}
	rules := n.ruleset()
	require.Contains(t, rules, "snat to 10.213.9.1")
	require.Equal(t, strings.Count(rules, "{"), strings.Count(rules, "}"))
}
