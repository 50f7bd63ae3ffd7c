package roles

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// attributesText makes a file of attributes.
func attributesText(r *rand.Rand) string {
	some := func(list ...string) string { return list[r.IntN(len(list))] }
	var b strings.Builder
	if r.IntN(8) == 0 {
		b.WriteString("\ufeff")
	}
	for range 1 + r.IntN(6) {
		pattern := strings.Map(func(c rune) rune {
			if strings.ContainsRune(" \t\r\n", c) {
				return -1
			}
			return c
		}, ignorePattern(r))
		switch r.IntN(8) {
		case 0:
			pattern = cQuoted(ignorePattern(r))
		case 1:
			pattern = some("[attr]conv", "[attr]text", "[attr]-no", `"foo bar"`, `"\303\251"`, `"a\tb"`, `"unended`)
		}
		b.WriteString(some("", "", " ", "\t") + pattern)
		for range r.IntN(4) {
			b.WriteString(some(" ", "  ", "\t") + some(
				"text", "-text", "!text", "text=auto", "text=input", "text=what", "crlf", "-crlf", "crlf=input", "eol=lf", "eol=crlf", "-eol", "eol=what", "ident", "-ident", "!ident", "ident=1",
				"filter=a", "filter=lfs", "-filter", "filter", "!filter", "working-tree-encoding=UTF-16", "!working-tree-encoding", "working-tree-encoding=utf-8", "binary", "-binary", "conv", "-conv",
				"filter=a=b", "bad!name", "-", "=x", "diff"))
		}
		b.WriteString(some("\n", "\n", " \n", "\r\n"))
	}
	return b.String()
}

// TestAttributesLikeGit holds what imgops takes for the attributes of files against git check-attr, for random ones in all
// places where Git looks for some; and those that are committed, against what is read of a tree.
func TestAttributesLikeGit(t *testing.T) {
	names := []string{"text", "crlf", "eol", "ident", "filter", "working-tree-encoding", "diff", "conv"}
	states := map[string]string{"set": "+", "unset": "-", "unspecified": ""}
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // the same each time
		repo := newSandboxRepo(t, map[string]string{})
		_, write := homeOfTest(t)
		dirs, files := ignoreTree(r, repo)
		repo.commit()
		for range 12 {
			said := map[string]string{".git/info/attributes": "", "~": ""}
			for _, dir := range dirs {
				repo.remove(join(dir, attributesFile))
			}
			for _, dir := range []string{"", dirs[r.IntN(len(dirs))], dirs[r.IntN(len(dirs))]} {
				said[join(dir, attributesFile)] = attributesText(r)
			}
			if r.IntN(2) == 0 {
				said[".git/info/attributes"], said["~"] = attributesText(r), attributesText(r)
			}
			for name, text := range said {
				if name == "~" {
					write(".config/git/attributes", text)
				} else {
					repo.write(name, text)
				}
			}
			local := &lineEnds{repo: repo.openAny(), settings: settings{}}
			got := map[string]map[string]string{}
			for _, p := range files {
				got[p] = local.of(dirOf(p)).of(p)
			}
			fields := strings.Split(repo.asks(append(append([]string{"check-attr", "-z"}, names...), append([]string{"--"}, files...)...)...), "\x00")
			for i := 0; i+2 < len(fields); i += 3 {
				p, name, value := fields[i], fields[i+1], fields[i+2]
				want, named := states[value]
				if !named {
					want = "=" + value
				}
				state := strings.TrimPrefix(got[p][name], "!")
				require.Equal(t, want, state, "seed %d: %s of %q by %s", seed, name, p, fmt.Sprintf("%q", said))
			}
		}
	}
}

// TestConversionOf: the attributes that convert, and those that do not.
func TestConversionOf(t *testing.T) {
	for line, want := range map[string]string{
		"text": "", "text=auto": "", "text eol=lf": "", "eol=lf": "", "-text eol=crlf": "", "binary eol=crlf": "", "filter=lfs -text": "", "-filter": "", "filter": "", "ident=x": "",
		"working-tree-encoding=UTF-8": "", "working-tree-encoding": "", "eol=crlf": "eol=crlf", "text eol=crlf": "eol=crlf", "text=auto eol=crlf": "text=auto eol=crlf", "crlf eol=crlf": "eol=crlf",
		"-crlf eol=crlf": "", "text -crlf eol=crlf": "eol=crlf", "filter=x ident": "ident filter=x", "filter=lfs ident": "ident", "working-tree-encoding=SJIS text eol=crlf": "eol=crlf working-tree-encoding=SJIS",
	} {
		rules := attributeRules(parseAttributes("a "+line+"\n", "", true, false))
		require.Equal(t, want, rules.conversion("a", rules.converting()).String(), line)
		if want != "" {
			full := attributeRules(parseAttributes("a "+conversionOf(rules.of("a")).inFull()+"\n", "", true, false))
			require.Equal(t, want, conversionOf(full.of("a")).String(), line)
		}
	}
}

// FuzzAttributes has no file of attributes end in a panic, and what converts be found by the quick look, too.
func FuzzAttributes(f *testing.F) {
	f.Add("[attr]c eol=crlf\n*.x c -text\n\"a\\303b\" filter=f", "d/a.x")
	f.Add("** working-tree-encoding=UTF-16\n!a b\n[[:alpha:]]/* ident", "a")
	f.Fuzz(func(t *testing.T, data, p string) {
		rules := attributeRules(parseAttributes(data, "", true, false))
		require.Equal(t, conversionOf(rules.of(p)), rules.conversion(p, rules.converting()))
	})
}
