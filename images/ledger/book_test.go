package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/ledger"
)

const otherDigest = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

// told is the book of a role with three images: one was promoted, then two, then rolled back to one; three is new.
func told(t *testing.T) *ledger.Book {
	t.Helper()
	s := ledger.Spool{Dir: t.TempDir()}
	keep := func(e ledger.Entry, err error) {
		require.NoError(t, err)
		require.NoError(t, s.Put(e))
	}
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	for n, id := range []string{"ami-1", "ami-2", "ami-3"} {
		a := about("web", id)
		if n > 0 {
			a.Digest = otherDigest
		}
		commit := strings.Repeat(string(rune('a'+n)), 40)
		keep(ledger.Image{About: a, Commit: commit, BuiltAt: at(n)}.Entry())
	}
	moved := func(action, image, commit, before, after string, n int) {
		keep(ledger.Event{Fleet: "acme", Role: "web", Action: action, Image: image, Commit: commit, At: at(n),
			Pointers: []ledger.Pointer{{Account: "222222222222", Region: "us-east-1", Before: before, After: after}}}.Entry())
	}
	moved("promote", "ami-1", strings.Repeat("1", 40), "", "ami-copy1", 10)
	moved("promote", "ami-2", strings.Repeat("2", 40), "ami-copy1", "ami-copy2", 11)
	moved("rollback", "ami-1", "", "ami-copy2", "ami-copy1", 12)
	book, err := ledger.Ledger{Spool: s}.Book(t.Context(), "web")
	require.NoError(t, err)
	require.Empty(t, book.Problems)
	return book
}

func TestBook(t *testing.T) {
	b := told(t)
	require.Equal(t, []string{"ami-1", "ami-2"}, b.Defaults())
	require.Equal(t, "ami-copy1", b.Pointers()[0].After)
	held, ok := b.Held()
	require.True(t, ok)
	require.Equal(t, "rollback", held.Action)
	for word, want := range map[string]string{
		"default": "ami-1", "candidate": "ami-3", "ami-2": "ami-2", "ami-copy2": "ami-2", "0123456789ab": "ami-1", digest: "ami-1",
		"fedcba98": "ami-3", "aaaaaa": "ami-1", "222222": "ami-2",
	} {
		i, err := b.Named(word)
		require.NoError(t, err, word)
		require.Equal(t, want, i.Image, word)
	}
	for word, says := range map[string]string{
		"ami-9": "no such entry", "999999": "no such entry", "1": "6 digits or more", "yesterday": "neither",
	} {
		_, err := b.Named(word)
		require.ErrorContains(t, err, says, word)
	}
}

