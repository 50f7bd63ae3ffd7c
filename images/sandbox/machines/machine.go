package machines

import (
	"io"
	"sync"
)

// consoleTail is as much of the console as GetConsoleOutput returns.
const consoleTail = 64 << 10

// machine is one that has been started and not yet been cleaned up.
type machine struct {
	record
	started chan struct{} // closed when Start is done with it
	gone    chan struct{} // closed when the process has ended

	mu      sync.Mutex
	pidfd   io.Closer // nil when it is not watched
	claimed bool      // somebody starts or stops it and cleans up after it: it does not end "by itself"
}

func newMachine(r record) *machine {
	return &machine{record: r, started: make(chan struct{}), gone: make(chan struct{})}
}

// record is what Dir/machines/<id>.json says. It is written before anything of the machine is made, and again with the process.
type record struct {
	Machine Machine `json:"machine"`
	From    int64   `json:"from,omitempty"` // where in the console the present boot begins; qemu only
	process
}

func (m *machine) unwatch() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pidfd != nil {
		_ = m.pidfd.Close()
		m.pidfd = nil
	}
}

// claim makes the caller the one who cleans up after the machine; false when somebody else is already.
func (m *machine) claim() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.claimed {
		return false
	}
	m.claimed = true
	return true
}

func (m *machine) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claimed = false
}

func (d *Nspawn) marker(id string) string { return d.file(id, ".root") }

func (d *Nspawn) namespace(id string) string { return d.net.Namespace + "-" + id }
