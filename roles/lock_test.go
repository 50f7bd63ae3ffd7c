package roles

import (
	"strings"
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
		"version: 1\nbases:\n<<<<<<< HEAD\n  a/b/c: {}\n=======\n>>>>>>> x\n": "imgops.lock:3:1: merge conflict marker; run `imgops update`, which joins the two sides",
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

// conflicted is what Git leaves of two files that differ in all lines but the common ones.
func conflicted(ours, theirs string) string {
	return lockHead + "\n<<<<<<< HEAD\n" + ours + "||||||| 1234567\nbases: {}\n=======\n" + theirs + ">>>>>>> theirs\n"
}

func TestMergeLock(t *testing.T) {
	mine, other := exampleLock(), exampleLock()
	mine.Set(LockedBase{Key: "a/x/arm64", Image: "x-1", IDs: map[string]string{"us-east-1": "ami-00000000000000009"}})
	mine.Set(LockedBase{Key: "b/y/x86_64", Image: "y-3", Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), IDs: map[string]string{"us-east-1": "ami-00000000000000005"}})
	mine.SetRefresh("web", time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC))
	mine.SetRefresh("a1", time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC))
	other.SetRefresh("db", time.Date(2026, 2, 4, 0, 0, 0, 0, time.UTC))
	other.SetRefresh("b1", time.Time{})
	want := mine
	want.Refresh = map[string]time.Time{"web": mine.Refresh["web"], "a1": mine.Refresh["a1"], "db": other.Refresh["db"], "b1": {}}
	ours, theirs := strings.TrimPrefix(string(mine.Encode()), lockHead), strings.TrimPrefix(string(other.Encode()), lockHead)
	for name, text := range map[string]string{
		"":          conflicted(ours, theirs),
		"reversed":  conflicted(theirs, ours),
		"one style": strings.Replace(conflicted(ours, theirs), "||||||| 1234567\nbases: {}\n", "", 1),
		"of DOS":    strings.ReplaceAll(conflicted(ours, theirs), "\n", "\r\n"),
	} {
		l, conflict, err := MergeLock([]byte(text), "imgops.lock")
		require.NoError(t, err, name)
		require.True(t, conflict)
		require.Equal(t, string(want.Encode()), string(l.Encode()), name)
	}
	_, conflict, err := MergeLock([]byte(exampleLockText), "imgops.lock")
	require.NoError(t, err)
	require.False(t, conflict)
	for _, bad := range []string{
		conflicted(ours, "refresh: {web: soon}\n"), conflicted(ours, theirs) + "=======\n", conflicted(ours, theirs) + "<<<<<<< HEAD\n",
		strings.Replace(conflicted(ours, theirs), "=======\n", "=======\n=======\n", 1),
	} {
		_, conflict, err = MergeLock([]byte(bad), "imgops.lock")
		require.True(t, conflict)
		var problems *ProblemsError
		require.ErrorAs(t, err, &problems)
	}
}

// FuzzMergeLock looks for a conflict that makes the merge panic, or a result that cannot be read.
func FuzzMergeLock(f *testing.F) {
	f.Add([]byte(conflicted("refresh: {a: never}\n", "refresh: {a: 2026-01-02, b: never}\n")))
	f.Add([]byte("<<<<<<< a\n=======\n>>>>>>> b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, conflict, err := MergeLock(data, "imgops.lock")
		if err != nil || !conflict {
			return
		}
		again, err := ReadLock(l.Encode(), "imgops.lock")
		require.NoError(t, err, "%s", l.Encode())
		require.Equal(t, l, again)
	})
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
