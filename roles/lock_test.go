package roles

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func exampleLock() Lock {
	var l Lock
	l.Set(LockedBase{Key: "b/y/x86_64", Image: "y-2", IDs: map[string]string{"us-east-1": "ami-00000000000000002"}})
	l.Set(LockedBase{
		Key: "136693071363/debian-12-amd64-*/x86_64", Image: `debian-12-amd64-20251117 "x": #`, Created: time.Date(2025, 11, 17, 1, 2, 3, 9, time.FixedZone("", 3600)),
		IDs: map[string]string{"us-east-1": "ami-00000000000000001", "eu-west-1": "ami-00000000000000003"},
	})
	l.SetRefresh("web", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
	l.SetRefresh("db", time.Time{})
	return l
}

const exampleLockText = lockHead + `
bases:
  "136693071363/debian-12-amd64-*/x86_64":
    image: "debian-12-amd64-20251117 \"x\": #"
    created: 2025-11-17T00:02:03Z
    ids:
      eu-west-1: ami-00000000000000003
      us-east-1: ami-00000000000000001

  "b/y/x86_64":
    image: "y-2"
    ids:
      us-east-1: ami-00000000000000002

refresh:
  "db": never

  "web": 2026-01-02T03:04:05Z
`

func TestLock(t *testing.T) {
	l := exampleLock()
	require.Equal(t, exampleLockText, string(l.Encode()))
	read, err := ReadLock(l.Encode(), "imgops.lock")
	require.NoError(t, err)
	require.Equal(t, l, read)
	require.Equal(t, Pins{"136693071363/debian-12-amd64-*/x86_64": "ami-00000000000000003"}, l.Pins("eu-west-1"))
	require.Empty(t, l.Pins("us-west-2"))

	l.Set(LockedBase{Key: "b/y/x86_64", Image: "y-3"})
	b, ok := l.Base("b/y/x86_64")
	require.True(t, ok)
	require.Equal(t, "y-3", b.Image)
	require.Len(t, l.Bases, 2)
	_, ok = l.Base("none")
	require.False(t, ok)

	empty, err := ReadLock(nil, "imgops.lock")
	require.NoError(t, err)
	require.Empty(t, empty.Bases)
	read, err = ReadLock(empty.Encode(), "imgops.lock")
	require.NoError(t, err)
	require.Equal(t, empty, read)
}

func TestLockFit(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	l := exampleLock()
	l.SetRefresh("gone", time.Now())
	l.Fit(r.load())
	require.Len(t, l.Bases, 1)
	require.Contains(t, l.Refresh, "web")
	require.NotContains(t, l.Refresh, "gone")
}

func TestLockProblems(t *testing.T) {
	for text, want := range map[string]string{
		"version: 1\nbases:\n<<<<<<< HEAD\n  a/b/c: {}\n=======\n>>>>>>> x\n": "imgops.lock:3:1: merge conflict marker; keep either side, run `imgops update`",
		"version: 2\n":                        "imgops.lock:1:10: version 2 is newer",
		"bases: {}\n":                         `imgops.lock:1:1: imgops.lock has no "version"`,
		"version: 1\nbases: {x: {ids: {}}}\n": `imgops.lock:2:9: "x" is not a base;`,
		"version: 1\nbases: {a/b/c: {ids: {us-east-1: x}}}\n":             `imgops.lock:2:34: image id "x" is not an image id;`,
		"version: 1\nbases: {a/b/c: {ids: {}}, a/b/c: {ids: {}}}\n":       `imgops.lock:2:27: bases has "a/b/c" twice;`,
		"version: 1\nrefresh: {web: soon}\n":                              `imgops.lock:2:16: refresh must be a time, not "soon";`,
		"version: 1\nbases: {a/b/c: {ids: {us-east-1: a, us-east-1: b}}}": "imgops.lock:2:",
	} {
		_, err := ReadLock([]byte(text), "imgops.lock")
		var problems *ProblemsError
		require.ErrorAs(t, err, &problems, text)
		require.Contains(t, err.Error(), want)
	}
}

// FuzzLock looks for a lock that does not survive being written and read.
func FuzzLock(f *testing.F) {
	f.Add([]byte(exampleLockText))
	f.Add([]byte("version: 1\nbases: {\"a/\\t\\u0085/c\": {ids: {}}}\nrefresh: {web: 2026-01-02}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ReadLock(data, "imgops.lock")
		if err != nil {
			return
		}
		again, err := ReadLock(l.Encode(), "imgops.lock")
		require.NoError(t, err, "%s", l.Encode())
		require.Equal(t, l, again)
	})
}

// FuzzIndex looks for an index that makes the parser panic.
func FuzzIndex(f *testing.F) {
	f.Add([]byte("DIRC\x00\x00\x00\x02\x00\x00\x00\x01"), uint32(2))
	f.Add(make([]byte, 200), uint32(4))
	f.Fuzz(func(t *testing.T, data []byte, version uint32) {
		previous := "some/path"
		for range 3 {
			e, size, err := parseEntry(string(data), 2+version%3, previous)
			if err != nil {
				return
			}
			require.LessOrEqual(t, size, len(data))
			data, previous = data[size:], e.path
		}
		_, _ = readExtensions(string(data))
		set, _, _ := ewahBits(data, 100)
		for _, at := range set {
			require.Less(t, at, 100)
		}
		_, _ = parseIndex("DIRC\x00\x00\x00\x02" + string(data))
	})
}
