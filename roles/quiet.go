package roles

import (
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
	quietHead = "imgops quiet roles 3\n"
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
	body, ok := readMemory(q.file, quietHead)
	if !ok || len(body)%len(plumbing.ZeroHash) != 0 {
		return
	}
	q.known = make(map[plumbing.Hash]bool, len(body)/len(plumbing.ZeroHash))
	for entry := range slices.Chunk([]byte(body), len(plumbing.ZeroHash)) {
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
	saveMemory(q.file, data)
}
