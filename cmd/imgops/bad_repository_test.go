package main

import (
	"bytes"
	"compress/zlib"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// damagedFleet is a copy of a fleet that is damaged for a test.
type damagedFleet struct {
	*apiWorld
}

// object is the loose object that a revision names.
func (d damagedFleet) object(rev string) string {
	id := d.git("rev-parse", rev)
	file := filepath.Join(d.fleet, ".git/objects", id[:2], id[2:])
	require.NoError(d.t, os.Chmod(file, 0o644))
	return file
}

func (d damagedFleet) truncate(file string) { require.NoError(d.t, os.Truncate(file, 12)) }

// pack packs everything, and gives the pack.
func (d damagedFleet) pack() string {
	d.git("gc", "-q")
	found, err := filepath.Glob(filepath.Join(d.fleet, ".git/objects/pack/*.pack"))
	require.NoError(d.t, err)
	require.Len(d.t, found, 1)
	require.NoError(d.t, os.Chmod(found[0], 0o644))
	return found[0]
}

// replace gives an object another content, of the same length, that decompresses well.
func (d damagedFleet) replace(file string) {
	in, err := os.Open(file)
	require.NoError(d.t, err)
	z, err := zlib.NewReader(in)
	require.NoError(d.t, err)
	data, err := io.ReadAll(z)
	require.NoError(d.t, err)
	require.NoError(d.t, in.Close())
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, err = w.Write(bytes.ReplaceAll(data, []byte("default"), []byte("DEFAULT")))
	require.NoError(d.t, err)
	require.NoError(d.t, w.Close())
	require.NoError(d.t, os.WriteFile(file, out.Bytes(), 0o644))
}

func (d damagedFleet) flip(file string) {
	data, err := os.ReadFile(file)
	require.NoError(d.t, err)
	for i := 40; i < len(data); i += 31 {
		data[i] ^= 0xff
	}
	require.NoError(d.t, os.WriteFile(file, data, 0o644))
}

// save commits what is on disk.
func (d damagedFleet) save() {
	d.git("add", "-A")
	d.git("commit", "-qm", "Damage")
}

const web = "roles/web/image.yaml"

// TestBadRepository: whatever is wrong with the repository, imgops ci on main says it in one error, with what to run, and
// moves no pointer, though a verified image is there to be promoted.
func TestBadRepository(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	one := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.commit("two")
	w.bake()
	external := "base: {owner: \"136693071363\", name: \"debian-12-amd64-*\"}\nverify: [{suite: default}]\n"
	push, pull := []string{"ci", "--event", "push"}, []string{"ci", "--event", "pull-request", "--base"}
	for name, c := range map[string]struct {
		damage func(d damagedFleet)
		args   []string
		code   int
		want   string // a pattern of the error
	}{
		"a truncated blob":        {func(d damagedFleet) { d.truncate(d.object("HEAD:" + web)) }, push, exitUsage, "reading blob .*the object is damaged.*`git fsck`"},
		"a blob of other content": {func(d damagedFleet) { d.replace(d.object("HEAD:" + web)) }, push, exitUsage, "has another hash.*`git fsck`"},
		"a missing blob":          {func(d damagedFleet) { require.NoError(d.t, os.Remove(d.object("HEAD:"+web))) }, push, exitUsage, "reading blob .*incomplete clone.*`git fetch --refetch`"},
		"a truncated tree":        {func(d damagedFleet) { d.truncate(d.object("HEAD^{tree}")) }, push, exitUsage, "reading tree .*damaged.*`git fsck`"},
		"a truncated commit":      {func(d damagedFleet) { d.truncate(d.object("HEAD")) }, push, exitUsage, "reading commit .*damaged.*`git fsck`"},
		"a missing commit":        {func(d damagedFleet) { require.NoError(d.t, os.Remove(d.object("HEAD"))) }, push, exitUsage, "reading commit .*which is checked out: incomplete clone.*`git fetch --refetch`"},
		"a missing older commit":  {func(d damagedFleet) { require.NoError(d.t, os.Remove(d.object("HEAD~1"))) }, push, exitUsage, "commit .*`?git fetch"},
		"a missing tree":          {func(d damagedFleet) { require.NoError(d.t, os.Remove(d.object("HEAD^{tree}"))) }, push, exitUsage, "reading tree .*incomplete clone.*`git fetch --refetch`"},
		"a missing pack":          {func(d damagedFleet) { require.NoError(d.t, os.Remove(d.pack())) }, push, exitUsage, "incomplete clone.*`git fetch --refetch`"},
		"a truncated pack":        {func(d damagedFleet) { d.truncate(d.pack()) }, push, exitUsage, "`git fsck`"},
		"a damaged pack":          {func(d damagedFleet) { d.flip(d.pack()) }, push, exitUsage, "`git fsck`"},
		"a pack without index": {func(d damagedFleet) {
			pack := d.pack()
			require.NoError(d.t, os.Remove(strings.TrimSuffix(pack, ".pack")+".idx"))
		}, push, exitUsage, "`git fsck`"},
		"an unknown base": {func(damagedFleet) {}, append(pull, "nope"), exitUsage, `unknown revision "nope".*after .git fetch. if it is new`},
		"no merge base": {func(d damagedFleet) {
			d.git("checkout", "-q", "--orphan", "other")
			d.save()
		}, append(pull, "main"), exitUsage, "no merge base.*rebase one on the other"},
		"a main that is nowhere": {func(d damagedFleet) { d.git("branch", "-qm", "main", "trunk") }, push, exitUsage, "neither origin/main nor main exists; run `git fetch origin main`, or correct `main:`"},
		"a missing submodule": {func(d damagedFleet) {
			d.write(".gitmodules", "[submodule \"lib\"]\n\tpath = roles/web/files/lib\n\turl = https://example.com/lib.git\n")
			d.git("update-index", "--add", "--cacheinfo", "160000,"+d.git("rev-parse", "HEAD")+",roles/web/files/lib")
			d.git("add", ".gitmodules")
			d.git("commit", "-qm", "Add a submodule")
		}, push, exitUsage, "submodule roles/web/files/lib is not checked out; run `git (-C \\S+ )?submodule update --init --recursive roles/web/files/lib`"},
		"a file in Git LFS that is not here": {func(d damagedFleet) {
			d.write("roles/web/files/large", "version https://git-lfs.github.com/spec/v1\noid sha256:"+strings.Repeat("ab", 32)+"\nsize 12345\n")
			d.save()
		}, push, exitUsage, "roles/web/files/large is a Git LFS pointer.*run `git lfs pull`"},
		"a filter that is not set up here": {func(d damagedFleet) {
			d.write(".gitattributes", "*.key filter=git-crypt diff=git-crypt\n")
			d.write("roles/web/files/secret.key", "\x00GITCRYPT\x00...")
			d.save()
		}, push, exitUsage, "roles/web/files/secret.key is passed through the filter git-crypt, which is not set up here; run `git-crypt unlock`"},
		"a filter that does not work": {func(d damagedFleet) {
			d.write(".gitattributes", "*.key filter=sops\n")
			d.write("roles/web/files/secret.key", "sealed\n")
			d.save()
			d.git("config", "filter.sops.smudge", "echo no key >&2; exit 3")
		}, push, exitUsage, "Git cannot check out roles/web/files/secret.key as .gitattributes says.*no key.*smudge filter sops failed"},
		"a lock with conflict markers": {func(d damagedFleet) {
			d.write("imgops.lock", "version: 1\n<<<<<<< HEAD\n=======\n>>>>>>> other\n")
			d.save()
		}, push, exitUsage, "imgops.lock:2:1: merge conflict marker; run `imgops update`, which joins the two sides, and `git add` the file"},
		"a lock for another Region": {func(d damagedFleet) {
			d.write(web, external)
			d.write("imgops.lock", "version: 1\nbases:\n  136693071363/debian-12-amd64-*/x86_64:\n    image: debian-12-amd64-20260101-1\n    created: 2026-01-01T00:00:00Z\n    ids:\n      eu-west-1: ami-0123456789abcdef0\n")
			d.save()
		}, push, exitUsage, "base 136693071363/debian-12-amd64-\\*/x86_64 of web is pinned in eu-west-1, not in us-east-1.*run `imgops update`"},
		"a lock of garbage": {func(d damagedFleet) {
			d.write("imgops.lock", "\x00\x01{{{")
			d.save()
		}, push, exitUsage, "imgops.lock:1:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			d := damagedFleet{&apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "fleet"), box: w.box}}
			require.NoError(t, os.CopyFS(d.fleet, os.DirFS(w.fleet)))
			require.NoError(t, os.RemoveAll(filepath.Join(d.fleet, ".git/imgops")))
			c.damage(d)
			code, out, errs := d.try(c.args...)
			require.Equal(t, c.code, code, errs)
			require.Regexp(t, "(?s)"+c.want, errs)
			require.Len(t, regexp.MustCompile("(?m)^imgops: ").FindAllString(errs, -1), 1, errs)
			require.NotContains(t, errs, "panic")
			require.NotContains(t, out, "promoted")
			w.requireDefaults(one, "behind")
		})
	}
}

// TestShallowMainIsNotDeepened: on main's own clone, whose history is cut off and cannot be had.
func TestShallowMainIsNotDeepened(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	one := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.commit("two")
	w.bake()
	shallow := &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "shallow"), box: w.box}
	w.git("clone", "-q", "--depth=1", "file://"+w.fleet, shallow.fleet)
	shallow.git("remote", "set-url", "origin", "file:///nowhere.git")
	_, errs := shallow.do(exitUsage, "ci", "--event", "push")
	require.Contains(t, errs, "git fetch --unshallow")
	require.Contains(t, errs, "fetching it did not work: git fetch ")
	w.requireDefaults(one, "behind")

	shallow.git("remote", "set-url", "origin", "file://"+w.fleet)
	_, errs = shallow.do(exitDone, "ci", "--event", "push")
	require.Contains(t, errs, "fetching")
	require.NotEqual(t, one, w.defaults()[0].Image, "with its history it goes on")
}
