package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
)

// sandboxHome is where one sandbox keeps its state: server.json (where the server is or was), settings.json (the flags that it runs with), server.log, locks/ (pinned
// bases), cloud/ (the cloud's records), disks/, what the drivers keep: machines/ (nspawn) and qemu/, and, while it is down,
// down.json (the instances that ran). proxy/ has the certificates of the proxy for AWS' hosts, and its private key.
type sandboxHome struct {
	name string
	dir  string
}

// serverRecord says where a sandbox's server is. It stays after the server has ended, so that the next one takes the
// same port and an environment that was set up before keeps working.
type serverRecord struct {
	URL    string `json:"url"`
	Driver string `json:"machines"`
}

// errNotRunning says that a sandbox has no server.
var errNotRunning = errors.New("the sandbox is not running")

var sandboxName = lazy(`^[a-z0-9][a-z0-9-]{0,30}$`)

// sandboxHome finds the home of a sandbox: below $XDG_STATE_HOME, or ~/.local/state.
func (a *app) sandboxHome(name string) (*sandboxHome, error) {
	if !sandboxName().MatchString(name) {
		return nil, &usageError{err: fmt.Errorf("sandbox name %q: use 1 to 31 lower-case letters, digits and dashes", name)}
	}
	state := a.Getenv("XDG_STATE_HOME")
	if state == "" {
		home := a.Getenv("HOME")
		if home == "" {
			return nil, errors.New("neither XDG_STATE_HOME nor HOME is set, so there is no place for a sandbox's state; set one")
		}
		state = filepath.Join(home, ".local", "state")
	}
	dir, err := filepath.Abs(filepath.Join(state, "imgops", "sandbox", name))
	if err != nil {
		return nil, fmt.Errorf("finding the state of sandbox %s: %w", name, err)
	}
	return &sandboxHome{name: name, dir: dir}, nil
}

func (h *sandboxHome) path(parts ...string) string {
	return filepath.Join(append([]string{h.dir}, parts...)...)
}

func (h *sandboxHome) driverDir(driver string) string {
	if driver == "qemu" {
		return h.path("qemu")
	}
	return h.path("machines")
}

func (h *sandboxHome) exists() bool {
	_, err := os.Stat(h.dir)
	return err == nil
}

// running gives the record of a server that answers as this sandbox's.
func (h *sandboxHome) running(ctx context.Context) (serverRecord, error) {
	r, err := h.record()
	if err != nil {
		return r, err
	}
	s, err := askStatus(ctx, r.URL)
	if err != nil || s.Dir != h.dir {
		return r, fmt.Errorf("%w: %s; start it: imgops sandbox up%s", errNotRunning, h.name, h.flag())
	}
	r.Driver = s.Machines // the record may be that of an earlier server with the same port
	return r, nil
}

func (h *sandboxHome) flag() string {
	if h.name == "default" {
		return ""
	}
	return " --name " + h.name
}

func (h *sandboxHome) record() (serverRecord, error) {
	var r serverRecord
	b, err := os.ReadFile(h.path("server.json"))
	if os.IsNotExist(err) {
		return r, fmt.Errorf("%w: %s; start it: imgops sandbox up%s", errNotRunning, h.name, h.flag())
	}
	if err != nil {
		return r, fmt.Errorf("reading where sandbox %s listens: %w", h.name, err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("reading %s: %w", h.path("server.json"), err)
	}
	return r, nil
}

// lock takes the sandbox's server lock; it is held as long as the server lives and goes with the process, however that ends.
func (h *sandboxHome) lock() (release func(), err error) {
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the sandbox's directory: %w", err)
	}
	f, err := os.OpenFile(h.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the sandbox's lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("sandbox %s already has a server", h.name)
	}
	return func() { f.Close() }, nil
}

// removeTemporary removes records that a killed process was writing (renameio names them so). Whoever calls it holds the lock.
func (h *sandboxHome) removeTemporary() error {
	for _, name := range []string{"server.json", "settings.json", "down.json", "proxy/ca.pem", "proxy/key.pem"} {
		dir, file := filepath.Split(name)
		left, err := filepath.Glob(h.path(dir, "."+file+"[0-9]*"))
		for _, path := range left {
			err = errors.Join(err, os.Remove(path))
		}
		if err != nil {
			return fmt.Errorf("removing a half-written %s of sandbox %s: %w", name, h.name, err)
		}
	}
	return nil
}

// listen takes the port of the last server again, or the one asked for, or any; always on loopback.
func (h *sandboxHome) listen(ctx context.Context, port int) (net.Listener, error) {
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	var lc net.ListenConfig
	if r, err := h.record(); err == nil && port == 0 && sandbox.IsLoopback(strings.TrimPrefix(r.URL, "http://")) {
		if l, err := lc.Listen(ctx, "tcp", strings.TrimPrefix(r.URL, "http://")); err == nil {
			return l, nil
		}
	}
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	return l, nil
}

func (h *sandboxHome) writeRecord(r serverRecord) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding where the sandbox listens: %w", err)
	}
	if err := renameio.WriteFile(h.path("server.json"), b, 0o600, renameio.WithTempDir(h.dir)); err != nil {
		return fmt.Errorf("recording where the sandbox listens: %w", err)
	}
	return nil
}

// stopServer ends the sandbox's server, if there is one, and waits until it has let go of the lock.
func (h *sandboxHome) stopServer(ctx context.Context) error {
	r, err := h.record()
	if err == nil {
		if s, err := askStatus(ctx, r.URL); err == nil && s.Dir == h.dir {
			if err := syscall.Kill(s.PID, syscall.SIGTERM); err != nil {
				return fmt.Errorf("ending the server of sandbox %s (process %d): %w", h.name, s.PID, err)
			}
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, fmt.Errorf("the server of sandbox %s does not end; see %s", h.name, h.path("server.log")))
	defer cancel()
	return images.Poll(ctx, func(context.Context) (bool, error) {
		release, held := h.lock()
		if held == nil {
			release()
		}
		return held == nil, nil
	})
}
