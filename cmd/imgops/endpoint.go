package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/roles"
)

// sandboxEndpoint is the sandbox that this run talks to instead of AWS.
type sandboxEndpoint struct {
	URL string
	// Dir is where the sandbox keeps its state; the pins of external bases are kept there, because the committed
	// imgops.lock is about AWS.
	Dir      string
	Machines string // the driver of its machines; none: nothing runs
}

// errNoMachines says that work that takes machines is asked of a sandbox without.
var errNoMachines = errors.New("this sandbox has no machines")

// requireMachines refuses what would wait for a machine in a sandbox where instances change their state and nothing runs.
func (a *app) requireMachines(ctx context.Context) error {
	box, err := a.sandbox(ctx)
	if err != nil || box == nil || box.Machines != "none" {
		return err
	}
	flag := (&sandboxHome{name: filepath.Base(box.Dir)}).flag()
	return fmt.Errorf("%w: it was started with --machines none, so instances change their state there and nothing runs; for one with machines: "+
		"imgops sandbox reset%s && imgops sandbox up%s --machines auto (reset forgets what is in it), or take another one: imgops sandbox up --name NAME --machines auto", errNoMachines, flag, flag)
}

// sandbox says whether this run talks to a sandbox: one that is named by --sandbox, or one that answers at a loopback
// AWS_ENDPOINT_URL.
func (a *app) sandbox(ctx context.Context) (*sandboxEndpoint, error) {
	// The error is kept, too: whoever asks second must not take a sandbox that is not running for AWS.
	a.probe.Do(func() { a.sandboxE, a.sandboxErr = a.findSandbox(ctx) })
	return a.sandboxE, a.sandboxErr
}

func (a *app) findSandbox(ctx context.Context) (*sandboxEndpoint, error) {
	if name := a.set.Sandbox; name != "" {
		home, err := a.sandboxHome(name)
		if err != nil {
			return nil, err
		}
		s, err := home.running(ctx)
		if err != nil {
			return nil, err
		}
		return &sandboxEndpoint{URL: s.URL, Dir: home.dir, Machines: s.Driver}, nil
	}
	endpoint := a.Getenv("AWS_ENDPOINT_URL")
	if u, err := url.Parse(endpoint); err != nil || !loopback(u.Hostname()) {
		return nil, nil //nolint:nilnil,nilerr // no sandbox is AWS
	}
	s, err := askStatus(ctx, endpoint)
	var refused *net.OpError
	switch {
	case err == nil:
		return &sandboxEndpoint{URL: endpoint, Dir: s.Dir, Machines: s.Machines}, nil
	case errors.As(err, &refused):
		return nil, fmt.Errorf("nothing listens at AWS_ENDPOINT_URL, %s; start the sandbox: imgops sandbox up, or unset the variable: %w", endpoint, err)
	}
	return nil, nil //nolint:nilnil // something else that speaks AWS' protocols
}

// lock is the sandbox's own lock of a fleet.
func (e *sandboxEndpoint) lock(f *roles.Fleet) string {
	return filepath.Join(e.Dir, "locks", f.Config.Fleet+".lock")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// sandboxStatus is what a sandbox's server answers at homePath: the cloud's own status, and where its state is.
type sandboxStatus struct {
	sandbox.Status
	Dir    string `json:"dir"`
	Detail string `json:"machines_detail,omitempty"` // how the machines run, such as kvm
}

// homePath is answered by `imgops sandbox serve` beside the cloud's own paths.
const homePath = "/_imgops/home"

// askStatus asks an endpoint whether it is a sandbox.
func askStatus(ctx context.Context, endpoint string) (sandboxStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+homePath, nil)
	if err != nil {
		return sandboxStatus{}, fmt.Errorf("asking %s for its status: %w", endpoint, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return sandboxStatus{}, fmt.Errorf("asking %s for its status: %w", endpoint, err)
	}
	defer resp.Body.Close()
	var s sandboxStatus
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil || s.ID == "" {
		return s, fmt.Errorf("%s is not an imgops sandbox", endpoint)
	}
	return s, nil
}

// pins gives the image id of every external base in the build Region. On AWS they come from imgops.lock as it is in the
// fleet at hand; in a sandbox from the sandbox's own lock, in which a base that is not there yet is resolved and kept.
func (a *app) pins(ctx context.Context, f *roles.Fleet, clients images.Clients) (roles.Pins, error) {
	sb, err := a.sandbox(ctx)
	if err != nil {
		return nil, err
	}
	region := f.Config.Build.Region
	if sb == nil {
		return f.Lock.Pins(region), nil
	}
	path := sb.lock(f)
	lock, err := readLock(path)
	if err != nil {
		return nil, err
	}
	pins, missing := lock.Pins(region), map[string]roles.External{}
	for _, e := range f.Externals() {
		if pins[e.Key] == "" {
			missing[e.Key] = e
		}
	}
	resolved, err := resolveBases(ctx, clients, f.Config, missing)
	if err != nil || len(resolved) == 0 {
		return pins, err
	}
	for _, b := range resolved {
		lock.Set(b)
	}
	return lock.Pins(region), writeLock(path, lock)
}

func readLock(path string) (roles.Lock, error) {
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return roles.Lock{}, fmt.Errorf("reading the lock: %w", err)
	}
	return roles.ReadLock(data, path)
}

func writeLock(path string, l roles.Lock) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the lock's directory: %w", err)
	}
	if err := renameio.WriteFile(path, l.Encode(), 0o644); err != nil {
		return fmt.Errorf("writing the lock %s: %w", path, err)
	}
	return nil
}

// run is the id of this run: IMGOPS_RUN (so that a repeated CI job goes on with what it began), or a new one.
func (a *app) run() string {
	a.runOnce.Do(func() {
		var b [3]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		a.runID = cmp.Or(a.set.Run, time.Now().UTC().Format("20060102t150405")+"-"+hex.EncodeToString(b[:]))
	})
	return a.runID
}
