package machines

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// keeper is what the drivers have in common whose machines are processes that outlive the server: the directory with their records and
// consoles, the watch for their end, and the order of starting and stopping. What differs is in its mechanism.
type keeper struct {
	how   mechanism
	dir   string
	id    string // 8 hex digits that the directory decides
	log   *slog.Logger
	lock  *os.File
	grace time.Duration // how long a machine may take to shut down in order; EC2 waits some minutes

	exited chan string
	closed chan struct{}

	mu       sync.Mutex
	machines map[string]*machine // that have been started and not yet cleaned up
}

// mechanism is how one driver runs machines.
type mechanism interface {
	Prefix() netip.Prefix
	// up makes what all machines need, before one is started.
	up(ctx context.Context) error
	// boot makes the machine's parts in order, records its process, has it watched and waits until it runs; clean undoes all of it.
	boot(ctx context.Context, m *machine) error
	// marker is an argument of the machine's process, by which it is found when the server died before it could record it.
	marker(id string) string
	// askPoweroff asks the machine to shut down. Asked too early in its boot, it may not hear.
	askPoweroff(ctx context.Context, m *machine)
	// clean removes what the machine had on this computer once its process has ended, and drops it last. What is not there is no error.
	clean(ctx context.Context, m *machine) error
	// ended follows when the process ended by itself.
	ended(m *machine)
}

// openKeeper takes the directory. Only one process at a time may have it.
func openKeeper(ctx context.Context, o Options, how mechanism, grace time.Duration) (*keeper, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "machines"), 0o700); err != nil {
		return nil, fmt.Errorf("making the machine driver's directory: %w", err)
	}
	lock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(dir))
	k := &keeper{
		how: how, dir: dir, id: hex.EncodeToString(sum[:4]), log: o.Log, lock: lock, grace: grace,
		exited: make(chan string), closed: make(chan struct{}), machines: map[string]*machine{},
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	return k, nil
}

// Exited delivers the ids of machines that ended by themselves, after their disk has been closed.
func (k *keeper) Exited() <-chan string { return k.exited }

func (k *keeper) tellExited(id string) {
	select {
	case k.exited <- id:
	case <-k.closed:
	}
}

// Running lists the machines whose process is alive.
func (k *keeper) Running(context.Context) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var ids []string
	for id, m := range k.machines {
		if m.alive() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// letGo stops watching, once: false when that has been done.
func (k *keeper) letGo() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.closed:
		return false
	default:
		close(k.closed)
	}
	for _, m := range k.machines {
		m.unwatch()
	}
	return true
}

func (k *keeper) file(id, suffix string) string { return filepath.Join(k.dir, "machines", id+suffix) }

func (k *keeper) save(r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := writeFile(k.file(r.Machine.ID, ".json"), data); err != nil {
		return fmt.Errorf("recording machine %s: %w", r.Machine.ID, err)
	}
	return nil
}

// drop ends the keeping of a machine: its record goes last, because what it names would not be cleaned up again.
func (k *keeper) drop(m *machine) error {
	id := m.Machine.ID
	if err := os.Remove(k.file(id, ".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.machines[id] == m {
		delete(k.machines, id)
	}
	return nil
}

// records lists the ids of the machines that Dir knows to have been started and not cleaned up.
func (k *keeper) records() ([]string, error) {
	files, err := filepath.Glob(k.file("*", ".json"))
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".json")
	}
	return files, err
}

// adopt takes over the machines of an earlier process and returns those that have ended, which are not cleaned up yet.
func (k *keeper) adopt() (ended []*machine, err error) {
	ids, err := k.records()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		data, err := os.ReadFile(k.file(id, ".json"))
		if err != nil {
			return nil, err
		}
		var r record
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, fmt.Errorf("reading the record of machine %s: %w", id, err)
		}
		if r.Pid == 0 {
			for _, p := range findProcesses(k.how.marker(id)) {
				r.process = p
			}
		}
		m := newMachine(r)
		close(m.started)
		if !r.alive() {
			ended = append(ended, m)
			continue
		}
		if err := errors.Join(k.save(r), k.watch(m)); err != nil {
			return nil, err
		}
		k.log.Info("found a running machine", "id", id, "pid", r.Pid)
	}
	return ended, nil
}

// watch adds the machine to those that run and waits for its end.
func (k *keeper) watch(m *machine) error {
	f, err := m.open()
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.machines[m.Machine.ID] = m
	k.mu.Unlock()
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
		case <-k.closed:
			return
		}
		<-m.started
		if m.claim() {
			k.how.ended(m)
		}
	}()
	return nil
}

// finish cleans up after a machine that was shut down from inside, or crashed, and tells of it.
func (k *keeper) finish(m *machine) {
	if err := k.how.clean(context.Background(), m); err != nil {
		k.log.Error("cleaning up after a machine", "id", m.Machine.ID, "error", err)
	}
	k.tellExited(m.Machine.ID)
}

// Console returns the last 64 KiB that the machine wrote to its console since it was started.
func (k *keeper) Console(id string) ([]byte, error) {
	f, err := os.Open(k.file(id, ".console"))
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
func (k *keeper) Forget(id string) error {
	if err := os.Remove(k.file(id, ".console")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forgetting machine %s: %w", id, err)
	}
	return nil
}

// lockPatience is how long a child that a killed server was just forking may hold on to the lock.
const lockPatience = 2 * time.Second

// lockFile keeps a second server off the directory. The kernel drops the lock when the process dies.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	err = poll(ctx, "the lock", func() (bool, error) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return false, nil
		}
		return err == nil, err
	})
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("the machines in %s are in use by another process: stop that sandbox server first", filepath.Dir(path))
	default:
		err = fmt.Errorf("locking %s: %w", path, err)
	}
	f.Close()
	return nil, err
}
