package machines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

func (d *Nspawn) file(id, suffix string) string { return filepath.Join(d.dir, "machines", id+suffix) }

func (d *Nspawn) namespace(id string) string { return d.net.Namespace + "-" + id }

func (d *Nspawn) save(r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := writeFile(d.file(r.Machine.ID, ".json"), data); err != nil {
		return fmt.Errorf("recording machine %s: %w", r.Machine.ID, err)
	}
	return nil
}

// records lists the ids of the machines that Dir knows to have been started and not cleaned up.
func (d *Nspawn) records() ([]string, error) {
	files, err := filepath.Glob(d.file("*", ".json"))
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".json")
	}
	return files, err
}

// adopt takes over the machines of an earlier process and cleans up after those that have ended, whose ids it returns.
func (d *Nspawn) adopt(ctx context.Context) (ended []string, err error) {
	ids, err := d.records()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		data, err := os.ReadFile(d.file(id, ".json"))
		if err != nil {
			return nil, err
		}
		var r record
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, fmt.Errorf("reading the record of machine %s: %w", id, err)
		}
		if r.Pid == 0 {
			for _, p := range findProcesses(d.file(id, ".root")) {
				r.process = p
			}
		}
		m := newMachine(r)
		close(m.started)
		if !r.alive() {
			if err := d.clean(ctx, m); err != nil {
				return nil, err
			}
			ended = append(ended, id)
			continue
		}
		if err := errors.Join(d.save(r), d.watch(m)); err != nil {
			return nil, err
		}
		d.log.Info("found a running machine", "id", id, "pid", r.Pid)
	}
	return ended, nil
}

// watch adds the machine to those that run and waits for its end.
func (d *Nspawn) watch(m *machine) error {
	f, err := m.open()
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.machines[m.Machine.ID] = m
	d.mu.Unlock()
	if f == nil {
		close(m.gone)
	} else {
		m.mu.Lock()
		m.pidfd = f
		m.mu.Unlock()
		go func() {
			if waitPidfd(f) { // else: let go
				m.unwatch()
				close(m.gone)
			}
		}()
	}
	go func() {
		select {
		case <-m.gone:
		case <-d.closed:
			return
		}
		<-m.started
		if m.claim() {
			d.ended(m)
		}
	}()
	return nil
}

// ended cleans up after a machine that was shut down from inside, or crashed.
func (d *Nspawn) ended(m *machine) {
	if err := d.clean(context.Background(), m); err != nil {
		d.log.Error("cleaning up after a machine", "id", m.Machine.ID, "error", err)
	}
	d.tellExited(m.Machine.ID)
}

// Console returns the last 64 KiB that the machine wrote to its console since it was started.
func (d *Nspawn) Console(id string) ([]byte, error) {
	f, err := os.Open(d.file(id, ".console"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the console of %s: %w", id, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > consoleTail {
		if _, err := f.Seek(-consoleTail, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(io.LimitReader(f, consoleTail))
}

// Forget removes the console of a terminated machine.
func (d *Nspawn) Forget(id string) error {
	if err := os.Remove(d.file(id, ".console")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forgetting machine %s: %w", id, err)
	}
	return nil
}
