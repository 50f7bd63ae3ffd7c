package roles

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// lineEndsCase is what is said of a file, and what is in it; without a content it is the blob's with CRLF.
type lineEndsCase struct{ attributes, settings, content string }

// TestLineEnds holds against git status whether a file whose line ends are not those of its blob is changed, for what
// attributes and settings can say of it.
func TestLineEnds(t *testing.T) {
	const file = "roles/web/files/notes.txt"
	const lines = "one\ntwo\n"
	cases := []lineEndsCase{
		{},
		{settings: "autocrlf = true"}, {settings: "autocrlf = Input"}, {settings: "autocrlf = no"}, {settings: "eol = crlf"},
		{settings: "autocrlf = true", content: "one\r\ntwo\r\nthree\r\n"}, {settings: "autocrlf = true", content: "one\r\ntwo\n"},
		{settings: "autocrlf = input\n[include]\n\tpath = ~/crlf"},
		{attributes: "*.txt text"}, {attributes: "* text=auto"}, {attributes: "*.txt eol=crlf"}, {attributes: "*.txt text=auto eol=lf"},
		{attributes: "*.txt -text", settings: "autocrlf = true"}, {attributes: "*.txt binary", settings: "autocrlf = true"},
		{attributes: "* text=auto\n*.txt binary"}, {attributes: "*.txt binary\n* text=auto"}, {attributes: "* binary\n*.txt text"},
		{attributes: "*.txt text\n*.txt !text"}, {attributes: "*.txt eol=crlf\n*.txt !text"}, {attributes: "*.txt eol=crlf\n*.txt !eol"},
		{attributes: "*.txt crlf"}, {attributes: "*.txt -crlf", settings: "autocrlf = true"}, {attributes: "*.txt crlf=input"},
		{attributes: "roles/web/files/*.txt text"}, {attributes: "/roles/**/notes.txt text"}, {attributes: "web/files/*.txt text"},
		{attributes: "/notes.txt text"}, {attributes: "files text"}, {attributes: "files/ text"}, {attributes: "# *.txt text\n\n   *.txt   text  "},
		{attributes: "*.txt text", content: "one\r\r\ntwo\n"}, {attributes: "* text=auto", content: "one\r\ntw\ro\n"},
	}
	r := newSandboxRepo(t, fleetFiles())
	r.write(file, lines)
	odds := []string{"a\x00\nb\n", "a\rb\nc\n", "\x01\x02\n", strings.Repeat("long", 40) + "\x01\n", "a\x1b\b\t\f\xe4\n", "a\nb\x1a", "a\x7f\n"}
	odd := func(content string) string {
		return fmt.Sprintf("roles/web/files/odd%d.txt", slices.Index(odds, content))
	}
	for _, content := range odds {
		r.write(odd(content), content)
	}
	r.commit()
	_, write := homeOfTest(t)
	for _, content := range odds {
		for _, attributes := range []string{"*.txt text", "* text=auto", "*.txt -text"} {
			cases = append(cases, lineEndsCase{attributes: attributes, content: "dos:" + content})
		}
		cases = append(cases, lineEndsCase{settings: "autocrlf = true", content: "dos:" + content})
	}
	dos := strings.ReplaceAll(lines, "\n", "\r\n")
	// same asks both, with an index that has forgotten how long the file was: else a file of another length is changed for Git,
	// whatever it holds.
	same := func(content, about string) {
		t.Helper()
		file, blob := file, r.asks("rev-parse", "HEAD:"+file)
		if old, ok := strings.CutPrefix(content, "dos:"); ok {
			file, content = odd(old), strings.ReplaceAll(old, "\n", "\r\n")
			blob = r.asks("rev-parse", "HEAD:"+file)
		}
		r.write(file, content)
		r.asks("update-index", "--cacheinfo", "100644,"+blob+","+file)
		dirty := slices.Contains(r.worktree().DirtyFiles, file)
		require.Equal(t, strings.Contains(r.asks("status", "--porcelain"), file), dirty, about)
		r.asks("reset", "-q", "--hard")
	}
	for i, c := range cases {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			write(".gitconfig", "[core]\n\t"+c.settings+"\n")
			write("crlf", "[core]\n\tautocrlf = false\n")
			content := cmp.Or(c.content, dos)
			if c.attributes == "" {
				same(content, c.settings)
				return
			}
			r.write(".git/info/attributes", c.attributes+"\n")
			same(content, c.attributes)
			r.remove(".git/info/attributes")
			if !strings.Contains(c.attributes, "/") && c.attributes != "*.txt text" {
				return
			}
			// The same in the tree, where the nearest file counts most.
			for _, dir := range []string{"", "roles/web/", "roles/web/files/"} {
				r.write(".gitattributes", "*.txt -text\n")
				r.write(dir+".gitattributes", c.attributes+"\n")
				same(content, dir+": "+c.attributes)
				r.asks("clean", "-qfd")
			}
			write(".config/git/attributes", c.attributes+"\n")
			same(content, "the user's: "+c.attributes)
			write(".config/git/attributes", "")
		})
	}
}

