package roles

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // a checksum against damage
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// quietRoles remembers, in .git/imgops, which Ansible roles refer to nothing outside themselves: most do not, and
// finding that out means reading every task file of the fleet. Entries are keyed by content, so they never go stale;
// the file may be deleted at any time, and where it cannot be written the next run reads the task files again.
type quietRoles struct {
	file   string
	mu     sync.Mutex
	loaded bool
	known  map[plumbing.Hash]bool // true: used or added by this process
	added  bool
}

const (
	// quietHead names the format and the rules: change it whenever scan.go comes to see other references.
	quietHead = "imgops quiet roles 2\n"
	maxQuiet  = 20_000
)

func newQuietRoles(gitDir string) *quietRoles {
	return &quietRoles{file: filepath.Join(gitDir, "imgops", "quiet-roles"), known: map[plumbing.Hash]bool{}}
}

func (k factsKey) hash() plumbing.Hash {
	return blobID([]byte(quietHead + k.dir + "\x00" + k.id.String() + "\x00" + k.tops))
}

// has says whether the role is known to be quiet.
func (q *quietRoles) has(k factsKey) bool {
	h := k.hash()
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.loaded {
		q.loaded = true
		q.load()
	}
	_, ok := q.known[h]
	if ok {
		q.known[h] = true
	}
	return ok
}

func (q *quietRoles) add(k factsKey) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.known[k.hash()], q.added = true, true
}

// load takes a damaged or missing file as empty.
func (q *quietRoles) load() {
	data, err := os.ReadFile(q.file)
	if err != nil || len(data) < len(quietHead)+sha1.Size {
		return
	}
	body, sum := data[:len(data)-sha1.Size], data[len(data)-sha1.Size:]
	want := sha1.Sum(body) //nolint:gosec // see the import
	body, ok := bytes.CutPrefix(body, []byte(quietHead))
	if !ok || !bytes.Equal(sum, want[:]) || len(body)%sha1.Size != 0 {
		return
	}
	for entry := range slices.Chunk(body, sha1.Size) {
		q.known[plumbing.Hash(entry)] = false
	}
}

// save writes what was added. It is best effort: nothing depends on the file.
func (q *quietRoles) save() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.added {
		return
	}
	q.added = false
	data := []byte(quietHead)
	for h, used := range q.known {
		if used || len(q.known) <= maxQuiet {
			data = append(data, h[:]...)
		}
	}
	sum := sha1.Sum(data) //nolint:gosec // see the import
	if err := os.MkdirAll(filepath.Dir(q.file), 0o755); err != nil {
		return
	}
	temp, err := os.CreateTemp(filepath.Dir(q.file), "quiet-roles-*")
	if err != nil {
		return
	}
	_, err = temp.Write(append(data, sum[:]...))
	if closing := temp.Close(); err != nil || closing != nil || os.Rename(temp.Name(), q.file) != nil {
		_ = os.Remove(temp.Name()) // the reason for the failure does not matter either
	}
}
