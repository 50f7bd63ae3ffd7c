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

// chooseMachines turns --machines into a driver's name.
func chooseMachines(word string) (string, error) {
	switch word {
	case "none":
		return word, nil
	case "auto", "nspawn":
		if err := machines.Probe(); err != nil {
			return "", fmt.Errorf("machines cannot run here: %w (or use --machines none: instances change state and nothing runs)", err)
		}
		return "nspawn", nil
	}
	return "", &usageError{err: fmt.Errorf("unknown --machines %q; it is one of auto, nspawn, none", word)}
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
	conditions, err := o.conditions.parse()
	if err != nil {
		return err
	}
	release, err := h.lock()
	if err != nil {
		return err
	}
	defer release()
	debug.SetGCPercent(100) // it lives on
	debug.SetMemoryLimit(math.MaxInt64)
	log := slog.New(slog.NewTextHandler(a.Stderr, nil))
	driverName, err := chooseMachines(o.machines)
	if err != nil {
		return err
	}
	var cloud atomic.Pointer[sandbox.Cloud]
	driver, disks, err := openMachines(ctx, h, driverName, log, &cloud)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	c, err := sandbox.New(ctx, sandbox.Options{Dir: h.path("cloud"), Driver: driver, Disks: disks, Log: log, Conditions: conditions})
	if err != nil {
		return fmt.Errorf("opening sandbox %s: %w", h.name, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	cloud.Store(c)
	if err := a.registerBase(ctx, c, driverName, o); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", c.Handler())
	mux.HandleFunc("GET "+homePath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(sandboxStatus{c.Status(), h.dir}) // a client that has gone needs no answer
	})
	return a.serve(ctx, h, mux, o.port, driverName)
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
func openMachines(ctx context.Context, h *sandboxHome, name string, log *slog.Logger, cloud *atomic.Pointer[sandbox.Cloud]) (machines.Driver, sandbox.Disks, error) {
	if name == "none" {
		return machines.NewNone(netip.Prefix{}), nil, nil
	}
	metadata := imds.Handler(func(addr netip.Addr) (imds.Document, bool) {
		if c := cloud.Load(); c != nil {
			return c.InstanceMetadata(addr)
		}
		return imds.Document{}, false
	})
	driver, err := machines.NewNspawn(ctx, machines.Options{Dir: h.path("machines"), Name: h.name, Metadata: metadata, Log: log})
	if err != nil {
		return nil, nil, fmt.Errorf("opening the machines of sandbox %s: %w", h.name, err)
	}
	disks, err := disk.Open(h.path("disks"))
	if err != nil {
		return nil, nil, fmt.Errorf("opening the disks of sandbox %s: %w", h.name, err)
	}
	return driver, disks, nil
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

// sandboxDown stops the server, then the machines, and removes their network and mounts.
func (a *app) sandboxDown(ctx context.Context, h *sandboxHome) error {
	if !h.exists() {
		fmt.Fprintf(a.Stdout, "sandbox %s does not exist\n", h.name)
		return nil
	}
	if err := h.stopServer(ctx); err != nil {
		return err
	}
	release, err := h.lock()
	if err != nil {
		return err
	}
	defer release()
	if _, err := os.Stat(h.path("machines")); err == nil {
		log := slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		driver, err := machines.NewNspawn(ctx, machines.Options{Dir: h.path("machines"), Name: h.name, Metadata: http.NotFoundHandler(), Log: log})
		if err != nil {
			return fmt.Errorf("finding the machines of sandbox %s: %w", h.name, err)
		}
		if err := driver.Down(ctx); err != nil {
			return fmt.Errorf("stopping the machines of sandbox %s: %w", h.name, err)
		}
	}
	fmt.Fprintf(a.Stdout, "sandbox %s is down\n", h.name)
	return nil
}
