package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/imgops/imgops/"

// directions is the package map: what each tree may import of this module. A package not named here has the row of
// its longest named prefix.
var directions = map[string][]string{
	"roles":                      {},
	"images":                     {},
	"images/machine":             {"images"},
	"images/ledger":              {},
	"images/sandbox":             {"images/sandbox"},
	"images/sandbox/machines":    {"images/sandbox/imds"}, // whose listener it opens inside the machines' network
	"images/sandbox/disk":        {},
	"images/sandbox/imds":        {},
	"images/sandbox/awsproxy":    {},
	"images/sandbox/baseimage":   {},
	"images/sandbox/query":       {},
	"images/sandbox/state":       {},
	"images/sandbox/sandboxtest": {"images", "images/sandbox"},
	"builder":                    {"roles", "images", "images/machine"},
	"verifier":                   {"roles", "images", "images/machine", "verifier/gossagent"},
	"verifier/gossagent":         {},
	"promoter":                   {"roles", "images"},
	"cmd/imgops/cienv":           {},
	"cmd/imgops/iam":             {"roles"},
	"cmd/imgops":                 {"roles", "images", "builder", "verifier", "promoter"},
}

// owners are libraries that only some trees may import.
var owners = map[string][]string{
	"github.com/spf13/":               {"cmd/imgops"},
	"github.com/go-git/":              {"roles", "images/ledger"},
	"github.com/aws/":                 {"images", "builder", "promoter", "cmd/imgops"},
	"github.com/goss-org/":            {"verifier/gossagent"},
	"github.com/hashicorp/packer-":    {"builder", "images/machine"},
	"github.com/stretchr/":            {"images/machine/machinetest", "images/sandbox/sandboxtest"},
	"golang.org/x/crypto/ssh":         {"images/machine", "images/sandbox", "builder"},
	"github.com/rogpeppe/go-internal": {},
}

func TestImportDirections(t *testing.T) {
	seen := map[string]bool{}
	require.NoError(t, filepath.WalkDir("../..", func(file string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || strings.Contains(file, "/testdata/") {
			return err
		}
		rel, err := filepath.Rel("../..", file)
		require.NoError(t, err)
		dir := path.Dir(filepath.ToSlash(rel))
		row := longest(t, dir)
		seen[row] = true
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, imp := range parsed.Imports {
			checkImport(t, rel, dir, row, strings.Trim(imp.Path.Value, `"`))
		}
		return nil
	}))
	require.Len(t, seen, len(directions), "a row of the table has no package any more")
}

func checkImport(t *testing.T, file, dir, row, imp string) {
	if own, ok := strings.CutPrefix(imp, module); ok {
		if own == row || strings.HasPrefix(own, row+"/") {
			return
		}
		allowed := slices.ContainsFunc(directions[row], func(a string) bool { return under(own, a) })
		if strings.HasPrefix(own, "images/sandbox") && row != "cmd/imgops" && !strings.HasPrefix(dir, "images/sandbox") {
			allowed = false
		}
		require.True(t, allowed, "%s: %s may not import %s (see the package map in the README)", file, row, own)
		return
	}
	for lib, trees := range owners {
		if strings.HasPrefix(imp, lib) {
			require.True(t, slices.ContainsFunc(trees, func(tree string) bool { return under(dir, tree) }),
				"%s imports %s, which is for %v only", file, imp, trees)
		}
	}
}

func under(dir, tree string) bool { return dir == tree || strings.HasPrefix(dir, tree+"/") }

func longest(t *testing.T, dir string) string {
	for d := dir; d != "."; d = path.Dir(d) {
		if _, ok := directions[d]; ok {
			return d
		}
	}
	t.Fatalf("package %s is not in the package map: add a row that says what it may import", dir)
	return ""
}
