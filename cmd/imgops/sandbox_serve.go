package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/images/sandbox/baseimage"
	"github.com/imgops/imgops/images/sandbox/disk"
	"github.com/imgops/imgops/images/sandbox/imds"
	"github.com/imgops/imgops/images/sandbox/machines"
)

// debianOwner is the account that publishes Debian's images (wiki.debian.org, Cloud/AmazonEC2Image).
const debianOwner = "136693071363"

// findSystemTools lets users who are not root run mkfs, debugfs and the like: on Debian their PATH lacks the directories.
func (a *app) findSystemTools() error {
	return os.Setenv("PATH", a.Getenv("PATH")+":/usr/sbin:/sbin")
}

// makeBase makes the base image, or finds it in the cache.
func (a *app) makeBase(ctx context.Context, o *sandboxOptions) (baseimage.Image, error) {
	cache, err := a.cacheDir()
	if err != nil {
		return baseimage.Image{}, err
	}
	say := a.log.of("base image")
	defer a.log.done("base image")
	stop := a.log.beat()
	defer stop()
	return baseimage.Make(ctx, baseimage.Options{Dir: filepath.Join(cache, "base"), Mirror: o.mirror, Progress: func(s string) { say(s, "") }})
}

func (a *app) cacheDir() (string, error) {
	if dir := a.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "imgops"), nil
	}
	if home := a.Getenv("HOME"); home != "" {
		return filepath.Join(home, ".cache", "imgops"), nil
	}
	return "", errors.New("neither XDG_CACHE_HOME nor HOME is set, so there is no place for the base image; set one")
}

// sandboxServe runs the server until the context ends. The machines go on: the next server finds them again.
func (a *app) sandboxServe(ctx context.Context, h *sandboxHome, o *sandboxOptions) (err error) {
	release, err := h.lock()
	if err != nil {
		return err
	}
	defer release()
	if err := h.removeTemporary(); err != nil {
		return err
	}
	collectGarbage()
	log := slog.New(slog.NewTextHandler(a.Stderr, nil))
	if err := a.findSystemTools(); err != nil {
		return err
	}
	driverName, err := a.recall(h, o)
	if err != nil {
		return err
	}
	conditions, organizations, err := o.parse()
	if err != nil {
		return err
	}
	var cloud atomic.Pointer[sandbox.Cloud]
	driver, disks, err := a.openMachines(ctx, h, o, driverName, log, &cloud)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	resume, err := h.wereRunning()
	if err != nil {
		return err
	}
	c, err := sandbox.New(ctx, sandbox.Options{Dir: h.path("cloud"), Driver: driver, Disks: disks, Log: log, Resume: resume, Conditions: conditions, Organizations: organizations})
	if err != nil {
		return fmt.Errorf("opening sandbox %s: %w", h.name, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := h.noteRunning(nil); err != nil { // the cloud knows them now
		return err
	}
	cloud.Store(c)
	settings := settingsOf(o.flags)
	settings["machines"] = []string{driverName}
	if err := h.keepSettings(settings); err != nil { // before there are images that go with them
		return err
	}
	if err := a.registerBase(ctx, c, driverName, o); err != nil {
		return err
	}
	proxy, err := h.openProxy(c, sandbox.LoopbackOnly(h.routes(c, driver)), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, proxy.Close()) }()
	return a.serve(ctx, h, proxy, o.port, driverName)
}

// collectGarbage takes back what main has set for short runs: a server lives on.
func collectGarbage() {
	debug.SetGCPercent(100)
	debug.SetMemoryLimit(math.MaxInt64)
}

// routes are the cloud's own paths, and homePath.
func (h *sandboxHome) routes(c *sandbox.Cloud, driver machines.Driver) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", c.Handler())
	mux.HandleFunc("GET "+homePath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(sandboxStatus{c.Status(), h.dir, detail(driver)}) // a client that has gone needs no answer
	})
	return mux
}

// detail is what a driver says about how its machines run, if anything.
func detail(d machines.Driver) string {
	if t, ok := d.(interface{ Detail() string }); ok {
		return t.Detail()
	}
	return ""
}

func (a *app) serve(ctx context.Context, h *sandboxHome, handler http.Handler, port int, driver string) error {
	l, err := h.listen(ctx, port)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(grace) // what is left after the grace ends with the process
	}()
	if err := h.writeRecord(serverRecord{URL: "http://" + l.Addr().String(), Driver: driver}); err != nil {
		return err
	}
	a.log.say("sandbox", "listening", "http://"+l.Addr().String())
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the sandbox: %w", err)
	}
	<-stopped
	return nil
}

// openMachines opens the driver and the disks. The metadata service asks the cloud who is calling; the cloud is made
// after the driver, so it comes through a pointer.
func (a *app) openMachines(ctx context.Context, h *sandboxHome, o *sandboxOptions, name string, log *slog.Logger, cloud *atomic.Pointer[sandbox.Cloud]) (machines.Driver, sandbox.Disks, error) {
	if name == "none" {
		return machines.NewNone(netip.Prefix{}), nil, nil
	}
	metadata := imds.Handler(func(addr netip.Addr) (imds.Document, bool) {
		if c := cloud.Load(); c != nil {
			return c.InstanceMetadata(addr)
		}
		return imds.Document{}, false
	})
	trial := ""
	if name == "qemu" {
		base, err := a.makeBase(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		trial = base.Path
	}
	driver, err := a.openDriver(ctx, h, name, trial, machines.Options{Metadata: metadata, Log: log})
	if err != nil {
		return nil, nil, fmt.Errorf("opening the machines of sandbox %s: %w", h.name, err)
	}
	disks, err := disk.Open(h.path("disks"))
	if err != nil {
		return nil, nil, fmt.Errorf("opening the disks of sandbox %s: %w", h.name, err)
	}
	return driver, disks, nil
}

// openDriver opens the driver of the sandbox; each has a directory of its own. With qemu, trial is the disk on which KVM is tried.
func (a *app) openDriver(ctx context.Context, h *sandboxHome, name, trial string, o machines.Options) (machines.Driver, error) {
	o.Dir, o.Name = h.driverDir(name), h.name
	if name == "nspawn" {
		return machines.NewNspawn(ctx, o)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the imgops executable: %w", err)
	}
	cache, err := a.cacheDir()
	if err != nil {
		return nil, err
	}
	return machines.NewQEMU(ctx, machines.QEMUOptions{
		Options: o, Pipe: []string{self, "sandbox", "pipe"}, Trial: trial, Memory: filepath.Join(cache, "kvm.json"),
	})
}

func (a *app) registerBase(ctx context.Context, c *sandbox.Cloud, driver string, o *sandboxOptions) error {
	b := sandbox.Base{Owner: debianOwner, Description: "Debian 12, made by imgops from Debian's packages", Architecture: "x86_64"}
	if driver == "none" {
		b.Name, b.SizeBytes, b.Created = "debian-12-amd64-20260101-0001", 8<<30, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	} else {
		base, err := a.makeBase(ctx, o)
		if err != nil {
			return err
		}
		b.Name, b.RawPath, b.SizeBytes, b.Created = base.Name, base.Path, base.SizeBytes, base.Created
	}
	if err := c.RegisterBase(ctx, b); err != nil {
		return fmt.Errorf("registering the base image: %w", err)
	}
	return nil
}