// TestLineEndsOfACheckout: a file that Git itself has checked out with other line ends is clean, however new it is.
func TestLineEndsOfACheckout(t *testing.T) {
	files := fleetFiles()
	files[".gitattributes"] = "*.ps1 text eol=crlf\n"
	files["roles/web/files/run.ps1"] = "one\ntwo\n"
	files["roles/web/files/logo.bin"] = "a\r\nb\x00"
	r := newSandboxRepo(t, files)
	r.commit()
	r.remove("roles/web/files/run.ps1")
	r.git("checkout", "-q", "roles/web/files")
	data, err := os.ReadFile(r.path("roles/web/files/run.ps1"))
	require.NoError(t, err)
	require.Equal(t, "one\r\ntwo\r\n", string(data))
	require.NoError(t, os.WriteFile(r.path("roles/web/files/run.ps1"), data, 0o600)) // as new as the index, or newer
	f := r.worktree()
	require.Empty(t, f.DirtyFiles)
	require.Equal(t, digests(r.load()), digests(f))
	r.write("roles/web/files/run.ps1", "one\r\n2\r\n")
	require.Equal(t, []string{"roles/web/files/run.ps1"}, r.worktree().DirtyFiles)
}

func TestWildmatch(t *testing.T) {
	for pattern, names := range map[string]map[string]bool{
		"*.txt": {"a.txt": true, "a/b.txt": false}, "**/a": {"a": true, "b/a": true, "b/c/a": true, "ba": false},
		"a/**": {"a/b": true, "a/b/c": true, "a": false, "b/a": false}, "a/**/b": {"a/b": true, "a/x/y/b": true, "a/xb": false},
		"[!a]?": {"bc": true, "ac": false, "b/": false}, "**": {"a/b": true}, "a[": {"a[": false}, `\*`: {"*": true, "a": false},
		strings.Repeat("**/", 40) + "x": {strings.Repeat("a/", 60) + "y": false, strings.Repeat("a/", 60) + "x": true},
	} {
		for name, want := range names {
			require.Equal(t, want, wildmatch(pattern, name), "%s %s", pattern, name)
		}
	}
	require.True(t, wildmatch(quoteGlob(`/a*b/[c]?\d`), `/a*b/[c]?\d`))
}

// FuzzWildmatch has it end.
func FuzzWildmatch(f *testing.F) {
	f.Add("**/a/*/b**/[!x-z]", "a/b/c/d")
	f.Add("*/**/*/**/x", "a/a/a/a/a/a/a/a/a")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern)+len(name) > 200 || strings.Count(pattern, "**") > 6 {
			return
		}
		require.True(t, wildmatch(pattern, name) || !wildmatch(pattern, name))
		require.True(t, wildmatch(quoteGlob(name), name) || strings.Contains(name, "**"), name)
	})
}
