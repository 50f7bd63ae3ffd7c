package roles

import (
	"bytes"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// notText are file name extensions that are not looked into for what a merge left behind: binaries, and prose in
// which such lines may be headings or examples.
var notText = []string{
	".7z", ".bin", ".bz2", ".deb", ".der", ".gif", ".gz", ".ico", ".img", ".iso", ".jar", ".jks", ".jpg", ".mo", ".p12", ".pdf", ".png",
	".pyc", ".qcow2", ".raw", ".rpm", ".so", ".tar", ".tgz", ".ttf", ".war", ".whl", ".woff", ".woff2", ".xz", ".zip", ".zst",
	".adoc", ".md", ".rst",
}

// looksText says whether a file is worth looking into. Files to be copied may be of any size and kind: of those only
// names with the extension of a text count.
func looksText(p string) bool {
	ext := strings.ToLower(path.Ext(p))
	if slices.Contains(notText, ext) {
		return false
	}
	return ext != "" || !strings.Contains("/"+p, "/files/")
}

// conflictLineOf gives the line, from 1, of the first merge conflict: its three markers in order, each at the
// beginning of a line. 0 means none.
func conflictLineOf(data []byte) int {
	if !bytes.Contains(data, []byte("<<<<<<< ")) {
		return 0
	}
	begin, middle, n := 0, false, 0
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		n++
		switch {
		case bytes.HasPrefix(line, []byte("<<<<<<< ")):
			begin, middle = n, false
		case begin > 0 && bytes.Equal(bytes.TrimRight(line, "\r"), []byte("=======")):
			middle = true
		case middle && bytes.HasPrefix(line, []byte(">>>>>>> ")):
			return begin
		}
	}
	return 0
}

func conflictProblem(file string, data []byte, line int) Problem {
	s := &source{file: file, data: data}
	return s.problem(place{line, 1}, "merge conflict marker", conflictFix(file))
}

// conflictFix says how a merge conflict is ended. What imgops has written itself it can write again (see lockHead).
func conflictFix(file string) string {
	if file == lockFile {
		return "run `imgops update`, which joins the two sides, and `git add` the file"
	}
	return "merge the two versions by hand, delete the marker lines, and `git add` the file"
}

// conflictsOf adds the merge conflicts in the files that count for a role or its tests. Each directory is looked
// through once per load, and not at all where an earlier run found the same content clean.
func (v *view) conflictsOf(r *Role, problems *[]Problem) error {
	for _, p := range r.parts {
		if err := v.conflicts(p.path, p.entry, problems); err != nil {
			return err
		}
	}
	if r.tests == nil {
		return nil
	}
	return v.conflicts(path.Join("roles", r.Name, "tests"), entry{mode: filemode.Dir, id: r.tests.id, sub: r.tests}, problems)
}

func (v *view) conflicts(p string, e entry, problems *[]Problem) error {
	if !v.claim(p) {
		return nil
	}
	if e.sub != nil && (p == "." || p == "roles") { // the whole fleet: as the other roles see its parts
		entries, err := e.sub.list()
		for i := 0; i < len(entries) && err == nil; i++ {
			err = v.conflicts(path.Join(p, entries[i].name), entries[i], problems)
		}
		return err
	}
	// What looksText says depends on these parts of the path.
	key := factsKey{dir: "\x00no conflict", id: e.id, tops: path.Ext(p) + strconv.FormatBool(strings.Contains("/"+p+"/", "/files/"))}
	if v.cache.quiet.has(key) {
		return nil
	}
	found := len(*problems)
	look := func(p string, e entry) error {
		if !e.isFile() || !looksText(p) {
			return nil
		}
		if _, clean := v.clean.Load(e.id); clean {
			return nil
		}
		data, err := v.files.read(p, e.id)
		if line := conflictLineOf(data); err == nil && line > 0 {
			*problems = append(*problems, conflictProblem(p, data, line))
		}
		return err
	}
	err := error(nil)
	if e.sub != nil {
		err = e.sub.walk(p, look)
	} else {
		err = look(p, e)
	}
	if err == nil && len(*problems) == found {
		v.cache.quiet.add(key)
	}
	return err
}

// claim says whether the caller is the first of this load to look at a path.
func (v *view) claim(p string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.claimed[p] {
		return false
	}
	v.claimed[p] = true
	return true
}