func TestCompare(t *testing.T) {
	read := func(change func(*ledger.Inventory)) ledger.Inventory {
		e := inventory(t, "web", "ami-1", change)
		r, err := ledger.Read(e.Path, e.Data)
		require.NoError(t, err)
		return *r.Inventory
	}
	before := read(nil)
	require.True(t, ledger.Compare(before, before).Empty())
	d := ledger.Compare(before, read(func(i *ledger.Inventory) {
		i.Packages = []ledger.Package{{Manager: "dpkg", Name: "nginx", Arch: "amd64", Version: "1.24"}, {Manager: "dpkg", Name: "curl", Arch: "amd64", Version: "7"}}
		i.Services = []ledger.Service{{Unit: "nginx.service", State: "disabled"}, {Unit: "app.service", State: "enabled"}}
		i.Etc = []ledger.File{{Path: "/etc/motd", Type: "file", Mode: "0600", Owner: "root", Group: "adm", Size: 4, Sum: "slow:bb"},
			{Path: "/etc/localtime", Type: "link", Mode: "0777", Owner: "root", Group: "root", Link: "/usr/share/zoneinfo/UTC"}}
	}))
	require.Equal(t, ledger.Difference{
		Packages: []ledger.Change{{Name: "bash", Change: "removed", Old: "5.2"}, {Name: "curl", Change: "added", New: "7"}, {Name: "nginx", Change: "changed", Old: "1.22", New: "1.24"}},
		Services: []ledger.Change{{Name: "app.service", Change: "added", New: "enabled"}, {Name: "nginx.service", Change: "changed", Old: "enabled", New: "disabled"}},
		Etc: []ledger.Change{
			{Name: "/etc/localtime", Change: "added", New: "link 0777 root:root -> /usr/share/zoneinfo/UTC"},
			{Name: "/etc/motd", Change: "changed", Old: "file 0644 root:root", New: "file 0600 root:adm", What: "content, mode, owner"},
			{Name: "/etc/nginx", Change: "removed", Old: "dir 0755 root:root"},
		},
	}, d)

	t.Log("what was recorded of one image only, or of none, is not compared")
	empty := read(func(i *ledger.Inventory) { i.Packages, i.Services, i.Etc = nil, nil, nil })
	none := ledger.Difference{Packages: []ledger.Change{}, Services: []ledger.Change{}, Etc: []ledger.Change{}, Unknown: []string{"packages", "etc", "services"}}
	require.Equal(t, none, ledger.Compare(before, empty))
	require.Equal(t, none, ledger.Compare(empty, before))
	require.Equal(t, none, ledger.Compare(empty, empty))
	d = ledger.Compare(before, read(func(i *ledger.Inventory) { i.Services, i.Packages = []ledger.Service{}, i.Packages[:1] }))
	require.Equal(t, []string{"services"}, d.Unknown)
	require.Equal(t, []ledger.Change{{Name: "bash", Change: "removed", Old: "5.2"}}, d.Packages)
	require.Empty(t, d.Etc)
	sizes := func(sum string, size int64) ledger.Inventory {
		return ledger.Inventory{Etc: []ledger.File{{Path: "/etc/motd", Type: "file", Mode: "0644", Owner: "root", Group: "root", Sum: sum, Size: size}}}
	}
	require.Empty(t, ledger.Compare(sizes("aa", 3), sizes("", 3)).Etc, "a sum that is not known says nothing")
	require.Equal(t, "content", ledger.Compare(sizes("aa", 3), sizes("", 4)).Etc[0].What)

	t.Log("several versions and architectures of a package")
	kernels := func(versions ...string) ledger.Inventory {
		var i ledger.Inventory
		for _, v := range versions {
			i.Packages = append(i.Packages, ledger.Package{Manager: "rpm", Name: "kernel", Arch: "x86_64", Version: v})
		}
		return i
	}
	require.Equal(t, []ledger.Change{{Name: "kernel", Change: "changed", Old: "5, 6", New: "6, 7"}}, ledger.Compare(kernels("6", "5"), kernels("7", "6")).Packages)
}

// TestConceal shows that the sum of a private file tells changes and does not tell the content cheaply.
func TestConceal(t *testing.T) {
	one, err := ledger.Conceal("/etc/app/secret", "aa")
	require.NoError(t, err)
	same, err := ledger.Conceal("/etc/app/secret", "aa")
	require.NoError(t, err)
	other, err := ledger.Conceal("/etc/app/secret", "bb")
	require.NoError(t, err)
	elsewhere, err := ledger.Conceal("/etc/app/other", "aa")
	require.NoError(t, err)
	require.Equal(t, one, same)
	require.NotEqual(t, one, other)
	require.NotEqual(t, one, elsewhere)
	require.True(t, ledger.Private(0o640))
	require.False(t, ledger.Private(0o644))
}

// TestCompareLeavesOutWhatAMachineWrites has two machines of the same recipe, each with its own name, keys and network.
func TestCompareLeavesOutWhatAMachineWrites(t *testing.T) {
	file := func(path, sum, mode string) ledger.File {
		return ledger.File{Path: path, Type: "file", Mode: mode, Owner: "root", Group: "root", Size: int64(len(sum)), Sum: sum}
	}
	var a, b ledger.Inventory
	for _, path := range []string{"/etc/hostname", "/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub", "/etc/resolv.conf", "/etc/netplan/50-cloud-init.yaml"} {
		a.Etc, b.Etc = append(a.Etc, file(path, "a", "0644")), append(b.Etc, file(path, "bb", "0644"))
	}
	require.True(t, ledger.Compare(a, b).Empty(), ledger.Compare(a, b))

	t.Log("what the recipe does is still seen: their modes and that they are there, and the content of all else")
	a.Etc[0].Mode = "0600"
	a.Etc = append(a.Etc, file("/etc/fstab", "a", "0644"), file("/etc/hosts", "a", "0644"), file("/etc/ssh/ssh_host_rsa_key", "a", "0600"), file("/etc/ssh/sshd_config", "a", "0644"))
	b.Etc = append(b.Etc, file("/etc/fstab", "b", "0644"), file("/etc/hosts", "b", "0644"), file("/etc/ssh/sshd_config", "b", "0644"))
	var names []string
	for _, c := range ledger.Compare(a, b).Etc {
		names = append(names, c.Name+" "+c.Change+" "+c.What)
	}
	require.Equal(t, []string{"/etc/fstab changed content", "/etc/hostname changed mode", "/etc/hosts changed content", "/etc/ssh/ssh_host_rsa_key removed ", "/etc/ssh/sshd_config changed content"}, names)
}
