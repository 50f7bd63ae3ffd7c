package ledger_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/ledger"
)

func image(t *testing.T, role, id string, built time.Time) ledger.Entry {
	t.Helper()
	i := ledger.Image{About: about(role, id), Name: "acme-" + role, Commit: "c0ffee" + strings.Repeat("0", 34), Base: "ami-base", BuiltAt: built,
		Tools: map[string]string{"imgops": "1.0", "ansible-core": "2.14"}, Components: []ledger.Component{{Name: "base", Value: "ami-base"}}}
	e, err := i.Entry()
	require.NoError(t, err)
	return e
}

func inventory(t *testing.T, role, id string, change func(*ledger.Inventory)) ledger.Entry {
	t.Helper()
	i := ledger.Inventory{
		About:    about(role, id),
		Packages: []ledger.Package{{Manager: "dpkg", Name: "nginx", Arch: "amd64", Version: "1.22"}, {Manager: "dpkg", Name: "bash", Arch: "amd64", Version: "5.2"}},
		Services: []ledger.Service{{Unit: "nginx.service", State: "enabled"}},
		Etc: []ledger.File{{Path: "/etc/nginx", Type: "dir", Mode: "0755", Owner: "root", Group: "root"},
			{Path: "/etc/motd", Type: "file", Mode: "0644", Owner: "root", Group: "root", Size: 3, Sum: "aa"}},
	}
	if change != nil {
		change(&i)
	}
	e, err := i.Entry()
	require.NoError(t, err)
	return e
}

func verification(t *testing.T, role, id string, passed bool, at time.Time) ledger.Entry {
	t.Helper()
	e, err := ledger.Verification{About: about(role, id), TestsDigest: digest, Passed: passed, At: at, Report: json.RawMessage(`{"passed":true,"suites":[{"name":"a, {b"}]}`)}.Entry()
	require.NoError(t, err)
	return e
}

// TestCanonical shows the form on disk: the same record is always the same bytes, a line for each thing.
func TestCanonical(t *testing.T) {
	e := inventory(t, "web", "ami-1", nil)
	require.Equal(t, "images/web/"+strings.TrimPrefix(digest, "sha256:")+"/ami-1/inventory.json", e.Path)
	require.Equal(t, `{
 "schema":1,
 "kind":"inventory",
 "fleet":"acme",
 "role":"web",
 "digest":"`+digest+`",
 "image":"ami-1",
 "account":"111111111111",
 "region":"us-east-1",
 "packages":[
  {"manager":"dpkg","name":"bash","arch":"amd64","version":"5.2"},
  {"manager":"dpkg","name":"nginx","arch":"amd64","version":"1.22"}
 ],
 "services":[
  {"unit":"nginx.service","state":"enabled"}
 ],
 "etc":[
  {"path":"/etc/motd","type":"file","mode":"0644","owner":"root","group":"root","size":3,"sum":"aa"},
  {"path":"/etc/nginx","type":"dir","mode":"0755","owner":"root","group":"root"}
 ]
}
`, string(e.Data))
	swapped := inventory(t, "web", "ami-1", func(i *ledger.Inventory) { i.Packages[0], i.Packages[1] = i.Packages[1], i.Packages[0] })
	require.Equal(t, e, swapped)
	zone := time.FixedZone("CET", 3600)
	require.Equal(t, event(t, "web", "hold", `a "quoted" {reason}`, noon), event(t, "web", "hold", `a "quoted" {reason}`, noon.In(zone).Add(time.Microsecond)))
	require.Contains(t, event(t, "web", "hold", "x", noon).Path, "events/web/20260102T120000.000Z-hold-")
}

func TestReadBack(t *testing.T) {
	for _, e := range []ledger.Entry{
		image(t, "web", "ami-1", noon), inventory(t, "web", "ami-1", nil), verification(t, "web", "ami-1", true, noon), event(t, "web", "promote", "x", noon),
	} {
		r, err := ledger.Read(e.Path, e.Data)
		require.NoError(t, err, e.Path)
		var again ledger.Entry
		switch {
		case r.Image != nil:
			again, err = r.Image.Entry()
		case r.Inventory != nil:
			again, err = r.Inventory.Entry()
		case r.Verification != nil:
			again, err = r.Verification.Entry()
		default:
			again, err = r.Event.Entry()
		}
		require.NoError(t, err)
		require.Equal(t, string(e.Data), string(again.Data))
		require.Equal(t, e.Path, again.Path)
	}
}

