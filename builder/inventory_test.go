package builder

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/images/machine/machinetest"
)

// TestInventoryOfThisMachine runs the listing where the test runs, without the cleaning.
func TestInventoryOfThisMachine(t *testing.T) {
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		t.Skip("this machine has no dpkg")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-s")
	cmd.Stdin = strings.NewReader("set +eu\nboundary=here\n" + inventoryScript)
	out, err := cmd.Output()
	require.NoError(t, err)
	inv, err := parseInventory(out, "here")
	require.NoError(t, err)
	version, err := exec.CommandContext(t.Context(), "dpkg-query", "-W", "-f", "${Version}", "dpkg").Output()
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(inv.Packages, func(p ledger.Package) bool {
		return p.Manager == "dpkg" && p.Name == "dpkg" && p.Version == string(version) && p.Arch != ""
	}))
	data, err := os.ReadFile("/etc/passwd")
	require.NoError(t, err)
	sum := sha256.Sum256(data)
	at := slices.IndexFunc(inv.Etc, func(f ledger.File) bool { return f.Path == "/etc/passwd" })
	require.GreaterOrEqual(t, at, 0)
	require.Equal(t, ledger.File{Path: "/etc/passwd", Type: "file", Mode: "0644", Owner: "root", Group: "root", Size: int64(len(data)), Sum: hex.EncodeToString(sum[:])}, inv.Etc[at])
	_, err = inv.Entry()
	require.NoError(t, err)
}

func TestParseInventory(t *testing.T) {
	good := "noise\n\nB dpkg\nnginx\tamd64\t1.22-3\tinstalled\ngone\tamd64\t1\tconfig-files\n\nB rpm\nkernel\tx86_64\t1:6.1-2\tinstalled\n" +
		"\nB units\nssh.service enabled enabled\nodd.service masked\nsession-1.scope transient -\nrc-local.service generated -\n\nB etc\nf\x00640\x00root\x00adm\x005\x00/etc/a\nb\x00\x00" + "l\x00777\x00root\x00root\x009\x00/etc/l\x00../x\x00s\x00777\x00root\x00root\x000\x00/etc/s\x00\x00" +
		"\nB sums\naa  /etc/a\nb\x00\nB end\n"
	inv, err := parseInventory([]byte(good), "B")
	require.NoError(t, err)
	require.Equal(t, []ledger.Package{{Manager: "dpkg", Name: "nginx", Arch: "amd64", Version: "1.22-3"}, {Manager: "rpm", Name: "kernel", Arch: "x86_64", Version: "1:6.1-2"}}, inv.Packages)
	require.Equal(t, []ledger.Service{{Unit: "ssh.service", State: "enabled"}, {Unit: "odd.service", State: "masked"}}, inv.Services)
	slow, err := ledger.Conceal("/etc/a\nb", "aa")
	require.NoError(t, err)
	require.Equal(t, []ledger.File{
		{Path: "/etc/a\nb", Type: "file", Mode: "0640", Owner: "root", Group: "adm", Size: 5, Sum: slow},
		{Path: "/etc/l", Type: "link", Mode: "0777", Owner: "root", Group: "root", Link: "../x"},
		{Path: "/etc/s", Type: "other", Mode: "0777", Owner: "root", Group: "root"},
	}, inv.Etc)
	for _, bad := range []string{"", "nothing", good[:len(good)-4], strings.Replace(good, "640", "rwx", 1)} {
		_, err := parseInventory([]byte(bad), "B")
		require.Error(t, err)
	}
}

// FuzzParseInventory feeds the reader what a machine could print.
func FuzzParseInventory(f *testing.F) {
	f.Add([]byte("\nB dpkg\nnginx\tamd64\t1\tinstalled\n\nB etc\nf\x00644\x00root\x00root\x005\x00/etc/a\x00\x00\nB sums\naa  /etc/a\x00\nB end\n"))
	f.Add([]byte("\nB units\nssh.service enabled\n\nB end\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		if inv, err := parseInventory(out, "B"); err == nil {
			_, err = inv.Entry()
			require.NoError(t, err)
		}
	})
}

// TestBuildTellsInventory has the listing come from the cleaning's own shell, and a bad one be told and harm nothing.
func TestBuildTellsInventory(t *testing.T) {
	for name, whole := range map[string]bool{"whole": true, "cut off": false} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, shellFleet)
			l.server.Exec = func(c machinetest.Command) int {
				in, _ := io.ReadAll(c.Stdin)
				if !strings.Contains(c.Line, "sh -s --") {
					return 0
				}
				require.Contains(t, string(in), cleanScript)
				_, boundary, _ := strings.Cut(string(in), "\nboundary=")
				boundary, _, _ = strings.Cut(boundary, "\n")
				_, _ = io.WriteString(c.Stdout, "\n"+boundary+" dpkg\nnginx\tamd64\t1.22\tinstalled\n")
				if whole {
					_, _ = io.WriteString(c.Stdout, "\n"+boundary+" end\n")
				}
				return 0
			}
			var told images.Image
			var inv ledger.Inventory
			var toldErr error
			l.req.Inventory = func(img images.Image, i ledger.Inventory, err error) { told, inv, toldErr = img, i, err }
			img, err := l.builder.Build(t.Context(), l.req)
			require.NoError(t, err)
			require.Equal(t, img.ID, told.ID)
			if whole {
				require.NoError(t, toldErr)
				require.Len(t, inv.Packages, 1)
			} else {
				require.ErrorContains(t, toldErr, "is not whole")
			}
		})
	}
}