func TestGarbage(t *testing.T) {
	good := event(t, "web", "promote", "x", noon)
	for name, c := range map[string]struct{ path, data, says string }{
		"not JSON":          {good.Path, "<<<<<<< ours", "not the JSON of an entry"},
		"empty":             {good.Path, "", "not the JSON of an entry"},
		"cut off":           {good.Path, string(good.Data[:len(good.Data)/2]), "not the JSON of an entry"},
		"something follows": {good.Path, string(good.Data) + "{}", "something follows"},
		"of another type":   {good.Path, strings.Replace(string(good.Data), `"role":"web"`, `"role":{}`, 1), "not the JSON of an entry"},
		"a newer schema":    {good.Path, strings.Replace(string(good.Data), `"schema":1`, `"schema":2`, 1), "update imgops"},
		"no schema":         {good.Path, `{"kind":"event"}`, "no schema"},
		"another kind":      {good.Path, strings.Replace(string(good.Data), `"kind":"event"`, `"kind":"image"`, 1), "of kind"},
		"another role":      {good.Path, strings.Replace(string(good.Data), `"role":"web"`, `"role":"db"`, 1), "its path does not"},
		"another time":      {good.Path, strings.Replace(string(good.Data), "2026", "2027", 1), "its path is not"},
		"an unknown action": {strings.Replace(good.Path, "promote", "bless", 1), strings.Replace(string(good.Data), "promote", "bless", 1), "unknown"},
		"a foreign file":    {"README.md", "hello", "no file that imgops has written"},
		"a foreign path":    {"images/web/x/ami-1/image.json", "{}", "no file that imgops has written"},
		"another reason":    {good.Path, strings.Replace(string(good.Data), `"reason":"x"`, `"reason":"y"`, 1), "not what its name says"},
		"too large":         {good.Path, strings.Repeat(" ", ledger.MaxSize+1), "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ledger.Read(c.path, []byte(c.data))
			require.ErrorContains(t, err, c.says)
		})
	}
}

// TestUnknownFields: what a newer imgops adds to an entry of the same schema is passed over.
func TestUnknownFields(t *testing.T) {
	img := image(t, "web", "ami-1", noon)
	r, err := ledger.Read(img.Path, []byte(strings.Replace(string(img.Data), `"schema":1`, `"schema":1,"mood":{"good":[1,2]}`, 1)))
	require.NoError(t, err)
	require.Equal(t, "ami-1", r.Image.Image)

	e := event(t, "web", "promote", "x", noon)
	data := strings.Replace(string(e.Data), `"schema":1`, `"schema":1,"mood":"good"`, 1)
	sum := sha256.Sum256([]byte(data))
	path := strings.Replace(e.Path, e.Path[len(e.Path)-len("0123456789ab.json"):], hex.EncodeToString(sum[:6])+".json", 1)
	r, err = ledger.Read(path, []byte(data))
	require.NoError(t, err)
	require.Equal(t, "x", r.Event.Reason)
}

// FuzzRead feeds the reader what anybody could push to the branch. What it takes, it writes again as it was read.
func FuzzRead(f *testing.F) {
	t := &testing.T{}
	for _, e := range []ledger.Entry{
		image(t, "web", "ami-1", noon), inventory(t, "web", "ami-1", nil), verification(t, "web", "ami-1", true, noon), event(t, "web", "promote", "x", noon),
	} {
		f.Add(e.Path, e.Data)
		f.Add(e.Path, e.Data[:len(e.Data)/2])
		f.Add(e.Path, []byte(strings.Replace(string(e.Data), `"schema":1`, `"schema":99`, 1)))
	}
	f.Add("README.md", []byte("# hello"))
	f.Add("events/web/20260102T120000.000Z-promote-000000000000.json", []byte(`{"schema":1,"kind":"event","role":"web","action":"promote","at":"2026-01-02T12:00:00Z","pointers":null}`))
	f.Fuzz(func(t *testing.T, path string, data []byte) {
		r, err := ledger.Read(path, data)
		if err != nil {
			return
		}
		var e ledger.Entry
		switch {
		case r.Image != nil:
			e, err = r.Image.Entry()
			require.Equal(t, path, e.Path)
		case r.Inventory != nil:
			e, err = r.Inventory.Entry()
			require.Equal(t, path, e.Path)
		case r.Verification != nil:
			e, err = r.Verification.Entry()
		default:
			e, err = r.Event.Entry()
		}
		require.NoError(t, err)
		_, err = ledger.Read(e.Path, e.Data)
		require.NoError(t, err)
		require.True(t, json.Valid(e.Data))
	})
}

// garbage is a clone whose ledger branch holds things that do not belong there.
func garbage(t *testing.T) (l ledger.Ledger, good ledger.Entry) {
	t.Helper()
	bare := origin(t)
	good = event(t, "web", "promote", "good", noon)
	bad := event(t, "web", "hold", "bad", noon.Add(time.Second))
	require.NoError(t, open(t, clone(t, "file://"+bare)).Append(t.Context(), "x", []ledger.Entry{good}))
	work := clone(t, "file://"+bare, "--branch", ledger.Branch)
	for path, data := range map[string]string{
		"README.md": "hello", bad.Path: "not JSON", "events/web/notes.txt": "x", "images/web/deep/er/and/deeper/file": "x",
		strings.Replace(bad.Path, "hold", "release", 1): strings.Repeat("x", ledger.MaxSize+1),
	} {
		file := filepath.Join(work, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(data), 0o600))
	}
	run(t, work, "add", "-A")
	run(t, work, "commit", "-qm", "garbage")
	run(t, work, "push", "-q", "origin", ledger.Branch)
	g := open(t, clone(t, "file://"+bare))
	require.NoError(t, g.Sync(t.Context()))
	return ledger.Ledger{Store: g, Spool: ledger.Spool{Dir: t.TempDir()}}, good
}

func TestGarbageIsNamedAndSkipped(t *testing.T) {
	l, good := garbage(t)
	book, err := l.Book(t.Context(), "web")
	require.NoError(t, err)
	require.Len(t, book.Events, 1)
	require.Equal(t, "good", book.Events[0].Reason)
	var named []string
	for _, p := range book.Problems {
		named = append(named, p.Error())
	}
	require.Len(t, named, 4)
	require.Contains(t, strings.Join(named, "\n"), "events/web/notes.txt: it is no file that imgops has written")
	problems, err := l.Check(t.Context(), "web")
	require.NoError(t, err)
	require.Len(t, problems, 5)
	problems, err = l.Check(t.Context(), "db")
	require.NoError(t, err)
	require.Len(t, problems, 4, "what needs no reading to be told, whatever the role")
	problems, err = l.Check(t.Context())
	require.NoError(t, err)
	require.Len(t, problems, 5, "all of it")
	problems, err = l.Foreign(t.Context())
	require.NoError(t, err)
	require.Len(t, problems, 3, "files that are no entries by their names")

	t.Log("garbage may be removed: that is no rewriting")
	bare := strings.TrimPrefix(run(t, l.Store.(*ledger.Git).CommonDir(), "remote", "get-url", "origin"), "file://")
	work := clone(t, "file://"+bare, "--branch", ledger.Branch)
	run(t, work, "rm", "-rq", "README.md", "images/web/deep")
	run(t, work, "commit", "-qm", "remove garbage")
	run(t, work, "push", "-q", "origin", ledger.Branch)
	require.NoError(t, l.Store.Sync(t.Context()))

	t.Log("what is there does not keep others from writing")
	require.NoError(t, l.Store.Append(t.Context(), "x", []ledger.Entry{event(t, "web", "hold", "later", noon.Add(time.Hour))}))
	require.Contains(t, paths(t, l.Store, ""), good.Path)
	require.Contains(t, paths(t, l.Store, ""), "events/web/notes.txt")
}

func TestSpool(t *testing.T) {
	s := ledger.Spool{Dir: filepath.Join(t.TempDir(), "a", "pending")}
	require.True(t, s.Empty())
	one, two := event(t, "web", "promote", "", noon), image(t, "web", "ami-1", noon)
	require.NoError(t, s.Put(one))
	require.NoError(t, s.Put(two))
	require.Error(t, s.Put(ledger.Entry{Path: "../x"}))
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, "events", "web", ".half-written"), []byte("x"), 0o600))
	list, err := s.Entries()
	require.NoError(t, err)
	require.Equal(t, []ledger.Entry{one, two}, list)
	require.False(t, s.Empty())

	t.Log("kept entries can be read")
	l := ledger.Ledger{Spool: s}
	book, err := l.Book(t.Context(), "web")
	require.NoError(t, err)
	require.Len(t, book.Events, 1)
	require.Len(t, book.Images, 1)

	t.Log("a store that is away leaves them, one that is there takes them")
	bare := origin(t)
	dir := clone(t, "file://"+bare)
	require.NoError(t, os.Rename(bare, bare+".gone"))
	message := func([]ledger.Entry) string { return "x" }
	_, _, err = s.Flush(t.Context(), open(t, dir), message)
	require.Error(t, err)
	require.False(t, s.Empty())
	require.NoError(t, os.Rename(bare+".gone", bare))
	n, twice, err := s.Flush(t.Context(), open(t, dir), message)
	require.NoError(t, err)
	require.Empty(t, twice)
	require.Equal(t, 2, n)
	require.Len(t, paths(t, open(t, dir), ""), 2)
	list, err = s.Entries()
	require.NoError(t, err)
	require.Empty(t, list)

	t.Log("what the ledger knows otherwise holds nothing up")
	three := event(t, "web", "hold", "", noon)
	require.NoError(t, s.Put(ledger.Entry{Path: two.Path, Data: []byte("{}")}))
	require.NoError(t, s.Put(three))
	n, twice, err = s.Flush(t.Context(), open(t, dir), message)
	require.NoError(t, err)
	require.Equal(t, []string{two.Path}, twice)
	require.Equal(t, 1, n)
	list, err = s.Entries()
	require.NoError(t, err)
	require.Empty(t, list)
	require.Contains(t, paths(t, open(t, dir), ""), three.Path)
}
